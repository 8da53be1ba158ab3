/**
 * What the drill of a replicated MariaDB knows of the servers: when one of them acknowledged a write.
 *
 * @module
 */

import type { MariadbPair } from "../../lab/mariadb_pair.ts";
import { type Gap, longestGap } from "../stacks/figures.ts";
import { inSessions } from "../stacks/mysql_sessions.ts";

/** Writes to both servers from its start on, as a client would that knew the primary at any time. */
export class Watch {
  /** The times at which a server acknowledged a write. */
  readonly #writes: number[] = [];
  readonly #loops: Promise<void>[];
  #stopped = false;

  /** Starts it. Each write leaves its time in the table `heartbeat`. */
  constructor(pair: MariadbPair) {
    this.#loops = pair.hosts.map((host) =>
      inSessions(pair.url(host), {
        work: async (ask) => {
          await ask(`REPLACE INTO heartbeat VALUES (1, ${Date.now()})`);
          this.#writes.push(Date.now());
        },
        isStopped: () => this.#stopped,
      })
    );
  }

  /** Returns the longest time without a write that was acknowledged, from `fromMs` to now. */
  outage(fromMs: number): Gap {
    return longestGap(this.#writes.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Stops it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}
