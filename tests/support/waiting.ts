/**
 * Waiting for something outside this process, within bounds.
 *
 * @module
 */

import { assertLess } from "@std/assert";

/** Nothing that a test waits for takes so long unless it hangs. */
const LIMIT_MS = 5000;

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for a promise, 5 seconds at most. */
export async function soon<T>(promise: Promise<T>): Promise<T> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error("It took more than 5 seconds")), LIMIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}

/** Waits until something holds, 5 seconds at most. */
export async function until(holds: () => boolean | Promise<boolean>, what = "it"): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!await holds()) {
    assertLess(performance.now(), endMs, `${what} did not come to hold within 5 seconds`);
    await pause(10);
  }
}
