import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectError } from "../../../errors.ts";
import { watchTimers } from "../../stress/pool_timers.ts";
import { A, ALL, B, C, dialing, FOREVER, reached, refused, silent } from "../../support/dialer.ts";
import { fakeTime } from "../../support/time.ts";
import { resolvable } from "../../support/waiting.ts";

Deno.test("dial() tries the next address beside a silent one after connectStagger, and all for connectTimeout", async () => {
  using time = fakeTime();
  const begun: [string, number][] = [];
  const startMs = time.nowMs;
  const denied = Object.assign(new Error("no such user"), { fake: "denied" });
  const { dialer } = dialing({
    connect(address, target) {
      begun.push([address, time.nowMs - startMs]);
      return address === A ? Promise.reject(denied) : silent(target);
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

Deno.test("dial() tries servers that refused again while one is silent, and takes the one that is up first", async () => {
  using time = fakeTime();
  const up = new Set<string>();
  const { dialer, adapter } = dialing({
    connect(address, target) {
      if (up.has(address)) return undefined;
      return address === A ? silent(target) : Promise.reject(refused());
    },
  });
  const dial = dialer.dial(ALL, FOREVER);
  await time.advance(3);
  // Each of the two is tried twice a second at most, and not one after the other for the other's sake.
  const tried = adapter.dials.filter((address) => address === B).length;
  assert(tried >= 4 && tried <= 7, `${tried} times`);
  up.add(C);
  await time.advance(0.75);
  assertEquals((await dial).address, C);
  const closed = dialer.closed();
  await time.settle();
  await closed;
});

Deno.test("dial() asks servers of another role again while one is silent, and takes the one that was promoted", async () => {
  for (const order of [[A, B, C], [B, C, A]]) {
    using time = fakeTime();
    const promoted = new Set<string>();
    const { dialer, adapter } = dialing(
      { connect: (address, target) => address === A ? silent(target) : undefined },
      { targetSessionAttrs: "read-write" },
      (address) => ({ standby: !promoted.has(address), readOnly: false }),
    );
    const dial = dialer.dial(order, FOREVER);
    await time.advance(3);
    // Each of the two is asked twice a second at most.
    const asked = adapter.dials.filter((address) => address === B).length;
    assert(asked >= 4 && asked <= 7, `${asked} times`);
    promoted.add(C);
    await time.advance(0.75);
    assertEquals((await dial).address, C);
    const closed = dialer.closed();
    await time.settle();
    await closed;
  }
});

Deno.test("dial() reports each server once, however often it was asked", async () => {
  using time = fakeTime();
  const { dialer } = dialing(
    { connect: (address, target) => address === A ? silent(target) : undefined },
    { targetSessionAttrs: "read-write" },
    () => ({ standby: true, readOnly: false }),
  );
  const startMs = time.nowMs;
  const failing = assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  await time.advance(10);
  const error = await failing;
  assertEquals(time.nowMs - startMs, 10_000);
  assertEquals(error.attempts.map(({ address }) => address).sort(), ALL);
});

const IP = (n: number) => `10.0.0.${n}`;

Deno.test("dial() takes the first server that is ready, and ends the others without a trace", async () => {
  using time = fakeTime();
  const logins = new Map<string, number>([[A, 0.6], [B, 0.3], [C, 5]]);
  const { dialer, adapter } = dialing({
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
  const balanced = dialing({}, { loadBalance: "least-connections" });
  assertEquals(await reached(balanced.dialer, 1), [A]);
});

Deno.test("dial() tries an address that was silent for connectStagger after the others, until it answers", async () => {
  using time = fakeTime();
  for (const role of ["any", "read-write"] as const) {
    let loginMs = 600;
    const wait = () => new Promise<void>((resolve) => setTimeout(resolve, loginMs));
    const { dialer, adapter } = dialing(
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
  const { dialer, adapter } = dialing(
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
  const { dialer, adapter } = dialing({
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
  const { dialer } = dialing({
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
  const { dialer } = dialing({
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

  const hasty = dialing({
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
  const { dialer, adapter } = dialing(
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
  const { dialer, adapter } = dialing({ connect: (_, target) => silent(target) });
  const failing = assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  await time.settle();
  assertEquals(timers.pending().length, 1);
  await time.advance(10);
  await failing;
  assertEquals(adapter.dials, [A]);
});
