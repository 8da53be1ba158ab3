/**
 * A switchover while an ORM is working: two real servers, a DNS server, transactions in a loop, and the record moves. The
 * same ORM on its ordinary pool must stay on the old server, or the test would prove nothing.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import dns from "node:dns";
import net from "node:net";
import { clearDnsCache } from "../../resolver.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";
import { untilSocketsClosed } from "./sockets.ts";
import { pause, until } from "./waiting.ts";

/** The name that moves. */
const NAME = "db.internal";
/** The record's TTL, in seconds. */
const TTL = 1;
/** Time after the TTL of the old answer, after which no transaction may begin on the old server. */
const TOLERANCE_MS = 250;
const WORKERS = 4;
/** Pause of a worker between two transactions. */
const THINK_MS = 4;
/** Time for which transactions are observed after that. */
const OBSERVE_MS = 500;
/** Each phase of a test has more transactions than this. */
const FEW = 10;

/** A server that a test starts. */
export interface LabServer {
  readonly host: string;
  readonly port: number;
  /** Returns the server's URL, with this host. */
  url(host?: string): string;
  stop(options: { mode: "immediate" }): Promise<void>;
  /** Kills the server, as a power cut would. */
  kill(): Promise<void>;
}

/** An ORM that runs transactions. */
export interface Work {
  /** Runs a transaction that writes; returns the address of the server that ran it. */
  transaction(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** Two servers on one port. */
export interface ServerPair<S extends LabServer = LabServer> {
  readonly first: S;
  readonly second: S;
  stop(): Promise<void>;
}

/** What an ORM connects to. */
export interface Whereabouts {
  /** The database's URL, by name. */
  readonly url: string;
  /** The drop-in's options, with the DNS server. */
  readonly options: { readonly dnsNameservers: readonly string[] };
  /**
   * Makes the socket of an ordinary driver on a machine whose resolver is the test's DNS server: it looks the name up
   * each time it connects. This is what `pg` takes as `stream`.
   */
  readonly stream: () => net.Socket;
}

/** The same ORM on a drop-in and on its ordinary pool. */
export interface Works {
  readonly dropIn: Work;
  readonly ordinary: Work;
}

/**
 * Starts the servers.
 *
 * @param start Starts one server.
 */
export async function startPair<S extends LabServer>(
  start: (where: { host: string; port: number }) => Promise<S>,
): Promise<ServerPair<S>> {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  const servers: S[] = [];
  try {
    for (const host of hosts) servers.push(await start({ host, port }));
    const [first, second] = servers as [S, S];
    return { first, second, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  async function stop(): Promise<void> {
    for (const server of servers) await server.stop({ mode: "immediate" });
  }
}

/** One transaction. */
interface Done {
  readonly sinceMs: number;
  readonly address: unknown;
  readonly error: unknown;
}

/** The transactions of an ORM. */
interface Record {
  readonly done: Done[];
  /** Stops the workers. */
  stop(): Promise<void>;
}

function begin(work: Work): Record {
  const done: Done[] = [];
  let over = false;
  const workers = Array.from({ length: WORKERS }, async () => {
    while (!over) {
      const sinceMs = performance.now();
      const [address, error] = await work.transaction().then(
        (address) => [address, undefined],
        (error) => [undefined, error],
      );
      done.push({ sinceMs, address, error });
      await pause(THINK_MS);
    }
  });
  return {
    done,
    async stop() {
      over = true;
      await Promise.all(workers);
    },
  };
}

/**
 * Moves the record while an ORM runs transactions on a drop-in and, beside it, on its ordinary pool. Both servers stay
 * alive.
 *
 * Every transaction on the drop-in that begins later than TTL + 250 ms must run on the new server, and none may fail. The
 * ordinary pool must stay on the old server.
 *
 * @param pair The servers.
 * @param open Opens the ORM on both pools.
 */
export async function switchOver(
  pair: ServerPair,
  open: (where: Whereabouts) => Promise<Works>,
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start();
  dns.set(NAME, [pair.first.host], { ttl: TTL });
  await untilSocketsClosed(async () => {
    const works = await open(whereabouts(pair.first, dns));
    try {
      await move(pair, dns, works);
    } finally {
      await works.dropIn.close();
      await works.ordinary.close();
    }
  });
}

/**
 * Kills the old server at the moment the record moves. If the ORM's drop-in waits for a server, only transactions that
 * were running may fail; if it does not wait, only those that begin before the old answer expires.
 *
 * @param pair The servers; the first is dead afterwards.
 * @param open Opens the ORM on a drop-in.
 * @param options `waits`: whether the drop-in waits for a server. Default: true.
 */
export async function crashOver(
  pair: ServerPair,
  open: (where: Whereabouts) => Work | Promise<Work>,
  { waits = true }: { waits?: boolean } = {},
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start();
  dns.set(NAME, [pair.first.host], { ttl: TTL });
  await untilSocketsClosed(async () => {
    const work = await open(whereabouts(pair.first, dns));
    try {
      await crash(pair, dns, { work, waits });
    } finally {
      await work.close();
    }
  });
}

async function crash(
  { first, second }: ServerPair,
  dns: DnsServer,
  { work, waits }: { work: Work; waits: boolean },
): Promise<void> {
  assertEquals(await work.transaction(), first.host);
  const record = begin(work);
  await until(() => record.done.length > WORKERS + FEW);
  dns.set(NAME, [second.host], { ttl: TTL });
  const movedMs = performance.now();
  await first.kill();
  const killedMs = performance.now();
  const limitMs = waits ? killedMs : movedMs + TTL * 1000;
  const late = () => record.done.filter(({ sinceMs }) => sinceMs > limitMs + TOLERANCE_MS);
  await pause(movedMs + TTL * 1000 + TOLERANCE_MS + OBSERVE_MS - killedMs);
  await until(() => late().length > FEW);
  await record.stop();
  if (waits) {
    const failed = record.done.filter(({ error }) => error);
    assertEquals(failed.filter(({ sinceMs }) => sinceMs > limitMs), []);
    assert(failed.length <= WORKERS, `${failed.length} transactions failed`);
  }
  assertEquals(late().filter(({ address }) => address !== second.host), []);
}

function whereabouts(first: LabServer, dns: DnsServer): Whereabouts {
  const options = { dnsNameservers: [dns.address] };
  return { url: first.url(NAME), options, stream: ordinaryStream(dns) };
}

async function move({ first, second }: ServerPair, dns: DnsServer, works: Works): Promise<void> {
  // From now on everything that is created at the first use exists: pools, connections, what an ORM asks a new server.
  const early = await Promise.all([works.dropIn.transaction(), works.ordinary.transaction()]);
  assertEquals(early, [first.host, first.host]);
  const records = [begin(works.dropIn), begin(works.ordinary)];
  await until(() => records.every(({ done }) => done.length > WORKERS + FEW));
  const movedMs = performance.now();
  dns.set(NAME, [second.host], { ttl: TTL });
  const limitMs = movedMs + TTL * 1000 + TOLERANCE_MS;
  await pause(limitMs + OBSERVE_MS - movedMs);
  const lateIn = ({ done }: Record) => done.filter(({ sinceMs }) => sinceMs > limitMs);
  await until(() => records.every((record) => lateIn(record).length > FEW));
  for (const record of records) await record.stop();
  const [dropIn, ordinary] = records.map(({ done }) => done) as [Done[], Done[]];

  assertEquals(dropIn.filter(({ error }) => error), []);
  const late = dropIn.filter(({ sinceMs }) => sinceMs > limitMs);
  assert(late.length > FEW, `only ${late.length} transactions after the switchover`);
  assertEquals(late.filter(({ address }) => address !== second.host), []);
  const before = dropIn.filter(({ sinceMs }) => sinceMs < movedMs);
  assert(before.length > FEW, `only ${before.length} transactions before the switchover`);
  assertEquals(before.filter(({ address }) => address !== first.host), []);

  const behind = ordinary.filter(({ sinceMs }) => sinceMs > limitMs);
  assert(behind.length > FEW, `only ${behind.length} transactions of the ordinary pool`);
  assertEquals(behind.filter(({ address, error }) => error || address !== first.host), []);
}

function ordinaryStream(server: DnsServer): () => net.Socket {
  return () => {
    const socket = new net.Socket();
    const connect = socket.connect.bind(socket) as (port: number, host: string) => net.Socket;
    socket.connect = ((port: number, host: string) => {
      const resolver = new dns.promises.Resolver();
      resolver.setServers([server.address]);
      resolver.resolve4(host).then(
        ([address]) => connect(port, address!),
        (error) => socket.destroy(error),
      );
      return socket;
    }) as typeof socket.connect;
    return socket;
  };
}
