/**
 * One suite of behaviours for a driver's own pool and for the drop-in that takes its place.
 *
 * @module
 */

/** What a behaviour is shown with. */
export interface Subject<P, O> {
  /** A pool, closed after the test together with all its clients. */
  make(options?: O): P;
  /** Whether it is the drop-in. */
  readonly follows: boolean;
}

/** How a pool is made, and how it is cleared away. */
export interface Maker<P, O> {
  make(options: O): P;
  /** Closes it, unless the test did, and waits for its sockets. */
  clear(pool: P): Promise<void>;
}

/**
 * Runs each behaviour against each maker: a test each.
 *
 * @param makers The original under `original`, and the drop-in under its name.
 * @param behaviours Sentences, and what shows that they are true.
 */
export function testBehaviours<P, O extends object>(
  makers: Readonly<Record<string, Maker<P, O>>>,
  behaviours: Readonly<Record<string, (subject: Subject<P, O>) => Promise<void>>>,
): void {
  for (const [sentence, show] of Object.entries(behaviours)) {
    for (const [name, { make, clear }] of Object.entries(makers)) {
      Deno.test(`${name}: ${sentence}`, async () => {
        const made: P[] = [];
        try {
          await show({
            follows: name !== "original",
            make(options) {
              const pool = make(options ?? {} as O);
              made.push(pool);
              return pool;
            },
          });
        } catch (error) {
          // What is still out would be waited for.
          for (const pool of made) clear(pool).catch(() => {});
          throw error;
        }
        for (const pool of made) await clear(pool);
      });
    }
  }
}
