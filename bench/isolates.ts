/**
 * Contenders on threads of their own, each with a heap and a compiler of its own: nobody pays for the garbage that
 * another left, or profits from its having been collected, and nobody's code is compiled for what others call it with.
 *
 * @module
 */

import { parentPort, Worker, workerData } from "node:worker_threads";

/** A contender on its thread, which does one batch after the other. */
export class Isolate<Batch, Outcome> {
  readonly #worker: Worker;

  /**
   * @param file The program, which calls {@linkcode serve} where {@linkcode contenderHere} names somebody.
   * @param name Which contender.
   */
  constructor(file: string, readonly name: string) {
    this.#worker = new Worker(new URL(file), { workerData: name });
  }

  /** Does a batch there. */
  run(batch: Batch): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("message", (outcome: Outcome) => {
        this.#worker.off("error", reject);
        resolve(outcome);
      });
      this.#worker.postMessage(batch);
    });
  }

  /** Ends the thread. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The contender whose thread this is; `undefined` on the main thread. */
export const contenderHere: string | undefined = parentPort ? workerData : undefined;

/** Does the batches that the main thread asks for. */
export function serve<Batch, Outcome>(run: (batch: Batch) => Promise<Outcome>): void {
  parentPort!.on("message", async (batch: Batch) => parentPort!.postMessage(await run(batch)));
}
