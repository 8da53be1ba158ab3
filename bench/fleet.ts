/**
 * A fleet, in simulated time: 1,000 processes with 10 connections each, on one name that moves: `deno task bench:fleet`.
 * How many questions DNS is asked, and how fast the new server is stormed. The engines are real, with their own
 * resolver, pool and dialer; only time, DNS and the database are simulated.
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
/** Each worker of a process holds a connection for so long, and then rests. */
const WORK = { holdMs: 200, restMs: 200 };
/** With TLS and the login, on a server that is not busy. */
const DIAL_MS = 30;
const ASK_MS = 2;
/** Every question and connection is counted in slices of so many milliseconds. */
const SLICE_MS = 10;

/** One fleet. */
interface Fleet {
  readonly name: string;
  /** The record's TTL, in seconds. */
  readonly ttl: number;
  /** Whether all ask one caching resolver, or each the authority. */
  readonly cache: boolean;
  /** Over how many seconds the processes are started; 0: all at the same moment. */
  readonly startedOver: number;
  /** Whether anything is drawn by lot. */
  readonly jitter: boolean;
  /** The old server crashes, and the record moves so many seconds later; without it, the record moves, and it stays. */
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

/** What came of it. */
interface Outcome {
  readonly name: string;
  /** Questions that left the processes, in a second: on average, and the most. */
  readonly questions: number;
  readonly mostQuestions: number;
  /** Connections opened at the new server: the most in a second, and in a tenth of one. */
  readonly mostOpened: number;
  readonly mostOpenedInTenth: number;
  /** The most that were opening at the same time. */
  readonly mostOpening: number;
  /** Seconds from the flip to the last operation on the old server, and to the last new connection. */
  readonly lastOnOld: number;
  readonly lastOpened: number;
}

/** The connection was lost. */
class Reset extends Error {
  readonly code = "ECONNRESET";
}

/** Counts by moments. */
class Counter {
  readonly #slices: number[] = [];

  add(atMs: number): void {
    const slice = Math.floor(atMs / SLICE_MS);
    this.#slices[slice] = (this.#slices[slice] ?? 0) + 1;
  }

  /** How many there were between two moments. */
  sum(fromMs: number, toMs: number): number {
    const slices = this.#slices.slice(fromMs / SLICE_MS, toMs / SLICE_MS);
    return slices.reduce((sum, count) => sum + (count ?? 0), 0);
  }

  /** The most in any window of so many milliseconds. */
  most(windowMs: number, fromMs: number, toMs: number): number {
    let most = 0;
    for (let atMs = fromMs; atMs + windowMs <= toMs; atMs += SLICE_MS) {
      most = Math.max(most, this.sum(atMs, atMs + windowMs));
    }
    return most;
  }
}

/** The name, as one process sees it: through a cache that all share, or straight from the authority. */
class Dns {
  addresses: readonly string[] = ["10.0.0.2"];
  readonly questions: Counter = new Counter();
  readonly #time: SimulatedTime;
  readonly #fleet: Fleet;
  #copy = { addresses: this.addresses, untilMs: -Infinity };

  constructor(time: SimulatedTime, fleet: Fleet) {
    this.#time = time;
    this.#fleet = fleet;
  }

  /** A lookup of its own for each process, so that each has a resolver's cache of its own. */
  lookup(): Lookup {
    return {
      name: "simulated",
      lookup: async () => {
        this.questions.add(this.#time.nowMs);
        await this.#time.pause(ASK_MS / 2);
        const answer = this.#answer();
        await this.#time.pause(ASK_MS / 2);
        return answer;
      },
    };
  }

  #answer(): { addresses: readonly string[]; ttl: number } {
    const { ttl, cache } = this.#fleet;
    if (!cache) return { addresses: this.addresses, ttl };
    const { nowMs } = this.#time;
    if (nowMs >= this.#copy.untilMs) {
      this.#copy = { addresses: this.addresses, untilMs: nowMs + ttl * 1000 };
    }
    const { addresses, untilMs } = this.#copy;
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
  let mostOpening = 0;
  let over = false;
  let crashed = false;
  const fresh = "10.0.0.3";
  const adapter: Adapter<Connection> = {
    name: "simulated",
    defaultPort: 1,
    async connect(ip) {
      if (ip === fresh) {
        opened.add(time.nowMs);
        lastOpenedMs = time.nowMs;
        mostOpening = Math.max(mostOpening, ++opening);
      }
      await time.pause(DIAL_MS);
      if (ip === fresh) opening--;
      if (crashed && ip !== fresh) throw new Reset();
      return { ip };
    },
    close: () => Promise.resolve(),
    classify: (error) => error instanceof Reset ? "disconnect" : undefined,
  };
  const work = async (engine: Engine<Connection>) => {
    while (!over) {
      await engine.use(async ({ client }) => {
        if (client.ip !== fresh) {
          if (crashed) throw new Reset();
          lastOnOldMs = time.nowMs;
        }
        await time.pause(WORK.holdMs);
      }).catch(() => {});
      await time.pause(WORK.restMs);
    }
  };
  const engines: Engine<Connection>[] = [];
  const begin = async (index: number) => {
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
  for (let index = 0; index < PROCESSES; index++) void begin(index);

  const periodMs = Math.max(fleet.ttl, fleet.options.dnsMinTtl ?? 0) * 1000;
  const steadyMs = fleet.startedOver * 1000 + 1000;
  const flipMs = steadyMs + periodMs;
  const crashMs = flipMs - (fleet.crash ?? 0) * 1000;
  const endMs = flipMs + periodMs + (fleet.cache ? fleet.ttl * 1000 : 0) + 3000;
  await time.advance(crashMs);
  crashed = fleet.crash !== undefined;
  await time.advance(flipMs - time.nowMs);
  dns.addresses = [fresh];
  await time.advance(endMs - flipMs);
  over = true;
  const closing = Promise.all(engines.map((engine) => engine.close()));
  await time.advance(500);
  await closing;
  return {
    name: fleet.name,
    questions: dns.questions.sum(steadyMs, crashMs) / (crashMs - steadyMs) * 1000,
    mostQuestions: dns.questions.most(1000, steadyMs, endMs),
    mostOpened: opened.most(1000, flipMs, endMs),
    mostOpenedInTenth: opened.most(100, flipMs, endMs),
    mostOpening,
    lastOnOld: (lastOnOldMs - flipMs) / 1000,
    lastOpened: (lastOpenedMs - flipMs) / 1000,
  };
}

const outcomes: Outcome[] = [];
for (const fleet of FLEETS) {
  console.log(fleet.name);
  outcomes.push(await simulate(fleet));
}
const rows = outcomes.map((one) => [
  one.name,
  one.questions.toFixed(0),
  String(one.mostQuestions),
  String(one.mostOpened),
  String(one.mostOpenedInTenth),
  String(one.mostOpening),
  one.lastOnOld.toFixed(1),
]);
table(
  `${PROCESSES} processes of ${POOL_SIZE} connections, TTL 5 s unless it is said`,
  [
    "",
    "DNS/s",
    "most",
    "opened/s, most",
    "in 0.1 s",
    "opening at once",
    "last on the old server, s",
  ],
  rows,
);
finish(outcomes);
