/**
 * What happens to the servers and to DNS, and how long the lanes are watched.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import type { LaneOrders } from "./lanes.ts";
import { dropPackets, type Names, type Servers } from "./stage.ts";

/** Everything that a scenario can do something to. */
export interface Scene {
  readonly servers: Servers;
  readonly names: Names;
  readonly stack: AsyncDisposableStack;
}

/** What a scenario tells of itself. Moments are `Date.now()`. */
export interface Happened {
  /** When the fault was done. */
  readonly doneMs: number;
  /** When the record moved to the new server; `undefined`: it did not. */
  readonly movedMs?: number;
}

/** One scenario. */
export interface Scenario {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  readonly servers: "two" | "three" | "replica";
  readonly work: LaneOrders["work"];
  readonly perSecond?: number;
  readonly linger?: number;
  /** For those who tell how long the record is nobody's to follow. */
  readonly outageMs?: number;
  /** How long the lanes go on after the fault was done. */
  readonly afterMs: number;
  /** Whether `--quick` has it. */
  readonly quick?: true;
  /** Whether it needs a packet filter. */
  readonly filter?: true;
  /** What the record holds at first. Default: the first server. */
  begin?(scene: Scene): void;
  /** What happens. */
  happen(scene: Scene): Promise<Happened>;
}

/** The record moves to the second server. */
function move({ names, servers }: Scene): number {
  return names.point(servers.all[1]!.host);
}

async function switchover(scene: Scene): Promise<Happened> {
  const turning = scene.servers.all[0]!.turnReadOnly();
  const movedMs = move(scene);
  await turning;
  return { doneMs: Date.now(), movedMs };
}

async function freeze(scene: Scene): Promise<Happened> {
  await scene.servers.all[0]!.freeze();
  const doneMs = Date.now();
  return { doneMs, movedMs: move(scene) };
}

/** How long the record goes to and fro, and how often it changes. */
const FLAPS = { count: 10, everyMs: 2000 };
const DNS_OUTAGE_MS = 60_000;
const LATE_DNS_MS = 3000;

/** Every scenario. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "a",
    title: "planned switchover: the old server stays, read-only",
    servers: "two",
    work: "write and read",
    afterMs: 8000,
    quick: true,
    happen: switchover,
  },
  {
    name: "a-reads",
    title: "the same, with reads only",
    servers: "two",
    work: "read",
    afterMs: 8000,
    happen: switchover,
  },
  {
    name: "a2",
    title: "the old server restarts as a replica, and DNS follows 3 s later",
    servers: "replica",
    work: "write and read",
    afterMs: 8000,
    outageMs: LATE_DNS_MS,
    async happen(scene) {
      const [old, fresh] = scene.servers.all;
      const atMs = Date.now();
      await old!.stop();
      await fresh!.promote();
      await old!.restartAsReplica(fresh!);
      await pause(atMs + LATE_DNS_MS - Date.now());
      return { doneMs: Date.now(), movedMs: move(scene) };
    },
  },
  {
    name: "b",
    title: "the old server is killed",
    servers: "two",
    work: "write and read",
    afterMs: 20_000,
    async happen(scene) {
      await scene.servers.all[0]!.kill();
      const doneMs = Date.now();
      return { doneMs, movedMs: move(scene) };
    },
  },
  {
    name: "c",
    title: "the old server freezes",
    servers: "two",
    work: "write and read",
    afterMs: 10_000,
    quick: true,
    happen: freeze,
  },
  {
    name: "c-open",
    title:
      "the old server freezes, 100 operations a second come whether or not earlier ones are done",
    servers: "two",
    work: "write and read",
    perSecond: 100,
    afterMs: 30_000,
    happen: freeze,
  },
  {
    name: "d",
    title: "the old server's packets are dropped",
    servers: "two",
    work: "write and read",
    afterMs: 10_000,
    filter: true,
    async happen(scene) {
      scene.stack.use(await dropPackets(scene.servers.all[0]!.host));
      const doneMs = Date.now();
      return { doneMs, movedMs: move(scene) };
    },
  },
  {
    name: "e",
    title: "the record goes to and fro for 20 s, every 2 s",
    servers: "two",
    work: "write and read",
    afterMs: 5000,
    async happen({ names, servers }) {
      const doneMs = Date.now();
      let movedMs = doneMs;
      for (let turn = 1; turn <= FLAPS.count + 1; turn++) {
        movedMs = names.point(servers.all[turn % 2]!.host);
        if (turn <= FLAPS.count) await pause(FLAPS.everyMs);
      }
      return { doneMs, movedMs };
    },
  },
  {
    name: "f",
    title: "no answer from DNS for 60 s",
    servers: "two",
    work: "write and read",
    afterMs: 5000,
    outageMs: DNS_OUTAGE_MS,
    async happen({ names }) {
      const doneMs = Date.now();
      names.silence();
      await pause(DNS_OUTAGE_MS);
      names.heal();
      return { doneMs };
    },
  },
  {
    name: "g",
    title: "answers that name one of three healthy servers in turn",
    servers: "three",
    work: "write and read",
    linger: 30,
    afterMs: 15_000,
    begin: ({ names, servers }) => void names.rotate(...servers.all.map(({ host }) => host)),
    happen: () => Promise.resolve({ doneMs: Date.now() }),
  },
];
