/**
 * Servers that show certificates of every kind, the wrong ones too, on two addresses.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Certificate, type IssueOptions, makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";

/** The name that all clients expect, unless a test says otherwise. */
export const NAME = "db.internal";

/** What a server shows; `"plain"` has no TLS, `"client"` asks for a client's certificate. */
export type Shown = "right" | "otherName" | "expired" | "stranger" | "address" | "plain" | "client";

/** One server. */
export interface ShowingServer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** How a kind of server is started. */
export type StartShowing = (
  where: { readonly host: string; readonly port: number },
  tls: (Certificate & { readonly ca?: string }) | undefined,
) => Promise<ShowingServer>;

/** Every server, the authority that clients trust, and a client's certificate of it. */
export interface TlsServers {
  readonly servers: Readonly<Record<Shown, ShowingServer>>;
  /** PEM. */
  readonly ca: string;
  readonly client: Certificate;
  /** Paths of files with the same. */
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  stop(): Promise<void>;
}

/**
 * Starts them. "right" and "otherName" have one port on two addresses, so that a name can move from one to the other.
 *
 * @param start Starts one.
 * @param user The common name of the client's certificate.
 */
export async function startTlsServers(start: StartShowing, user: string): Promise<TlsServers> {
  const [authority, stranger] = await Promise.all([makeAuthority(), makeAuthority()]);
  const [first, second] = await loopbackPair();
  const moving = await freePort([first, second]);
  const issue = (options: IssueOptions, by = authority) => by.issue(options);
  const client = await issue({ client: user });
  const right = await issue({ names: [NAME] });
  const plan: [Shown, string, Parameters<StartShowing>[1]][] = [
    ["right", first, right],
    ["otherName", second, await issue({ names: ["other.internal"] })],
    ["expired", first, await issue({ names: [NAME], expired: true })],
    ["stranger", first, await issue({ names: [NAME] }, stranger)],
    ["address", first, await issue({ ips: [first] })],
    ["client", first, { ...right, ca: authority.cert }],
    ["plain", first, undefined],
  ];
  const started: [Shown, ShowingServer][] = [];
  const stop = async () => {
    await Promise.all(started.map(([, server]) => server.stop()));
  };
  try {
    for (const [shown, host, tls] of plan) {
      const port = shown === "right" || shown === "otherName" ? moving : await freePort([host]);
      started.push([shown, await start({ host, port }, tls)]);
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
    servers: Object.fromEntries(started) as Record<Shown, ShowingServer>,
    ca: authority.cert,
    client,
    files,
    async stop() {
      await rm(dir, { recursive: true });
      await stop();
    },
  };
}
