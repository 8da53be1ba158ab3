/**
 * A switchover under an ORM: two real servers, a DNS server, transactions in a loop, and the record moves. Beside it the
 * same ORM on its ordinary pool, which has to stay behind, or the test would prove nothing.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import dns from "node:dns";
import net from "node:net";
import { clearDnsCache } from "../../resolver.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";
import { pause, until } from "./waiting.ts";

/** The name that moves. */
const NAME = "db.internal";
/** The record's TTL, in seconds. */
const TTL = 1;
/** From the end of the old answer's TTL on, nothing may begin on the old server that is later than this. */
const SLACK_MS = 250;
const WORKERS = 4;
/** A worker thinks so long between two transactions. */
const THINK_MS = 4;
/** More transactions than that have to show it. */
const ENOUGH = 10;

/** A server of the lab. */
export interface LabServer {
  readonly host: string;
  readonly port: number;
  /** Its URL, with this host. */
  url(host?: string): string;
  stop(options: { mode: "immediate" }): Promise<void>;
  /** Kills it, as a power cut would. */
  kill(): Promise<void>;
}

/** An ORM at work. */
export interface Work {
  /** Runs a transaction that writes; returns the address of the server that did it. */
  transaction(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** Two servers on one port. */
export interface ServerPair<S extends LabServer = LabServer> {
  readonly first: S;
  readonly second: S;
  stop(): Promise<void>;
}

/** Where an ORM is sent. */
export interface Whereabouts {
  /** The database's URL, by name. */
  readonly url: string;
  /** Where a drop-in asks for the name. */
  readonly options: { readonly dnsNameservers: readonly string[] };
  /**
   * The socket of an ordinary driver on a machine whose resolver is the lab's DNS server: it looks the name up each
   * time it connects. What `pg` takes as `stream`.
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

/** What became of an ORM's transactions. */
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
 * Moves the record while an ORM works on a drop-in, and while the same ORM works on its ordinary pool. Both servers
 * stay alive.
 *
 * Every transaction that begins later than TTL + 250 ms on the drop-in runs on the new server, and none fails. The
 * ordinary pool stays on the old one.
 *
 * @param pair The servers.
 * @param open Makes the two.
 */
export async function switchOver(
  pair: ServerPair,
  open: (where: Whereabouts) => Promise<Works>,
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start();
  dns.set(NAME, [pair.first.host], { ttl: TTL });
  const works = await open(whereabouts(pair.first, dns));
  try {
    await move(pair, dns, works);
  } finally {
    await works.dropIn.close();
    await works.ordinary.close();
    await pause(20); // sockets that were dropped close a moment later
  }
}

/**
 * Kills the old server in the moment that the record moves. Of an ORM on a drop-in that waits for a server, only what
 * was in flight may fail; of one that does not wait, only what begins before the old answer's TTL is over.
 *
 * @param pair The servers; the first is dead afterwards.
 * @param open Makes the ORM.
 * @param options `waits`: whether it waits for a server. Default: true.
 */
export async function crashOver(
  { first, second }: ServerPair,
  open: (where: Whereabouts) => Work | Promise<Work>,
  { waits = true }: { waits?: boolean } = {},
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start();
  dns.set(NAME, [first.host], { ttl: TTL });
  const work = await open(whereabouts(first, dns));
  try {
    assertEquals(await work.transaction(), first.host);
    const record = begin(work);
    await pause(400);
    dns.set(NAME, [second.host], { ttl: TTL });
    const movedMs = performance.now();
    await first.kill();
    const killedMs = performance.now();
    await pause(TTL * 1000 + SLACK_MS + 500 - (killedMs - movedMs));
    await record.stop();
    const limitMs = waits ? killedMs : movedMs + TTL * 1000;
    if (waits) {
      const failed = record.done.filter(({ error }) => error);
      assertEquals(failed.filter(({ sinceMs }) => sinceMs > limitMs), []);
      assert(failed.length <= WORKERS, `${failed.length} transactions failed`);
    }
    const late = record.done.filter(({ sinceMs }) => sinceMs > limitMs + SLACK_MS);
    assert(late.length > 10, `only ${late.length} transactions after the crash`);
    assertEquals(late.filter(({ address }) => address !== second.host), []);
  } finally {
    await work.close();
    await pause(20);
  }
}

function whereabouts(first: LabServer, dns: DnsServer): Whereabouts {
  const options = { dnsNameservers: [dns.address] };
  return { url: first.url(NAME), options, stream: ordinaryStream(dns) };
}

async function move({ first, second }: ServerPair, dns: DnsServer, works: Works): Promise<void> {
  // What is made at the first use is made: pools, connections, what an ORM asks of a new server.
  const early = await Promise.all([works.dropIn.transaction(), works.ordinary.transaction()]);
  assertEquals(early, [first.host, first.host]);
  const records = [begin(works.dropIn), begin(works.ordinary)];
  await pause(400);
  // On a machine that is busy with other things, it takes longer.
  await until(() => records.every(({ done }) => done.length > WORKERS + ENOUGH));
  const movedMs = performance.now();
  dns.set(NAME, [second.host], { ttl: TTL });
  const limitMs = movedMs + TTL * 1000 + SLACK_MS;
  await pause(limitMs - movedMs + 500);
  const lateIn = ({ done }: Record) => done.filter(({ sinceMs }) => sinceMs > limitMs);
  await until(() => records.every((record) => lateIn(record).length > ENOUGH));
  for (const record of records) await record.stop();
  const [dropIn, ordinary] = records.map(({ done }) => done) as [Done[], Done[]];

  assertEquals(dropIn.filter(({ error }) => error), []);
  const late = dropIn.filter(({ sinceMs }) => sinceMs > limitMs);
  assert(late.length > ENOUGH, `only ${late.length} transactions after the switchover`);
  assertEquals(late.filter(({ address }) => address !== second.host), []);
  const before = dropIn.filter(({ sinceMs }) => sinceMs < movedMs);
  assert(before.length > ENOUGH, `only ${before.length} transactions before the switchover`);
  assertEquals(before.filter(({ address }) => address !== first.host), []);

  const behind = ordinary.filter(({ sinceMs }) => sinceMs > limitMs);
  assert(behind.length > ENOUGH, `only ${behind.length} transactions of the ordinary pool`);
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
