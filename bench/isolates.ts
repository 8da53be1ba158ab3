/**
 * Runs each contender on a separate thread, with a separate heap and compiler. So no contender pays for another's
 * garbage, and shared code is not compiled for the arguments of several contenders.
 *
 * @module
 */

import { parentPort, Worker, workerData } from "node:worker_threads";

/** A contender on its thread, which runs one batch after the other. */
export class Isolate<Batch, Outcome> {
  readonly #worker: Worker;

  /**
   * @param file The program, which calls {@linkcode serve} if {@linkcode contenderHere} is set.
   * @param name The contender's name.
   */
  constructor(file: string, readonly name: string) {
    this.#worker = new Worker(new URL(file), { workerData: name });
  }

  /** Runs a batch on the thread. */
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

/** The name of this thread's contender; `undefined` on the main thread. */
export const contenderHere: string | undefined = parentPort ? workerData : undefined;

/** Runs the batches that the main thread sends. */
export function serve<Batch, Outcome>(run: (batch: Batch) => Promise<Outcome>): void {
  parentPort!.on("message", async (batch: Batch) => parentPort!.postMessage(await run(batch)));
}
