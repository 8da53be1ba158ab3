/**
 * The demo's work: the same workers on each lane, and the ordinary pool that dnspool is compared with.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import net from "node:net";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pause } from "../../lab/processes.ts";
import type { Lane } from "./measure.ts";

/** Stores row `id`, and says on which server. */
export type Insert = (id: number) => Promise<string>;

/** How a lane is worked. */
export interface Work {
  /** How many work at the same time. */
  readonly workers: number;
  /** How long each rests after a query. */
  readonly thinkMs: number;
  /** The clock that all times of the run are on. */
  readonly now: () => number;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

/** A query that has no answer so long after the end of the work has failed. */
const PATIENCE_MS = 2000;

/** Lets workers insert rows until the signal, and notes in `lane` what became of each. */
export async function work(lane: Lane, insert: Insert, options: Work): Promise<void> {
  const { workers, thinkMs, now, signal } = options;
  const underWay = new Set<number>();
  let over = false;
  const one = async (worker: number) => {
    for (let id = worker * 1_000_000; !signal.aborted; id++) {
      underWay.add(id);
      try {
        const server = await insert(id);
        if (!over) lane.answered(now(), server, id);
      } catch (error) {
        if (!over) lane.failed(now(), error);
      }
      underWay.delete(id);
      await pause(thinkMs);
    }
  };
  const all = Promise.all(Array.from({ length: workers }, (_, worker) => one(worker)));
  await atMost(PATIENCE_MS, all, signal);
  over = true;
  for (const _ of underWay) lane.failed(now(), "No answer");
}

/** Waits for `promise`, but no longer than `ms` after `signal` (without it, from now). */
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

/** How the ordinary pool connects. */
export interface PlainPoolOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly max: number;
  /** The DNS server that it looks the host up at. */
  readonly dnsServer: string;
}

/** An ordinary pool at its best: each socket that it opens looks the name up anew, at the DNS server itself. */
export function plainPool({ dnsServer, ...options }: PlainPoolOptions): pg.Pool {
  const lookup = lookupAt(dnsServer);
  const stream = () => {
    const socket = new net.Socket();
    const connect = socket.connect.bind(socket);
    // The driver calls connect(port, host), which leaves no room for a lookup.
    const connectByName = (port: number, host: string) => connect({ port, host, lookup });
    return Object.assign(socket, { connect: connectByName as typeof socket.connect });
  };
  const pool = new pg.Pool({ ...options, stream });
  pool.on("error", () => {}); // an idle connection died: the pool drops it, and the process goes on
  return pool;
}

/** A `lookup` for sockets that asks one DNS server, each time, and keeps nothing. */
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
