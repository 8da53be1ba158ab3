import { assert, assertEquals, assertRejects } from "@std/assert";
import { type CachedAnswer, resolveName, type ResolveRequest } from "../../resolver/resolution.ts";
import { LookupError, type LookupErrorKind } from "../../errors.ts";
import type { Answer, Question } from "../../lookups/lookup.ts";
import { fail, type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** An inquiry by a lookup that answers as `respond` says. */
function inquiry(
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

Deno.test("resolveName() passes on who answered, and the chain", async () => {
  const chain = [{ name: "db.internal", target: "a.internal", ttl: 5 }];
  const { resolve } = inquiry(() => ({ ...V4, server: "10.9.9.9:53", chain }));
  assertEquals((await resolve()).details, { server: "10.9.9.9:53", chain });
});

/** Says something else for A and for AAAA: an answer, or the kind of its failure. */
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

Deno.test("the time is shared out so that later rounds have more, and all together no more than the time-out", async () => {
  using time = fakeTime();
  const { dns, resolve } = inquiry(never, { timeoutMs: 7000 });
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

Deno.test("many rounds leave each try enough time for a server that is not near", async () => {
  using time = fakeTime();
  const slow = () => new Promise<Answer>((done) => setTimeout(() => done(V4), 90));
  const { dns, resolve } = inquiry(slow, { rounds: 100 });
  const found = resolve();
  await time.advance(0.1);
  assertEquals((await found).addresses, ["10.0.0.1"]);
  assertEquals(dns.questions.length, 1);
});

Deno.test("no try begins after the end, and no round whose pause would last until then", async () => {
  using time = fakeTime();
  const many = [...servers, ...servers, ...servers];
  const { dns, resolve } = inquiry(never, { timeoutMs: 250, servers: many, rounds: 5 });
  const failed = assertRejects(resolve);
  await time.advance(0.26);
  await failed;
  assertEquals(dns.questions.length, 3);
  const last = inquiry(never, { timeoutMs: 250, rounds: 5 });
  const failedToo = assertRejects(last.resolve);
  await time.advance(0.26);
  await failedToo;
  assertEquals(last.dns.questions.length, 2);
});

Deno.test("the next server is asked at once when one fails in passing, and all of them again after a pause", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { dns, resolve } = inquiry(() => {
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

Deno.test("the server that answered last is asked first, the others in their order", async () => {
  const { dns, resolve } = inquiry(({ server }) => {
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

Deno.test("without nameservers of the caller's, those are asked that the lookup lists", async () => {
  const { dns, resolve } = inquiry(() => V4);
  dns.servers = () => servers;
  assertEquals((await resolve()).server, servers[0]);
});

Deno.test("a negative answer and a configuration error end the resolution; an ambiguous no is tried again", async () => {
  for (const [kind, questions] of [["negative", 1], ["config", 1], ["ambiguous", 6]] as const) {
    using time = fakeTime();
    const { dns, resolve } = inquiry(() => {
      throw fail(kind);
    }, { servers: servers.slice(0, 2), family: 4 });
    const failed = assertRejects(resolve);
    await time.advance(1);
    await failed;
    assertEquals(dns.questions.length, questions, kind);
  }
});

Deno.test("an error without a kind counts as one in passing", async () => {
  using time = fakeTime();
  let count = 0;
  const { resolve } = inquiry(() => {
    if (++count < 3) throw count === 1 ? "a string" : new Error("without kind");
    return V4;
  });
  const found = resolve();
  await time.advance(1);
  assertEquals((await found).addresses, ["10.0.0.1"]);
});

Deno.test('"auto" asks for AAAA where A says NODATA or an ambiguous no, and nothing else', async () => {
  const asked = async (four: Answer | LookupErrorKind) => {
    using time = fakeTime();
    const { dns, resolve } = inquiry(byFamily(four, V6), { rounds: 1 });
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

Deno.test('"auto" does not ask for AAAA where the name does not exist', async () => {
  const { dns, resolve } = inquiry(() => {
    throw new LookupError("no such name", { kind: "negative", reason: "NXDOMAIN" });
  });
  await assertRejects(resolve, LookupError, "no such name");
  assertEquals(dns.questions.length, 1);
});

Deno.test('"auto": A and AAAA both NODATA is negative; a failure of the AAAA question is that failure', async () => {
  const kinds = async (four: LookupErrorKind, six: LookupErrorKind) => {
    const { resolve } = inquiry(byFamily(four, six), { rounds: 1 });
    return (await assertRejects(resolve, LookupError)).kind;
  };
  assertEquals(await kinds("negative", "negative"), "negative");
  assertEquals(await kinds("negative", "transient"), "transient");
  assertEquals(await kinds("negative", "ambiguous"), "ambiguous");
  assertEquals(await kinds("ambiguous", "negative"), "ambiguous");
});

Deno.test('"auto": a name that had an A record is not moved to IPv6 by an ambiguous no, until it is believed', async () => {
  const previous = earlier({});
  const moves = async (trustNegative: boolean, four: LookupErrorKind, rounds: number) => {
    using time = fakeTime();
    const { resolve } = inquiry(byFamily(four, V6), { previous, trustNegative, rounds });
    const outcome = resolve().then(({ addresses }) => addresses[0], () => "error");
    await time.advance(1);
    return await outcome;
  };
  assertEquals(await moves(false, "ambiguous", 1), "error");
  assertEquals(await moves(false, "ambiguous", 3), "error");
  assertEquals(await moves(true, "ambiguous", 1), "fd00::1");
  assertEquals(await moves(false, "negative", 1), "fd00::1");
});

Deno.test('"auto": a name that had AAAA only goes on with it after an ambiguous no to A', async () => {
  const previous = earlier({ addresses: ["fd00::1"] });
  const { resolve } = inquiry(byFamily("ambiguous", V6), { previous });
  assertEquals((await resolve()).addresses, ["fd00::1"]);
});

Deno.test('"both" asks for both at once: all addresses, the smaller TTL', async () => {
  const { dns, resolve } = inquiry(byFamily(V4, V6), { family: "both" });
  const { addresses, ttl } = await resolve();
  assertEquals([addresses, ttl], [["10.0.0.1", "fd00::1"], 10]);
  assertEquals(dns.mostAtOnce, 2);
  const unknown = inquiry(byFamily(V4, { ...V6, ttl: undefined }), { family: "both" });
  assertEquals((await unknown.resolve()).ttl, undefined);
});

Deno.test('"both": one family failing is not failure', async () => {
  for (const kind of ["negative", "transient", "ambiguous", "config"] as const) {
    const without6 = inquiry(byFamily(V4, kind), { family: "both" });
    assertEquals((await without6.resolve()).addresses, ["10.0.0.1"]);
    const without4 = inquiry(byFamily(kind, V6), { family: "both" });
    assertEquals((await without4.resolve()).addresses, ["fd00::1"]);
  }
});

Deno.test('"both": both failing is a failure, negative only where both are', async () => {
  const kinds = async (four: LookupErrorKind, six: LookupErrorKind) => {
    const { resolve } = inquiry(byFamily(four, six), { family: "both", rounds: 1 });
    return (await assertRejects(resolve, LookupError)).kind;
  };
  assertEquals(await kinds("negative", "negative"), "negative");
  assertEquals(await kinds("negative", "transient"), "transient");
  assertEquals(await kinds("ambiguous", "negative"), "ambiguous");
});

Deno.test('"both": a family that fails in passing keeps its addresses, and is asked again within 5 s', async () => {
  const previous = earlier({ addresses: ["10.0.0.1", "fd00::1"] });
  const carried = async (kind: LookupErrorKind, previous: CachedAnswer) => {
    const answer = { addresses: ["10.0.0.2"], ttl: 300 };
    const { resolve } = inquiry(byFamily(answer, kind), { family: "both", previous });
    const { carriedOver, ttl } = await resolve();
    return [carriedOver?.addresses[0], ttl];
  };
  assertEquals(await carried("transient", previous), ["fd00::1", 5]);
  assertEquals(await carried("negative", previous), [undefined, 300]);
  // An ambiguous no is believed when it comes again.
  assertEquals(await carried("ambiguous", previous), ["fd00::1", 5]);
  const again = earlier({ carriedOver: { addresses: ["fd00::1"], sinceMs: 7 } });
  assertEquals(await carried("ambiguous", again), [undefined, 300]);
  assertEquals(await carried("transient", again), ["fd00::1", 5]);
});

Deno.test('"both": since when a family fails is remembered over several answers', async () => {
  using time = fakeTime();
  const { resolve } = inquiry(byFamily(V4, "transient"), {
    family: "both",
    previous: earlier({ carriedOver: { addresses: ["fd00::1"], sinceMs: 7 } }),
  });
  assertEquals((await resolve()).carriedOver, { addresses: ["fd00::1"], sinceMs: 7 });
  const first = inquiry(byFamily(V4, "transient"), {
    family: "both",
    previous: earlier({ addresses: ["fd00::1"] }),
  });
  assertEquals((await first.resolve()).carriedOver?.sinceMs, time.nowMs);
});

Deno.test('"both": what the operating system answered is not kept for a family that DNS cannot answer', async () => {
  const previous = earlier({ addresses: ["10.1.1.1", "fd00::9"], source: "os" });
  const { resolve } = inquiry(byFamily(V4, "transient"), { family: "both", previous });
  assertEquals((await resolve()).carriedOver, undefined);
});

Deno.test("what an answer holds is checked: IP addresses of the family, in one spelling, each once", async () => {
  const found = async (addresses: string[], family: 4 | 6 = 4) => {
    const { resolve } = inquiry(() => ({ addresses, ttl: 10 }), { family, rounds: 1 });
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

Deno.test("a TTL with the top bit set, or below 0, is 0; one that is no number is unknown", async () => {
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
    assertEquals((await inquiry(() => answer).resolve()).ttl, expected);
  }
});

Deno.test("the TTL counts from the question that was answered; how long it all took includes the vain ones", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const { resolve } = inquiry(async ({ server }) => {
    await new Promise((done) => setTimeout(done, 100));
    if (server?.host === "10.9.9.1") throw fail("transient");
    return V4;
  }, { servers });
  const found = resolve();
  await time.advance(0.2);
  const { askedAtMs, answeredAtMs, tookMs } = await found;
  assertEquals([askedAtMs - startMs, answeredAtMs - startMs, tookMs], [100, 200, 200]);
});

Deno.test("the answer is copied: a lookup that changes it later changes nothing", async () => {
  const addresses = ["10.0.0.1"];
  const fact = await inquiry(() => ({ addresses, ttl: 10 })).resolve();
  addresses.push("10.6.6.6");
  assertEquals(fact.addresses, ["10.0.0.1"]);
});

Deno.test("a lookup that ignores its signal is left behind when its time is up, and when the resolution is aborted", async () => {
  using time = fakeTime();
  const controller = new AbortController();
  const { dns, resolve } = inquiry(never, { rounds: 1, timeoutMs: 1000 });
  const late = assertRejects(resolve, DOMException, "within 1 seconds");
  await time.advance(1);
  await late;
  assert(dns.questions[0]!.signal.aborted);
  const again = inquiry(never, { signal: controller.signal });
  const aborted = assertRejects(again.resolve, Error, "enough");
  await time.settle();
  controller.abort(new Error("enough"));
  await aborted;
  assertEquals(String(again.dns.questions[0]!.signal.reason), "Error: enough");
});

Deno.test("abort during the pause between rounds ends the resolution", async () => {
  using time = fakeTime();
  const controller = new AbortController();
  const { dns, resolve } = inquiry(() => {
    throw fail("transient");
  }, { signal: controller.signal });
  const aborted = assertRejects(resolve, Error, "enough");
  await time.tick(10);
  controller.abort(new Error("enough"));
  await aborted;
  await time.advance(10);
  assertEquals(dns.questions.length, 1);
});

Deno.test("the fallback is asked when DNS failed, whatever the reason, without a server and in what time is left", async () => {
  for (const kind of ["negative", "ambiguous", "transient", "config"] as const) {
    using time = fakeTime();
    const fallback = fakeLookup(["10.1.1.1"], 5);
    const { dns, resolve } = inquiry(() => {
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

Deno.test("with a fallback to come, a silent server is given three quarters of the time, or what it is told", async () => {
  for (const [dnsTimeoutMs, seconds] of [[Infinity, 9], [2000, 2]] as const) {
    using time = fakeTime();
    const fallback = fakeLookup(["10.1.1.1"], 5);
    const { resolve } = inquiry(never, { fallback, dnsTimeoutMs });
    const startMs = time.nowMs;
    const found = resolve();
    await time.advance(12);
    const { askedAtMs, tookMs } = await found;
    assert(Math.abs(askedAtMs - startMs - seconds * 1000) < 10);
    assert(Math.abs(tookMs - seconds * 1000) < 10);
  }
});

Deno.test("where the fallback has no answer either, the error is DNS's", async () => {
  const fallback = fakeLookup([], 5);
  fallback.failure = "ambiguous";
  const { resolve } = inquiry(() => {
    throw fail("negative");
  }, { fallback });
  await assertRejects(resolve, LookupError, "Scripted: negative");
  assertEquals(fallback.questions.map(({ family }) => family), [4, 6]);
});
