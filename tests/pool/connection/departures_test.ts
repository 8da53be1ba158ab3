import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import {
  CurrentAddresses,
  DepartureWatch,
  type RetiredConnection,
  RetiredConnections,
} from "../../../pool/connection/departures.ts";
import { fakeTime, type TestTime } from "../../support/time.ts";

/** An answer without addresses. */
const NONE = { addresses: [] };
const A = "10.0.0.1";
const B = "10.0.0.2";

Deno.test("CurrentAddresses without a linger time lets an address depart at once", () => {
  const ended: string[] = [];
  const current = new CurrentAddresses(NONE, 0, (address) => ended.push(address));
  current.update({ added: [], removed: [A] });
  assertEquals([ended, current.isCurrent(A)], [[A], false]);
});

Deno.test("CurrentAddresses keeps an address that left the answer for the linger time, and reports its end", async () => {
  using time = fakeTime();
  const ended: string[] = [];
  const current = new CurrentAddresses(NONE, 3000, (address) => ended.push(address));
  assertFalse(current.isCurrent(A));
  current.update({ added: [], removed: [A] });
  await time.advance(1);
  current.update({ added: [], removed: [B] });
  await time.advance(1.999);
  assertEquals([current.isCurrent(A), ended], [true, []]);
  await time.advance(0.001);
  assertEquals([current.isCurrent(A), current.isCurrent(B), ended], [false, true, [A]]);
  await time.advance(1);
  assertEquals([current.isCurrent(B), ended], [false, [A, B]]);
});

Deno.test("CurrentAddresses goes by the clock, however late its timer is", async () => {
  using time = fakeTime();
  const ended: string[] = [];
  const current = new CurrentAddresses(NONE, 3000, (address) => ended.push(address));
  current.update({ added: [], removed: [A] });
  time.stall(3);
  assertEquals([current.isCurrent(A), ended], [false, []]);
  await time.advance(0);
  assertEquals(ended, [A]);
});

Deno.test("CurrentAddresses keeps an address that came back, and starts anew when it leaves again", async () => {
  using time = fakeTime();
  const ended: string[] = [];
  const current = new CurrentAddresses(NONE, 3000, (address) => ended.push(address));
  current.update({ added: [], removed: [A] });
  await time.advance(2);
  current.update({ added: [A], removed: [] });
  assertFalse(current.isCurrent(A));
  await time.advance(2);
  assertEquals(ended, []);
  current.update({ added: [], removed: [A] });
  await time.advance(2.999);
  assert(current.isCurrent(A));
  current.clear();
  await time.advance(1);
  assertEquals([ended, current.isCurrent(A)], [[], false]);
});

Deno.test("CurrentAddresses lets an address linger if three departed in a row and no waiting caller was served", async () => {
  using time = fakeTime();
  const ended: string[] = [];
  const progress = { waiting: true, handedOut: 0 };
  const current = new CurrentAddresses(NONE, 0, (address) => ended.push(address), {
    isWaitedFor: () => progress.waiting,
    handedOut: () => progress.handedOut,
    connectMs: () => 400,
  });
  const depart = () => {
    const { length } = ended;
    current.update({ added: [], removed: [A] });
    return ended.length > length ? "departs" : "lingers";
  };
  assertEquals([depart(), depart(), depart()], ["departs", "departs", "lingers"]);
  assertEquals([current.isCurrent(A), depart()], [true, "lingers"]);
  await time.advance(0.799);
  assert(current.isCurrent(A));
  await time.advance(0.001);
  assertEquals([current.isCurrent(A), ended.at(-1)], [false, A]);
  // A caller was served, or none waits any longer: it begins anew.
  progress.handedOut++;
  assertEquals([depart(), depart(), depart(), depart()], [
    ...["departs", "departs", "departs"],
    "lingers",
  ]);
  progress.waiting = false;
  assertEquals([depart(), depart(), depart(), depart()], Array(4).fill("departs"));
  current.clear();
});

/** Creates a watch over connections to one address: when each was retired, and whether the server answers. */
function watching(time: TestTime, graceSeconds = Infinity) {
  const lab = {
    retired: [] as number[],
    /** The result of a probe, and its duration. */
    answer: { alive: true, afterMs: 0 },
    probes: [] as number[],
    terminated: [] as string[],
    aborted: 0,
    watch: undefined as unknown as DepartureWatch,
    /** Retires one more connection now. */
    depart(): void {
      lab.retired.push(time.nowMs);
      lab.watch.watch(A);
    },
  };
  const startMs = time.nowMs;
  lab.watch = new DepartureWatch(graceSeconds * 1000, {
    oldestMs: () => lab.retired.length ? Math.min(...lab.retired) : undefined,
    terminate(address, byMs, why) {
      const due = lab.retired.filter((ms) => ms <= byMs);
      lab.retired = lab.retired.filter((ms) => ms > byMs);
      lab.terminated.push(`${time.nowMs - startMs}: ${due.length} on ${address}, ${why}`);
    },
    probe(_, signal) {
      lab.probes.push(time.nowMs - startMs);
      const { alive, afterMs } = lab.answer;
      return new Promise((resolve) => {
        const end = setTimeout(() => resolve(alive), afterMs);
        signal.addEventListener("abort", () => {
          lab.aborted++;
          clearTimeout(end);
          resolve(true);
        });
      });
    },
  });
  return lab;
}

const SILENT = "its address departed, and the server no longer answers";

Deno.test("DepartureWatch terminates the connections to a silent server as soon as that is known", async () => {
  using time = fakeTime();
  const lab = watching(time);
  lab.answer = { alive: false, afterMs: 2000 };
  lab.depart();
  await time.advance(1.999);
  assertEquals(lab.terminated, []);
  await time.advance(0.001);
  assertEquals(lab.terminated, [`2000: 1 on ${A}, ${SILENT}`]);
  await time.advance(60);
  assertEquals(lab.probes, [0]);
});

Deno.test("DepartureWatch spares the connections to a live server, and probes it every 5 seconds while they are in use", async () => {
  using time = fakeTime();
  const lab = watching(time);
  lab.depart();
  await time.advance(11);
  assertEquals([lab.probes, lab.terminated], [[0, 5000, 10_000], []]);
  lab.answer.alive = false;
  await time.advance(4);
  assertEquals(lab.terminated, [`15000: 1 on ${A}, ${SILENT}`]);
  lab.answer.alive = true;
  lab.depart();
  await time.advance(1);
  lab.retired = [];
  await time.advance(60);
  assertEquals(lab.probes, [0, 5000, 10_000, 15_000, 15_000]);
});

Deno.test("DepartureWatch terminates each connection when its own grace is over, however often the address departs", async () => {
  using time = fakeTime();
  const lab = watching(time, 3);
  lab.depart();
  await time.advance(2);
  lab.depart();
  await time.advance(1);
  const why = "its address departed 3 seconds ago";
  assertEquals(lab.terminated, [`3000: 1 on ${A}, ${why}`]);
  await time.advance(1.999);
  assertEquals(lab.terminated.length, 1);
  await time.advance(0.001);
  assertEquals(lab.terminated[1], `5000: 1 on ${A}, ${why}`);
});

Deno.test("DepartureWatch probes at once when an address departs again", async () => {
  using time = fakeTime();
  const lab = watching(time);
  lab.depart();
  await time.advance(1);
  lab.answer.alive = false;
  lab.depart();
  await time.advance(0);
  assertEquals(lab.terminated, [`1000: 2 on ${A}, ${SILENT}`]);
});

Deno.test("DepartureWatch runs one probe at a time", async () => {
  using time = fakeTime();
  const lab = watching(time);
  lab.answer.afterMs = 1000;
  lab.depart();
  await time.advance(0.5);
  lab.depart();
  await time.advance(0.5);
  assertEquals(lab.probes, [0]);
});

Deno.test("DepartureWatch.clear() ends probes and timers", async () => {
  using time = fakeTime();
  const lab = watching(time, 3);
  lab.answer = { alive: false, afterMs: 2000 };
  lab.depart();
  await time.advance(1);
  lab.watch.clear();
  await time.advance(60);
  assertEquals([lab.aborted, lab.probes.length, lab.terminated], [1, 1, []]);
});

Deno.test("RetiredConnections finds and terminates those in use, by when they were retired", () => {
  const log: string[] = [];
  const connection = (name: string, retiredAtMs: number, busy: boolean) => ({
    retiredAtMs,
    busy,
    terminate: ({ message }: Error) => void log.push(`${name}: ${message}`),
  });
  const connections: Record<string, RetiredConnection[]> = {
    [A]: [
      connection("idle", 1, false),
      connection("first", 2, true),
      connection("second", 3, true),
    ],
    [B]: [connection("idle", 1, false)],
  };
  const retired = new RetiredConnections({
    list: (address) => connections[address] ?? [],
    probe: () => Promise.resolve(true),
    onTerminated: (address, why) => void log.push(`${address}: ${why}`),
  });
  assertEquals([retired.oldestMs(A), retired.oldestMs(B)], [2, undefined]);
  retired.terminate(B, Infinity, "reason");
  retired.terminate(A, 1, "reason");
  assertEquals(log, []);
  retired.terminate(A, 2, "it is silent");
  assertEquals(log.length, 2);
  assertStringIncludes(log[0]!, `first: Lost the connection to ${A}: it is silent`);
  assertEquals(log[1], `${A}: it is silent`);
});
