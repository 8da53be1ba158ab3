/**
 * Azure Database with Microsoft Entra authentication: each connection logs in with an access token.
 *
 *     DATABASE_URL=postgresql://app@orders.postgres.database.azure.com/orders?sslmode=verify-full \
 *       deno run -A examples/credentials_azure.ts
 */

import { type CredentialsFunction, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import process from "node:process";
import { ManagedIdentityCredential, type TokenCredential } from "npm:@azure/identity@^4.14";

const SCOPE = "https://ossrdbms-aad.database.windows.net/.default";

/** Returns an access token. On a developer's machine, pass a `DefaultAzureCredential`. */
export function entraToken(credential: TokenCredential): CredentialsFunction {
  return async ({ signal }) => {
    const given = await credential.getToken(SCOPE, { abortSignal: signal });
    if (!given) throw new Error("There is no identity here");
    return { password: given.token, expiresAt: given.expiresOnTimestamp };
  };
}

export function openEngine<C>(url: string, options: EngineOptions<C> = {}) {
  const credential = new ManagedIdentityCredential();
  return getDnsEngine<C>(url, { credentials: entraToken(credential), ...options });
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  console.log(await engine.query("SELECT current_user"));
}
