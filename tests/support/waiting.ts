/**
 * Waits for events outside this process, each with a time limit that only something that hangs reaches.
 *
 * @module
 */

/** Milliseconds after which a wait has failed. A busy machine may take seconds for what takes milliseconds on another. */
const LIMIT_MS = 25_000;

/** Waits for a number of milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for a promise, 25 seconds at most. */
export async function soon<T>(promise: Promise<T>): Promise<T> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error("It took more than 25 seconds")), LIMIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}

/** Waits until a condition holds, 25 seconds at most. */
export async function until(holds: () => boolean | Promise<boolean>, what = "it"): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!await holds()) {
    if (performance.now() > endMs) throw new Error(`${what} did not come to hold in 25 seconds`);
    await pause(10);
  }
}

/** Returns a promise with the function that resolves it. Node 20 has no `Promise.withResolvers()`. */
export function resolvable<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => resolve = done);
  return { promise, resolve };
}
