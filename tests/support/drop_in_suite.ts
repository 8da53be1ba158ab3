/**
 * Runs one suite of behaviors against a driver's own pool and against the drop-in that replaces it.
 *
 * @module
 */

import { untilSocketsClosed } from "./sockets.ts";

/** What a behavior is tested with. */
export interface Subject<P, O> {
  /** Makes a pool, which is closed after the test together with all its clients. */
  make(options?: O): P;
  /** Whether the pool is the drop-in. */
  readonly follows: boolean;
}

/** Makes and closes pools of one kind. */
export interface Maker<P, O> {
  make(options: O): P;
  /** Closes a pool, unless the test did. */
  close(pool: P): Promise<void>;
}

/**
 * Registers a test for each behavior and maker.
 *
 * @param makers The driver's own pool under `original`, and the drop-in under its name.
 * @param behaviors The tests, by the sentence that each of them proves.
 */
export function testBehaviors<P, O extends object>(
  makers: Readonly<Record<string, Maker<P, O>>>,
  behaviors: Readonly<Record<string, (subject: Subject<P, O>) => Promise<void>>>,
): void {
  for (const [sentence, run] of Object.entries(behaviors)) {
    for (const [name, { make, close }] of Object.entries(makers)) {
      const test = async () => {
        const made: P[] = [];
        try {
          await run({
            follows: name !== "original",
            make(options) {
              const pool = make(options ?? {} as O);
              made.push(pool);
              return pool;
            },
          });
        } catch (error) {
          // Not awaited: closing would wait for clients that the failed test did not release.
          for (const pool of made) close(pool).catch(() => {});
          throw error;
        }
        for (const pool of made) await close(pool);
      };
      Deno.test(`${name}: ${sentence}`, () => untilSocketsClosed(test));
    }
  }
}
