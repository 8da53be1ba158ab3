import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CachedAnswer } from "../../resolver/question.ts";
import { resolveName, type ResolveRequest } from "../../resolver/resolution.ts";
import { LookupError, type LookupErrorKind } from "../../errors.ts";
import type { Answer, Question } from "../../lookups/lookup.ts";
import { fail, type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** A request with a lookup that answers as `respond` does. */
function requestWith(
  respond: (question: Question) => Answer | Promise<Answer> | undefined,
  rest: Partial<ResolveRequest> = {},
): { dns: FakeLookup; resolve: () => Promise<CachedAnswer> } {
  const dns = fakeLookup([], 10);
  dns.respond = respond;
  const given: ResolveRequest = {
    name: "db.internal",
    family: "auto",
    lookup: dns,
    servers: [],
    rounds: 3,
    timeoutMs: 12_000,
    dnsTimeoutMs: Infinity,
    previous: undefined,
    trustNegative: false,
    fallback: undefined,
    signal: new AbortController().signal,
    ...rest,
  };
  return { dns, resolve: () => resolveName(given) };
}

/** An earlier answer. */
function earlier(rest: Partial<CachedAnswer>): CachedAnswer {
  return {
    addresses: ["10.0.0.1"],
    carriedOver: undefined,
    ttl: 10,
    askedAtMs: 0,
    answeredAtMs: 0,
    tookMs: 0,
    waitedMs: 0,
    server: undefined,
    source: "dns",
    details: { server: undefined, chain: undefined },
    ...rest,
  };
}

const never = (): Promise<Answer> => new Promise(() => {});
const servers = ["10.9.9.1", "10.9.9.2", "10.9.9.3"].map((host) => ({ host, port: 53 }));
const V4: Answer = { addresses: ["10.0.0.1"], ttl: 10 };
const V6: Answer = { addresses: ["fd00::1"], ttl: 20 };

Deno.test("resolveName() returns the server and the chain", async () => {
  const chain = [{ name: "db.internal", target: "a.internal", ttl: 5 }];
  const { resolve } = requestWith(() => ({ ...V4, server: "10.9.9.9:53", chain }));
  assertEquals((await resolve()).details, { server: "10.9.9.9:53", chain });
});

/** Answers A and AAAA differently: with an answer, or with a failure of some kind. */
function byFamily(
  four: Answer | LookupErrorKind,
  six: Answer | LookupErrorKind,
): (question: Question) => Answer {
  return ({ family }) => {
    const said = family === 4 ? four : six;
    if (typeof said === "string") throw fail(said);
    return said;
  };
}

Deno.test("resolveName() says in the error of a timeout what the lookup waited for", async () => {
  using time = fakeTime();
  const what = "the response is truncated, and the server did not answer over TCP";
  const { resolve } = requestWith(({ onWait }) => {
    onWait?.(what);
    return never();
  });
  const failed = assertRejects(resolve, DOMException, `Cannot look up A of "db.internal": ${what}`);
  await time.advance(12.01);
  await failed;
});

Deno.test("resolveName() divides its time so that later rounds get more, and all together no more than the timeout", async () => {
  using time = fakeTime();
  const { dns, resolve } = requestWith(never, { timeoutMs: 7000 });
  const startMs = time.nowMs;
  const failed = assertRejects(resolve, DOMException, "the server did not answer");
  await time.advance(7.01);
  await failed;
  const starts = dns.askedAtMs.map((ms) => ms - startMs);
  assertEquals(starts.length, 3);
  assertEquals(starts[0], 0);
  assert(starts[1]! > 1000 && starts[1]! <= 1110, `${starts}`);
  assert(starts[2]! > 2900 && starts[2]! <= 3300, `${starts}`);
});

Deno.test("resolveName() gives each attempt of many rounds enough time for a distant server", async () => {
  using time = fakeTime();
  const slow = () => new Promise<Answer>((done) => setTimeout(() => done(V4), 90));
  const { dns, resolve } = requestWith(slow, { rounds: 100 });
  const found = resolve();
  await time.advance(0.1);
  assertEquals((await found).addresses, ["10.0.0.1"]);
  assertEquals(dns.questions.length, 1);
});

Deno.test("resolveName() begins no attempt after the timeout, and no round whose pause would last until then", async () => {
  using time = fakeTime();
  const many = [...servers, ...servers, ...servers];
  const { dns, resolve } = requestWith(never, { timeoutMs: 250, servers: many, rounds: 5 });
  const failed = assertRejects(resolve);
  await time.advance(0.26);
  await failed;
  assertEquals(dns.questions.length, 3);
  const last = requestWith(never, { timeoutMs: 250, rounds: 5 });
  const failedToo = assertRejects(last.resolve);
  await time.advance(0.26);
  await failedToo;
  assertEquals(last.dns.questions.length, 2);
});

Deno.test("resolveName() asks the next server at once after a temporary failure, and all again after a pause", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { dns, resolve } = requestWith(() => {
    throw fail("transient");
  }, { servers });
  const failed = assertRejects(resolve, LookupError, "Scripted: transient");
  await time.advance(1);
  await failed;
  const hosts = dns.questions.map(({ server }) => server?.host);
  assertEquals(hosts, [1, 2, 3].flatMap(() => servers.map(({ host }) => host)));
  const starts = dns.askedAtMs.map((ms) => ms - startMs);
  assert(starts[2] === 0 && starts[3]! >= 50 && starts[3]! <= 101);
  assert(starts[5] === starts[3] && starts[6]! - starts[3]! >= 100);
  assert(starts[6]! - starts[3]! <= 201);
});

Deno.test("resolveName() asks the server of the last answer first, the others in their order", async () => {
  const { dns, resolve } = requestWith(({ server }) => {
    if (server?.host === "10.9.9.2") return V4;
    throw fail("transient");
  }, { servers, rounds: 1, previous: earlier({ server: servers[2] }) });
  const { server } = await resolve();
  assertEquals(server, servers[1]);
  assertEquals(dns.questions.map(({ server }) => server?.host), [
    "10.9.9.3",
    "10.9.9.1",
    "10.9.9.2",
  ]);
});

Deno.test("resolveName() asks the lookup's own servers if the request has none", async () => {
  const { dns, resolve } = requestWith(() => V4);
  dns.servers = () => servers;
  assertEquals((await resolve()).server, servers[0]);
});

Deno.test('resolveName() ends with a negative answer or a configuration error, and tries again after an ambiguous "not found"', async () => {
  for (const [kind, questions] of [["negative", 1], ["config", 1], ["ambiguous", 6]] as const) {
    using time = fakeTime();
    const { dns, resolve } = requestWith(() => {
      throw fail(kind);
    }, { servers: servers.slice(0, 2), family: 4 });
    const failed = assertRejects(resolve);
    await time.advance(1);
    await failed;
    assertEquals(dns.questions.length, questions, kind);
  }
});

Deno.test("resolveName() treats an error without a kind as temporary", async () => {
  using time = fakeTime();
  let count = 0;
  const { resolve } = requestWith(() => {
    if (++count < 3) throw count === 1 ? "a string" : new Error("without kind");
    return V4;
  });
  const found = resolve();
  await time.advance(1);
  assertEquals((await found).addresses, ["10.0.0.1"]);
});

Deno.test('dnsFamily "auto" asks for AAAA only after NODATA or an ambiguous "not found" for A', async () => {
  const asked = async (four: Answer | LookupErrorKind) => {
    using time = fakeTime();
    const { dns, resolve } = requestWith(byFamily(four, V6), { rounds: 1 });
    const outcome = resolve().then(({ addresses }) => addresses[0], () => "error");
    await time.advance(1);
    return [await outcome, ...dns.questions.map(({ family }) => family)];
  };
  assertEquals(await asked(V4), ["10.0.0.1", 4]);
  assertEquals(await asked("negative"), ["fd00::1", 4, 6]);
  assertEquals(await asked("ambiguous"), ["fd00::1", 4, 6]);
  assertEquals(await asked("transient"), ["error", 4]);
  assertEquals(await asked("config"), ["error", 4]);
});

Deno.test('dnsFamily "auto" does not ask for AAAA if the name does not exist', async () => {
  const { dns, resolve } = requestWith(() => {
    throw new LookupError("no such name", { kind: "negative", reason: "NXDOMAIN" });
  });
  await assertRejects(resolve, LookupError, "no such name");
  assertEquals(dns.questions.length, 1);
});

Deno.test('dnsFamily "auto": NODATA for A and AAAA is negative; a failure for AAAA is that failure', async () => {
  const kinds = async (four: LookupErrorKind, six: LookupErrorKind) => {
    const { resolve } = requestWith(byFamily(four, six), { rounds: 1 });
    return (await assertRejects(resolve, LookupError)).kind;
  };
  assertEquals(await kinds("negative", "negative"), "negative");
  assertEquals(await kinds("negative", "transient"), "transient");
  assertEquals(await kinds("negative", "ambiguous"), "ambiguous");
  assertEquals(await kinds("ambiguous", "negative"), "ambiguous");
});

Deno.test('dnsFamily "auto": an ambiguous "not found" does not move a name with an A record to IPv6 unless it is trusted', async () => {
  const previous = earlier({});
  const moves = async (trustNegative: boolean, four: LookupErrorKind, rounds: number) => {
    using time = fakeTime();
    const { resolve } = requestWith(byFamily(four, V6), { previous, trustNegative, rounds });
    const outcome = resolve().then(({ addresses }) => addresses[0], () => "error");
    await time.advance(1);
    return await outcome;
  };
  assertEquals(await moves(false, "ambiguous", 1), "error");
  assertEquals(await moves(false, "ambiguous", 3), "error");
  assertEquals(await moves(true, "ambiguous", 1), "fd00::1");
  assertEquals(await moves(false, "negative", 1), "fd00::1");
});

Deno.test('dnsFamily "auto": a name with AAAA only keeps it after an ambiguous "not found" for A', async () => {
  const previous = earlier({ addresses: ["fd00::1"] });
  const { resolve } = requestWith(byFamily("ambiguous", V6), { previous });
  assertEquals((await resolve()).addresses, ["fd00::1"]);
});

Deno.test('dnsFamily "both" asks for both at once: all addresses, the smaller TTL', async () => {
  const { dns, resolve } = requestWith(byFamily(V4, V6), { family: "both" });
  const { addresses, ttl } = await resolve();
  assertEquals([addresses, ttl], [["10.0.0.1", "fd00::1"], 10]);
  assertEquals(dns.mostAtOnce, 2);
  const unknown = requestWith(byFamily(V4, { ...V6, ttl: undefined }), { family: "both" });
  assertEquals((await unknown.resolve()).ttl, undefined);
});

Deno.test('dnsFamily "both": one family is enough', async () => {
  for (const kind of ["negative", "transient", "ambiguous", "config"] as const) {
    const without6 = requestWith(byFamily(V4, kind), { family: "both" });
    assertEquals((await without6.resolve()).addresses, ["10.0.0.1"]);
    const without4 = requestWith(byFamily(kind, V6), { family: "both" });
    assertEquals((await without4.resolve()).addresses, ["fd00::1"]);
  }
});

Deno.test('dnsFamily "both": if both fail, the failure is negative only if both are', async () => {
  const kinds = async (four: LookupErrorKind, six: LookupErrorKind) => {
    const { resolve } = requestWith(byFamily(four, six), { family: "both", rounds: 1 });
    return (await assertRejects(resolve, LookupError)).kind;
  };
  assertEquals(await kinds("negative", "negative"), "negative");
  assertEquals(await kinds("negative", "transient"), "transient");
  assertEquals(await kinds("ambiguous", "negative"), "ambiguous");
});

Deno.test('dnsFamily "both": a family that fails temporarily keeps its addresses, and is asked again within 5 s', async () => {
  const previous = earlier({ addresses: ["10.0.0.1", "fd00::1"] });
  const carried = async (kind: LookupErrorKind, previous: CachedAnswer) => {
    const answer = { addresses: ["10.0.0.2"], ttl: 300 };
    const { resolve } = requestWith(byFamily(answer, kind), { family: "both", previous });
    const { carriedOver, ttl } = await resolve();
    return [carriedOver?.addresses[0], ttl];
  };
  assertEquals(await carried("transient", previous), ["fd00::1", 5]);
  assertEquals(await carried("negative", previous), [undefined, 300]);
  // The second ambiguous "not found" in a row is treated as negative.
  assertEquals(await carried("ambiguous", previous), ["fd00::1", 5]);
  const again = earlier({ carriedOver: { addresses: ["fd00::1"], sinceMs: 7 } });
  assertEquals(await carried("ambiguous", again), [undefined, 300]);
  assertEquals(await carried("transient", again), ["fd00::1", 5]);
});

Deno.test('dnsFamily "both": the time since which a family fails is kept over several answers', async () => {
  using time = fakeTime();
  const { resolve } = requestWith(byFamily(V4, "transient"), {
    family: "both",
    previous: earlier({ carriedOver: { addresses: ["fd00::1"], sinceMs: 7 } }),
  });
  assertEquals((await resolve()).carriedOver, { addresses: ["fd00::1"], sinceMs: 7 });
  const first = requestWith(byFamily(V4, "transient"), {
    family: "both",
    previous: earlier({ addresses: ["fd00::1"] }),
  });
  assertEquals((await first.resolve()).carriedOver?.sinceMs, time.nowMs);
});

Deno.test('dnsFamily "both": an answer of the operating system is not carried over', async () => {
  const previous = earlier({ addresses: ["10.1.1.1", "fd00::9"], source: "os" });
  const { resolve } = requestWith(byFamily(V4, "transient"), { family: "both", previous });
  assertEquals((await resolve()).carriedOver, undefined);
});

Deno.test("resolveName() returns valid IP addresses of the family, in one spelling, without duplicates", async () => {
  const found = async (addresses: string[], family: 4 | 6 = 4) => {
    const { resolve } = requestWith(() => ({ addresses, ttl: 10 }), { family, rounds: 1 });
    return await resolve().then(({ addresses }) => addresses, (error) => error.kind);
  };
  assertEquals(await found(["10.0.0.1", "10.0.0.1", "10.0.0.2"]), ["10.0.0.1", "10.0.0.2"]);
  assertEquals(await found(["FD00:0::1", "fd00::1"], 6), ["fd00::1"]);
  assertEquals(await found(["fd00::1", "10.0.0.1"]), ["10.0.0.1"]);
  assertEquals(await found(["db2.internal", "10.0.0.1"]), ["10.0.0.1"]);
  assertEquals(await found([]), "negative");
  assertEquals(await found(["fd00::1"]), "negative");
  assertEquals(await found(["db2.internal"]), "transient");
  assertEquals(await found([undefined as unknown as string]), "transient");
});

Deno.test("resolveName() turns a TTL with the top bit set, or below 0, into 0, and other values than numbers into an unknown TTL", async () => {
  const table = [
    [2 ** 31 - 1, 2 ** 31 - 1],
    [2 ** 31, 0],
    [2 ** 32 - 1, 0],
    [-1, 0],
    [NaN, undefined],
    [Infinity, undefined],
    ["5", undefined],
    [undefined, undefined],
  ] as const;
  for (const [ttl, expected] of table) {
    const answer = { addresses: ["10.0.0.1"], ttl: ttl as number | undefined };
    assertEquals((await requestWith(() => answer).resolve()).ttl, expected);
  }
});

Deno.test("resolveName() counts the TTL from the query that was answered, and the duration from the first attempt", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { resolve } = requestWith(async ({ server }) => {
    await new Promise((done) => setTimeout(done, 100));
    if (server?.host === "10.9.9.1") throw fail("transient");
    return V4;
  }, { servers });
  const found = resolve();
  await time.advance(0.2);
  const { askedAtMs, answeredAtMs, tookMs } = await found;
  assertEquals([askedAtMs - startMs, answeredAtMs - startMs, tookMs], [100, 200, 200]);
});

Deno.test("resolveName() copies the answer: a lookup that changes it later changes nothing", async () => {
  const addresses = ["10.0.0.1"];
  const fact = await requestWith(() => ({ addresses, ttl: 10 })).resolve();
  addresses.push("10.6.6.6");
  assertEquals(fact.addresses, ["10.0.0.1"]);
});

Deno.test("resolveName() does not wait for a lookup that ignores its signal", async () => {
  using time = fakeTime();
  const controller = new AbortController();
  const { dns, resolve } = requestWith(never, { rounds: 1, timeoutMs: 1000 });
  const late = assertRejects(resolve, DOMException, "within 1 seconds");
  await time.advance(1);
  await late;
  assert(dns.questions[0]!.signal.aborted);
  const again = requestWith(never, { signal: controller.signal });
  const aborted = assertRejects(again.resolve, Error, "enough");
  await time.settle();
  controller.abort(new Error("enough"));
  await aborted;
  assertEquals(String(again.dns.questions[0]!.signal.reason), "Error: enough");
});

Deno.test("resolveName() ends when it is aborted during the pause between rounds", async () => {
  using time = fakeTime();
  const controller = new AbortController();
  const { dns, resolve } = requestWith(() => {
    throw fail("transient");
  }, { signal: controller.signal });
  const aborted = assertRejects(resolve, Error, "enough");
  await time.tick(10);
  controller.abort(new Error("enough"));
  await aborted;
  await time.advance(10);
  assertEquals(dns.questions.length, 1);
});

Deno.test("resolveName() asks the fallback after any failure of DNS, without a server, in the remaining time", async () => {
  for (const kind of ["negative", "ambiguous", "transient", "config"] as const) {
    using time = fakeTime();
    const fallback = fakeLookup(["10.1.1.1"], 5);
    const { dns, resolve } = requestWith(() => {
      throw fail(kind);
    }, { fallback, servers });
    const found = resolve();
    await time.advance(2);
    const { addresses, source, server } = await found;
    assertEquals([addresses, source, server], [["10.1.1.1"], "os", undefined]);
    assertEquals(fallback.questions[0]!.server, undefined);
    assert(dns.questions.length > 0);
  }
});

Deno.test("resolveName() with a fallback gives a silent server three quarters of the time, or dnsTimeoutMs", async () => {
  for (const [dnsTimeoutMs, seconds] of [[Infinity, 9], [2000, 2]] as const) {
    using time = fakeTime();
    const fallback = fakeLookup(["10.1.1.1"], 5);
    const { resolve } = requestWith(never, { fallback, dnsTimeoutMs });
    const startMs = time.nowMs;
    const found = resolve();
    await time.advance(12);
    const { askedAtMs, tookMs } = await found;
    assert(Math.abs(askedAtMs - startMs - seconds * 1000) < 10);
    assert(Math.abs(tookMs - seconds * 1000) < 10);
  }
});

Deno.test("resolveName() rejects with the error of DNS if the fallback fails as well", async () => {
  const fallback = fakeLookup([], 5);
  fallback.failure = "ambiguous";
  const { resolve } = requestWith(() => {
    throw fail("negative");
  }, { fallback });
  await assertRejects(resolve, LookupError, "Scripted: negative");
  assertEquals(fallback.questions.map(({ family }) => family), [4, 6]);
});

/** A request like `requestWith()`, with a lookup whose questions are repeated. */
function repeating(
  ...[respond, rest]: Parameters<typeof requestWith>
): ReturnType<typeof requestWith> {
  const made = requestWith(respond, rest);
  Object.assign(made.dns, { repeats: true });
  return made;
}

/** Answers as a server whose messages with these numbers, from 1, are lost. */
function losing(...lost: number[]): (question: Question) => Promise<Answer> {
  let count = 0;
  return () => lost.includes(++count) ? never() : Promise.resolve(V4);
}

Deno.test("resolveName() repeats a question that is not answered after 200 ms, and counts the TTL from the one that was", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { dns, resolve } = repeating(losing(1, 2));
  const found = resolve();
  await time.advance(0.4);
  const { askedAtMs, tookMs } = await found;
  assertEquals([askedAtMs - startMs, tookMs, dns.running], [400, 400, 0]);
});

Deno.test("resolveName() repeats a question less and less often, and takes a late answer to an earlier one", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  let first = true;
  const { dns, resolve } = repeating(() => {
    if (!first) return never();
    first = false;
    return new Promise((done) => setTimeout(() => done(V4), 4900));
  }, { rounds: 1 });
  const found = resolve();
  await time.advance(4.9);
  assertEquals((await found).addresses, ["10.0.0.1"]);
  const sentMs = dns.askedAtMs.map((ms) => ms - startMs);
  assertEquals(sentMs, [0, 200, 400, 600, 800, 1200, 2000, 3000, 4000]);
  assertEquals(dns.running, 0);
});

Deno.test("resolveName() repeats a question sparingly if the lookup says so", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { dns, resolve } = requestWith(losing(1, 2, 3, 4, 5), { rounds: 1, timeoutMs: 8000 });
  Object.assign(dns, { repeats: "sparingly" });
  const found = resolve();
  await time.advance(6);
  assertEquals((await found).addresses, ["10.0.0.1"]);
  assertEquals(dns.askedAtMs.map((ms) => ms - startMs), [0, 250, 750, 1750, 3750, 5750]);
});

Deno.test("resolveName() is not deaf in its last attempt: a lost question is repeated after two failures", async () => {
  using time = fakeTime();
  let count = 0;
  const { resolve } = repeating(() => {
    count++;
    if (count < 3) throw fail("transient");
    return count === 3 ? never() : V4;
  });
  const found = resolve();
  await time.advance(0.6);
  assertEquals((await found).addresses, ["10.0.0.1"]);
});

Deno.test("resolveName() asks the next server after 200 ms of silence, and still takes the answer of the first", async () => {
  for (const [firstMs, winner] of [[300, "10.9.9.1"], [5000, "10.9.9.2"]] as const) {
    using time = fakeTime();
    const { dns, resolve } = repeating(({ server }) => {
      const delayMs = server?.host === "10.9.9.1" ? firstMs : 150;
      return new Promise((done) => setTimeout(() => done(V4), delayMs));
    }, { servers: servers.slice(0, 2) });
    const found = resolve();
    await time.advance(0.36);
    assertEquals((await found).server?.host, winner);
    assertEquals(dns.running, 0);
  }
});

Deno.test("resolveName() repeats an open question on demand; that of a lookup which repeats nothing itself once, after a second", async () => {
  for (const repeats of [true, false]) {
    using time = fakeTime();
    const open = new Set<() => void>();
    const lost = repeats ? [1, 2, 3, 4, 5, 6] : [1];
    const { dns, resolve } = (repeats ? repeating : requestWith)(losing(...lost), { open });
    const found = resolve();
    await time.advance(repeats ? 1.1 : 0.9);
    const sent = dns.questions.length;
    const demand = () => {
      for (const repeat of open) repeat();
    };
    demand();
    assertEquals(dns.questions.length, repeats ? sent + 1 : sent);
    await time.advance(0.1);
    demand();
    assertEquals(dns.questions.length, sent + 1);
    await time.advance(2);
    await found;
    assertEquals(open.size, 0);
  }
});

Deno.test("resolveName() asks the next server if one repeats data that have expired; if all do, that is a substitute", async () => {
  using time = fakeTime();
  const stale: Answer = { addresses: ["10.0.0.9"], ttl: 30, stale: true };
  const one = requestWith(({ server }) => server?.host === "10.9.9.2" ? V4 : stale, { servers });
  assertEquals((await one.resolve()).server?.host, "10.9.9.2");
  const all = requestWith(() => stale, { servers, rounds: 2 });
  const found = all.resolve();
  await time.advance(1);
  const { addresses, failure } = await found;
  assertEquals([addresses, all.dns.questions.length], [["10.0.0.9"], 6]);
  assert(failure instanceof LookupError && failure.message.includes("have expired"));
});

Deno.test("resolveName() does not ask the fallback if DNS has an answer that has expired", async () => {
  const fallback = fakeLookup(["10.1.1.1"], 5);
  const stale: Answer = { addresses: ["10.0.0.9"], ttl: 30, stale: true };
  const { resolve } = requestWith(() => stale, { fallback, rounds: 1 });
  assertEquals((await resolve()).addresses, ["10.0.0.9"]);
  assertEquals(fallback.questions.length, 0);
});

Deno.test('dnsFamily "both": a family that does not answer within 50 ms is not waited for, and follows', async () => {
  using time = fakeTime();
  const { resolve } = requestWith(({ family }) => {
    if (family === 4) return { addresses: ["10.0.0.1"], ttl: 300 };
    return new Promise((done) => setTimeout(() => done(V6), 400));
  }, { family: "both" });
  const found = resolve();
  await time.tick(50);
  const { addresses, missing, ttl, rest } = await found;
  assertEquals([addresses, missing, ttl], [["10.0.0.1"], 6, 5]);
  await time.tick(350);
  const whole = await rest!;
  assertEquals([whole.addresses, whole.missing, whole.ttl], [
    ["10.0.0.1", "fd00::1"],
    undefined,
    20,
  ]);
});

Deno.test('dnsFamily "both": a family that was silent before is not waited for, and one that is still asked for is not asked again', async () => {
  using time = fakeTime();
  const previous = earlier({ missing: 6 });
  const silent = ({ family }: Question) => family === 4 ? V4 : never();
  const again = requestWith(silent, { family: "both", previous });
  const half = await again.resolve();
  assertEquals([half.addresses, half.missing, again.dns.questions.length], [["10.0.0.1"], 6, 2]);
  const failed = assertRejects(() => half.rest!, DOMException, 'AAAA of "db.internal"');
  await time.advance(13);
  await failed;
  const without = requestWith(silent, { family: "both", previous, without: 6 });
  const other = await without.resolve();
  assertEquals([other.missing, other.rest, without.dns.questions.length], [6, undefined, 1]);
});

Deno.test('dnsFamily "both": NODATA of one family is no answer while the other is still asked for', async () => {
  const { resolve } = requestWith(byFamily("negative", V6), {
    family: "both",
    without: 6,
    rounds: 1,
  });
  assertEquals((await assertRejects(resolve, LookupError)).kind, "transient");
});
