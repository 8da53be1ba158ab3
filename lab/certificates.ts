/**
 * Certificate authorities for tests: they issue certificates for servers and for clients, wrong ones too. They are made by
 * WebCrypto and `npm:@peculiar/x509`, no program is needed.
 *
 * @example
 * ```ts
 * import { makeAuthority } from "./certificates.ts";
 *
 * const authority = await makeAuthority(); // a client trusts authority.cert
 * const tls = await authority.issue({ names: ["db.internal"] }); // for startPostgres({ …, tls })
 * ```
 *
 * @module
 */

import "npm:reflect-metadata@^0.2.2"; // @peculiar/x509 needs it, and does not import it
import * as x509 from "npm:@peculiar/x509@^2.2";

/** A certificate and its key, as PEM. */
export interface Certificate {
  /** The certificate. */
  readonly cert: string;
  /** Its private key, as PKCS #8. */
  readonly key: string;
}

/** The subject of a certificate. */
export interface IssueOptions {
  /** The host names that a server's certificate is valid for. Default: none. */
  names?: readonly string[];
  /** The IP addresses that a server's certificate is valid for. Default: none. */
  ips?: readonly string[];
  /** The common name of a client's certificate: the database user, if the server compares the two. */
  client?: string;
  /** Whether it expired yesterday. Default: false; it is valid for a week then. */
  expired?: boolean;
}

/** An authority. */
export interface Authority {
  /** Its own certificate, as PEM: a client that trusts it trusts the certificates that it issues. */
  readonly cert: string;
  /** Issues a certificate. */
  issue(options: IssueOptions): Promise<Certificate>;
}

/** PostgreSQL, MariaDB and the TLS of Deno, Node and Bun all take such keys, and they are quick to make. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

const DAY_MS = 24 * 60 * 60 * 1000;

let count = 0;

/** Makes an authority with a name and a key of its own. */
export async function makeAuthority(): Promise<Authority> {
  const keys = await makeKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`Lab authority ${++count}`] }],
    keys,
    signingAlgorithm: ALGORITHM,
    ...lifetime(false),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(root), issue: (options) => issue(options, root, keys) };
}

async function issue(
  { names = [], ips = [], client, expired = false }: IssueOptions,
  root: x509.X509Certificate,
  rootKeys: CryptoKeyPair,
): Promise<Certificate> {
  if (client === undefined ? names.length + ips.length === 0 : names.length + ips.length > 0) {
    throw new TypeError('Cannot issue a certificate: give "names" or "ips", or else "client"');
  }
  const keys = await makeKeys();
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const cert = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [client ?? names[0] ?? ips[0] ?? ""] }],
    issuer: root.subjectName.toJSON(),
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    ...lifetime(expired),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([client === undefined ? serverAuth : clientAuth]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
      ...client === undefined ? [subjectNames(names, ips)] : [],
    ],
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: pem(cert), key: x509.PemConverter.encode(key, "PRIVATE KEY") + "\n" };
}

async function makeKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

function lifetime(expired: boolean): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  const [from, to] = expired ? [-2, -1] : [-1, 7];
  return { notBefore: new Date(now + from * DAY_MS), notAfter: new Date(now + to * DAY_MS) };
}

function subjectNames(names: readonly string[], ips: readonly string[]): x509.Extension {
  return new x509.SubjectAlternativeNameExtension([
    ...names.map((value) => ({ type: "dns" as const, value })),
    ...ips.map((value) => ({ type: "ip" as const, value })),
  ]);
}

function pem(cert: x509.X509Certificate): string {
  return cert.toString("pem") + "\n";
}
