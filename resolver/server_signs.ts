/**
 * What first answers tell about the servers that gave them: whether these are caches, whose copies may have expired, or
 * a zone's own, whose TTLs never count down. As long as that is not known, one name goes on asking for all of them.
 *
 * @module
 */

import { idOf } from "../internal/object_id.ts";
import type { Lookup, NameServer } from "../lookups/lookup.ts";

/** Time after its next question for which a name that asks for all keeps that part. */
const LATE_MS = 5000;

/** What is known of the servers of one lookup. */
export class ServerSigns {
  #isCache = false;
  #isAuthority = false;
  /** The name that asks for all. */
  #asker: object | undefined;
  #askerUntilMs = -Infinity;
  /** The names that wait for what it finds out, and how each is asked for again. */
  readonly #waiting = new Map<object, () => void>();

  /** Whether a whole TTL passed in which it did not count down, and no other one was seen to. */
  get isAuthority(): boolean {
    return this.#isAuthority;
  }

  /** Is told that a TTL went down: whatever has not may come from an expired copy, and is asked for again. */
  onTtlDown(): void {
    if (this.#isCache) return;
    this.#isCache = true;
    this.#isAuthority = false;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#asker = undefined;
    for (const askAgain of waiting) askAgain();
  }

  /**
   * Is told that the TTL of a name is over and was never seen to count down. If it was not asked for meanwhile, that tells
   * nothing.
   */
  onLasted(name: object): void {
    if (!this.#isCache && this.#asker === name) {
      this.#isAuthority = true;
      this.#waiting.clear();
    }
    this.leave(name);
  }

  /**
   * Returns whether a name whose TTL does not count down is asked for again by itself. If not, it waits.
   *
   * @param name What stands for the name.
   * @param nowMs The time.
   * @param nextMs When it would be asked for.
   * @param askAgain Asks for it.
   */
  mayAsk(name: object, nowMs: number, nextMs: number, askAgain: () => void): boolean {
    if (this.#isCache) return true;
    if (this.#asker === undefined || this.#asker === name || nowMs > this.#askerUntilMs) {
      this.#asker = name;
      this.#askerUntilMs = nextMs + LATE_MS;
      this.#waiting.delete(name);
      return true;
    }
    this.#waiting.set(name, askAgain);
    return false;
  }

  /** Is told that a name is in doubt no more: if it asked for all, the next one does. */
  leave(name: object): void {
    this.#waiting.delete(name);
    if (this.#asker !== name) return;
    this.#asker = undefined;
    for (const [next, askAgain] of this.#waiting) {
      this.#waiting.delete(next);
      return askAgain();
    }
  }
}

const known = new Map<string, ServerSigns>();
/** Maximum number of lookups with their servers. */
const MAX_KNOWN = 1000;

/** Returns what is known of the servers of a lookup; if none are given, those that it asks by itself. */
export function signsOf(lookup: Lookup, servers: readonly NameServer[]): ServerSigns {
  const key = JSON.stringify([idOf(lookup), servers]);
  let signs = known.get(key);
  if (!signs) {
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, signs = new ServerSigns());
  }
  return signs;
}
