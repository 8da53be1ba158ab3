/**
 * Amazon RDS and Aurora with IAM authentication: each connection logs in with a token of 15 minutes.
 *
 *     DATABASE_URL=postgresql://app@orders.c7tj4example.eu-central-1.rds.amazonaws.com/orders?sslmode=verify-full \
 *       deno run -A examples/credentials_aws.ts
 */

import { type CredentialsFunction, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import process from "node:process";
import { Signer } from "npm:@aws-sdk/rds-signer@^3.1175";

/** Returns a token for the endpoint's name. The signer finds its own credentials, and no request is sent for a token. */
export function rdsToken(region: string): CredentialsFunction {
  return async ({ host, port, user }) => {
    const signer = new Signer({ hostname: host, port, username: user!, region });
    return { password: await signer.getAuthToken(), expiresAt: Date.now() + 15 * 60_000 };
  };
}

export function openEngine<C>(url: string, options: EngineOptions<C> = {}) {
  return getDnsEngine<C>(url, { credentials: rdsToken("eu-central-1"), ...options });
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  console.log(await engine.query("SELECT current_user"));
}
