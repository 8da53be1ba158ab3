import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { Role } from "../../../adapters/adapter.ts";
import { ConnectError } from "../../../errors.ts";
import { Dialer } from "../../../pool/connection/dialer.ts";
import type { WantedRole } from "../../../pool/connection/server_role.ts";
import { fakeAdapter, type FakeBehavior } from "../../../testing/mod.ts";
import {
  A,
  ALL,
  B,
  C,
  dialing,
  FOREVER,
  LOCKED,
  PRIMARY,
  reached,
  refused,
  SETTINGS,
  silent,
  STANDBY,
} from "../../support/dialer.ts";
import { fakeTime } from "../../support/time.ts";

Deno.test("dial() connects to the port of an endpoint, with the name of its host", async () => {
  const adapter = fakeAdapter();
  const targets: [string, string, number, readonly string[]][] = [];
  adapter.behavior.connect = (ip, { host, port, addresses }) =>
    void targets.push([ip, host, port, addresses()]);
  const names = ["10.0.0.1:5432 (db1.internal)", "[fd00::2]:5433 (db2.internal)", "10.0.0.3:7"];
  const dialer = new Dialer(adapter, {
    host: "db1.internal,db2.internal:5433,10.0.0.3:7",
    port: 0,
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => names,
    namesEndpoints: true,
  }, SETTINGS);
  for (const name of names) {
    const { address, endpoint } = await dialer.dial([name], FOREVER);
    const { address: ip, host, port } = endpoint;
    assertEquals(address, name);
    assertEquals(targets.at(-1), [ip, host, port, [ip]]);
  }
  adapter.behavior.connect = () => Promise.reject(refused());
  await assertRejects(
    () => dialer.dial(names.slice(0, 2), FOREVER),
    ConnectError,
    'Cannot connect to "db1.internal,db2.internal:5433,10.0.0.3:7": ' +
      "10.0.0.1:5432 (db1.internal) said: connect ECONNREFUSED; " +
      "[fd00::2]:5433 (db2.internal) said: connect ECONNREFUSED",
  );
});

Deno.test("dial() terminates the late connection of a driver that ignores the abort", async () => {
  using time = fakeTime();
  const { dialer, adapter } = dialing({
    connect: () => new Promise((resolve) => setTimeout(resolve, 15_000)),
  });
  // The fake adapter would notice the abort in the end.
  const { connect } = adapter;
  adapter.connect = (ip, target) => connect(ip, { ...target, signal: FOREVER });
  const late = assertRejects(() => dialer.dial([A], FOREVER), ConnectError, "within 10 seconds");
  const controller = new AbortController();
  const aborted = assertRejects(() => dialer.dial([B], controller.signal), Error, "never mind");
  await time.advance(1);
  controller.abort(new Error("never mind"));
  await aborted;
  await time.advance(9);
  await late;
  assertEquals(adapter.clients, []);
  await time.advance(6);
  assertEquals(adapter.clients.map(({ log }) => log), [["terminate"], ["terminate"]]);
});

Deno.test("dial() is rejected with the signal's reason, and tries no other address", async () => {
  using time = fakeTime();
  const { dialer, adapter } = dialing({ connect: (_, target) => silent(target) });
  const controller = new AbortController();
  const dial = assertRejects(() => dialer.dial(ALL, controller.signal), Error, "enough");
  await time.advance(0.3);
  controller.abort(new Error("enough"));
  await dial;
  assertEquals(adapter.dials, [A, B]);
  await assertRejects(() => dialer.dial(ALL, controller.signal), Error, "enough");
  assertEquals(adapter.dials, [A, B]);
  const last = new AbortController();
  const single = assertRejects(() => dialer.dial([B], last.signal), Error, "enough of it");
  await time.settle();
  last.abort(new Error("enough of it"));
  assertFalse(await single instanceof ConnectError);
});

const FITTING: [WantedRole, Role[]][] = [
  ["any", [PRIMARY, LOCKED, STANDBY]],
  ["read-write", [PRIMARY]],
  ["read-only", [LOCKED, STANDBY]],
  ["primary", [PRIMARY, LOCKED]],
  ["standby", [STANDBY]],
  ["prefer-standby", [PRIMARY, LOCKED, STANDBY]],
];

Deno.test("dial() accepts servers of the wanted role, and terminates connections to others", async () => {
  for (const [targetSessionAttrs, fitting] of FITTING) {
    for (const role of [PRIMARY, LOCKED, STANDBY]) {
      const { dialer, adapter } = dialing({}, { targetSessionAttrs }, () => role);
      const error = await dialer.dial([A], FOREVER).then(() => undefined, (error) => error);
      assertEquals(error === undefined, fitting.includes(role), targetSessionAttrs);
      assertEquals(adapter.open.length, error ? 0 : 1);
      if (error) assertStringIncludes(error.message, `and "${targetSessionAttrs}" is wanted`);
    }
  }
});

Deno.test('dial() with "prefer-standby" takes the primary only if no standby accepts a connection', async () => {
  let down = [C];
  const { dialer, adapter } = dialing(
    { connect: (address) => down.includes(address) ? Promise.reject(refused()) : undefined },
    { targetSessionAttrs: "prefer-standby" },
    (address) => address === A ? PRIMARY : STANDBY,
  );
  assertEquals(await reached(dialer, 1), [B]);
  down = [B, C];
  assertEquals(await reached(dialer, 1), [A]);
  assertEquals(adapter.open.map(({ address }) => address), [B, A]);
});

Deno.test("dial() believes the adapter about the address that a connection is open to", async () => {
  const { dialer, adapter } = dialing({}, { loadBalance: "least-connections" });
  adapter.address = ({ id }) => id === 1 ? B : undefined;
  assertEquals((await dialer.dial([A, B], FOREVER)).address, B);
  // It is counted at that address.
  assertEquals(await reached(dialer, 2, [A, B]), [A, A]);
  dialer.uncount(B);
  assertEquals(await reached(dialer, 1, [A, B]), [B]);
});

Deno.test("probe() is true for any answer, false for silence", async () => {
  using time = fakeTime();
  const cases: [what: string, connect: NonNullable<FakeBehavior["connect"]>, alive: boolean][] = [
    ["lets one in", () => {}, true],
    ["refused", () => Promise.reject(refused()), true],
    ["too many clients", () => Promise.reject(new Error("sorry, too many clients already")), true],
    ["reset", () => Promise.reject(refused("ECONNRESET")), true],
    ["silence", (_, target) => silent(target), false],
    ["a driver that ignores abort", () => new Promise(() => {}), false],
    ["unreachable", () => Promise.reject(refused("EHOSTUNREACH")), false],
    ["no route", () => Promise.reject(refused("ENETUNREACH")), false],
    ["the kernel gave up", () => Promise.reject(refused("ETIMEDOUT")), false],
  ];
  for (const [what, connect, alive] of cases) {
    const { dialer, adapter } = dialing({ connect });
    const startMs = time.nowMs;
    const probe = dialer.probe(A);
    await time.settle();
    if (what === "silence") await time.advance(1.999);
    await time.advance(2);
    assertEquals(await probe, alive, what);
    assert(time.nowMs - startMs <= 4000);
    assertEquals(adapter.open, [], "no connection is left");
  }
});

Deno.test("probe() ends with its signal, and leaves no connection", async () => {
  using time = fakeTime();
  const { dialer, adapter } = dialing({
    connect: () => new Promise((resolve) => setTimeout(resolve, 1000)),
  });
  const controller = new AbortController();
  let ended = false;
  dialer.probe(A, controller.signal).then(() => ended = true);
  await time.settle();
  controller.abort();
  await time.settle();
  assert(ended);
  await time.advance(2);
  assertEquals(adapter.open, []);
});

Deno.test("probe() uses the adapter's own probe, which asks for no login", async () => {
  const { dialer, adapter } = dialing({ connect: () => Promise.reject(new Error("a login")) });
  const probed: string[] = [];
  adapter.probe = (ip, { port }) => Promise.resolve(void probed.push(`${ip}:${port}`));
  assert(await dialer.probe(A));
  assertEquals([probed, adapter.dials], [[`${A}:5432`], []]);
});

Deno.test("probe() of several dialers for one server is one attempt, if the adapter has a probe", async () => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const dialers = Array.from({ length: 3 }, () => {
    const { dialer, adapter } = dialing();
    adapter.probe = (ip) => new Promise((resolve) => (asked.push(ip), answers.push(resolve)));
    return dialer;
  });
  const probes = dialers.flatMap((dialer) => [dialer.probe(A), dialer.probe(B)]);
  assertEquals(asked, [A, B]);
  for (const answer of answers) answer();
  assertEquals(await Promise.all(probes), Array(6).fill(true));
});

Deno.test("dial() and probe() close gracefully if the server did nothing wrong", async () => {
  const { dialer, adapter } = dialing({}, { targetSessionAttrs: "standby" });
  await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  assert(await dialer.probe(A));
  assertEquals(adapter.clients.map(({ log }) => log.join()), ["role,close", "close"]);
});

Deno.test("abortAttempts() ends attempts at an address that departed, and skips the address from then on", async () => {
  using time = fakeTime();
  const { dialer, adapter } = dialing({ connect: (_, target) => silent(target) });
  const dials = [[A, B, C], [B, C, A]].map((addresses) =>
    assertRejects(() => dialer.dial(addresses, FOREVER), ConnectError)
  );
  await time.advance(0.1);
  assertEquals(adapter.dials, [A, B]);
  dialer.abortAttempts(A);
  await time.settle();
  assertEquals(adapter.dials, [A, B, B], "the first goes on at once, the second is not disturbed");
  dialer.abortAttempts(B);
  await time.settle();
  assertEquals(adapter.dials, [A, B, B, C, C]);
  await time.advance(10);
  const [first, second] = await Promise.all(dials);
  assertEquals(first!.attempts.map(({ address }) => address), [A, B, C]);
  assertEquals(second!.attempts.map(({ address }) => address), [B, C], "A is not tried any more");
  assertStringIncludes(first!.message, "10.0.0.1:5432 said: the address departed meanwhile");
});
