/**
 * The scenarios: what happens to the servers and to DNS.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import type { EngineOptions } from "../../mod.ts";
import type { LaneTask } from "./lanes.ts";
import { dropPackets } from "../namespace.ts";
import type { Names, Servers, ServersKind } from "./environment.ts";
import { SLACK_MS, TTL_MS } from "./figures.ts";

/** The environment of a scenario. */
export interface Environment {
  readonly servers: Servers;
  readonly names: Names;
  readonly stack: AsyncDisposableStack;
}

/** The times of a fault, as `Date.now()` returns them. */
export interface FaultTimes {
  /** End of the action that caused the fault. */
  readonly doneMs: number;
  /** Move of the record, or of the role, to the new server; `undefined` if nothing moved. */
  readonly movedMs?: number;
}

/** One scenario. */
export interface Scenario {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  readonly servers: ServersKind;
  readonly work: LaneTask["work"];
  readonly perSecond?: number;
  /** Options for dnspool. */
  readonly options?: EngineOptions;
  /** How the servers are named. Default: by the name that moves. */
  readonly naming?: "several hosts" | "SRV";
  /** The lanes that take part. Default: those that know nothing but a name. */
  readonly lanes?: readonly string[];
  /** Time without a server to connect to, or without answers from DNS. */
  readonly outageMs?: number;
  /** Whether all lanes of a database run at the same time, because it takes long and no pool has much to do. */
  readonly allTogether?: true;
  /** Time for which the lanes continue after the fault. */
  readonly afterMs: number;
  /** Whether `--quick` includes it. */
  readonly quick?: true;
  /** Whether it needs a packet filter. */
  readonly filter?: true;
  /** Sets the record before the run. Default: it contains the first server. */
  prepare?(environment: Environment): void;
  /** Causes the fault and moves the record. */
  run(environment: Environment): Promise<FaultTimes>;
}

/** Moves the record to the second server; returns the time. */
function move({ names, servers }: Environment): number {
  return names.pointTo(servers.all[1]!.host);
}

async function switchover(environment: Environment): Promise<FaultTimes> {
  const turning = environment.servers.all[0]!.turnReadOnly();
  const movedMs = move(environment);
  await turning;
  return { doneMs: Date.now(), movedMs };
}

async function freeze(environment: Environment): Promise<FaultTimes> {
  await environment.servers.all[0]!.freeze();
  const doneMs = Date.now();
  return { doneMs, movedMs: move(environment) };
}

/** The time after a change of roles in which the old primary may be used. */
const ROLE_GRACE_MS = 500;

/** Returns the time after the move in which the old server may be used. */
export const graceMs = ({ naming }: Pick<Scenario, "naming">): number =>
  naming === "several hosts" ? ROLE_GRACE_MS : TTL_MS + SLACK_MS;

/** The lanes of dnspool. */
const OURS = ["dnspool", "dnspool on Deno", "dnspool with mysql2", "dnspool with mariadb"];
const WITH_THREE_ADDRESSES = [
  ...OURS,
  "dnspool drop-in for pg",
  "pg.Pool connect, release",
  "postgres.js",
  "mysql2 getConnection",
  "mariadb",
];

/** Number and interval of the moves of a record that goes to and fro. */
const FLAPS = { count: 10, everyMs: 2000 };
const DNS_OUTAGE_MS = 60_000;
const LATE_DNS_MS = 3000;

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "a",
    title: "planned switchover: the old server stays, read-only",
    servers: "two",
    work: "write and read",
    afterMs: 8000,
    quick: true,
    run: switchover,
  },
  {
    name: "a-reads",
    title: "the same, with reads only",
    servers: "two",
    work: "read",
    afterMs: 8000,
    run: switchover,
  },
  {
    name: "a2",
    title: "the old server restarts as a replica, and DNS follows 3 s later",
    servers: "replica",
    work: "write and read",
    afterMs: 8000,
    outageMs: LATE_DNS_MS,
    async run(environment) {
      const [old, fresh] = environment.servers.all;
      const atMs = Date.now();
      await old!.stop();
      await fresh!.promote();
      await old!.restartAsReplica(fresh!);
      await pause(atMs + LATE_DNS_MS - Date.now());
      return { doneMs: Date.now(), movedMs: move(environment) };
    },
  },
  {
    name: "b",
    title: "the old server is killed",
    servers: "two",
    work: "write and read",
    afterMs: 20_000,
    async run(environment) {
      await environment.servers.all[0]!.kill();
      const doneMs = Date.now();
      return { doneMs, movedMs: move(environment) };
    },
  },
  {
    name: "c",
    title: "the old server freezes",
    servers: "two",
    work: "write and read",
    afterMs: 10_000,
    quick: true,
    run: freeze,
  },
  {
    name: "c-open",
    title:
      "the old server freezes, 100 operations a second come whether or not earlier ones are done",
    servers: "two",
    work: "write and read",
    perSecond: 100,
    afterMs: 20_000,
    run: freeze,
  },
  {
    name: "d",
    title: "the old server's packets are dropped",
    servers: "two",
    work: "write and read",
    afterMs: 10_000,
    filter: true,
    async run(environment) {
      environment.stack.use(await dropPackets(environment.servers.all[0]!.host));
      const doneMs = Date.now();
      return { doneMs, movedMs: move(environment) };
    },
  },
  {
    name: "e",
    title: "the record goes to and fro for 20 s, every 2 s",
    servers: "two",
    work: "write and read",
    afterMs: 5000,
    async run({ names, servers }) {
      const doneMs = Date.now();
      let movedMs = doneMs;
      for (let turn = 1; turn <= FLAPS.count + 1; turn++) {
        movedMs = names.pointTo(servers.all[turn % 2]!.host);
        if (turn <= FLAPS.count) await pause(FLAPS.everyMs);
      }
      return { doneMs, movedMs };
    },
  },
  {
    name: "f",
    title: "no answer from DNS for 60 s",
    allTogether: true,
    servers: "two",
    work: "write and read",
    afterMs: 5000,
    outageMs: DNS_OUTAGE_MS,
    async run({ names }) {
      const doneMs = Date.now();
      names.silence();
      await pause(DNS_OUTAGE_MS);
      names.answerAgain();
      return { doneMs };
    },
  },
  {
    name: "g",
    title: "answers that name one of three healthy servers in turn",
    servers: "three",
    work: "write and read",
    options: { dnsAddressLinger: 30 },
    afterMs: 15_000,
    prepare: ({ names, servers }) => void names.rotate(...servers.all.map(({ host }) => host)),
    run: () => Promise.resolve({ doneMs: Date.now() }),
  },
  {
    name: "h",
    title: "three hosts in the URL: the primary is stopped, a standby promoted, and DNS stays",
    servers: "cluster",
    naming: "several hosts",
    lanes: ["dnspool", "dnspool on Deno", "postgres.js"],
    work: "write and read",
    afterMs: 8000,
    async run({ servers: { all: [old, fresh] } }) {
      await old!.stop();
      await fresh!.promote();
      const movedMs = Date.now();
      await old!.restartAsReplica(fresh!);
      return { doneMs: movedMs, movedMs };
    },
  },
  {
    name: "h-kill",
    title: "three hosts in the URL: the primary is killed, a standby promoted, and DNS stays",
    servers: "cluster",
    naming: "several hosts",
    lanes: ["dnspool", "dnspool on Deno", "postgres.js"],
    work: "write and read",
    afterMs: 8000,
    async run({ servers: { all: [old, fresh] } }) {
      await old!.kill();
      await fresh!.promote();
      const movedMs = Date.now();
      return { doneMs: movedMs, movedMs };
    },
  },
  {
    name: "i",
    title: "SRV records: a planned switchover, the old server stays, read-only",
    servers: "two",
    naming: "SRV",
    lanes: OURS,
    work: "write and read",
    afterMs: 8000,
    prepare: ({ names, servers: { all, port } }) => void names.pointServiceTo(all[0]!, port),
    async run({ names, servers: { all: [old, fresh], port } }) {
      const turning = old!.turnReadOnly();
      const movedMs = names.pointServiceTo(fresh!, port);
      await turning;
      return { doneMs: Date.now(), movedMs };
    },
  },
  {
    name: "j",
    title: "three addresses: the packets of the first are dropped, and it leaves the record",
    servers: "three",
    lanes: WITH_THREE_ADDRESSES,
    work: "write and read",
    afterMs: 10_000,
    filter: true,
    prepare: ({ names, servers }) => void names.pointTo(...servers.all.map(({ host }) => host)),
    async run({ names, servers: { all: [old, ...others] }, stack }) {
      stack.use(await dropPackets(old!.host));
      const doneMs = Date.now();
      return { doneMs, movedMs: names.pointTo(...others.map(({ host }) => host)) };
    },
  },
  {
    name: "j-stays",
    title: "three addresses: the packets of the first are dropped, and it stays in the record",
    servers: "three",
    options: { leaseProbeAfter: 1 },
    lanes: WITH_THREE_ADDRESSES,
    work: "write and read",
    afterMs: 10_000,
    filter: true,
    prepare: ({ names, servers }) => void names.pointTo(...servers.all.map(({ host }) => host)),
    async run({ servers: { all: [old] }, stack }) {
      stack.use(await dropPackets(old!.host));
      return { doneMs: Date.now() };
    },
  },
];
