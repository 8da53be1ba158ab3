/**
 * The events of the drill of PostgreSQL.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import type { Loss, ReplicatedPair } from "../../lab/replicated_pair.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import type { Sessions } from "./sessions.ts";

/** What an event happens to. */
export interface PostgresScene {
  readonly pair: ReplicatedPair;
  /** Ends the primary, promotes the standby and moves the name of the primary; returns what ends the old one for good. */
  takeOver(
    loss: Loss | ((old: PostgresServer) => Promise<void>),
  ): Promise<() => Promise<void>>;
  /** Watches the sessions of the lanes on the primary. */
  watchSessions(): Promise<Sessions>;
}

/** An event. */
export interface PostgresEvent {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  /**
   * Milliseconds for which calls in flight may go on after the new answer, because the old primary neither answers them nor
   * closes them before it is fenced. Default: 0.
   */
  readonly graceMs?: number;
  /** Causes it; resolves when all of it is done. */
  run(scene: PostgresScene): Promise<void>;
}

/** Milliseconds that an old primary goes on, or is frozen, after another took over. */
const LONGER_MS = 2000;
/** Milliseconds that a server waits for its clients before it ends their sessions. */
const SMART_MS = 15_000;
/** Milliseconds that the primary is read-only. */
const READ_ONLY_MS = 3000;
/** Milliseconds in which the primary causes conflicts on the standby, and between two of them. */
const CONFLICTS_MS = 6000;
const CONFLICT_EVERY_MS = 250;

/** All events. */
export const POSTGRES_EVENTS: readonly PostgresEvent[] = [
  {
    name: "promote",
    title: "pg_promote() of the standby while the primary runs on, which is fenced 2 s later",
    graceMs: 2000,
    async run({ takeOver }) {
      const fence = await takeOver("left running");
      await pause(LONGER_MS);
      await fence();
    },
  },
  {
    name: "smart",
    title: "pg_ctl stop -m smart of the primary, -m fast after 15 s; then the standby takes over",
    async run({ takeOver, watchSessions }) {
      await takeOver(async (old) => {
        const sessions = await watchSessions();
        const stopped = old.stop({ mode: "smart", keep: true });
        await sessions.left(SMART_MS);
        if (await Promise.race([stopped, pause(1000).then(() => true)])) {
          await old.stop({ mode: "fast", keep: true });
        }
        await stopped;
      });
    },
  },
  {
    name: "fast",
    title: "pg_ctl stop -m fast of the primary; then the standby takes over",
    run: async ({ takeOver }) => void await takeOver("stopped"),
  },
  {
    name: "immediate",
    title: "pg_ctl stop -m immediate of the primary; then the standby takes over",
    run: async ({ takeOver }) =>
      void await takeOver((old) => old.stop({ mode: "immediate", keep: true })),
  },
  {
    name: "kill",
    title: "kill -9 of the primary; then the standby takes over",
    run: async ({ takeOver }) => void await takeOver("killed"),
  },
  {
    name: "freeze",
    title: "SIGSTOP of the primary, the standby takes over; SIGCONT 2 s later, and a fence",
    graceMs: 2000,
    async run({ takeOver }) {
      const thawAndFence = await takeOver("frozen and thawed");
      await pause(LONGER_MS);
      await thawAndFence();
    },
  },
  {
    name: "read-only",
    title: "default_transaction_read_only = on, reloaded on the primary for 3 s",
    async run({ pair }) {
      await pair.ask("ALTER SYSTEM SET default_transaction_read_only = on");
      await pair.ask("SELECT pg_reload_conf()");
      await pause(READ_ONLY_MS);
      await pair.ask("ALTER SYSTEM RESET default_transaction_read_only");
      await pair.ask("SELECT pg_reload_conf()");
    },
  },
  {
    name: "conflicts",
    title: "VACUUM and LOCK TABLE on the primary end reads on the standby for 6 s",
    async run({ pair }) {
      const endMs = Date.now() + CONFLICTS_MS;
      while (Date.now() < endMs) {
        await pair.ask("UPDATE rows SET id = id");
        await pair.ask("VACUUM rows");
        await pause(CONFLICT_EVERY_MS);
        await pair.ask("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE; COMMIT");
        await pause(CONFLICT_EVERY_MS);
      }
    },
  },
];
