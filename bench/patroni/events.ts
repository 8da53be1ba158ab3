/**
 * The events of the drill of Patroni, and the times at which the cluster itself took writes again.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import type { PatroniCluster, PatroniMember } from "../../lab/patroni.ts";
import { pause } from "../../lab/processes.ts";
import { type Gap, longestGap } from "../stacks/figures.ts";

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

/** Milliseconds that the monitor waits for a member. */
const MONITOR_MS = 1000;
/** Milliseconds between two attempts of the monitor. */
const EVERY_MS = 25;

/**
 * Writes to the leader and reads from the standbys from the start on, by a session of its own for each member, as a client
 * would that knew the role of each member at any time.
 */
export class Monitor {
  /** The times at which a member acknowledged a write. */
  readonly #writes: number[] = [];
  /** The times at which a standby answered. */
  readonly #reads: number[] = [];
  readonly #loops: Promise<void>[];
  #stopped = false;

  /** Starts it. */
  constructor(cluster: PatroniCluster) {
    this.#loops = cluster.members.map(({ host }) => this.#watch(cluster.url(host)));
  }

  /** Returns the longest time without a write that was acknowledged, from `fromMs` to now. */
  writeOutage(fromMs: number): Gap {
    return longestGap(this.#writes.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Returns the longest time without a standby that answered. */
  readOutage(fromMs: number): Gap {
    return longestGap(this.#reads.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Stops it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #watch(url: string): Promise<void> {
    while (!this.#stopped) {
      const client = new pg.Client({
        connectionString: url,
        connectionTimeoutMillis: MONITOR_MS,
        query_timeout: MONITOR_MS,
      });
      client.on("error", () => {}); // an error fails the statement as well
      try {
        await client.connect();
        while (!this.#stopped) {
          const { rows: [row] } = await client.query("SELECT pg_is_in_recovery() AS standby");
          if (!row.standby) await client.query("INSERT INTO ledger VALUES ('monitor', 0)");
          (row.standby ? this.#reads : this.#writes).push(Date.now());
          await pause(EVERY_MS);
        }
      } catch {
        await pause(EVERY_MS);
      }
      // A frozen server does not answer.
      await Promise.race([client.end(), pause(MONITOR_MS)]).catch(() => {});
    }
  }
}

/** Returns when the log of a member says that it was promoted, after `fromMs`; `undefined` if it was not. */
export function promotedAt({ log }: PatroniMember, fromMs: number): number | undefined {
  const lines = log.matchAll(/^(\S+ \S+),(\d+) INFO: promoted self to leader/gm);
  const times = [...lines].map(([, second, ms]) =>
    Date.parse(`${second!.replace(" ", "T")}.${ms}Z`)
  );
  return times.find((time) => time >= fromMs);
}
