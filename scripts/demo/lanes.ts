/**
 * The work of the demo: the same workers for each pool, and the ordinary pool that dnspool is compared with.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import net from "node:net";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pause } from "../../lab/processes.ts";
import type { Lane } from "./measure.ts";

/** Stores row `id`; resolves with the address of the server that stored it. */
export type Insert = (id: number) => Promise<string>;

/** The load on a pool. */
export interface Work {
  /** The number of workers. */
  readonly workers: number;
  /** The pause of a worker after each query. */
  readonly thinkMs: number;
  /** The clock of the run. */
  readonly now: () => number;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

/** A query without an answer at this time after the end of the work has failed. */
const LAST_ANSWER_MS = 2000;

/** Lets workers insert rows until the signal is aborted, and records each result in `lane`. */
export async function work(lane: Lane, insert: Insert, options: Work): Promise<void> {
  const { workers, thinkMs, now, signal } = options;
  const pending = new Set<number>();
  let over = false;
  const one = async (worker: number) => {
    for (let id = worker * 1_000_000; !signal.aborted; id++) {
      pending.add(id);
      try {
        const server = await insert(id);
        if (!over) lane.answered(now(), server, id);
      } catch (error) {
        if (!over) lane.failed(now(), error);
      }
      pending.delete(id);
      await pause(thinkMs);
    }
  };
  const all = Promise.all(Array.from({ length: workers }, (_, worker) => one(worker)));
  await atMost(LAST_ANSWER_MS, all, signal);
  over = true;
  for (const _ of pending) lane.failed(now(), "No answer");
}

/** Waits for `promise`, but at most for `ms` after `signal` is aborted (without a signal, from now). */
export function atMost(ms: number, promise: Promise<unknown>, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let limit: ReturnType<typeof setTimeout> | undefined;
    const begin = () => limit = setTimeout(resolve, ms);
    if (!signal || signal.aborted) begin();
    else signal.addEventListener("abort", begin, { once: true });
    promise.then(() => resolve(), reject).finally(() => {
      clearTimeout(limit);
      signal?.removeEventListener("abort", begin);
    });
  });
}

/** Options of {@linkcode plainPool}. */
export interface PlainPoolOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly max: number;
  /** The DNS server that resolves the host. */
  readonly dnsServer: string;
}

/** Creates an ordinary pool in its best setup: each new socket resolves the name at the DNS server, without a cache. */
export function plainPool({ dnsServer, ...options }: PlainPoolOptions): pg.Pool {
  const lookup = lookupAt(dnsServer);
  const stream = () => {
    const socket = new net.Socket();
    const connect = socket.connect.bind(socket);
    // The driver calls connect(port, host), which takes no lookup.
    const connectByName = (port: number, host: string) => connect({ port, host, lookup });
    return Object.assign(socket, { connect: connectByName as typeof socket.connect });
  };
  const pool = new pg.Pool({ ...options, stream });
  pool.on("error", () => {}); // the pool removes an idle connection that fails; without a listener the process would end
  return pool;
}

/** Returns a `lookup` for sockets that asks one DNS server each time. */
function lookupAt(dnsServer: string): net.LookupFunction {
  const resolver = new Resolver();
  resolver.setServers([dnsServer]);
  return (host, options, callback) => {
    resolver.resolve4(host).then((found) => ({ found, family: 4 }))
      .catch(async () => ({ found: await resolver.resolve6(host), family: 6 }))
      .then(({ found, family }) => {
        if (options.all) return callback(null, found.map((address) => ({ address, family })));
        callback(null, found[0] ?? "", family);
      }, (error) => callback(error, "", 4));
  };
}
