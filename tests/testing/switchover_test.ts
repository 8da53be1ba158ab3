import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import {
  DnsServer,
  fakeAdapter,
  switchover,
  type SwitchoverOptions,
  type SwitchoverResult,
} from "../../testing/mod.ts";
import { now } from "../../internal/clock.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

const HOST = "db.internal";
const OLD = "10.0.0.1";
const NEW = "10.0.0.2";

/** Returns the address that a fake pool reaches; `since` is seconds since the move, `undefined` before it. */
type Script = (since: number | undefined) => string | Promise<string>;

/** Rehearses on fake time, with a pool that a script describes. */
async function rehearse(
  script: Script,
  options: Partial<SwitchoverOptions> = {},
): Promise<SwitchoverResult> {
  await using dns = await DnsServer.start();
  using time = fakeTime();
  let movedAtMs: number | undefined;
  const outcome = switchover(dns, HOST, {
    from: OLD,
    to: NEW,
    follower: () => script(movedAtMs === undefined ? undefined : (now() - movedAtMs) / 1000),
    atMove: () => void (movedAtMs = now()),
    ...options,
  });
  return await played(outcome, time);
}

/** Advances the time until a promise is settled. */
async function played<T>(promise: Promise<T>, time: TestTime): Promise<T> {
  let done = false;
  const end = () => void (done = true);
  promise.then(end, end);
  for (let tries = 0; !done; tries++) {
    assertLess(tries, 10_000, "it does not end");
    await time.tick(10);
  }
  return await promise;
}

const after = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

Deno.test("switchover() measures when the first and when all checkouts were on the new address", async () => {
  let count = 0;
  const result = await rehearse((since) => {
    if (since === undefined || since < 0.4) return OLD;
    return since < 0.8 && count++ % 2 === 0 ? OLD : NEW;
  });
  const { first, all, followed, misrouted, failed, errors, unanswered } = result;
  assertEquals({ followed, misrouted, failed, errors, unanswered }, {
    followed: true,
    misrouted: 0,
    failed: 0,
    errors: [],
    unanswered: 0,
  });
  assertAlmostEquals(first!, 0.4, 0.03);
  assertAlmostEquals(all!, 0.8, 0.03);
  assert(result.onOld > 100 && result.checkouts > result.onOld + 150, JSON.stringify(result));
});

Deno.test("switchover() counts checkouts on an old address that began after TTL and slack as misrouted", async () => {
  const until = (end: number) => (since: number | undefined) =>
    since === undefined || since < end ? OLD : NEW;
  assertEquals((await rehearse(until(1.25))).misrouted, 0);
  const late = await rehearse(until(1.5));
  assert(late.misrouted > 20 && late.misrouted < 100, JSON.stringify(late));
  assertEquals((await rehearse(until(1.5), { slack: 0.6 })).misrouted, 0);
  assertEquals((await rehearse(until(2.2), { ttl: 2 })).misrouted, 0);
  assertEquals((await rehearse(until(0.4), { ttl: 0, slack: 0 })).misrouted > 20, true);
});

Deno.test("switchover() does not call a checkout misrouted that began in time and reached the old address late", async () => {
  let slow = true;
  const result = await rehearse(async (since) => {
    if (since === undefined) return OLD;
    if (!slow) return NEW;
    slow = false;
    await after(2);
    return OLD;
  });
  assertEquals([result.followed, result.onOld, result.misrouted], [true, 1, 0]);
  assertAlmostEquals(result.first!, 0, 0.03);
  assertAlmostEquals(result.all!, 2, 0.03);
});

Deno.test("switchover() does not count a checkout that began before the move in onOld", async () => {
  let calls = 0;
  const result = await rehearse(async (since) => {
    // All workers have reached the old address; the move comes next.
    if (++calls === 5) await after(0.7);
    return since === undefined ? OLD : NEW;
  });
  assertEquals([result.followed, result.onOld], [true, 0]);
  assertAlmostEquals(result.all!, 0.7, 0.05);
});

Deno.test("switchover() takes a failure after the first new address into account for all", async () => {
  let failed = false;
  const result = await rehearse((since) => {
    if (since === undefined || since < 0.3 || failed) return since === undefined ? OLD : NEW;
    failed = true;
    throw new Error("once");
  });
  assertEquals([result.followed, result.failed], [true, 1]);
  assertAlmostEquals(result.first!, 0, 0.03);
  assertAlmostEquals(result.all!, 0.3, 0.03);
});

Deno.test("switchover() does not count checkouts as unanswered that have just begun", async () => {
  const result = await rehearse(async (since) => {
    await after(0.1);
    return since === undefined ? OLD : NEW;
  }, { pause: 0 });
  assertEquals([result.followed, result.unanswered], [true, 0]);
});

Deno.test("switchover() compares addresses whatever their spelling", async () => {
  const result = await rehearse((since) => since === undefined ? "FD00:0:0::1" : "fd00:0::2", {
    from: "fd00::1",
    to: ["FD00:0::2"],
  });
  assertEquals([result.followed, result.failed], [true, 0]);
});

Deno.test("switchover() counts checkouts that failed, and keeps the first errors", async () => {
  const errors: Error[] = [];
  const result = await rehearse((since) => {
    if (since === undefined || since >= 0.3) return since === undefined ? OLD : NEW;
    errors.push(new Error(`${errors.length}`));
    throw errors.at(-1);
  });
  assert(errors.length > 20, `${errors.length}`);
  assertEquals([result.followed, result.failed], [true, errors.length]);
  assertEquals(result.errors.length, 10);
  assertStrictEquals(result.errors[0], errors[0]);
  assertAlmostEquals(result.all!, 0.3, 0.03);
});

Deno.test("switchover() counts a checkout on an address that is neither old nor new as failed", async () => {
  const result = await rehearse((since) => {
    if (since === undefined) return OLD;
    return since < 0.2 ? "10.0.0.9" : NEW;
  });
  assert(result.failed > 20, JSON.stringify(result));
  assertEquals(
    (result.errors[0] as Error).message,
    'Cannot count a checkout on "10.0.0.9": it is neither an old nor a new address',
  );
});

Deno.test("switchover() returns the figures of a follower that does not follow until the deadline", async () => {
  const stays = await rehearse(() => OLD, { deadline: 3 });
  assertEquals(
    [stays.followed, stays.first, stays.all, stays.failed],
    [false, undefined, undefined, 0],
  );
  assert(stays.misrouted > 400, JSON.stringify(stays));
  // One worker of four stays on the old address.
  let count = 0;
  const partly = await rehearse((since) => since !== undefined && count++ % 4 ? NEW : OLD, {
    deadline: 3,
  });
  assertEquals([partly.followed, partly.all], [false, undefined]);
  assertAlmostEquals(partly.first!, 0, 0.05);
});

Deno.test("switchover() requires only new addresses for half a second, by every worker", async () => {
  const flaps = await rehearse((since) => {
    if (since === undefined) return OLD;
    return since % 0.4 < 0.3 ? NEW : OLD;
  }, { deadline: 3 });
  assertEquals([flaps.followed, flaps.unanswered], [false, 0]);
  let hangs = true;
  const hung = await rehearse(async (since) => {
    if (since === undefined) return OLD;
    if (!hangs) return NEW;
    hangs = false;
    await after(60);
    return OLD;
  }, { deadline: 3 });
  assertEquals([hung.followed, hung.unanswered, hung.failed], [false, 1, 0]);
});

Deno.test("switchover() takes an address that stays neither for a sign of following nor for misrouted", async () => {
  const options = { from: [OLD, "10.0.0.3"], to: ["10.0.0.3", NEW] };
  const stays = await rehearse(() => "10.0.0.3", { ...options, deadline: 2 });
  assertEquals([stays.followed, stays.first, stays.onOld], [false, undefined, 0]);
  let count = 0;
  const both = await rehearse(
    (since) => since === undefined || count++ % 2 ? "10.0.0.3" : NEW,
    options,
  );
  assertEquals([both.followed, both.misrouted, both.failed], [true, 0, 0]);
});

Deno.test("switchover() sets the record, and moves it when every worker has reached the old address", async () => {
  await using dns = await DnsServer.start();
  using time = fakeTime();
  const seen: string[] = [];
  const { set } = dns;
  dns.set = (name, records, options) => {
    seen.push(`${name} ${records} ${options?.ttl}`);
    set.call(dns, name, records, options);
  };
  let begun = 0;
  const startMs = time.nowMs;
  const outcome = switchover(dns, HOST, {
    from: [OLD],
    to: [NEW],
    ttl: 7,
    workers: 3,
    follower: async () => {
      if (begun++ === 0) await after(2); // one worker is slow to begin
      return seen.length < 2 ? OLD : NEW;
    },
    atMove: () => void seen.push(`moved at ${Math.round((time.nowMs - startMs) / 1000)} s`),
  });
  await played(outcome, time);
  assertEquals(seen, [`${HOST} ${OLD} 7`, `${HOST} ${NEW} 7`, "moved at 2 s"]);
});

Deno.test("switchover() throws if the follower never reaches the old address, with its last error", async () => {
  const cause = new Error("the password is wrong");
  const failing = rehearse(() => {
    throw cause;
  });
  const error = await assertRejects(() => failing, Error);
  assertEquals(
    error.message,
    'Cannot rehearse a switchover of "db.internal" within 10 seconds: not every worker was given a connection to 10.0.0.1: the last checkout failed',
  );
  assertStrictEquals(error.cause, cause);
  await assertRejects(() => rehearse(() => NEW), Error, "not every worker was given a connection");
});

Deno.test("switchover() throws the error of atMove", async () => {
  const error = new Error("cannot stop the server");
  const rejected = await assertRejects(() =>
    rehearse(() => OLD, { atMove: () => Promise.reject(error) })
  );
  assertStrictEquals(rejected, error);
});

Deno.test("switchover() measures that an engine follows within the TTL", async () => {
  await using dns = await DnsServer.start();
  const adapter = fakeAdapter();
  await using engine = getDnsEngine("fake://db.internal/orders", {
    adapter,
    dnsNameservers: [dns.address],
    dnsFamily: "both",
    dnsFallback: false,
  });
  const result = await switchover(dns, HOST, {
    from: ["127.0.0.2", "FD00:0::2"],
    to: "127.0.0.3",
    follower: engine,
  });
  const { followed, misrouted, failed, all } = result;
  assertEquals([followed, misrouted, failed], [true, 0, 0]);
  assertLess(all!, 3);
  assertEquals(adapter.open.map(({ address }) => address).includes("127.0.0.2"), false);
});

Deno.test("switchover() refuses invalid options", async () => {
  await using dns = await DnsServer.start();
  const good: SwitchoverOptions = { from: OLD, to: NEW, follower: () => OLD };
  const table: [Record<string, unknown>, typeof TypeError | typeof RangeError, string][] = [
    [{ from: undefined }, TypeError, '"from" must be an array of IP addresses, got undefined'],
    [
      { from: "db.internal" },
      TypeError,
      '"from[0]" must be an IPv4 or IPv6 address, got "db.internal"',
    ],
    [{ to: [] }, TypeError, '"to" must be at least one IP address, got an array'],
    [
      { to: OLD },
      TypeError,
      '"to" must be at least one address that is not in "from", got "10.0.0.1"',
    ],
    [{ follower: undefined }, TypeError, '"follower" must be an engine or a function'],
    [{ follower: {} }, TypeError, '"follower" must be an engine or a function'],
    [
      { ttl: 0.5 },
      RangeError,
      '"ttl" must be a whole number of seconds from 0 to 4294967295, got 0.5',
    ],
    [{ workers: 0 }, RangeError, '"workers" must be a whole number from 1 to 1000, got 0'],
    [{ pause: -1 }, RangeError, '"pause" must be a number of seconds from 0 to 3600, got -1'],
    [{ slack: "1" }, TypeError, '"slack" must be a number of seconds from 0 to 3600, got "1"'],
    [
      { deadline: 0 },
      RangeError,
      '"deadline" must be a number of seconds from 0.001 to 3600, got 0',
    ],
    [{ atMove: "now" }, TypeError, '"atMove" must be a function, got "now"'],
    [
      { workes: 1 },
      TypeError,
      '"workes" is not an option of switchover(), did you mean "workers"?',
    ],
  ];
  for (const [change, Kind, message] of table) {
    const options = { ...good, ...change } as unknown as SwitchoverOptions;
    const error = await assertRejects(() => switchover(dns, HOST, options), Kind);
    assert(error.message.startsWith(message), error.message);
  }
  assertEquals(dns.queries, []);
});
