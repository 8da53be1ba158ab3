/**
 * Servers on two addresses with good and bad certificates of every kind.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Certificate, type IssueOptions, makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";

/** The host name that clients expect, unless a test says otherwise. */
export const NAME = "db.internal";

/**
 * A kind of server by its certificate: `"address"` has one for its IP address, `"plain"` has no TLS, `"client"` requires
 * a client certificate.
 */
export type ServerKind =
  | "valid"
  | "otherName"
  | "expired"
  | "untrusted"
  | "address"
  | "plain"
  | "client";

/** One server. */
export interface TlsServer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a server with a certificate; with `ca`, it requires a client certificate of that authority. */
export type StartTlsServer = (
  address: { readonly host: string; readonly port: number },
  tls: (Certificate & { readonly ca?: string }) | undefined,
) => Promise<TlsServer>;

/** A server of each kind, the authority that clients trust, and a client certificate of that authority. */
export interface TlsServers {
  readonly servers: Readonly<Record<ServerKind, TlsServer>>;
  /** Certificate of the authority, as PEM. */
  readonly ca: string;
  readonly client: Certificate;
  /** Paths of files with the same certificates. */
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  stop(): Promise<void>;
}

/**
 * Starts a server of each kind. "valid" and "otherName" have the same port on two addresses, so that a name can move from
 * one to the other.
 *
 * @param start Starts one server.
 * @param user The common name of the client certificate.
 */
export async function startTlsServers(start: StartTlsServer, user: string): Promise<TlsServers> {
  const [authority, untrusted] = await Promise.all([makeAuthority(), makeAuthority()]);
  const [first, second] = await loopbackPair();
  const sharedPort = await freePort([first, second]);
  const issue = (options: IssueOptions, by = authority) => by.issue(options);
  const client = await issue({ client: user });
  const valid = await issue({ names: [NAME] });
  const plan: [ServerKind, string, Parameters<StartTlsServer>[1]][] = [
    ["valid", first, valid],
    ["otherName", second, await issue({ names: ["other.internal"] })],
    ["expired", first, await issue({ names: [NAME], expired: true })],
    ["untrusted", first, await issue({ names: [NAME] }, untrusted)],
    ["address", first, await issue({ ips: [first] })],
    ["client", first, { ...valid, ca: authority.cert }],
    ["plain", first, undefined],
  ];
  const started: [ServerKind, TlsServer][] = [];
  const stop = async () => {
    await Promise.all(started.map(([, server]) => server.stop()));
  };
  try {
    for (const [kind, host, tls] of plan) {
      const port = kind === "valid" || kind === "otherName" ? sharedPort : await freePort([host]);
      started.push([kind, await start({ host, port }, tls)]);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const dir = await mkdtemp(join(tmpdir(), "dnspool-"));
  const files = { ca: `${dir}/ca.pem`, cert: `${dir}/cert.pem`, key: `${dir}/key.pem` };
  await writeFile(files.ca, authority.cert);
  await writeFile(files.cert, client.cert);
  await writeFile(files.key, client.key);
  return {
    servers: Object.fromEntries(started) as Record<ServerKind, TlsServer>,
    ca: authority.cert,
    client,
    files,
    async stop() {
      await rm(dir, { recursive: true });
      await stop();
    },
  };
}
