/**
 * The events of the drill of Patroni.
 *
 * @module
 */

import type { PatroniCluster, PatroniMember } from "../../lab/patroni.ts";
import { pause } from "../../lab/processes.ts";

/** An event. */
export interface Event {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  /** Seconds of the TTL of the names' records. Default: 1. */
  readonly recordTtl?: number;
  /** Causes it; resolves when all of it is done. */
  run(cluster: PatroniCluster, leader: PatroniMember): Promise<void>;
}

/** Milliseconds that a leader is frozen, or without Patroni, after another took over. */
const LONGER_MS = 2000;
/** Milliseconds that a cluster is paused after its leader's PostgreSQL is gone. */
const PAUSED_MS = 5000;
/** Milliseconds that etcd is gone. */
const ETCD_GONE_MS = 20_000;

/** All events. */
export const EVENTS: readonly Event[] = [
  {
    name: "switchover",
    title: "patronictl switchover",
    run: async (cluster) => void await cluster.switchover(),
  },
  {
    name: "kill-postgres",
    title: "kill -9 of the leader's PostgreSQL",
    run: (_, leader) => leader.killPostgres(),
  },
  {
    name: "kill",
    title: "kill -9 of the leader's PostgreSQL and Patroni",
    async run(cluster, leader) {
      await leader.kill();
      await cluster.newLeader(leader);
    },
  },
  {
    name: "kill-patroni",
    title: "kill -9 of the leader's Patroni alone, which starts again 2 s after another took over",
    async run(cluster, leader) {
      await leader.killPatroni();
      await cluster.newLeader(leader);
      await pause(LONGER_MS);
      await leader.start();
    },
  },
  {
    name: "freeze",
    title: "SIGSTOP of the leader, SIGCONT 2 s after another took over",
    async run(cluster, leader) {
      await leader.freeze();
      await cluster.newLeader(leader);
      await pause(LONGER_MS);
      await leader.thaw();
    },
  },
  {
    name: "restart",
    title: "patronictl restart of the leader",
    run: (cluster, leader) => cluster.restart(leader),
  },
  {
    name: "pause",
    title: "patronictl pause, kill -9 of the leader's PostgreSQL, resume after 5 s",
    async run(cluster, leader) {
      await cluster.pause(true);
      await leader.killPostgres();
      await pause(PAUSED_MS);
      await cluster.pause(false);
      await cluster.settled();
    },
  },
  {
    name: "etcd",
    title: "etcd is gone for 20 s: the leader demotes itself",
    async run(cluster) {
      await cluster.etcd.stop({ keep: true });
      await pause(ETCD_GONE_MS);
      await cluster.etcd.start();
      await cluster.settled();
    },
  },
  {
    name: "switchover-ttl-2",
    title: "patronictl switchover, TTL 2",
    recordTtl: 2,
    run: async (cluster) => void await cluster.switchover(),
  },
  {
    name: "kill-ttl-2",
    title: "kill -9 of the leader's PostgreSQL and Patroni, TTL 2",
    recordTtl: 2,
    async run(cluster, leader) {
      await leader.kill();
      await cluster.newLeader(leader);
    },
  },
];

/** Returns when the log of a member says that it was promoted, after `fromMs`; `undefined` if it was not. */
export function promotedAt({ log }: PatroniMember, fromMs: number): number | undefined {
  const lines = log.matchAll(/^(\S+ \S+),(\d+) INFO: promoted self to leader/gm);
  const times = [...lines].map(([, second, ms]) =>
    Date.parse(`${second!.replace(" ", "T")}.${ms}Z`)
  );
  return times.find((time) => time >= fromMs);
}
