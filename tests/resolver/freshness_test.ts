import { assertEquals } from "@std/assert";
import { Freshness, type FreshnessSettings, type TimedAnswer } from "../../resolver/freshness.ts";

const SETTINGS: FreshnessSettings = {
  minTtlMs: 250,
  maxTtlMs: 300_000,
  graceMs: 30_000,
  extendGrace: true,
  maxStaleMs: 86_400_000,
};

/** An answer with a TTL of 10 s, which comes at once. */
function answered(askedAtMs: number): TimedAnswer {
  return { askedAtMs, answeredAtMs: askedAtMs, waitedMs: 0, ttl: 10 };
}

/** Returns the lengths of grace, in seconds, if each failure is known when the grace before it runs out. */
function graces(settings: Partial<FreshnessSettings>, count: number): number[] {
  const freshness = new Freshness({ ...SETTINGS, ...settings });
  freshness.onAnswer(answered(0));
  const lengths: number[] = [];
  for (let nowMs = 10_000; lengths.length < count; nowMs = freshness.graceUntilMs) {
    freshness.onFailure(nowMs);
    lengths.push((freshness.graceUntilMs - nowMs) / 1000);
  }
  return lengths;
}

Deno.test("Freshness.onFailure() doubles grace each time it runs out, four times, up to 300 s or dnsGraceTtl if that is larger", () => {
  const tables = [
    { graceMs: 30_000, lengths: [30, 60, 120, 240, 300, 300, 300] },
    { graceMs: 10_000, lengths: [10, 20, 40, 80, 160, 160, 160] },
    { graceMs: 600_000, lengths: [600, 600, 600, 600, 600, 600, 600] },
    { graceMs: 200_000, lengths: [200, 300, 300, 300, 300, 300, 300] },
  ];
  for (const { graceMs, lengths } of tables) assertEquals(graces({ graceMs }, 7), lengths);
  assertEquals(graces({ extendGrace: false }, 4), [30, 30, 30, 30]);
});

Deno.test("Freshness.onFailure() begins grace at expiry or at the failure, whichever is later", () => {
  const early = new Freshness(SETTINGS);
  early.onAnswer(answered(0));
  early.onFailure(9000);
  assertEquals(early.graceUntilMs, 40_000);
  const late = new Freshness(SETTINGS);
  late.onAnswer(answered(0));
  late.onFailure(22_000);
  assertEquals(late.graceUntilMs, 52_000);
});

Deno.test("Freshness.onFailure() changes nothing during grace", () => {
  const freshness = new Freshness(SETTINGS);
  freshness.onAnswer(answered(0));
  for (const atMs of [10_000, 11_000, 39_999]) freshness.onFailure(atMs);
  assertEquals(freshness.graceUntilMs, 40_000);
  freshness.onFailure(45_000);
  assertEquals(freshness.graceUntilMs, 105_000);
});

Deno.test("Freshness.onAnswer() ends grace, and the next grace is as long as the first", () => {
  const freshness = new Freshness(SETTINGS);
  freshness.onAnswer(answered(0));
  freshness.onFailure(10_000);
  freshness.onFailure(40_000);
  freshness.onAnswer(answered(50_000));
  assertEquals(freshness.graceUntilMs, -Infinity);
  freshness.onFailure(60_000);
  assertEquals(freshness.graceUntilMs, 90_000);
});

Deno.test("Freshness.onFailure() ends grace at dnsMaxStale after expiry, and begins none later", () => {
  const freshness = new Freshness({ ...SETTINGS, maxStaleMs: 45_000 });
  freshness.onAnswer(answered(0));
  freshness.onFailure(10_000);
  assertEquals(freshness.graceUntilMs, 40_000);
  freshness.onFailure(40_000);
  assertEquals(freshness.graceUntilMs, 55_000);
  freshness.onFailure(55_000);
  assertEquals(freshness.graceUntilMs, 55_000);
});

Deno.test("Freshness.onFailure() begins no grace without an answer", () => {
  const freshness = new Freshness(SETTINGS);
  freshness.onFailure(1000);
  assertEquals(freshness.graceUntilMs, -Infinity);
  freshness.onAnswer(answered(0));
  freshness.clear();
  freshness.onFailure(11_000);
  assertEquals(freshness.graceUntilMs, -Infinity);
});

Deno.test("Freshness.isExpiredForGood() is true when dnsMaxStale is over, or at expiry if dnsGraceTtl is 0", () => {
  const freshness = new Freshness({ ...SETTINGS, maxStaleMs: 5000 });
  assertEquals(freshness.isExpiredForGood(0), true);
  freshness.onAnswer(answered(0));
  assertEquals([9999, 10_000, 14_999, 15_000].map((ms) => freshness.isExpiredForGood(ms)), [
    false,
    false,
    false,
    true,
  ]);
  const graceless = new Freshness({ ...SETTINGS, graceMs: 0 });
  graceless.onAnswer(answered(0));
  assertEquals([9999, 10_000].map((ms) => graceless.isExpiredForGood(ms)), [false, true]);
});
