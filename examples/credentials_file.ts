/**
 * A password in a file that is rewritten, as a mounted secret of Kubernetes, of Docker or of a Vault agent.
 *
 *     DATABASE_URL=postgresql://app@db.internal/orders deno run -A examples/credentials_file.ts
 */

import { type CredentialsFunction, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { readFile } from "node:fs/promises";
import process from "node:process";

/** Returns what is in the file. It is read for each connect, so nothing need watch it. */
export function passwordFile(path: string): CredentialsFunction {
  return async () => {
    const password = (await readFile(path, "utf8")).trimEnd();
    if (password === "") throw new Error(`${path} is empty`);
    return password;
  };
}

export function openEngine<C>(url: string, options: EngineOptions<C> = {}) {
  return getDnsEngine<C>(url, {
    credentials: passwordFile("/var/run/secrets/db/password"),
    ...options,
  });
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  console.log(await engine.query("SELECT current_user"));
}
