/**
 * The scenes of `bench/connect.ts`: which hosts there are, and what dnspool must reach.
 *
 * @module
 */

import type { Contender } from "./contenders.ts";

/** The addresses. In this order, the system's resolver does not sort them. */
export const ADDRESSES = {
  /** All packets to and from it are dropped. */
  dropped: "127.0.0.2",
  /** Refuses connections. */
  refusing: "127.0.0.3",
  writer: "127.0.0.4",
  reader: "127.0.0.5",
  /** Accepts connections, and says nothing. */
  mute: "127.0.0.6",
  reader2: "127.0.0.7",
} as const;

/** The name of a server. */
export type ServerName = keyof typeof ADDRESSES;

/** The result of one contender in one scene. */
export interface ConnectTiming {
  readonly name: string;
  /** Milliseconds to the first row: the median over the rounds; `null` if it failed or took longer than the limit. */
  readonly ms: number | null;
  /** The quartiles of `ms`. */
  readonly spread: readonly [low: number, high: number] | null;
  /** The time divided by that of the first contender in the same round: the median over the rounds. */
  readonly ratio: number | null;
}

/** What was measured: by scene, and there by contender. */
export type Results = Readonly<Record<string, readonly ConnectTiming[]>>;

/** One contender with the hosts that it is given. */
export interface Entry {
  readonly contender: string;
  /** The name in the table. Default: that of the contender. */
  readonly label?: string;
  readonly servers?: readonly ServerName[];
}

/** A scene. */
export interface Scene {
  readonly name: string;
  readonly title: string;
  readonly servers: readonly ServerName[];
  readonly role?: "read-write";
  /** Number of rounds. */
  readonly rounds: number;
  /** Whether an engine is kept, and its next connections are measured. */
  readonly keep?: true;
  /** Only these contenders. Default: all that can take part. */
  readonly entries?: readonly Entry[];
}

/** The contenders that can ask for a role. */
const ROLES = ["dnspool", "postgres.js", "libpq", "pgx"];

const only = (...names: string[]): Entry[] => names.map((contender) => ({ contender }));
const beside = (title: string, servers: readonly ServerName[]): Entry[] => [
  { contender: "dnspool", label: "dnspool, the writer alone", servers: ["writer"] },
  { contender: "dnspool", label: `dnspool, ${title}`, servers },
];

/** All scenes. */
export const SCENES: readonly Scene[] = [
  {
    name: "build",
    title:
      "the next connections of an engine, one host, this build and the one before several hosts",
    servers: ["writer"],
    rounds: 600,
    keep: true,
    entries: only("dnspool, one name", "dnspool before"),
  },
  { name: "one", title: "one host", servers: ["writer"], rounds: 40 },
  {
    name: "refuses",
    title: "the first of three refuses",
    servers: ["refusing", "writer", "reader"],
    rounds: 40,
  },
  {
    name: "dropped",
    title: "the first of three drops all packets",
    servers: ["dropped", "writer", "reader"],
    rounds: 10,
  },
  {
    name: "mute",
    title: "the first of three accepts and says nothing",
    servers: ["mute", "writer", "reader"],
    rounds: 10,
  },
  {
    name: "writer",
    title: "the writer is the third of three",
    servers: ["reader", "reader2", "writer"],
    role: "read-write",
    rounds: 40,
    entries: [
      ...only(...ROLES),
      { contender: "dnspool", label: "dnspool, the writer alone", servers: ["writer"] },
    ],
  },
  {
    name: "writer-dropped",
    title: "the writer is the third of three, the first drops all packets",
    servers: ["dropped", "reader", "writer"],
    role: "read-write",
    rounds: 10,
    entries: only(...ROLES),
  },
  {
    name: "next-writer",
    title: "the next connections of an engine, the writer is the third of three",
    servers: ["writer"],
    role: "read-write",
    rounds: 100,
    keep: true,
    entries: beside("three hosts", ["reader", "reader2", "writer"]),
  },
  {
    name: "next-refuses",
    title: "the next connections, the first of three refuses",
    servers: ["refusing", "writer", "reader"],
    rounds: 100,
    keep: true,
    entries: only("dnspool", "pg, one name", "postgres.js", "libpq", "pgx"),
  },
  {
    name: "next-dropped",
    title: "the next connections of an engine, the first of three drops all packets",
    servers: ["writer"],
    rounds: 100,
    keep: true,
    entries: beside("three hosts", ["dropped", "writer", "reader"]),
  },
];

/** The default of `connectStagger`, in milliseconds. */
const STAGGER_MS = 250;
/** Tolerance of a maximum time, in milliseconds: a timer, and a busy machine. */
const NOISE_MS = 10;

/** A goal, and what was measured. */
export interface Goal {
  readonly goal: string;
  readonly measured: number;
  readonly limit: number;
  readonly met: boolean;
}

/**
 * Compares what was measured with the goals of dnspool.
 *
 * @param results The scenes that ran.
 * @param limitMs The time that counts for a contender that took longer.
 * @param contenders Who took part.
 */
export function goalsOf(
  results: Results,
  limitMs: number,
  contenders: readonly Contender[],
): Goal[] {
  const goals: Goal[] = [];
  const ms = (scene: string, name: string): number | undefined => {
    const found = results[scene]?.find((timing) => timing.name === name);
    return found && (found.ms ?? limitMs);
  };
  const atMost = (goal: string, measured?: number, limit?: number) => {
    if (measured === undefined || limit === undefined) return;
    goals.push({ goal, measured, limit, met: measured <= limit });
  };
  const atLeast = (goal: string, measured: number | undefined, limit: number) => {
    if (measured === undefined) return;
    goals.push({ goal, measured, limit, met: measured >= limit });
  };
  /** The time of the fastest contender that is not dnspool, of all or those that name hosts in one way. */
  const bestPeer = (
    scene: string,
    database: Contender["database"],
    way?: Contender["way"],
  ) => {
    const peers = contenders.filter((one) =>
      one.build === undefined && one.database === database && (way ?? one.way) === one.way
    );
    const times = peers.map(({ name }) => ms(scene, name)).filter((time) => time !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  };
  const share = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a / b;

  const before = results.build?.find(({ name }) => name === "dnspool before")?.ratio;
  if (before) atMost("build: this one / the one before", 1 / before, 1.03);
  for (const { name, database, build } of contenders) {
    if (build !== "now") continue;
    const one = ms("one", name);
    for (const scene of ["refuses", "next-refuses"]) {
      const best = bestPeer(scene, database);
      atMost(`${scene}: ${name} / fastest peer`, share(ms(scene, name), best), 1);
    }
    for (const scene of ["dropped", "mute"]) {
      const own = ms(scene, name);
      atMost(`${scene}: ${name}, ms`, own, one && STAGGER_MS + one + NOISE_MS);
      if (database === "postgres") {
        atLeast(`${scene}: build before / ${name}`, share(ms(scene, "dnspool before"), own), 10);
      }
      const hosts = share(bestPeer(scene, database, "hosts"), own);
      atLeast(`${scene}: fastest peer with several hosts / ${name}`, hosts, 10);
      // Node itself tries the next address of a name after 250 ms, if it is the packets that are lost.
      const single = share(own, bestPeer(scene, database, "name"));
      atMost(`${scene}: ${name} / fastest peer with one name`, single, 1.1);
    }
  }
  const direct = ms("writer", "dnspool, the writer alone");
  const limit = direct === undefined ? undefined : 1.3 * direct + 2 * STAGGER_MS;
  atMost("writer third: ms", ms("writer", "dnspool"), limit);
  for (const scene of ["next-writer", "next-dropped"]) {
    const ratio = results[scene]?.find(({ name }) => name === "dnspool, three hosts")?.ratio;
    if (ratio) atMost(`${scene}: three hosts / the writer alone`, ratio, 1.1);
  }
  return goals;
}
