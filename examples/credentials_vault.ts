/**
 * HashiCorp Vault's database secrets engine: each lease is a user of its own, who is dropped at its end.
 *
 *     VAULT_ADDR=https://vault.internal:8200 VAULT_TOKEN=… DATABASE_URL=postgresql://db.internal/orders \
 *       deno run -A examples/credentials_vault.ts
 */

import { type CredentialsFunction, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import process from "node:process";

/** What Vault answers; for a static role (`static-creds`), `data.ttl` takes the place of `lease_duration`. */
interface VaultAnswer {
  readonly lease_duration: number;
  readonly data: { readonly username: string; readonly password: string; readonly ttl?: number };
}

/**
 * Returns user and password of a role. They open connections for half of their life; `poolRecycle` is the other half, so
 * that no connection outlives its user.
 */
export function vaultRole(role: string): CredentialsFunction {
  return async ({ signal }) => {
    const { VAULT_ADDR, VAULT_TOKEN } = process.env;
    const response = await fetch(`${VAULT_ADDR}/v1/database/creds/${role}`, {
      headers: { "X-Vault-Token": VAULT_TOKEN! },
      signal,
    });
    if (!response.ok) {
      throw new Error(`Vault answered ${response.status}: ${await response.text()}`);
    }
    const { data, lease_duration } = await response.json() as VaultAnswer;
    const { username: user, password, ttl = lease_duration } = data;
    return { user, password, expiresAt: Date.now() + ttl * 500 };
  };
}

export function openEngine<C>(url: string, options: EngineOptions<C> = {}) {
  return getDnsEngine<C>(url, {
    credentials: vaultRole("app"),
    poolRecycle: 1800, // half of a lease of an hour
    ...options,
  });
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  console.log(await engine.query("SELECT current_user"));
}
