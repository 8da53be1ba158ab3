import { assert, assertEquals } from "@std/assert";
import { RefreshSchedule, type ScheduledAnswer } from "../../resolver/refresh_schedule.ts";
import { allowedMs, situations, worst } from "../stress/refresh_schedule.ts";

/** What a server says by itself, in seconds: TTL, and how long it took. */
function answer(ttl: number, took = 0, rest: Partial<ScheduledAnswer> = {}): ScheduledAnswer {
  return {
    askedAtMs: 0,
    answeredAtMs: took * 1000,
    tookMs: took * 1000,
    serverTtlMs: ttl * 1000,
    ttlMs: ttl * 1000,
    changed: false,
    ...rest,
  };
}

/** When the question after a first answer is due, in seconds, with the least and with the most jitter. */
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

Deno.test("the question ahead of expiry leaves 50 ms earlier than its answer is expected to take", () => {
  assertEquals(due(answer(1)), [0.95, 0.95]);
  assertEquals(due(answer(1, 0.2)), [0.75, 0.75]);
});

Deno.test("half of the TTL is the most that a question leaves early, however slow the server", () => {
  assertEquals(due(answer(1, 3)), [0.5, 0.5]);
});

Deno.test("from a TTL of 2 s on, the question allows for a copy that is up to a second older than it says", () => {
  assertEquals(due(answer(2)), [1.25, 1.25]);
});

Deno.test("from a TTL of 5 s on, questions are spread over a tenth of the TTL", () => {
  assertEquals(due(answer(5)), [4.25, 3.75]);
  assertEquals(due(answer(300)), [299.25, 269.25]);
});

Deno.test("an answer that dnsMinTtl stretches is not asked for before its end", () => {
  assertEquals(due(answer(1, 0, { ttlMs: 4000 })), [3.95, 3.95]);
});

Deno.test("an answer of unknown TTL is asked for again shortly before it stops to count", () => {
  assertEquals(due(answer(4, 0, { serverTtlMs: undefined })), [3.95, 3.95]);
});

Deno.test("a TTL of 0 means a question every quarter of a second, and no more", () => {
  assertEquals(due(answer(0, 0.01, { ttlMs: 250 })), [0.25, 0.25]);
});

Deno.test("after failures the next question comes after 0.5 s, 1 s, 2 s … up to 5 s, each up to a fifth sooner", () => {
  for (
    const [failures, pauseMs] of [[1, 500], [2, 1000], [3, 2000], [4, 4000], [5, 5000], [99, 5000]]
  ) {
    const schedule = new RefreshSchedule();
    schedule.onAnswer(answer(1));
    schedule.onFailure(10_000, failures!);
    assert(schedule.dueMs > 10_000 + 0.8 * pauseMs! - 1 && schedule.dueMs <= 10_000 + pauseMs!);
  }
});

Deno.test("somebody else's failed question does not put ours off", () => {
  const schedule = new RefreshSchedule();
  schedule.onAnswer(answer(1));
  schedule.onFailure(900, 5);
  assertEquals(schedule.dueMs, 950);
});

Deno.test("a change is noticed within TTL + 0.3 s, with any caching resolver in between, for a few questions", () => {
  const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
  for (const situation of situations()) {
    const { rounding } = situation;
    const { latestMs, gapMs, perTtl, mostInTtl } = worst(situation, seeds);
    const where = JSON.stringify({ ...situation, latestMs, gapMs, perTtl, mostInTtl });
    assert(latestMs <= allowedMs(situation), where);
    assert(gapMs >= 250, where);
    assert(mostInTtl <= 12, where);
    assert(
      perTtl <= { "none": 2.2, "floor": 6.5, "ceil": 3.2, "second-arithmetic": 3.2 }[rounding],
    );
  }
});
