/**
 * Finds answers that a caching resolver may have given from a copy past its end (RFC 8767), with a TTL of its own, while
 * it asks for a new one. The answer does not say so, unless the server reports it (RFC 8914). Times in, times out: no
 * clock, no timer.
 *
 * An answer is in doubt if it may be such a copy: it is the first that came by DNS, its TTL is larger than that of the
 * answer before, the answer before had ended and came back as it was, or it is a new copy of a server whose copies were
 * seen to count down. Then the name is asked again within a second, at most twice: by then the resolver has the new
 * copy, unless it cannot reach the zone. The first answer is asked for a third time, and one name of a server at growing
 * intervals after that, until its TTL is over or was seen to count down, as that of a new copy does; the others wait for
 * what it finds out. A TTL that is larger than any before counts as the largest one until it counts down, or has
 * lasted and is doubted once more; one that was not seen to count down gives way to a smaller one.
 *
 * @module
 */

import { ServerSigns } from "./server_signs.ts";

/** Times after the first doubtful answer at which the name is asked again. The last one settles it, but for the first answer. */
const ASK_AGAIN_MS: readonly number[] = [250, 900];
/** Factor between the times after that: more than a second passes, in which the TTL of a new copy goes down. */
const GROWTH = 2.5;
/** Time after each of those at which the name is asked once more: the question before may have made the resolver ask. */
const ONCE_MORE_MS = 700;
/** Age of a doubt up to which each name is asked for by itself: once more than within a second. */
const ASK_ALONE_MS = 1500;
/** Time for which a doubtful answer may be used. */
const DOUBTFUL_MS = 1000;
/** TTLs up to this one are asked for as often anyway. */
const MIN_DOUBTED_TTL_MS = 1000;
/** Maximum rounding error of a TTL. */
const ROUNDING_MS = 1000;

/** What is known of an answer. */
export interface DatedAnswer {
  /** The addresses. */
  readonly addresses: readonly string[];
  /** Time of the query. */
  readonly askedAtMs: number;
  /** Time of the answer. */
  readonly answeredAtMs: number;
  /** The server's TTL in seconds, if known. */
  readonly ttl: number | undefined;
}

/** How far an answer is believed. */
export interface Belief {
  /** Milliseconds from the query for which it may be used, whatever its TTL says. */
  readonly usableMs: number;
  /** Time at which the name is asked again, whatever the TTL says. */
  readonly askAgainAtMs: number;
}

/** The answer is used as its TTL says. */
export const BELIEVED: Belief = { usableMs: Infinity, askAgainAtMs: Infinity };

/** The answer before, with its TTL in milliseconds. */
interface Last extends DatedAnswer {
  readonly ttlMs: number;
}

/** The doubts about the answers for one name. */
export class CopyDoubts {
  #last: Last | undefined;
  /** The answer with which the doubt began. */
  #doubted: Last | undefined;
  /** Whether a doubtful answer may be used for as long as its TTL says: the first one is all that there is. */
  #isFirst = false;
  /** The largest TTL that is believed; `undefined` before the first. */
  #maxTtlMs: number | undefined;
  /** Whether a copy with that TTL counted down: it is the record's own, or was. */
  #isMaxSure = false;
  /** Whether a copy counted down: the server is a cache. */
  #isCache = false;
  /** Time since which the TTL is larger. */
  #largerSinceMs: number | undefined;
  readonly #doubtsFirst: boolean;
  readonly #server: ServerSigns;
  readonly #askAgain: () => void;

  /**
   * @param doubtsFirst Whether the first answer is in doubt as well: it came by DNS.
   * @param server What is known of the server.
   * @param askAgain Asks for the name again, because another name's answers made this one's doubtful.
   */
  constructor(
    doubtsFirst: boolean,
    server: ServerSigns = new ServerSigns(),
    askAgain: () => void = () => {},
  ) {
    this.#doubtsFirst = doubtsFirst;
    this.#server = server;
    this.#askAgain = askAgain;
  }

  /** Takes the next answer. */
  onAnswer(answer: DatedAnswer): Belief {
    if (answer.ttl === undefined) {
      this.clear();
      return BELIEVED;
    }
    const last = this.#last;
    const next = { ...answer, ttlMs: answer.ttl * 1000 };
    if (last && next.ttlMs < last.ttlMs) {
      if (isRestOf(next, last)) this.#isCache = true;
      this.#server.onTtlDown();
    }
    this.#last = next;
    const doubted = this.#doubted;
    if (doubted && !this.#isSettledBy(next, doubted, last!)) {
      if (!isSame(next, doubted)) this.#doubted = next;
      return this.#doubt(next, this.#doubted!, last!);
    }
    this.#doubted = undefined;
    if (doubted) this.#leave(next, doubted);
    if (doubted) this.#maxTtlMs ??= Math.min(doubted.ttlMs, next.ttlMs);
    // Of a name that was not asked again in time, the next answer may come from an expired copy as well.
    const isNew = !doubted || hasEnded(last!, next);
    if (isNew && next.ttlMs > MIN_DOUBTED_TTL_MS && this.#isDoubtful(next, last)) {
      this.#doubted = next;
      this.#isFirst = last === undefined;
      return this.#doubt(next, next, next);
    }
    return this.#believe(next, last, doubted !== undefined);
  }

  /** Forgets all answers. */
  clear(): void {
    this.#last =
      this.#doubted =
      this.#largerSinceMs =
      this.#maxTtlMs =
        undefined;
    this.#isCache = this.#isMaxSure = false;
    this.#server.leave(this);
  }

  #leave(next: Last, doubted: Last): void {
    const lasted = isSame(next, doubted) && next.ttlMs === doubted.ttlMs &&
      next.askedAtMs >= doubted.askedAtMs + doubted.ttlMs;
    if (this.#isFirst && lasted) this.#server.onLasted(this);
    else this.#server.leave(this);
  }

  #isDoubtful(next: Last, last: Last | undefined): boolean {
    if (!last) return this.#doubtsFirst;
    if (next.ttlMs > last.ttlMs || this.#isCache && !isRestOf(next, last)) return true;
    return hasEnded(last, next) && isSame(next, last);
  }

  #isSettledBy(next: Last, doubted: Last, last: Last): boolean {
    if (next.ttlMs < last.ttlMs && !isRestOf(next, last)) return true;
    // One that was made for no question of ours may have ended too.
    if (!isSame(next, doubted)) return !this.#isFirst || !isAlone(next, last);
    const ageMs = next.askedAtMs - doubted.askedAtMs;
    if (ageMs < ASK_AGAIN_MS.at(-1)!) return false;
    if (!this.#isFirst || this.#server.isAuthority) return true;
    if (next.ttlMs < doubted.ttlMs) return true;
    // One that came ahead of the end of the TTL, and alone, may be from a copy that had ended.
    return ageMs >= doubted.ttlMs && (!isAlone(next, last) || hasEnded(last, next));
  }

  #doubt(next: Last, doubted: Last, last: Last): Belief {
    const ageMs = next.askedAtMs - doubted.askedAtMs;
    const usableMs = this.#isFirst ? Infinity : DOUBTFUL_MS;
    const soonMs = ASK_AGAIN_MS.find((ms) => ms > ageMs);
    if (soonMs !== undefined) return { usableMs, askAgainAtMs: doubted.askedAtMs + soonMs };
    const wasAlone = isAlone(next, last);
    const afterMs = wasAlone ? ONCE_MORE_MS : ageMs * (GROWTH - 1);
    const askAgainAtMs = next.askedAtMs + afterMs;
    const asks = ageMs < ASK_ALONE_MS && !wasAlone ||
      this.#server.mayAsk(this, next.answeredAtMs, askAgainAtMs, this.#askAgain);
    return { usableMs, askAgainAtMs: asks ? askAgainAtMs : Infinity };
  }

  #believe(next: Last, last: Last | undefined, wasDoubted: boolean): Belief {
    const { ttlMs, askedAtMs } = next;
    const countsDown = last !== undefined && ttlMs < last.ttlMs && isRestOf(next, last);
    const maxTtlMs = this.#maxTtlMs ?? ttlMs;
    if (ttlMs <= maxTtlMs || countsDown) {
      this.#largerSinceMs = undefined;
      if (countsDown) {
        this.#isMaxSure ||= last.ttlMs >= maxTtlMs;
        this.#maxTtlMs = Math.max(maxTtlMs, last.ttlMs);
      } else this.#maxTtlMs = this.#isMaxSure ? maxTtlMs : ttlMs;
      return BELIEVED;
    }
    this.#largerSinceMs ??= askedAtMs;
    if (askedAtMs < this.#largerSinceMs + ttlMs) {
      // A copy that is about to end may be the only one that was seen so far, with a TTL of 0.
      return { usableMs: Math.max(maxTtlMs, DOUBTFUL_MS), askAgainAtMs: Infinity };
    }
    if (!wasDoubted) {
      // It may have lasted because the name was not asked for meanwhile.
      this.#doubted = next;
      this.#isFirst = false;
      return this.#doubt(next, next, next);
    }
    this.#largerSinceMs = undefined;
    this.#maxTtlMs = ttlMs;
    this.#isMaxSure = false;
    return BELIEVED;
  }
}

/** Returns whether an answer had ended when the next one was asked for. */
function hasEnded(last: Last, next: Last): boolean {
  return next.askedAtMs >= last.askedAtMs + last.ttlMs;
}

/** Returns whether a question came too late after the one before for its answer to be what that one made the resolver ask for. */
function isAlone(next: Last, last: Last): boolean {
  return next.askedAtMs > last.askedAtMs + DOUBTFUL_MS;
}

/** Returns whether two answers have the same addresses. */
function isSame(one: DatedAnswer, other: DatedAnswer): boolean {
  return one.addresses.length === other.addresses.length &&
    one.addresses.every((address) => other.addresses.includes(address));
}

/** Returns whether an answer may be from the same copy as an earlier one: it does not end later. */
function isRestOf(next: Last, last: Last): boolean {
  const { askedAtMs, ttlMs } = next;
  return askedAtMs + ttlMs - ROUNDING_MS < last.answeredAtMs + last.ttlMs &&
    askedAtMs + ttlMs + ROUNDING_MS > last.askedAtMs + last.ttlMs;
}
