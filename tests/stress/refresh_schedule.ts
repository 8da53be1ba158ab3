/**
 * The refresh schedule behind a caching resolver: how late, beyond the record's TTL, is a change noticed? There are no
 * timers and no resolver, only the schedule, so that many changes can be tried.
 *
 * `deno run -A tests/stress/refresh_schedule.ts [seeds] [first seed]`
 *
 * @module
 */

import process from "node:process";
import { CopyDoubts } from "../../resolver/copy_doubts.ts";
import { RefreshSchedule } from "../../resolver/refresh_schedule.ts";
import { fakeCache, type Rounding, seeded } from "../support/fake_lookup.ts";

/** One situation. */
export interface Situation {
  readonly seed: number;
  /** The record's TTL, in seconds. */
  readonly ttl: number;
  readonly rounding: Rounding;
  /** Round trip to the cache. */
  readonly latencyMs: number;
  /** Duration of the cache's own query to the authoritative server. */
  readonly fetchMs: number;
  /** Mean interval between queries of other clients to the cache; `Infinity` for none. */
  readonly othersEveryMs: number;
}

/** The result. */
export interface Measured {
  /** Maximum time from a change to the new answer, less the TTL and the duration of one uncached lookup. */
  readonly latestMs: number;
  /** Minimum time between two queries. */
  readonly gapMs: number;
  /** Mean number of queries per TTL. */
  readonly perTtl: number;
  /** Maximum number of queries within one TTL. */
  readonly mostInTtl: number;
}

const CHANGES = 20;
const MIN_TTL_MS = 250;

/** Runs a schedule through 20 changes at random times. */
export function measure(situation: Situation): Measured {
  const { seed, rounding, latencyMs, fetchMs, othersEveryMs } = situation;
  const ttlMs = situation.ttl * 1000;
  const random = seeded(seed);
  const real = Math.random;
  Math.random = random;
  try {
    const startMs = 1e6 + random() * 1000;
    const changesMs: number[] = [];
    for (let atMs = startMs; changesMs.length < CHANGES;) {
      atMs += (2.5 + random() * 4) * ttlMs + random() * 2000;
      changesMs.push(atMs);
    }
    const endMs = changesMs[CHANGES - 1]! + ttlMs + 3000;
    const address = (atMs: number) => String(changesMs.filter((change) => change <= atMs).length);
    const cache = fakeCache({ address, ttl: situation.ttl }, rounding, fetchMs);
    const schedule = new RefreshSchedule();
    const doubts = new CopyDoubts(true);
    const asked: number[] = [];
    let known = "";
    let latestMs = -Infinity;
    // Other clients may have asked before.
    let othersMs = othersEveryMs === Infinity ? Infinity : startMs;
    let askMs = startMs + (othersEveryMs === Infinity ? 0 : random() * 2 * ttlMs);
    while (askMs < endMs) {
      for (; othersMs <= askMs; othersMs += othersEveryMs * 2 * random()) cache.ask(othersMs);
      asked.push(askMs);
      const answer = cache.ask(askMs + latencyMs / 2);
      const answeredAtMs = answer.readyMs + latencyMs / 2;
      const changed = answer.address !== known;
      for (let n = Number(known || answer.address); n < Number(answer.address); n++) {
        if (changesMs[n]! < asked[0]!) continue;
        latestMs = Math.max(latestMs, answeredAtMs - changesMs[n]!);
      }
      known = answer.address;
      const dated = { askedAtMs: askMs, answeredAtMs, ttl: answer.ttl, addresses: [known] };
      const { usableMs, askAgainAtMs } = doubts.onAnswer(dated);
      schedule.onAnswer({
        askedAtMs: askMs,
        answeredAtMs,
        tookMs: answeredAtMs - askMs,
        serverTtlMs: answer.ttl * 1000,
        ttlMs: Math.max(Math.min(answer.ttl * 1000, usableMs), MIN_TTL_MS),
        changed,
        askAgainAtMs,
      });
      // A timer is a little late.
      askMs = Math.max(schedule.dueMs, answeredAtMs) + random() * 2;
    }
    return summary(asked, ttlMs, latestMs - ttlMs - latencyMs - fetchMs);
  } finally {
    Math.random = real;
  }
}

function summary(asked: readonly number[], ttlMs: number, latestMs: number): Measured {
  let gapMs = Infinity;
  let mostInTtl = 0;
  for (let last = 0, first = 0; last < asked.length; last++) {
    if (last > 0) gapMs = Math.min(gapMs, asked[last]! - asked[last - 1]!);
    while (asked[last]! - asked[first]! > ttlMs) first++;
    mostInTtl = Math.max(mostInTtl, last - first + 1);
  }
  const perTtl = asked.length / ((asked.at(-1)! - asked[0]!) / ttlMs);
  return { latestMs, gapMs, perTtl, mostInTtl };
}

/** Returns the worst results of many seeds; `perTtl` is the mean. */
export function worst(situation: Omit<Situation, "seed">, seeds: readonly number[]): Measured {
  const all = seeds.map((seed) => measure({ ...situation, seed }));
  return {
    latestMs: Math.max(...all.map(({ latestMs }) => latestMs)),
    gapMs: Math.min(...all.map(({ gapMs }) => gapMs)),
    perTtl: all.reduce((sum, { perTtl }) => sum + perTtl, 0) / all.length,
    mostInTtl: Math.max(...all.map(({ mostInTtl }) => mostInTtl)),
  };
}

/** All situations. */
export function* situations(): Generator<Omit<Situation, "seed">> {
  const ways = [[1, 1], [4, 40], [20, 100]] as const;
  for (const othersEveryMs of [Infinity, 400, 3000]) {
    for (const ttl of [1, 2, 3, 5, 30]) {
      for (const rounding of ["none", "floor", "ceil", "second-arithmetic"] as const) {
        for (const [latencyMs, fetchMs] of ways) {
          yield { ttl, rounding, latencyMs, fetchMs, othersEveryMs };
        }
      }
    }
  }
}

/**
 * Maximum delay of the new answer in milliseconds, beyond the TTL and one lookup. The exception: if the cache rounds up
 * and other clients may have asked before, a TTL of 1 s does not tell the age of a copy.
 */
export function allowedMs({ ttl, rounding, othersEveryMs }: Omit<Situation, "seed">): number {
  const roundsUp = rounding === "ceil" || rounding === "second-arithmetic";
  return ttl === 1 && roundsUp && othersEveryMs < Infinity ? 1300 : 300;
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? 500);
  const first = Number(process.argv[3] ?? 1);
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  let bad = 0;
  for (const situation of situations()) {
    const { latestMs, gapMs, perTtl, mostInTtl } = worst(situation, seeds);
    const ok = latestMs <= allowedMs(situation) && gapMs >= 250 && mostInTtl <= 14;
    if (!ok) bad++;
    console.log(
      JSON.stringify(situation),
      `late ${latestMs.toFixed(0)} ms, gap ${gapMs.toFixed(0)} ms,`,
      `${perTtl.toFixed(2)} questions for each TTL, at most ${mostInTtl}${ok ? "" : "  <-- BAD"}`,
    );
  }
  console.log(`${count} seeds from ${first}, 20 changes each: ${bad} situations out of bounds`);
  if (bad > 0) process.exitCode = 1;
}
