import { assertEquals, assertFalse } from "@std/assert";
import { answers } from "../../../pool/connection/probes.ts";
import { fakeTime } from "../../support/time.ts";

interface Asked {
  resolve(): void;
  reject(error: unknown): void;
  readonly signal: AbortSignal;
}

let keys = 0;

/** A server of which the test decides when it answers. */
function server() {
  const asked: Asked[] = [];
  const key = `server ${++keys}`;
  return {
    key,
    asked,
    ask: (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        asked.push({ resolve, reject, signal });
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  };
}

/** The result of a promise, once there is one. */
function watched(promise: Promise<boolean>): { result: boolean | undefined } {
  const state: { result: boolean | undefined } = { result: undefined };
  promise.then((result) => state.result = result);
  return state;
}

const failed = (code: string) => Object.assign(new Error(code), { code });

Deno.test("answers() is true for any answer, and false when the network reports that there is none", async () => {
  using time = fakeTime();
  const cases: [(asked: Asked) => void, boolean][] = [
    [({ resolve }) => resolve(), true],
    [({ reject }) => reject(failed("ECONNREFUSED")), true],
    [({ reject }) => reject(failed("ECONNRESET")), true],
    [({ reject }) => reject(new Error("too many clients")), true],
    [({ reject }) => reject(failed("EHOSTUNREACH")), false],
    [({ reject }) => reject(failed("ETIMEDOUT")), false],
  ];
  for (const [answer, alive] of cases) {
    const probed = server();
    const result = answers(probed, { limitMs: 1500 });
    await time.advance(1.4);
    answer(probed.asked[0]!);
    assertEquals(await result, alive);
  }
});

Deno.test("answers() is false after the limit, and ends the attempt", async () => {
  using time = fakeTime();
  const probed = server();
  const state = watched(answers(probed, { limitMs: 1500 }));
  await time.tick(1499);
  assertEquals(state.result, undefined);
  await time.tick(1);
  assertEquals([state.result, probed.asked[0]!.signal.aborted], [false, true]);
});

Deno.test("answers() does not count the time in which the event loop was blocked", async () => {
  for (const [beforeMs, blockedMs] of [[0, 1600], [10, 60_000], [1400, 1600], [1499, 5000]]) {
    using time = fakeTime();
    const probed = server();
    const state = watched(answers(probed, { limitMs: 1500 }));
    await time.tick(beforeMs!);
    time.stall(blockedMs! / 1000);
    // The timers that are due run before the answer is read, which lies in the socket.
    await time.tick(0);
    await time.tick(20);
    assertEquals(state.result, undefined, `blocked for ${blockedMs} ms after ${beforeMs} ms`);
    probed.asked[0]!.resolve();
    await time.settle();
    assertEquals(state.result, true);
  }
});

Deno.test("answers() comes to a verdict though the event loop is blocked again and again", async () => {
  using time = fakeTime();
  const probed = server();
  const state = watched(answers(probed, { limitMs: 1500 }));
  for (let i = 0; i < 80; i++) {
    time.stall(0.2);
    await time.tick(1);
  }
  assertEquals(state.result, false);
});

Deno.test("answers() makes one attempt for all callers, each of which waits for its own time", async () => {
  using time = fakeTime();
  const probed = server();
  const hurried = watched(answers(probed, { limitMs: 500 }));
  const first = watched(answers(probed, { limitMs: 1500 }));
  await time.tick(400);
  const controller = new AbortController();
  const ended = watched(answers(probed, { limitMs: 1500, signal: controller.signal }));
  controller.abort();
  await time.settle();
  assertEquals([probed.asked.length, ended.result], [1, false]);
  await time.tick(100);
  assertEquals([hurried.result, first.result], [false, undefined]);
  assertFalse(probed.asked[0]!.signal.aborted);
  const later = watched(answers(probed, { limitMs: 1500 }));
  assertEquals(probed.asked.length, 2, "an attempt that was in vain for a caller takes no others");
  probed.asked[0]!.resolve();
  probed.asked[1]!.resolve();
  await time.settle();
  assertEquals([first.result, later.result], [true, true]);
});

Deno.test("answers() asks again after an answer", async () => {
  const probed = server();
  for (let i = 0; i < 3; i++) {
    const result = answers(probed, { limitMs: 1500 });
    probed.asked[i]!.resolve();
    assertEquals(await result, true);
  }
});
