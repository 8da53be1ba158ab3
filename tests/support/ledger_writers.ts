/**
 * Workers that write into a table `ledger` while its server is demoted.
 *
 * @module
 */

import { pause } from "./waiting.ts";

/** An engine or a pool. */
interface Runner {
  query(text: string): Promise<readonly unknown[]>;
}

/** Workers that insert numbered rows until they are stopped, and the outcome of each insert. */
export class Writers {
  readonly acknowledged: {
    readonly id: number;
    readonly address: string;
    readonly atMs: number;
  }[] = [];
  readonly failed: unknown[] = [];
  #stopped = false;
  #id = 0;
  readonly #running: Promise<void>[];

  /**
   * @param runner What they use.
   * @param count The number of workers.
   * @param whereAmI The SQL expression of the server's own address.
   */
  constructor(runner: Runner, count: number, whereAmI: string) {
    const text = (id: number) =>
      `INSERT INTO ledger VALUES (${id}) RETURNING ${whereAmI} AS address`;
    this.#running = Array.from({ length: count }, () => this.#work((id) => runner.query(text(id))));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #work(insert: (id: number) => Promise<readonly unknown[]>): Promise<void> {
    while (!this.#stopped) {
      const id = ++this.#id;
      try {
        const [row] = await insert(id);
        const { address } = row as { address: string };
        this.acknowledged.push({ id, address, atMs: performance.now() });
      } catch (error) {
        this.failed.push(error);
      }
      await pause(2);
    }
  }
}
