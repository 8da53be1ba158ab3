import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { abortable } from "../../internal/async.ts";

const gone = new Error("gone");

Deno.test("abortable() returns the promise's value, and removes its listener from the signal", async () => {
  const { signal } = new AbortController();
  const listeners: unknown[] = [];
  signal.addEventListener = (_: string, listener: unknown) => void listeners.push(listener);
  signal.removeEventListener = (_: string, listener: unknown) =>
    void listeners.splice(listeners.indexOf(listener), 1);
  assertEquals(await abortable(Promise.resolve(7), signal), 7);
  assertEquals(await abortable(Promise.resolve(7), undefined), 7);
  assertStrictEquals(await assertRejects(() => abortable(Promise.reject(gone), signal)), gone);
  await Promise.resolve();
  assertEquals(listeners, []);
});

Deno.test("abortable() rejects with the reason of a signal that is aborted before or meanwhile, and handles a late rejection", async () => {
  let fail!: (error: unknown) => void;
  const promise = new Promise<never>((_, reject) => fail = reject);
  const controller = new AbortController();
  const wait = abortable(promise, controller.signal);
  controller.abort(gone);
  assertStrictEquals(await assertRejects(() => wait), gone);
  assertStrictEquals(await assertRejects(() => abortable(promise, controller.signal)), gone);
  fail(new Error("late")); // an unhandled rejection would fail the test
  await promise.catch(() => {});
});
