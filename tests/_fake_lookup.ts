/**
 * A lookup that a test programs: no network, only the (fake) clock.
 *
 * @module
 */

import { sleep } from "../_clock.ts";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import type { Answer, Lookup, Question } from "../lookups/lookup.ts";

/** What the lookup says at the moment; change it as the test goes on. */
export interface FakeLookup extends Lookup {
  /** The addresses of both families. */
  addresses: string[];
  /** Seconds. */
  ttl: number | undefined;
  /** How long it takes to answer, in milliseconds. */
  delayMs: number;
  /** What it fails with instead of answering. */
  failure: LookupErrorKind | undefined;
  /** Seconds that a negative answer may be remembered. */
  negativeTtl: number | undefined;
  /** Every question, in order. */
  readonly questions: Question[];
  /** Questions under way now, and the most there ever were at once. */
  running: number;
  mostAtOnce: number;
}

/** A lookup that answers at once, until told otherwise. */
export function fakeLookup(addresses: string[], ttl: number | undefined): FakeLookup {
  const lookup: FakeLookup = {
    name: "fake",
    addresses,
    ttl,
    delayMs: 0,
    failure: undefined,
    negativeTtl: undefined,
    questions: [],
    running: 0,
    mostAtOnce: 0,
    async lookup(question: Question): Promise<Answer> {
      lookup.questions.push(question);
      lookup.mostAtOnce = Math.max(lookup.mostAtOnce, ++lookup.running);
      const { failure, negativeTtl, ttl } = lookup;
      const addresses = lookup.addresses.filter((ip) =>
        ip.includes(":") === (question.family === 6)
      );
      try {
        if (lookup.delayMs > 0) await sleep(lookup.delayMs, question.signal);
        if (failure) throw new LookupError(`Scripted: ${failure}`, { kind: failure, negativeTtl });
        if (addresses.length === 0) throw new LookupError("Scripted: NODATA", { kind: "negative" });
        return { addresses, ttl };
      } finally {
        lookup.running--;
      }
    },
  };
  return lookup;
}
