/**
 * The times at which servers of PostgreSQL took writes and reads, whatever the pools of a drill see of it.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pause } from "../../lab/processes.ts";
import { type Gap, longestGap } from "./figures.ts";

/** Milliseconds that the monitor waits for a server. */
const MONITOR_MS = 1000;
/** Milliseconds between two attempts of the monitor. */
const EVERY_MS = 25;
/** Milliseconds that servers on a busy machine have to take writes again. */
const WRITTEN_MS = 60_000;

/**
 * Writes to the primary and reads from the standbys from the start on, by a session of its own for each server, as a client
 * would that knew the role of each server at any time.
 */
export class Monitor {
  /** The times at which a server acknowledged a write. */
  readonly #writes: number[] = [];
  /** The times at which a standby answered. */
  readonly #reads: number[] = [];
  readonly #loops: Promise<void>[];
  #stopped = false;

  /**
   * Starts it.
   *
   * @param urls Those of the servers, as a user that may write to the table "ledger".
   */
  constructor(urls: readonly string[]) {
    this.#loops = urls.map((url) => this.#watch(url));
  }

  /** Returns the longest time without a write that was acknowledged, from `fromMs` to now. */
  writeOutage(fromMs: number): Gap {
    return longestGap(this.#writes.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Returns the longest time without a standby that answered. */
  readOutage(fromMs: number): Gap {
    return longestGap(this.#reads.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Waits until a server acknowledges a write, for a minute at most. */
  async written(): Promise<void> {
    const startMs = Date.now();
    while (!this.#writes.some((each) => each > startMs) && Date.now() < startMs + WRITTEN_MS) {
      await pause(EVERY_MS);
    }
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
