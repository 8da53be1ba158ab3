/**
 * Two real servers for tests with several hosts, and with SRV records: the same address, a port and a certificate for
 * each, and the second one takes writes.
 *
 * @module
 */

import { assert, assertThrows } from "@std/assert";
import { inspect } from "node:util";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { clearDnsCache } from "../../resolver.ts";
import type { LabServer } from "./drop_in_failover.ts";
import { type FakeLookup, fakeLookup } from "./fake_lookup.ts";
import { untilSocketsClosed } from "./sockets.ts";

/** Login and database of the servers. */
export const LOGIN = { user: "app", password: "s3cret", database: "orders" };

/** The hosts: that of the server that takes no writes, and that of the other one. */
export const A = "db1.internal";
export const B = "db2.internal";

/** How a server is started. */
export interface HostSettings {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly host: string;
  readonly port: number;
  readonly settings: Record<string, string>;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

/** What a test may change: the records, by name, and the lookup that answers with them. */
export interface HostRecords {
  readonly dns: FakeLookup;
  readonly records: Record<string, readonly string[]>;
}

/** The servers; there from the first test on. */
export interface HostServers<S extends LabServer> {
  /** Takes no writes. */
  readonly reader: S;
  readonly writer: S;
  /** The certificate of the authority, as PEM. */
  readonly ca: string;
  /** Runs a test with a lookup for the two hosts and the service, at a TTL of half a second. */
  withRecords(test: (setup: HostRecords) => Promise<void>): Promise<void>;
}

/**
 * Registers the start and the end of the servers for all tests of a file.
 *
 * @param service The name of their SRV records.
 * @param options `start` starts a server; `readOnly` are the settings by which it takes no writes; with `skipped`, no
 *   server is started.
 */
export function severalHosts<S extends LabServer>(
  service: string,
  { start, readOnly, skipped = false }: {
    readonly start: (settings: HostSettings) => Promise<S>;
    readonly readOnly: Record<string, string>;
    readonly skipped?: boolean;
  },
): HostServers<S> {
  const withRecords = async (test: (setup: HostRecords) => Promise<void>) => {
    clearDnsCache();
    const { reader, writer } = servers;
    const records: Record<string, readonly string[]> = {
      [A]: [reader.host],
      [B]: [writer.host],
      [service]: [`10 0 ${reader.port} ${A}`, `20 0 ${writer.port} ${B}`],
    };
    const dns = fakeLookup([], 0.5);
    dns.respond = ({ name, family }) =>
      family === 6 || !records[name] ? undefined : { addresses: records[name]!, ttl: 0.5 };
    await untilSocketsClosed(() => test({ dns, records }));
  };
  const servers = { withRecords } as HostServers<S>;
  if (skipped) return servers;
  Deno.test.beforeAll(async () => {
    const authority = await makeAuthority();
    const ca = authority.cert;
    const [host] = await loopbackPair();
    const startAt = async (name: string, settings: Record<string, string>) =>
      await start({
        ...LOGIN,
        host,
        port: await freePort([host]),
        settings,
        tls: { ...await authority.issue({ names: [name] }), ca },
      });
    const reader = await startAt(A, readOnly);
    Object.assign(servers, { ca, reader, writer: await startAt(B, {}) });
  });
  Deno.test.afterAll(async () => {
    await servers.reader.stop({ mode: "immediate" });
    await servers.writer.stop({ mode: "immediate" });
  });
  return servers;
}

/** Asserts that each function throws an argument error with a message, which shows nothing of the password. */
export function assertRefused(message: string, makes: readonly (() => unknown)[]): void {
  for (const make of makes) {
    const error = assertThrows(make, Error, message);
    assert(error instanceof TypeError || error instanceof RangeError);
    assert(!inspect(error, { depth: 9 }).includes(LOGIN.password));
  }
}
