/**
 * Certificates made on the spot, and PostgreSQL servers that show them.
 *
 * @module
 */

import { generateKeyPairSync } from "node:crypto";
import { chown, stat, writeFile } from "node:fs/promises";
import forge from "npm:node-forge@^1.4.3";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import type { PostgresServer } from "../scripts/lab/postgres.ts";

/** A certificate and its private key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority. */
export interface Authority {
  /** Its own certificate, in PEM. */
  readonly ca: string;
  /** Makes a server's certificate. */
  issue(name: string, options?: { readonly expired?: boolean }): Certificate;
}

const DAY_MS = 86_400_000;

/** Makes a certificate authority that nobody knows. */
export function makeAuthority(): Authority {
  const own = makeKeys();
  const subject = [{ name: "commonName", value: "A test's own authority" }];
  const root = forge.pki.createCertificate();
  root.publicKey = own.publicKey;
  root.serialNumber = "01";
  root.validity.notBefore = new Date(Date.now() - DAY_MS);
  root.validity.notAfter = new Date(Date.now() + DAY_MS);
  root.setSubject(subject);
  root.setIssuer(subject);
  root.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, critical: true },
  ]);
  root.sign(own.privateKey, forge.md.sha256.create());
  let serial = 1;
  return {
    ca: forge.pki.certificateToPem(root),
    issue(name, { expired = false } = {}) {
      const keys = makeKeys();
      const leaf = forge.pki.createCertificate();
      leaf.publicKey = keys.publicKey;
      leaf.serialNumber = (++serial).toString(16).padStart(2, "0");
      leaf.validity.notBefore = new Date(Date.now() - 2 * DAY_MS);
      leaf.validity.notAfter = new Date(Date.now() + (expired ? -1 : 1) * DAY_MS);
      leaf.setSubject([{ name: "commonName", value: name }]);
      leaf.setIssuer(subject);
      leaf.setExtensions([
        { name: "subjectAltName", altNames: [{ type: 2, value: name }] },
        { name: "extKeyUsage", serverAuth: true },
      ]);
      leaf.sign(own.privateKey, forge.md.sha256.create());
      return { cert: forge.pki.certificateToPem(leaf), key: keys.pem };
    },
  };
}

/** Made by the runtime: forge's own take seconds. */
function makeKeys() {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return {
    pem: privateKey,
    publicKey: forge.pki.publicKeyFromPem(publicKey),
    privateKey: forge.pki.privateKeyFromPem(privateKey),
  };
}

/** Has a running server show a certificate from now on. */
export async function showCertificate(
  server: PostgresServer,
  { cert, key }: Certificate,
): Promise<void> {
  const { uid, gid } = await stat(server.dataDir);
  for (const [name, text] of [["server.crt", cert], ["server.key", key]] as const) {
    const file = `${server.dataDir}/${name}`;
    await writeFile(file, text, { mode: 0o600 });
    await chown(file, uid, gid);
  }
  await tell(server, "ALTER SYSTEM SET ssl = on");
  await tell(server, "SELECT pg_reload_conf()");
  // The postmaster reads its files when it gets to it.
  for (let tries = 0; tries < 100; tries++) {
    const [{ ssl }] = await tell(server, "SHOW ssl") as [{ ssl: string }];
    if (ssl === "on") return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Cannot switch TLS on at ${server.where}: ${server.log}`);
}

/** One statement, on a connection of its own. */
export async function tell(server: PostgresServer, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
