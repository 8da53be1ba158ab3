/**
 * The events of the drill of a replicated MariaDB.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import type { MariadbPair } from "../../lab/mariadb_pair.ts";
import { pause } from "../../lab/processes.ts";

/** What an event acts on. */
export interface MariadbStack {
  readonly pair: MariadbPair;
  /**
   * Points the primary's name to the primary, and those of the replica to the other server, or, if it is lost, to the
   * primary.
   */
  move(otherIsLost?: boolean): Promise<void>;
}

/** An event. */
export interface MariadbEvent {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  /** Whether commits do not wait for the replica: then what was acknowledged may be lost. */
  readonly asynchronous?: true;
  /** Whether the replica is what is lost. */
  readonly losesReplica?: true;
  /** Causes it; resolves when all of it is over. */
  run(stack: MariadbStack): Promise<void>;
}

/** Milliseconds from the loss of a server to the promotion. */
const NOTICED_MS = 1000;
/** Milliseconds for which writers are locked out, and for which a frozen server is away after the promotion. */
const AWAY_MS = 2500;
/** Milliseconds for which a replica applies nothing. */
const LAG_MS = 4000;
/** Milliseconds until the primary no longer waits for a replica that is lost, `rpl_semi_sync_master_timeout`, and more. */
const WITHOUT_REPLICA_MS = 12_000;
/** Milliseconds that a change of `read_only` may take: it waits for commits that wait for a replica. */
const FENCE_MS = 30_000;

const READ_ONLY = "SET GLOBAL read_only = ON";

async function kill({ pair, move }: MariadbStack): Promise<void> {
  await pair.primary.kill();
  await pause(NOTICED_MS);
  await pair.promote();
  await move(true);
}

/** All events. */
export const MARIADB_EVENTS: readonly MariadbEvent[] = [
  {
    name: "switchover",
    title: "switchover: read_only on the primary, promotion, and the old primary replicates",
    async run({ pair, move }) {
      const old = pair.primary;
      await old.ask(READ_ONLY, FENCE_MS);
      await pair.hand();
      await move();
      await pair.follow(old);
      await pair.settled();
    },
  },
  {
    name: "lock",
    title: "switchover under FLUSH TABLES WITH READ LOCK, which is held for 2.5 s before it",
    async run({ pair, move }) {
      const old = pair.primary;
      const session = await mysql.createConnection(old.adminUrl());
      await session.query("FLUSH TABLES WITH READ LOCK");
      await pause(AWAY_MS);
      await session.query(READ_ONLY);
      await pair.hand();
      await move();
      await session.query("UNLOCK TABLES");
      await session.end();
      await pair.follow(old);
      await pair.settled();
    },
  },
  {
    name: "kill",
    title: "kill -9 of the primary, promotion a second later",
    run: kill,
  },
  {
    name: "kill-asynchronous",
    title: "the same with asynchronous replication",
    asynchronous: true,
    run: kill,
  },
  {
    name: "freeze",
    title:
      "SIGSTOP of the primary, promotion a second later, SIGCONT and read_only after 2.5 s more",
    async run({ pair, move }) {
      const old = pair.primary;
      await old.freeze();
      await pause(NOTICED_MS);
      await pair.promote();
      await move(true);
      await pause(AWAY_MS);
      await old.thaw();
      await old.ask(READ_ONLY, FENCE_MS);
    },
  },
  {
    name: "stop",
    title: "planned shutdown of the primary, promotion at once",
    async run({ pair, move }) {
      await pair.primary.stop({ keep: true });
      await pair.promote();
      await move(true);
    },
  },
  {
    name: "lag",
    title: "the replica applies nothing for 4 s (STOP SLAVE SQL_THREAD)",
    async run({ pair }) {
      await pair.other.ask("STOP SLAVE SQL_THREAD", FENCE_MS);
      await pause(LAG_MS);
      await pair.other.ask("START SLAVE SQL_THREAD");
    },
  },
  {
    name: "kill-replica",
    title: "kill -9 of the replica, whose name moves a second later",
    losesReplica: true,
    async run({ pair, move }) {
      await pair.other.kill();
      await pause(NOTICED_MS);
      await move(true);
      await pause(WITHOUT_REPLICA_MS);
    },
  },
];
