import { assert, assertEquals } from "@std/assert";
import { readDnsOptions } from "../../engine/options.ts";
import { viewOf } from "../../resolver.ts";
import { CopyDoubts } from "../../resolver/copy_doubts.ts";
import { ServerSigns } from "../../resolver/server_signs.ts";
import { fakeCache, fakeLookup, type Rounding, seeded, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** An answer to a question that takes no time. */
function at(seconds: number, ttl: number | undefined, address = "10.0.0.1") {
  const askedAtMs = seconds * 1000;
  return { addresses: [address], askedAtMs, answeredAtMs: askedAtMs, ttl };
}

/** Returns for how many seconds each answer may be used, and after how many the name is asked again. */
function beliefs(answers: readonly ReturnType<typeof at>[], doubtsFirst = false) {
  const doubts = new CopyDoubts(doubtsFirst);
  return answers.map((answer) => {
    const { usableMs, askAgainAtMs } = doubts.onAnswer(answer);
    return [usableMs / 1000, (askAgainAtMs - answer.askedAtMs) / 1000];
  });
}

const BELIEVED = [Infinity, Infinity];

Deno.test("CopyDoubts believes a copy that counts down, and a changed answer with no larger TTL", () => {
  assertEquals(beliefs([at(0, 30), at(10, 20), at(29, 1)]), [BELIEVED, BELIEVED, BELIEVED]);
  assertEquals(beliefs([at(0, 30), at(30, 30, "10.0.0.2")]), [BELIEVED, BELIEVED]);
});

Deno.test("CopyDoubts doubts a TTL that went up for a second, in which the name is asked twice", () => {
  const answers = [at(0, 5), at(4, 1), at(5, 5), at(5.25, 5), at(5.9, 5), at(9, 1)];
  assertEquals(beliefs(answers), [
    ...[BELIEVED, BELIEVED],
    ...[[1, 0.25], [1, 0.65]],
    ...[BELIEVED, BELIEVED],
  ]);
});

Deno.test("CopyDoubts doubts the next answer of a name that was in doubt and then not asked for", () => {
  const answers = [at(0, 5), at(6, 30), at(6.25, 5)];
  assertEquals(beliefs(answers, true), [[Infinity, 0.25], [1, 0.25], BELIEVED]);
  const slow = [at(0, 5), at(6, 30), at(6.25, 30), at(6.9, 30)];
  assertEquals(beliefs(slow, true).slice(2), [[1, 0.65], [5, Infinity]]);
  const kept = [at(0, 30), at(0.25, 30), at(0.9, 30)];
  assertEquals(beliefs(kept, true), [[Infinity, 0.25], [Infinity, 0.65], [Infinity, 1.35]]);
});

Deno.test("CopyDoubts doubts an answer that came back as it was when it had ended", () => {
  assertEquals(beliefs([at(0, 30), at(30, 30), at(31, 29)]), [BELIEVED, [1, 0.25], BELIEVED]);
  assertEquals(beliefs([at(0, 30), at(29.9, 30)]), [BELIEVED, BELIEVED]);
});

Deno.test("CopyDoubts is certain as soon as the addresses change, or a newer copy with a smaller TTL is there", () => {
  assertEquals(beliefs([at(0, 2), at(2, 30), at(2.25, 2, "10.0.0.2")]).at(-1), BELIEVED);
  assertEquals(beliefs([at(0, 2), at(2, 30), at(2.25, 2)]).at(-1), BELIEVED);
});

Deno.test("CopyDoubts doubts a new copy with the same TTL if the server's copies were seen to count down", () => {
  assertEquals(beliefs([at(0, 30), at(29, 1), at(29.9, 30)]).at(-1), [1, 0.25]);
  const cached = [at(0, 30), at(10, 20), at(19, 30), at(20, 30), at(48.9, 30)];
  assertEquals(beliefs(cached).at(-1), [1, 0.25]);
});

Deno.test("CopyDoubts lets a TTL that is larger than any before count as that until it counts down, or has lasted", () => {
  const larger = [at(0, 5), at(5, 30), at(6, 30)];
  assertEquals(beliefs([...larger, at(11, 30)]).slice(2), [[5, Infinity], [5, Infinity]]);
  assertEquals(beliefs([...larger, at(11, 25)]).at(-1), BELIEVED);
  const lasting = Array.from({ length: 7 }, (_, n) => at(11 + 5 * n, 30));
  assertEquals(beliefs([...larger, ...lasting]).at(-1), BELIEVED);
  // It was not asked for meanwhile, and may come from an expired copy again.
  const after = [...larger, at(20, 30), at(37, 30)];
  assertEquals(beliefs(after).at(-1), [1, 0.25]);
  assertEquals(beliefs([...after, at(37.25, 30), at(37.9, 30)]).at(-1), BELIEVED);
  const back = [at(37.25, 5), at(41, 1), at(42, 30), at(42.25, 30), at(42.9, 30)];
  assertEquals(beliefs([...after, ...back]).at(-1), [5, Infinity]);
});

Deno.test("CopyDoubts does not believe a larger TTL because the only one before was 0", () => {
  const answers = [at(0, 0), at(1, 30), at(1.25, 30), at(1.9, 30), at(3, 30)];
  assertEquals(beliefs(answers).slice(3), [[1, Infinity], [1, Infinity]]);
});

Deno.test("CopyDoubts asks again after the first answer of DNS, which is used for as long as its TTL says", () => {
  const answers = [at(0, 30), at(0.25, 30), at(0.9, 29)];
  assertEquals(beliefs(answers, true), [[Infinity, 0.25], [Infinity, 0.65], BELIEVED]);
  assertEquals(beliefs([at(0, 1)], true), [BELIEVED]);
  assertEquals(beliefs([at(0, undefined)], true), [BELIEVED]);
});

Deno.test("CopyDoubts asks for the first answer of DNS again at growing intervals, until its TTL counts down or is over", () => {
  const asked = [0];
  for (;;) {
    const now = asked.at(-1)!;
    const [usable, wait] = beliefs(asked.map((seconds) => at(seconds, 30)), true).at(-1)!;
    assertEquals(usable, Infinity);
    if (wait === Infinity) break;
    // Once, the end of the TTL comes first.
    asked.push(Math.round(Math.min(now + wait!, now < 29.5 ? 29.5 : Infinity) * 100) / 100);
  }
  // Each time twice: the first question may make the resolver ask.
  assertEquals(asked, [0, 0.25, 0.9, 2.25, 2.95, 7.38, 8.08, 20.2, 20.9, 29.5, 30.2]);
  const start = [at(0, 30), at(0.25, 30), at(0.9, 30)];
  assertEquals(beliefs([...start, at(2.25, 28)], true).at(-1), BELIEVED);
  // Ahead of the end of a TTL, the question may be the first one for which the resolver asks.
  const late = [...start, at(20, 30), at(20.7, 30), at(49, 30)];
  assertEquals(beliefs(late, true).at(-1), [Infinity, 0.7]);
  assertEquals(beliefs([...late, at(49.7, 30)], true).at(-1), BELIEVED);
  assertEquals(beliefs([...start, at(2.25, 2, "10.0.0.2")], true).at(-1), BELIEVED);
});

Deno.test("CopyDoubts lets a TTL that was not seen to count down give way to a smaller one", () => {
  const constant = [at(0, 30), at(30, 30), at(30.25, 30), at(30.9, 30), at(60, 2), at(61, 1)];
  const larger = [at(62, 30), at(62.25, 30), at(62.9, 30)];
  assertEquals(beliefs([...constant, ...larger]).at(-1), [2, Infinity]);
  const counted = [at(0, 30), at(10, 20), at(29, 1), at(60, 2), at(61, 1)];
  assertEquals(beliefs([...counted, ...larger]).at(-1), BELIEVED);
});

Deno.test("CopyDoubts takes a server for the zone's own only if a TTL was seen not to count down", () => {
  const asked = (...seconds: number[]) => {
    const server = new ServerSigns();
    const doubts = new CopyDoubts(true, server);
    for (const second of seconds) doubts.onAnswer(at(second, 30));
    return server.isAuthority;
  };
  assertEquals(asked(0, 0.25, 0.9, 2.25, 2.95, 30, 30.7), true);
  assertEquals(asked(0, 0.25, 0.9, 2.25, 2.95), false);
  assertEquals([asked(0, 30), asked(0, 0.25, 0.9, 30)], [false, false]);
});

/** Measures the longest delay from a move to the new answer, less the TTL; and the number of questions per TTL. */
async function behindStaleCache(
  { ttl, rounding, seed, kept }: { ttl: number; rounding: Rounding; seed: number; kept: boolean },
): Promise<{ lateMs: number; perTtl: number }> {
  using time = fakeTime();
  const random = seeded(seed);
  const real = Math.random;
  Math.random = random;
  try {
    let address = "10.0.0.1";
    const cache = fakeCache({ ttl, address: () => address }, rounding, 40, 30);
    const dns = fakeLookup([], ttl);
    dns.respond = async () => {
      const { address, ttl, readyMs } = cache.ask(time.nowMs);
      await new Promise((resolve) => setTimeout(resolve, readyMs - time.nowMs + 4));
      return { addresses: [address], ttl };
    };
    const view = viewBy(dns);
    const first = view.waitUntilFresh();
    await time.tick(100);
    await first;
    const leave = kept ? view.keepFresh() : () => {};
    const call = async (forMs: number) => {
      const untilMs = time.nowMs + forMs;
      while (time.nowMs < untilMs) {
        if (!view.isFresh()) view.waitUntilFresh().catch(() => {});
        await time.tick(25);
      }
    };
    const startMs = time.nowMs;
    await call(Math.floor((1 + 2 * random()) * ttl * 1000));
    let lateMs = -Infinity;
    for (let n = 2; n < 6; n++) {
      await call(Math.floor((1 + random()) * ttl * 1000));
      address = `10.0.0.${n}`;
      const movedMs = time.nowMs;
      while (view.addresses[0] !== address) await call(25);
      lateMs = Math.max(lateMs, time.nowMs - movedMs - ttl * 1000);
    }
    const perTtl = dns.questions.length / ((time.nowMs - startMs) / 1000 / ttl);
    leave();
    return { lateMs, perTtl };
  } finally {
    Math.random = real;
  }
}

for (const kept of [true, false]) {
  const how = kept ? "keepFresh()" : "waitUntilFresh()";
  Deno.test(`View.${how} notices a change within TTL + 1.3 s behind a cache that repeats copies past their end with a TTL of 30 s`, async () => {
    for (const ttl of [2, 5, 30]) {
      for (const rounding of ["floor", "ceil", "second-arithmetic"] as const) {
        for (let seed = 1; seed <= 2; seed++) {
          const { lateMs, perTtl } = await behindStaleCache({ ttl, rounding, seed, kept });
          const where =
            `TTL ${ttl}, ${rounding}, seed ${seed}: ${lateMs} ms late, ${perTtl} per TTL`;
          // A caller that does not ask early has also what the cache rounds up.
          const roundedMs = kept || rounding === "floor" ? 0 : 1000;
          assert(lateMs <= 1300 + roundedMs, where);
          assert(perTtl <= (kept ? 11 : 4), where);
        }
      }
    }
  });
}

Deno.test("View.keepFresh() notices that the first answer had expired although the zone was silent to the resolver, and all later changes", async () => {
  for (const silentMs of [500, 1500, 3000, 8000]) {
    using time = fakeTime();
    const ttl = 2;
    let address = "10.0.0.2";
    let copy = { address: "10.0.0.1", madeMs: -Infinity };
    let fetchedMs = time.nowMs + silentMs;
    const dns = Object.assign(fakeLookup([], ttl), { repeats: true }); // by DNS
    dns.respond = () => {
      const { nowMs } = time;
      if (nowMs >= fetchedMs) {
        copy = { address, madeMs: fetchedMs };
        fetchedMs = Infinity;
      }
      const leftMs = copy.madeMs + ttl * 1000 - nowMs;
      if (leftMs > 0) return { addresses: [copy.address], ttl: Math.ceil(leftMs / 1000) };
      if (fetchedMs === Infinity) fetchedMs = nowMs + 40;
      return { addresses: [copy.address], ttl: 30 };
    };
    const view = viewBy(dns);
    const first = view.waitUntilFresh();
    await time.tick(10);
    await first;
    assertEquals(view.addresses, ["10.0.0.1"]);
    const leave = view.keepFresh();
    await time.tick(3 * silentMs + 1000);
    assertEquals(view.addresses, [address], `silent for ${silentMs} ms`);
    for (let n = 3; n < 10; n++) {
      address = `10.0.0.${n}`;
      await time.tick(ttl * 1000 + 1300);
      assertEquals(view.addresses, [address], `silent for ${silentMs} ms, change ${n}`);
    }
    leave();
  }
});

Deno.test("View.keepFresh(): of a thousand names on the zone's own servers, one goes on asking whether TTLs count down", async () => {
  using time = fakeTime();
  const dns = Object.assign(fakeLookup(["10.0.0.1"], 300), { repeats: true }); // by DNS
  const follow = async (name: string) => {
    const view = viewOf(
      name,
      readDnsOptions({ dnsLookup: dns, dnsFallback: false }, "the test").settings,
    );
    const first = view.waitUntilFresh();
    await time.settle();
    await first;
    return view.keepFresh();
  };
  const leave = [];
  for (let n = 0; n < 1000; n++) leave.push(await follow(`n${n}.internal`));
  await time.advance(250);
  const perName = new Map<string, number>();
  for (const { name } of dns.questions) perName.set(name, (perName.get(name) ?? 0) + 1);
  // The first question, the two of every first answer, and one more.
  assertEquals([...perName.values()].filter((count) => count > 4).length, 1);
  await time.advance(350);
  const asked = dns.questions.length;
  leave.push(await follow("new.internal"));
  await time.advance(25);
  // Now it is known that they do not.
  assertEquals(dns.questions.slice(asked).filter(({ name }) => name === "new.internal").length, 3);
  for (const end of leave) end();
});

Deno.test("View.keepFresh() asks for all names again as soon as the TTL of one counts down", async () => {
  using time = fakeTime();
  const ttl = 2;
  const silentMs = 8000;
  const wellAtMs = time.nowMs + silentMs;
  const made = new Map<string, number>();
  const dns = Object.assign(fakeLookup([], ttl), { repeats: true }); // by DNS
  dns.respond = ({ name }) => {
    const { nowMs } = time;
    const leftMs = (made.get(name) ?? -Infinity) + ttl * 1000 - nowMs;
    if (leftMs > 0) return { addresses: ["10.0.0.2"], ttl: Math.ceil(leftMs / 1000) };
    const address = made.has(name) ? "10.0.0.2" : "10.0.0.1";
    if (nowMs >= wellAtMs) made.set(name, nowMs + 40);
    return { addresses: [address], ttl: 30 };
  };
  const { settings } = readDnsOptions({ dnsLookup: dns, dnsFallback: false }, "the test");
  const views = Array.from({ length: 50 }, (_, n) => viewOf(`s${n}.internal`, settings));
  const first = Promise.all(views.map((view) => view.waitUntilFresh()));
  await time.tick(1);
  await first;
  const leave = views.map((view) => view.keepFresh());
  await time.tick(silentMs - 10);
  assertEquals(new Set(views.map(({ addresses }) => addresses[0])), new Set(["10.0.0.1"]));
  await time.tick(1.5 * silentMs + 2000);
  assertEquals(new Set(views.map(({ addresses }) => addresses[0])), new Set(["10.0.0.2"]));
  for (const end of leave) end();
});
