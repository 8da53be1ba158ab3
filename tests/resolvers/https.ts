/**
 * Certificates for the name servers of the lab that speak HTTPS.
 *
 * @module
 */

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { makeAuthority } from "../../lab/certificates.ts";
import { clearDnsCache } from "../../resolver.ts";

/** A certificate's files, which the users that the servers run as can read. */
export interface CertificateFiles extends AsyncDisposable {
  readonly cert: string;
  readonly key: string;
  /** The certificate of the authority, as PEM. */
  readonly ca: string;
}

/** Makes a certificate for an address. */
export async function certificateFor(ip: string): Promise<CertificateFiles> {
  const authority = await makeAuthority();
  const { cert, key } = await authority.issue({ ips: [ip] });
  const dir = await mkdtemp(path.join(tmpdir(), "dnspool-doh-"));
  await chmod(dir, 0o755);
  const files = { cert: path.join(dir, "cert.pem"), key: path.join(dir, "key.pem") };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  return {
    ...files,
    ca: authority.cert,
    [Symbol.asyncDispose]() {
      clearDnsCache(); // closes the connections that the lookups keep
      return rm(dir, { recursive: true });
    },
  };
}
