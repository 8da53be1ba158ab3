/**
 * The check of a connection before it is handed to a waiter, and what follows from it.
 *
 * @module
 */

import { awaitAnswerFor } from "./answer_wait.ts";
import type { InvalidConnection, PoolParts } from "./contract.ts";
import type { Slot } from "./slot.ts";
import type { Waiter } from "./wait_queue.ts";

/** Maximum number of connections tried per checkout. */
const MAX_TRIES = 2;

/** A check under way: what is wrong with the connection, if anything. */
export type Check = Promise<InvalidConnection | undefined>;

/** What the check of a connection came to. */
export interface CheckOutcome {
  /** What is wrong with the connection. */
  readonly invalid?: InvalidConnection | undefined;
  /** What the waiter is rejected with, though the connection is good. */
  readonly failure?: { readonly error: unknown };
}

/**
 * What happens to a waiter after the check: it gets the connection, it gets another one, it is rejected, or its wait
 * has ended meanwhile.
 */
export type Verdict = "ok" | "retry" | "reject" | "closed";

/** Waits for the check of a connection, and once more for a fresh answer: a check takes time. */
export async function awaitCheck<C, T>(
  check: Check,
  waiter: Waiter<T>,
  { slot, answer }: { readonly slot: Slot<C>; readonly answer: PoolParts<C>["answer"] },
): Promise<CheckOutcome> {
  try {
    const invalid = await check;
    // Once: an answer serves each waiter that waited for it, however short its TTL.
    if (!invalid && slot.isOpen && waiter.waiting && !answer.isFresh()) {
      await awaitAnswerFor(waiter, slot, answer);
    }
    return { invalid };
  } catch (error) {
    return { failure: { error } };
  }
}

/** Decides by what is true now: much may have happened during the check. */
export function decide<C, T>(
  { invalid, failure }: CheckOutcome,
  waiter: Waiter<T>,
  { slot, isUsable }: { readonly slot: Slot<C>; isUsable(slot: Slot<C>): boolean },
): Verdict {
  if (!slot.isOpen) return "retry";
  if (invalid) return ++waiter.tries < MAX_TRIES ? "retry" : "reject";
  if (failure) return "reject";
  if (!isUsable(slot)) return "retry";
  return waiter.waiting ? "ok" : "closed";
}
