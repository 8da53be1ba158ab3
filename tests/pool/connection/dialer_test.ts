import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { Role, Target } from "../../../adapters/adapter.ts";
import { Dialer, type DialerSettings } from "../../../pool/connection/dialer.ts";
import type { WantedRole } from "../../../pool/connection/server_role.ts";
import { ConnectError } from "../../../errors.ts";
import {
  type FakeAdapter,
  fakeAdapter,
  type FakeBehavior,
  type FakeClient,
} from "../../../testing/mod.ts";
import { watchTimers } from "../../stress/pool_timers.ts";
import { fakeTime } from "../../support/time.ts";
import { resolvable } from "../../support/waiting.ts";

const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const ALL = [A, B, C];
const FOREVER = new AbortController().signal;
const PASSWORD = "tr0ub/dor&3";

function refused(code = "ECONNREFUSED"): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

/** Imitates a server that never answers, and a driver that can be aborted. */
function silent({ signal }: Pick<Target, "signal">): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

const SETTINGS: DialerSettings = {
  connectTimeoutMs: 10_000,
  connectStaggerMs: 250,
  probeTimeoutMs: 2000,
  loadBalance: "ordered",
  targetSessionAttrs: "any",
  isolationLevel: undefined,
  resetOnReturn: "rollback",
};

function setup(
  behaviour: FakeBehavior = {},
  settings: Partial<DialerSettings> = {},
  roles?: (address: string) => Role,
): { dialer: Dialer<FakeClient>; adapter: FakeAdapter } {
  const adapter = fakeAdapter(behaviour);
  if (roles) adapter.role = ({ address }) => Promise.resolve(roles(address));
  const target = {
    host: "db.internal",
    port: 5432,
    user: "app",
    password: PASSWORD,
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => [],
  };
  const dialer = new Dialer(adapter, target, { ...SETTINGS, ...settings });
  return { dialer, adapter };
}

/** Dials `count` times; returns the addresses reached. */
async function reached(dialer: Dialer<FakeClient>, count: number, addresses = ALL) {
  const result: string[] = [];
  for (let i = 0; i < count; i++) result.push((await dialer.dial(addresses, FOREVER)).address);
  return result;
}

Deno.test('dial() takes the first address, with loadBalance "ordered"', async () => {
  const { dialer } = setup();
  assertEquals(await reached(dialer, 3), [A, A, A]);
});

Deno.test('dial() takes any address first, with loadBalance "random"', async () => {
  const { dialer, adapter } = setup({
    connect: () => Promise.reject(refused()),
  }, { loadBalance: "random" });
  const orders = new Set<string>();
  for (let i = 0; i < 300; i++) {
    adapter.dials.length = 0;
    await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
    orders.add(adapter.dials.join());
  }
  assertEquals(orders.size, 6);
});

Deno.test('dial() takes the addresses in turn however the answer rotates, with loadBalance "round-robin"', async () => {
  const { dialer } = setup({}, { loadBalance: "round-robin" });
  const addresses: string[] = [];
  for (const answer of [ALL, [B, C, A], [C, A, B], ALL, ALL, ALL]) {
    addresses.push(...await reached(dialer, 1, answer));
  }
  assertEquals(addresses, [A, B, C, A, B, C]);
});

Deno.test('dial() takes the address with the fewest connections, with loadBalance "least-connections"', async () => {
  const { dialer } = setup({}, { loadBalance: "least-connections" });
  assertEquals(await reached(dialer, 6), [A, B, C, A, B, C]);
  dialer.uncount(B);
  assertEquals(await reached(dialer, 1), [B]);
  // Connects under way count as well.
  const pending = ALL.map(() => dialer.dial(ALL, FOREVER));
  const addresses = (await Promise.all(pending)).map(({ address }) => address);
  assertEquals(addresses.sort(), ALL);
});

Deno.test("dial() counts neither a failed attempt nor a wrong role as a connection", async () => {
  using time = fakeTime();
  let well = false;
  const { dialer } = setup(
    { connect: (address) => !well && address === A ? Promise.reject(refused()) : undefined },
    { loadBalance: "least-connections", targetSessionAttrs: "standby" },
    (address) => ({ standby: well || address !== B, readOnly: false }),
  );
  assertEquals(await reached(dialer, 1, [A, B, C]), [C]);
  well = true;
  await time.advance(5);
  // C has one connection, the others have none: if failures counted, C would have as few and come first.
  assertEquals(await reached(dialer, 1, [C, A]), [A]);
  assertEquals(await reached(dialer, 1, [C, B]), [B]);
});

Deno.test("dial() has no cooldown for a server of another role: it may be promoted at any moment", async () => {
  const primaries = [A];
  const { dialer, adapter } = setup(
    {},
    { targetSessionAttrs: "standby" },
    (address) => ({ standby: !primaries.includes(address), readOnly: false }),
  );
  assertEquals(await reached(dialer, 2), [B, B]);
  assertEquals(adapter.dials, [A, B, A, B]);
  primaries.length = 0;
  assertEquals(await reached(dialer, 1), [A]);
});

for (const targetSessionAttrs of ["primary", "read-write"] as const) {
  Deno.test(`dial() tries the server first that took writes last, for the role "${targetSessionAttrs}"`, async () => {
    let writer = C;
    const { dialer, adapter } = setup(
      {},
      { targetSessionAttrs },
      (address) => ({ standby: address !== writer, readOnly: address !== writer }),
    );
    assertEquals(await reached(dialer, 2), [C, C]);
    assertEquals(adapter.dials, [A, B, C, C]);
    writer = B;
    assertEquals(await reached(dialer, 2), [B, B]);
    assertEquals(adapter.dials.slice(4), [C, A, B, B]);
    assertEquals(await reached(dialer, 1, [B]), [B]);
    // What is no longer current is not tried.
    writer = A;
    assertEquals(await reached(dialer, 1, [A]), [A]);
    assertEquals(adapter.dials.slice(8), [B, A]);
  });
}

Deno.test("dial() tries an address that failed after the others, for 5 seconds", async () => {
  using time = fakeTime();
  let down = true;
  const { dialer, adapter } = setup({
    connect: (address) => down && address === A ? Promise.reject(refused()) : undefined,
  });
  assertEquals(await reached(dialer, 2), [B, B]);
  assertEquals(adapter.dials, [A, B, B]);
  down = false;
  await time.advance(4.999);
  assertEquals(await reached(dialer, 1), [B]);
  await time.advance(0.001);
  assertEquals(await reached(dialer, 1), [A]);
});

Deno.test("dial() tries an address that failed if no other is left, and ends its cooldown if it succeeds", async () => {
  using _time = fakeTime();
  let down = [A, B, C];
  const { dialer, adapter } = setup({
    connect: (address) => down.includes(address) ? Promise.reject(refused()) : undefined,
  });
  await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  assertEquals(adapter.dials, ALL);
  down = [B, C];
  assertEquals(await reached(dialer, 1, [B, C, A]), [A]);
  assertEquals(await reached(dialer, 1, [B, C, A]), [A]);
  assertEquals(adapter.dials, [...ALL, B, C, A, A]);
});

Deno.test("dial() tries the next address beside a silent one after connectStagger, and all for connectTimeout", async () => {
  using time = fakeTime();
  const begun: [string, number][] = [];
  const startMs = time.nowMs;
  const { dialer } = setup({
    connect(address, target) {
      begun.push([address, time.nowMs - startMs]);
      return address === A ? Promise.reject(refused()) : silent(target);
    },
  });
  const failing = assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  await time.advance(10);
  const error = await failing;
  assertEquals(time.nowMs - startMs, 10_000);
  assertEquals(begun, [[A, 0], [B, 0], [C, 250]]);
  assertEquals(error.attempts.map(({ address }) => address).sort(), ALL);
  assertEquals(error.cause, error.attempts[2]!.error);
});

const IP = (n: number) => `10.0.0.${n}`;

Deno.test("dial() takes the first server that is ready, and ends the others without a trace", async () => {
  using time = fakeTime();
  const logins = new Map<string, number>([[A, 0.6], [B, 0.3], [C, 5]]);
  const { dialer, adapter } = setup({
    connect: (address, { signal }) =>
      new Promise<void>((resolve, reject) => {
        setTimeout(resolve, logins.get(address)! * 1000);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  });
  const dial = dialer.dial(ALL, FOREVER);
  await time.advance(0.549);
  assertEquals(adapter.dials, ALL);
  assertEquals(adapter.clients, []);
  await time.advance(0.001);
  const { client, address } = await dial;
  assertEquals([address, client.open], [B, true]);
  // A completes its login and is closed; C, which is silent, is given up after a while.
  await time.advance(0.05);
  assertEquals(adapter.clients.map(({ address, log }) => [address, log.join()]), [
    [B, ""],
    [A, "close"],
  ]);
  const closed = dialer.closed();
  await time.settle();
  await closed;
  assertEquals(adapter.open.map(({ address }) => address), [B]);
  // Only B counts as a connection.
  const balanced = setup({}, { loadBalance: "least-connections" });
  assertEquals(await reached(balanced.dialer, 1), [A]);
});

Deno.test("dial() tries an address that was silent for connectStagger after the others, until it answers", async () => {
  using time = fakeTime();
  for (const role of ["any", "read-write"] as const) {
    let loginMs = 600;
    const wait = () => new Promise<void>((resolve) => setTimeout(resolve, loginMs));
    const { dialer, adapter } = setup(
      {
        connect: (address) => address === A ? wait() : undefined,
      },
      { targetSessionAttrs: role },
      (address) => ({ standby: address === A, readOnly: false }),
    );
    const first = dialer.dial([A, B], FOREVER);
    await time.advance(0.25);
    assertEquals((await first).address, B);
    // The next one does not wait for A at all.
    assertEquals(await reached(dialer, 1, [A, B]), [B]);
    assertEquals(adapter.dials, [A, B, B]);
    await time.advance(0.35);
    loginMs = 0;
    await Promise.all([dialer.dial([A, C], FOREVER), time.advance(0.1)]);
    assertEquals(adapter.dials[3], A);
  }
});

Deno.test("dial() closes the second of two servers that are ready in the same turn", async () => {
  using time = fakeTime();
  const login = resolvable<void>();
  const { dialer, adapter } = setup(
    { connect: (address) => address === C ? new Promise(() => {}) : login.promise },
    { loadBalance: "least-connections" },
  );
  const dial = dialer.dial([A, B], FOREVER);
  await time.advance(0.3);
  assertEquals(adapter.dials, [A, B]);
  login.resolve();
  const { address } = await dial;
  await dialer.closed();
  assertEquals(adapter.open.map(({ address }) => address), [address]);
  // Nor does it count as a connection.
  const [other] = [A, B].filter((each) => each !== address);
  assertEquals((await dialer.dial([address, other!], FOREVER)).address, other);
});

Deno.test("dial() gives an attempt that lost one second, and then tries its address after the others", async () => {
  using time = fakeTime();
  const aborted: number[] = [];
  const { dialer, adapter } = setup({
    connect(address, { signal }) {
      if (address !== A) return;
      return new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(time.nowMs);
          reject(signal.reason);
        });
      });
    },
  });
  const startMs = time.nowMs;
  const dial = dialer.dial(ALL, FOREVER);
  await time.advance(0.25);
  assertEquals((await dial).address, B);
  await time.advance(0.999);
  assertEquals(aborted, []);
  await time.advance(0.001);
  assertEquals(aborted, [startMs + 1250]);
  assertEquals(await reached(dialer, 1), [B]);
  assertEquals(adapter.dials, [A, B, B]);
  await dialer.closed();
});

Deno.test("dial() has at most three attempts at once, and begins the next one at each failure", async () => {
  using time = fakeTime();
  const begun: [string, number][] = [];
  const startMs = time.nowMs;
  const refuse = new Map<string, (error: Error) => void>();
  const { dialer } = setup({
    connect(address, { signal }) {
      begun.push([address, time.nowMs - startMs]);
      return new Promise<never>((_, reject) => {
        refuse.set(address, reject);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  });
  const all = [1, 2, 3, 4, 5].map(IP);
  const failing = assertRejects(() => dialer.dial(all, FOREVER), ConnectError);
  await time.advance(3);
  assertEquals(begun, [[IP(1), 0], [IP(2), 250], [IP(3), 500]]);
  refuse.get(IP(2))!(refused());
  await time.settle();
  assertEquals(begun.slice(3), [[IP(4), 3000]]);
  refuse.get(IP(1))!(refused());
  await time.settle();
  assertEquals(begun.slice(4), [[IP(5), 3000]]);
  await time.advance(7);
  assertEquals((await failing).attempts.length, 5);
});

Deno.test("dial() waits twice the usual time of a server that is slow, but leaves time for all addresses", async () => {
  using time = fakeTime();
  const begun: [string, number][] = [];
  let hangs = false;
  const { dialer } = setup({
    connect(address, target) {
      begun.push([address, time.nowMs]);
      if (hangs) return silent(target);
      return new Promise((resolve) => setTimeout(resolve, 400));
    },
  });
  for (let i = 0; i < 2; i++) {
    const dial = dialer.dial([A], FOREVER);
    await time.advance(0.4);
    await dial;
  }
  hangs = true;
  begun.length = 0;
  const startMs = time.nowMs;
  const failing = assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  await time.advance(10);
  await failing;
  assertEquals(begun.map(([address, ms]) => [address, ms - startMs]), [
    [A, 0],
    [B, 800],
    [C, 1050],
  ]);

  const hasty = setup({
    connect(address, target) {
      begun.push([address, time.nowMs]);
      return silent(target);
    },
  }, { connectTimeoutMs: 300 });
  begun.length = 0;
  const hastyMs = time.nowMs;
  const late = assertRejects(() => hasty.dialer.dial(ALL, FOREVER), ConnectError);
  await time.advance(0.3);
  await late;
  assertEquals(begun.map(([address, ms]) => [address, ms - hastyMs]), [[A, 0], [B, 100], [C, 200]]);
});

Deno.test("dial() looks for a role at several servers at once, if one of them is silent", async () => {
  using time = fakeTime();
  const { dialer, adapter } = setup(
    { connect: (address, target) => address === A ? silent(target) : undefined },
    { targetSessionAttrs: "read-write" },
    (address) => ({ standby: address !== C, readOnly: address !== C }),
  );
  const dial = dialer.dial(ALL, FOREVER);
  await time.advance(0.25);
  assertEquals((await dial).address, C);
  assertEquals(adapter.dials, ALL);
  await time.advance(1);
  assertEquals(adapter.open.map(({ address }) => address), [C]);
});

Deno.test("dial() has no timer but its timeout with one address", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  const { dialer, adapter } = setup({ connect: (_, target) => silent(target) });
  const failing = assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  await time.settle();
  assertEquals(timers.pending().length, 1);
  await time.advance(10);
  await failing;
  assertEquals(adapter.dials, [A]);
});

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
  const { dialer, adapter } = setup({
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
  const { dialer, adapter } = setup({ connect: (_, target) => silent(target) });
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

const PRIMARY = { standby: false, readOnly: false };
const LOCKED = { standby: false, readOnly: true };
const STANDBY = { standby: true, readOnly: true };
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
      const { dialer, adapter } = setup({}, { targetSessionAttrs }, () => role);
      const error = await dialer.dial([A], FOREVER).then(() => undefined, (error) => error);
      assertEquals(error === undefined, fitting.includes(role), targetSessionAttrs);
      assertEquals(adapter.open.length, error ? 0 : 1);
      if (error) assertStringIncludes(error.message, `and "${targetSessionAttrs}" is wanted`);
    }
  }
});

Deno.test('dial() with "prefer-standby" takes the primary only if no standby accepts a connection', async () => {
  let down = [C];
  const { dialer, adapter } = setup(
    { connect: (address) => down.includes(address) ? Promise.reject(refused()) : undefined },
    { targetSessionAttrs: "prefer-standby" },
    (address) => address === A ? PRIMARY : STANDBY,
  );
  assertEquals(await reached(dialer, 1), [B]);
  down = [B, C];
  assertEquals(await reached(dialer, 1), [A]);
  assertEquals(adapter.open.map(({ address }) => address), [B, A]);
});

Deno.test("dial() reports the answer of each address, and never the password", async () => {
  const { dialer } = setup(
    {
      connect(address) {
        if (address === A) throw refused();
        if (address === B) throw new Error(`bad login app:${PASSWORD}@${B}`);
      },
    },
    { targetSessionAttrs: "read-write" },
    () => STANDBY,
  );
  const error = await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  assertEquals(
    error.message,
    'Cannot connect to "db.internal": 10.0.0.1:5432 said: connect ECONNREFUSED; ' +
      "10.0.0.2:5432 said: bad login app:***@10.0.0.2; " +
      '10.0.0.3:5432 said: it is a standby, read-only, and "read-write" is wanted',
  );
  assertEquals(error.attempts.map(({ address }) => address), ALL);
  assertInstanceOf(error.cause, Error);
});

Deno.test("Dialer shows the password in no message, neither plain nor as in a URL", async () => {
  const texts = [PASSWORD, encodeURIComponent(PASSWORD)];
  for (const text of texts) {
    const { dialer } = setup({ connect: () => Promise.reject(new Error(`cannot use "${text}"`)) });
    const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
    for (const last of [error, new Error(`a hook saw "${text}"`)]) {
      const late = dialer.timeoutError(last, 1.5);
      assertStringIncludes(late.message, "***");
      assertStringIncludes(late.message, 'Cannot connect to "db.internal" within 1.5 seconds');
      for (const secret of texts) assertFalse((error.message + late.message).includes(secret));
    }
  }
});

Deno.test("isTransient() is true for failures that may be gone at the next try", async () => {
  const wrongPassword = Object.assign(new Error("password authentication failed"), {
    code: "28P01",
  });
  const starting = Object.assign(new Error("the database system is starting up"), {
    verdict: "disconnect",
  });
  const timeout = new DOMException("no connection within 10 seconds", "TimeoutError");
  const cases: [what: string, error: unknown, first: boolean, later: boolean][] = [
    ["refused", refused(), false, true],
    ["reset", refused("ECONNRESET"), false, true],
    ["unreachable", refused("EHOSTUNREACH"), false, true],
    ["timed out", refused("ETIMEDOUT"), false, true],
    ["our own time-out", timeout, false, true],
    ["starting up", starting, false, true],
    ["wrong password", wrongPassword, false, false],
    ["anything else", new Error("no such database"), false, false],
    ["not an error", undefined, false, false],
  ];
  for (const [what, reason, first, later] of cases) {
    const { dialer } = setup({ connect: () => Promise.reject(reason) });
    const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
    assertEquals(dialer.isTransient(error, false), first, `${what}, at first`);
    assertEquals(dialer.isTransient(error, true), later, `${what}, later`);
    assertFalse(dialer.isTransient(reason, true), `${what}, not from a dial`);
  }
  const { dialer } = setup({}, { targetSessionAttrs: "primary" }, () => STANDBY);
  const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  assert(dialer.isTransient(error, false), "a role is waited for from the beginning");
});

Deno.test("isTransient() with several addresses: true for a wrong role, false for a wrong password at one of them", async () => {
  const wrongPassword = Object.assign(new Error("no"), { code: "28P01" });
  const standby = () => STANDBY;
  const cases: [b: unknown, first: boolean, later: boolean][] = [
    [refused(), true, true],
    [wrongPassword, false, false],
  ];
  for (const [reason, first, later] of cases) {
    const behaviour: FakeBehavior = {
      connect: (address) => address === B ? Promise.reject(reason) : undefined,
    };
    const { dialer } = setup(behaviour, { targetSessionAttrs: "primary" }, standby);
    const error = await assertRejects(() => dialer.dial([A, B], FOREVER), ConnectError);
    assertEquals([dialer.isTransient(error, false), dialer.isTransient(error, true)], [
      first,
      later,
    ]);
  }
  const behaviour: FakeBehavior = {
    connect: (address) => Promise.reject(address === B ? refused() : wrongPassword),
  };
  const { dialer } = setup(behaviour);
  const error = await assertRejects(() => dialer.dial([A, B], FOREVER), ConnectError);
  assertFalse(dialer.isTransient(error, true));
});

Deno.test("dial() believes the adapter about the address that a connection is open to", async () => {
  const { dialer, adapter } = setup({}, { loadBalance: "least-connections" });
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
    const { dialer, adapter } = setup({ connect });
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
  const { dialer, adapter } = setup({
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

Deno.test("suspect() puts an address last for a while, then lets one connection try, and doubles the time if that fails", async () => {
  using time = fakeTime();
  const { dialer } = setup();
  dialer.suspect(A);
  await time.advance(1);
  dialer.suspect(A); // another connection that was open
  assertEquals(await reached(dialer, 2), [B, B]);
  await time.advance(4);
  assertEquals(await reached(dialer, 3), [A, B, B], "one try");
  dialer.suspect(A);
  await time.advance(9.9);
  assertEquals(await reached(dialer, 1), [B]);
  await time.advance(0.1);
  assertEquals(await reached(dialer, 2), [A, B]);
  await time.advance(10);
  assertEquals(await reached(dialer, 2), [A, A], "nothing happened to the one");
  dialer.suspect(A);
  await time.advance(5);
  assertEquals(await reached(dialer, 1), [A], "it began anew");
});

Deno.test("suspect() changes nothing where there is no other address, or all are suspect", async () => {
  const { dialer } = setup();
  for (const address of ALL) dialer.suspect(address);
  assertEquals(await reached(dialer, 2), [A, A]);
  assertEquals(await reached(dialer, 2, [B]), [B, B]);
});

Deno.test("probe() uses the adapter's own probe, which asks for no login", async () => {
  const { dialer, adapter } = setup({ connect: () => Promise.reject(new Error("a login")) });
  const probed: string[] = [];
  adapter.probe = (ip, { port }) => Promise.resolve(void probed.push(`${ip}:${port}`));
  assert(await dialer.probe(A));
  assertEquals([probed, adapter.dials], [[`${A}:5432`], []]);
});

Deno.test("probe() of several dialers for one server is one attempt, if the adapter has a probe", async () => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const dialers = Array.from({ length: 3 }, () => {
    const { dialer, adapter } = setup();
    adapter.probe = (ip) => new Promise((resolve) => (asked.push(ip), answers.push(resolve)));
    return dialer;
  });
  const probes = dialers.flatMap((dialer) => [dialer.probe(A), dialer.probe(B)]);
  assertEquals(asked, [A, B]);
  for (const answer of answers) answer();
  assertEquals(await Promise.all(probes), Array(6).fill(true));
});

Deno.test("dial() and probe() close gracefully if the server did nothing wrong", async () => {
  const { dialer, adapter } = setup({}, { targetSessionAttrs: "standby" });
  await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  assert(await dialer.probe(A));
  assertEquals(adapter.clients.map(({ log }) => log.join()), ["role,close", "close"]);
});

Deno.test("abortAttempts() ends attempts at an address that departed, and skips the address from then on", async () => {
  using time = fakeTime();
  const { dialer, adapter } = setup({ connect: (_, target) => silent(target) });
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

Deno.test("closedDuringConnect() creates a transient error, with the driver's error as its cause", () => {
  const { dialer } = setup();
  const cause = new Error("terminating");
  const error = dialer.closedDuringConnect(A, cause);
  assertEquals(
    error.message,
    'Cannot connect to "db.internal": 10.0.0.1:5432 said: the connection was closed at once',
  );
  assertEquals((error.cause as Error).cause, cause);
  assert(dialer.isTransient(error, true));
});
