/**
 * Contenders on threads of their own, each with a heap and a compiler of its own: nobody pays for the garbage that
 * another left, or profits from its having been collected, and nobody's code is compiled for what others call it with.
 *
 * @module
 */

import { parentPort, Worker, workerData } from "node:worker_threads";

/** What a thread is asked to do. */
interface Batch {
  readonly scene: string;
  readonly operations: number;
}

/** A contender on its thread. */
export class Isolate {
  readonly #worker: Worker;

  /**
   * @param file The program, which calls {@linkcode serveBatches} where {@linkcode contenderHere} says so.
   * @param name Which contender.
   */
  constructor(file: string, readonly name: string) {
    this.#worker = new Worker(new URL(file), { workerData: name });
  }

  /** Does a scene's operations there; resolves with the nanoseconds that one of them took. */
  time(scene: string, operations: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("message", (ns: number) => {
        this.#worker.off("error", reject);
        resolve(ns);
      });
      this.#worker.postMessage({ scene, operations } satisfies Batch);
    });
  }

  /** Ends the thread. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The contender whose thread this is; `undefined` on the main thread. */
export const contenderHere: string | undefined = parentPort ? workerData : undefined;

/** Does what the main thread asks for, and tells it how long it took. */
export function serveBatches(run: (scene: string, operations: number) => Promise<void>): void {
  parentPort!.on("message", async ({ scene, operations }: Batch) => {
    const startMs = performance.now();
    await run(scene, operations);
    parentPort!.postMessage((performance.now() - startMs) * 1e6 / operations);
  });
}
