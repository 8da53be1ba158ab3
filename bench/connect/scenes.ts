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
  /** Only these contenders. Default: all. */
  readonly entries?: readonly Entry[];
  /** More of them. */
  readonly beside?: readonly Entry[];
}

/** The contenders that can ask for a role. */
const ROLES = ["dnspool", "postgres.js", "libpq", "pgx"];

/** The label of a contender that is given the writer alone. */
const alone = (contender: string) => `${contender}, the writer alone`;
const ALONE = ["dnspool", "dnspool, one name", "dnspool, mysql2", "dnspool, mariadb"].map(
  (contender): Entry => ({ contender, label: alone(contender), servers: ["writer"] }),
);

const only = (...names: string[]): Entry[] => names.map((contender) => ({ contender }));
const beside = (title: string, servers: readonly ServerName[]): Entry[] => [
  { contender: "dnspool", label: alone("dnspool"), servers: ["writer"] },
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
    beside: ALONE,
  },
  {
    name: "mute",
    title: "the first of three accepts and says nothing",
    servers: ["mute", "writer", "reader"],
    rounds: 10,
    beside: ALONE,
  },
  {
    name: "writer",
    title: "the writer is the third of three",
    servers: ["reader", "reader2", "writer"],
    role: "read-write",
    rounds: 40,
    entries: [
      ...only(...ROLES),
      { contender: "dnspool", label: alone("dnspool"), servers: ["writer"] },
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
export const STAGGER_MS = 250;
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
  const find = (scene: string, name: string) =>
    results[scene]?.find((timing) => timing.name === name);
  /** The median; the limit for a contender that took longer. */
  const ms = (scene: string, name: string): number | undefined => {
    const found = find(scene, name);
    return found && (found.ms ?? limitMs);
  };
  /** The time of one contender divided by that of another one, from the ratios within the rounds. */
  const share = (scene: string, a: string | undefined, b: string | undefined) => {
    const [over, under] = [a, b].map((name) => {
      const found = name === undefined ? undefined : find(scene, name);
      return found && (found.ratio ?? limitMs / (results[scene]![0]!.ms ?? limitMs));
    });
    return over === undefined || under === undefined ? undefined : over / under;
  };
  const atMost = (goal: string, measured?: number, limit?: number) => {
    if (measured === undefined || limit === undefined) return;
    goals.push({ goal, measured, limit, met: measured <= limit });
  };
  const atLeast = (goal: string, measured: number | undefined, limit: number) => {
    if (measured === undefined) return;
    goals.push({ goal, measured, limit, met: measured >= limit });
  };
  /** The fastest contender that is not dnspool, of all or those that name hosts in one way. */
  const bestPeer = (
    scene: string,
    database: Contender["database"],
    way?: Contender["way"],
  ): string | undefined => {
    const peers = contenders.filter((one) =>
      one.build === undefined && one.database === database && (way ?? one.way) === one.way &&
      find(scene, one.name)
    );
    const time = ({ name }: Contender) => find(scene, name)!.ratio ?? Infinity;
    return peers.sort((a, b) => time(a) - time(b))[0]?.name;
  };

  const builds = share("build", "dnspool, one name", "dnspool before");
  atMost("build: this one / the one before", builds, 1.03);
  for (const { name, database, build } of contenders) {
    if (build !== "now") continue;
    for (const scene of ["refuses", "next-refuses"]) {
      const best = bestPeer(scene, database);
      atMost(`${scene}: ${name} / fastest peer`, share(scene, name, best), 1);
    }
    for (const scene of ["dropped", "mute"]) {
      const one = ms(scene, alone(name));
      atMost(`${scene}: ${name}, ms`, ms(scene, name), one && STAGGER_MS + one + NOISE_MS);
      if (database === "postgres") {
        const before = share(scene, "dnspool before", name);
        atLeast(`${scene}: build before / ${name}`, before, 10);
      }
      const hosts = share(scene, bestPeer(scene, database, "hosts"), name);
      atLeast(`${scene}: fastest peer with several hosts / ${name}`, hosts, 10);
      // Node itself tries the next address of a name after 250 ms, if it is the packets that are lost.
      const single = share(scene, name, bestPeer(scene, database, "name"));
      atMost(`${scene}: ${name} / fastest peer with one name`, single, 1.1);
    }
  }
  const direct = ms("writer", "dnspool, the writer alone");
  const limit = direct === undefined ? undefined : 1.3 * direct + 2 * STAGGER_MS;
  atMost("writer third: ms", ms("writer", "dnspool"), limit);
  for (const scene of ["next-writer", "next-dropped"]) {
    const ratio = share(scene, "dnspool, three hosts", "dnspool, the writer alone");
    atMost(`${scene}: three hosts / the writer alone`, ratio, 1.1);
  }
  return goals;
}
