/**
 * `deno task bench:fleet`: 1,000 processes with 10 connections each, on one name that moves, in simulated time. It
 * counts the DNS queries, and the connections opened at the new server. The engines are real, with resolver, pool and
 * dialer; only time, DNS and the database are simulated.
 *
 * @module
 */

import {
  type Adapter,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  type Lookup,
} from "../mod.ts";
import { finish, quick, table } from "./report.ts";
import { type SimulatedTime, simulateTime } from "./simulated_time.ts";

const PROCESSES = quick ? 200 : 1000;
const POOL_SIZE = 10;
/** How long a worker holds a connection, and its pause after that. */
const WORK = { holdMs: 200, pauseMs: 200 };
/** Duration of a connect with TLS and login, on a server that is not busy. */
const CONNECT_MS = 30;
/** Duration of a DNS query. */
const QUERY_MS = 2;
/** The duration of a slice, in which queries and connections are counted. */
const SLICE_MS = 10;

/** One fleet. */
interface Fleet {
  readonly name: string;
  /** The record's TTL, in seconds. */
  readonly ttl: number;
  /** Whether all processes query one caching resolver, instead of the authoritative server. */
  readonly cache: boolean;
  /** The seconds over which the processes start; 0: all at the same time. */
  readonly startedOver: number;
  /** Whether anything is random. */
  readonly jitter: boolean;
  /** Seconds from a crash of the old server to the move of the record; without it, the old server stays up. */
  readonly crash?: number;
  readonly options: EngineOptions<Connection>;
}

interface Connection {
  readonly ip: string;
}

const DEFAULTS = { ttl: 5, cache: false, startedOver: 5, jitter: true, options: {} };

const FLEETS: readonly Fleet[] = [
  {
    ...DEFAULTS,
    name: "started at once, no jitter, connectConcurrency 10",
    startedOver: 0,
    jitter: false,
    options: { connectConcurrency: 10 },
  },
  { ...DEFAULTS, name: "started at once, no jitter", startedOver: 0, jitter: false },
  { ...DEFAULTS, name: "started at once", startedOver: 0 },
  {
    ...DEFAULTS,
    name: "started over 5 s, connectConcurrency 10",
    options: { connectConcurrency: 10 },
  },
  { ...DEFAULTS, name: "started over 5 s: the defaults" },
  { ...DEFAULTS, name: "the defaults, connectConcurrency 1", options: { connectConcurrency: 1 } },
  { ...DEFAULTS, name: "the defaults, all behind one cache", cache: true },
  {
    ...DEFAULTS,
    name: "one cache, dnsMinTtl 20, started over 20 s",
    cache: true,
    startedOver: 20,
    options: { dnsMinTtl: 20 },
  },
  { ...DEFAULTS, name: "no cache, TTL 20, started over 20 s", ttl: 20, startedOver: 20 },
  { ...DEFAULTS, name: "the defaults, a crash 3 s before the move", crash: 3 },
  {
    ...DEFAULTS,
    name: "dnsMinTtl 20, a crash 3 s before the move",
    crash: 3,
    startedOver: 20,
    options: { dnsMinTtl: 20 },
  },
];

/** The result of a fleet. */
interface Outcome {
  readonly name: string;
  /** DNS queries of all processes in a second: on average, and the maximum. */
  readonly queries: number;
  readonly maxQueries: number;
  /** Connections opened at the new server: the maximum in a second, and in a tenth of a second. */
  readonly maxOpened: number;
  readonly maxOpenedInTenth: number;
  /** The maximum number of concurrent connects at the new server. */
  readonly maxOpening: number;
  /** Seconds from the move to the last operation on the old server, and to the last new connection. */
  readonly lastOnOld: number;
  readonly lastOpened: number;
}

/** The connection was lost. */
class Reset extends Error {
  readonly code = "ECONNRESET";
}

/** Counts events over time. */
class Counter {
  readonly #slices: number[] = [];

  add(atMs: number): void {
    const slice = Math.floor(atMs / SLICE_MS);
    this.#slices[slice] = (this.#slices[slice] ?? 0) + 1;
  }

  /** Returns the number of events between two times. */
  sum(fromMs: number, toMs: number): number {
    const slices = this.#slices.slice(fromMs / SLICE_MS, toMs / SLICE_MS);
    return slices.reduce((sum, count) => sum + (count ?? 0), 0);
  }

  /** Returns the maximum number of events in any window of `windowMs`. */
  max(windowMs: number, fromMs: number, toMs: number): number {
    let max = 0;
    for (let atMs = fromMs; atMs + windowMs <= toMs; atMs += SLICE_MS) {
      max = Math.max(max, this.sum(atMs, atMs + windowMs));
    }
    return max;
  }
}

/** The simulated DNS: the authoritative server, with or without a shared cache in front of it. */
class Dns {
  addresses: readonly string[] = ["10.0.0.2"];
  readonly queries: Counter = new Counter();
  readonly #time: SimulatedTime;
  readonly #fleet: Fleet;
  #cached = { addresses: this.addresses, untilMs: -Infinity };

  constructor(time: SimulatedTime, fleet: Fleet) {
    this.#time = time;
    this.#fleet = fleet;
  }

  /** Creates a lookup. Each process has its own, and with it a separate cache in the resolver. */
  lookup(): Lookup {
    return {
      name: "simulated",
      lookup: async () => {
        this.queries.add(this.#time.nowMs);
        await this.#time.pause(QUERY_MS / 2);
        const answer = this.#answer();
        await this.#time.pause(QUERY_MS / 2);
        return answer;
      },
    };
  }

  #answer(): { addresses: readonly string[]; ttl: number } {
    const { ttl, cache } = this.#fleet;
    if (!cache) return { addresses: this.addresses, ttl };
    const { nowMs } = this.#time;
    if (nowMs >= this.#cached.untilMs) {
      this.#cached = { addresses: this.addresses, untilMs: nowMs + ttl * 1000 };
    }
    const { addresses, untilMs } = this.#cached;
    return { addresses, ttl: Math.floor((untilMs - nowMs) / 1000) };
  }
}

async function simulate(fleet: Fleet): Promise<Outcome> {
  const { random } = Math;
  const time = simulateTime();
  if (!fleet.jitter) Math.random = () => 0;
  try {
    return await run(fleet, time);
  } finally {
    Math.random = random;
    time.restore();
  }
}

async function run(fleet: Fleet, time: SimulatedTime): Promise<Outcome> {
  const dns = new Dns(time, fleet);
  const opened = new Counter();
  let lastOnOldMs = 0;
  let lastOpenedMs = 0;
  let opening = 0;
  let maxOpening = 0;
  let over = false;
  let crashed = false;
  const newIp = "10.0.0.3";
  const adapter: Adapter<Connection> = {
    name: "simulated",
    defaultPort: 1,
    async connect(ip) {
      if (ip === newIp) {
        opened.add(time.nowMs);
        lastOpenedMs = time.nowMs;
        maxOpening = Math.max(maxOpening, ++opening);
      }
      await time.pause(CONNECT_MS);
      if (ip === newIp) opening--;
      if (crashed && ip !== newIp) throw new Reset();
      return { ip };
    },
    close: () => Promise.resolve(),
    classify: (error) => error instanceof Reset ? "disconnect" : undefined,
  };
  const work = async (engine: Engine<Connection>) => {
    while (!over) {
      await engine.use(async ({ client }) => {
        if (client.ip !== newIp) {
          if (crashed) throw new Reset();
          lastOnOldMs = time.nowMs;
        }
        await time.pause(WORK.holdMs);
      }).catch(() => {});
      await time.pause(WORK.pauseMs);
    }
  };
  const engines: Engine<Connection>[] = [];
  const start = async (index: number) => {
    await time.pause(index / PROCESSES * fleet.startedOver * 1000);
    const engine = getDnsEngine<Connection>("simulated://db.internal/orders", {
      adapter,
      dnsLookup: dns.lookup(),
      poolSize: POOL_SIZE,
      maxOverflow: 0,
      ...fleet.options,
    });
    engines.push(engine);
    for (let worker = 0; worker < POOL_SIZE; worker++) void work(engine);
  };
  for (let index = 0; index < PROCESSES; index++) void start(index);

  const periodMs = Math.max(fleet.ttl, fleet.options.dnsMinTtl ?? 0) * 1000;
  const steadyMs = fleet.startedOver * 1000 + 1000;
  const moveMs = steadyMs + periodMs;
  const crashMs = moveMs - (fleet.crash ?? 0) * 1000;
  const endMs = moveMs + periodMs + (fleet.cache ? fleet.ttl * 1000 : 0) + 3000;
  await time.advance(crashMs);
  crashed = fleet.crash !== undefined;
  await time.advance(moveMs - time.nowMs);
  dns.addresses = [newIp];
  await time.advance(endMs - moveMs);
  over = true;
  const closing = Promise.all(engines.map((engine) => engine.close()));
  await time.advance(500);
  await closing;
  return {
    name: fleet.name,
    queries: dns.queries.sum(steadyMs, crashMs) / (crashMs - steadyMs) * 1000,
    maxQueries: dns.queries.max(1000, steadyMs, endMs),
    maxOpened: opened.max(1000, moveMs, endMs),
    maxOpenedInTenth: opened.max(100, moveMs, endMs),
    maxOpening,
    lastOnOld: (lastOnOldMs - moveMs) / 1000,
    lastOpened: (lastOpenedMs - moveMs) / 1000,
  };
}

const outcomes: Outcome[] = [];
for (const fleet of FLEETS) {
  console.log(fleet.name);
  outcomes.push(await simulate(fleet));
}
const rows = outcomes.map((one) => [
  one.name,
  one.queries.toFixed(0),
  String(one.maxQueries),
  String(one.maxOpened),
  String(one.maxOpenedInTenth),
  String(one.maxOpening),
  one.lastOnOld.toFixed(1),
]);
table(
  `${PROCESSES} processes of ${POOL_SIZE} connections, TTL 5 s unless stated otherwise`,
  [
    "",
    "DNS/s",
    "max",
    "opened/s, max",
    "in 0.1 s",
    "concurrent",
    "last on the old server, s",
  ],
  rows,
);
finish(outcomes);
