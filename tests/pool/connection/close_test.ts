import { assertEquals, assertMatch } from "@std/assert";
import type { Adapter } from "../../../adapters/adapter.ts";
import {
  closeConnection,
  type CloseOptions,
  connectionLost,
} from "../../../pool/connection/close.ts";
import type { PoolHooks } from "../../../pool/connection/hooks.ts";
import { Log } from "../../../internal/log.ts";
import { keepLines, watch } from "../../support/checks.ts";
import { fakeTime } from "../../support/time.ts";

/** Ends a connection; what is called is written down. */
function setup(
  how: CloseOptions<string>["how"],
  adapter: Pick<Adapter<string>, "close" | "terminate">,
  options: { reason?: unknown; hooks?: PoolHooks<string> } = {},
) {
  const { reason, hooks } = options;
  const { lines, ...logger } = keepLines();
  const closing = closeConnection(
    { client: "client", address: "10.0.0.1", info: {} },
    {
      adapter: { name: "fake", defaultPort: 1, connect: () => Promise.resolve(""), ...adapter },
      how,
      reason,
      onClose: hooks && { hooks, log: new Log(logger, false, "orders") },
    },
  );
  return { closing, lines };
}

Deno.test("closeConnection() closes gracefully, and terminates what fails to close within 2 seconds", async () => {
  using time = fakeTime();
  const closes: [what: string, close: () => Promise<void>, expected: string[]][] = [
    ["succeeds", () => Promise.resolve(), []],
    ["fails", () => Promise.reject(new Error("no")), ["terminate undefined"]],
    ["throws", () => {
      throw new Error("no");
    }, ["terminate undefined"]],
    ["hangs", () => new Promise(() => {}), ["terminate undefined"]],
  ];
  for (const [what, close, expected] of closes) {
    const calls: string[] = [];
    const terminate = (_: string, reason?: Error) => void calls.push(`terminate ${reason}`);
    const { closing } = setup("close", { close, terminate });
    const watched = watch(closing!);
    await time.tick(1999);
    if (what === "hangs") assertEquals([watched.state, calls], ["pending", []]);
    await time.tick(1);
    assertEquals([watched.state, calls], ["fulfilled", expected], what);
  }
});

Deno.test("closeConnection() terminates at once, with the reason if it is an error", () => {
  const lost = connectionLost("10.0.0.1", "the engine was closed");
  for (const [reason, expected] of [[lost, lost], ["text", undefined], [undefined, undefined]]) {
    const calls: unknown[] = [];
    const { closing } = setup(
      "terminate",
      { close: () => Promise.reject(calls), terminate: (...args) => void calls.push(...args) },
      { reason },
    );
    assertEquals([closing, calls], [undefined, ["client", expected]]);
  }
});

Deno.test("closeConnection() makes do with an adapter that has one of close() and terminate(), or none", async () => {
  const calls: string[] = [];
  const close = () => {
    calls.push("close");
    return Promise.reject(new Error("no"));
  };
  const terminate = () => {
    calls.push("terminate");
    throw new Error("no");
  };
  await setup("close", { terminate }).closing;
  await setup("terminate", { close }).closing;
  await setup("terminate", { terminate }).closing;
  await setup("close", { close }).closing;
  await setup("close", {}).closing;
  assertEquals(calls, ["terminate", "close", "terminate", "close", "close"]);
});

Deno.test("closeConnection() calls the hooks first, waits 2 seconds for each, and logs what they throw", async () => {
  using time = fakeTime();
  const calls: unknown[] = [];
  const hooks: PoolHooks<string> = {
    invalidate: ({ address }, error) => {
      calls.push(`invalidate ${address} ${error}`);
      throw new Error("thrown by a hook");
    },
    close: () => {
      calls.push("close hook");
      return new Promise(() => {});
    },
  };
  const terminate = () => void calls.push("terminate");
  const { closing, lines } = setup("terminate", { terminate }, { reason: "why", hooks });
  const watched = watch(closing!);
  await time.tick(1999);
  assertEquals([watched.state, calls], ["pending", ["invalidate 10.0.0.1 why", "close hook"]]);
  await time.tick(1);
  assertEquals([watched.state, calls.at(-1)], ["fulfilled", "terminate"]);
  assertMatch(
    lines.join("\n"),
    /hook "invalidate" failed: thrown by a hook\n.*hook "close" failed/,
  );
});
