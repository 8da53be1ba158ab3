/**
 * Cloud SQL with IAM database authentication: each connection logs in with an access token of the service account.
 *
 *     DATABASE_URL=postgresql://app%40project.iam@db.internal/orders?sslmode=verify-ca deno run -A examples/credentials_google.ts
 */

import { type CredentialsFunction, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import process from "node:process";
import { GoogleAuth } from "npm:google-auth-library@^11.3";

/** Returns an access token, which the library itself keeps until shortly before it expires. */
export function cloudSqlToken(
  auth: GoogleAuth = new GoogleAuth({
    scopes: "https://www.googleapis.com/auth/sqlservice.login",
  }),
): CredentialsFunction {
  return async () => {
    const token = await auth.getAccessToken();
    if (!token) throw new Error("There is no service account here");
    return token;
  };
}

export function openEngine<C>(url: string, options: EngineOptions<C> = {}) {
  return getDnsEngine<C>(url, { credentials: cloudSqlToken(), ...options });
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  console.log(await engine.query("SELECT current_user"));
}
