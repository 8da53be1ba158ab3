/**
 * Workers that write numbered rows in transactions and keep a ledger of the outcomes; and the comparison of the ledger
 * with the database.
 *
 * @module
 */

import type { Engine } from "../../mod.ts";
import { pause } from "./waiting.ts";

/** The table: two rows for each number, written in one transaction. No constraint prevents a third. */
export const LEDGER_TABLE = `
  CREATE TABLE ledger (
    id bigint NOT NULL,
    part int NOT NULL,
    address text NOT NULL DEFAULT host(inet_server_addr()),
    timeline text NOT NULL DEFAULT left(pg_walfile_name(pg_current_wal_lsn()), 8)
  )`;

/** A transaction, as its worker saw it. */
export interface Entry {
  readonly id: number;
  /** The address of its lease; `undefined` if it had none. */
  address: string | undefined;
  /** When it got the lease, in milliseconds of the monotonic clock. */
  beganMs: number;
  /** The number of calls of the function of `engine.begin`. */
  calls: number;
  /** The outcome that the worker was told. */
  outcome: "under way" | "acknowledged" | "reported";
  error: unknown;
}

/** The workers, and their ledger. */
export class Ledger {
  readonly entries: Entry[] = [];
  #stopped = false;
  readonly #running: Promise<void>[] = [];

  /** Starts workers on an engine. */
  work(engine: Engine<unknown>, workers: number): void {
    for (let i = 0; i < workers; i++) this.#running.push(this.#work(engine));
  }

  /** The number of acknowledged transactions so far. */
  get acknowledged(): number {
    return this.entries.filter(({ outcome }) => outcome === "acknowledged").length;
  }

  /** Lets the workers finish their transactions, and ends them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #work(engine: Engine<unknown>): Promise<void> {
    while (!this.#stopped) {
      const entry: Entry = {
        id: this.entries.length + 1,
        address: undefined,
        beganMs: NaN,
        calls: 0,
        outcome: "under way",
        error: undefined,
      };
      this.entries.push(entry);
      try {
        await engine.begin(async ({ client, address }) => {
          const { query } = client as { query(text: string): Promise<unknown> };
          entry.calls++;
          entry.address = address;
          entry.beganMs = performance.now();
          await query.call(client, `INSERT INTO ledger VALUES (${entry.id}, 1)`);
          await query.call(client, `INSERT INTO ledger VALUES (${entry.id}, 2)`);
        });
        entry.outcome = "acknowledged";
      } catch (error) {
        entry.outcome = "reported";
        entry.error = error;
        await pause(10);
      }
      await pause(3);
    }
  }
}

/** The rows of one number in the database. */
export interface Found {
  readonly id: number;
  readonly parts: number;
  readonly different: number;
  readonly address: string;
  readonly timeline: string;
}

/** The query for all {@linkcode Found}. */
export const FOUND = `
  SELECT id::int, count(*)::int AS parts, count(DISTINCT part)::int AS different,
    min(address) AS address, min(timeline) AS timeline
  FROM ledger GROUP BY id`;

/** A comparison. All lists but the last are empty if there is no fault. */
export interface Balance {
  /** Acknowledged, and not in the database. */
  readonly lost: number[];
  /** In the database more than once, or only half. */
  readonly torn: number[];
  /** In the database, though no worker began it. */
  readonly unknown: number[];
  /** Neither acknowledged nor reported. */
  readonly untold: number[];
  /** Written on another server than that of the lease, or on one that was not the primary at that time. */
  readonly elsewhere: number[];
  /** The function was called again. */
  readonly replayed: number[];
  /** Reported as failed, and in the database: a client cannot know that a commit was done if the answer got lost. */
  readonly inDoubt: number[];
}

/** Compares the ledger with the database. */
export function balance(
  entries: readonly Entry[],
  found: readonly Found[],
  terms: readonly { readonly address: string; readonly timeline: string; untilMs: number }[],
): Balance {
  const there = new Map(found.map((row) => [row.id, row]));
  const ids = (which: (entry: Entry) => boolean) => entries.filter(which).map(({ id }) => id);
  const misplaced = ({ id, address, beganMs }: Entry) => {
    const row = there.get(id);
    if (!row) return false;
    const term = terms.find(({ timeline }) => timeline === row.timeline);
    return row.address !== address || term?.address !== address || beganMs > term.untilMs;
  };
  return {
    lost: ids(({ id, outcome }) => outcome === "acknowledged" && !there.has(id)),
    torn: found.filter((row) => row.parts !== 2 || row.different !== 2).map(({ id }) => id),
    unknown: found.filter(({ id }) => !entries[id - 1]?.calls).map(({ id }) => id),
    untold: ids(({ outcome }) => outcome === "under way"),
    elsewhere: ids(misplaced),
    replayed: ids(({ calls }) => calls > 1),
    inDoubt: ids(({ id, outcome }) => outcome === "reported" && there.has(id)),
  };
}
