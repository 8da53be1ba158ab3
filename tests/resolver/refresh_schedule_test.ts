import { assert, assertEquals } from "@std/assert";
import { RefreshSchedule, type ScheduledAnswer } from "../../resolver/refresh_schedule.ts";
import { allowedMs, situations, worst } from "../stress/refresh_schedule.ts";

/** An answer with a TTL and a duration, both in seconds. */
function answer(ttl: number, took = 0, rest: Partial<ScheduledAnswer> = {}): ScheduledAnswer {
  return {
    askedAtMs: 0,
    answeredAtMs: took * 1000,
    tookMs: took * 1000,
    serverTtlMs: ttl * 1000,
    ttlMs: ttl * 1000,
    changed: false,
    askAgainAtMs: Infinity,
    ...rest,
  };
}

/** Returns when the query after a first answer is due, in seconds, with minimum and maximum jitter. */
function due(given: ScheduledAnswer): [latest: number, earliest: number] {
  const real = Math.random;
  try {
    const [latest, earliest] = [0, 1].map((random) => {
      Math.random = () => random;
      const schedule = new RefreshSchedule();
      schedule.onAnswer(given);
      return schedule.dueMs / 1000;
    });
    return [latest!, earliest!];
  } finally {
    Math.random = real;
  }
}

Deno.test("RefreshSchedule sends the query ahead of expiry 50 ms earlier than its answer is expected to take", () => {
  assertEquals(due(answer(1)), [0.95, 0.95]);
  assertEquals(due(answer(1, 0.2)), [0.75, 0.75]);
});

Deno.test("RefreshSchedule sends a query at most half of the TTL early, however slow the server is", () => {
  assertEquals(due(answer(1, 3)), [0.5, 0.5]);
});

Deno.test("RefreshSchedule allows for a rounding error of one second from a TTL of 2 s", () => {
  assertEquals(due(answer(2)), [1.25, 1.25]);
});

Deno.test("RefreshSchedule spreads queries over a tenth of the TTL from a TTL of 5 s", () => {
  assertEquals(due(answer(5)), [4.25, 3.75]);
  assertEquals(due(answer(300)), [299.25, 269.25]);
});

Deno.test("RefreshSchedule does not renew an answer early whose TTL dnsMinTtl extends", () => {
  assertEquals(due(answer(1, 0, { ttlMs: 4000 })), [3.95, 3.95]);
});

Deno.test("RefreshSchedule renews an answer of unknown TTL shortly before it expires", () => {
  assertEquals(due(answer(4, 0, { serverTtlMs: undefined })), [3.95, 3.95]);
});

Deno.test("RefreshSchedule sends a query every quarter of a second for a TTL of 0", () => {
  assertEquals(due(answer(0, 0.01, { ttlMs: 250 })), [0.25, 0.25]);
});

Deno.test("RefreshSchedule.onFailure() delays the next query by 0.5 s, 1 s, 2 s … up to 5 s, each less up to a fifth", () => {
  for (
    const [failures, pauseMs] of [[1, 500], [2, 1000], [3, 2000], [4, 4000], [5, 5000], [99, 5000]]
  ) {
    const schedule = new RefreshSchedule();
    schedule.onAnswer(answer(1));
    schedule.onFailure(10_000, failures!);
    assert(schedule.dueMs > 10_000 + 0.8 * pauseMs! - 1 && schedule.dueMs <= 10_000 + pauseMs!);
  }
});

Deno.test("RefreshSchedule.onFailure() does not delay a query that is due earlier", () => {
  const schedule = new RefreshSchedule();
  schedule.onAnswer(answer(1));
  schedule.onFailure(900, 5);
  assertEquals(schedule.dueMs, 950);
});

Deno.test("RefreshSchedule notices a change within TTL + 0.3 s behind any caching resolver, with a few queries per TTL", () => {
  const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
  for (const situation of situations()) {
    const { rounding } = situation;
    const { latestMs, gapMs, perTtl, mostInTtl } = worst(situation, seeds);
    const where = JSON.stringify({ ...situation, latestMs, gapMs, perTtl, mostInTtl });
    assert(latestMs <= allowedMs(situation), where);
    assert(gapMs >= 250, where);
    assert(mostInTtl <= 14, where);
    assert(
      perTtl <= { "none": 2.2, "floor": 8.5, "ceil": 5.2, "second-arithmetic": 5.2 }[rounding],
    );
  }
});
