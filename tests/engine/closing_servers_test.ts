/**
 * A server that lets no client in and waits for those that it has to leave, as PostgreSQL in a smart shutdown.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { closeAtRest, keepLines, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

const closing = () =>
  Object.assign(new Error("the database system is shutting down"), {
    code: "57P03",
    verdict: "disconnect",
  });
const refuse = () => Promise.reject(closing());

/** Creates an engine with one idle connection and one in use; more connects are refused. */
async function setup() {
  const logger = keepLines();
  const env = fakeEngine({ poolSize: 3, maxOverflow: 0, poolTimeout: 30, logger });
  const [held, idle] = await Promise.all([env.engine.connect(), env.engine.connect()]);
  await idle.release();
  env.adapter.behavior.connect = refuse;
  const retired: unknown[] = [];
  env.engine.addEventListener("retire", ({ detail }) => retired.push(detail));
  return { ...env, held, retired, logger };
}

Deno.test("Engine leaves a server that refuses clients twice, a second apart, and lets what goes on there end", async () => {
  using time = fakeTime();
  const env = await setup();
  const { engine, held, retired, logger } = env;
  const [first, second] = [await engine.connect(), watch(engine.connect())];
  await time.settle(); // the second one is refused
  await first.release(); // and gets the connection of the first
  assertEquals(second.state, "fulfilled");
  await (second.value as typeof held).release();
  await time.advance(0.9);
  assertEquals(engine.status().idle, 1);
  await time.advance(0.2);
  assertEquals([engine.status().idle, engine.status().inUse], [0, 1]);
  assertEquals(retired, [{ address: held.address, inUse: 1 }]);
  assertEquals(held.signal.aborted, false);
  assertEquals(logger.lines.filter((line) => line.includes("lets no client in")).length, 1);
  await held.release();
  assertEquals(engine.status().inUse, 0);

  // A caller waits for the next server.
  const next = watch(engine.connect());
  await time.advance(2);
  assertEquals(next.state, "pending");
  env.adapter.behavior.connect = () => {};
  await time.advance(1);
  assertEquals(next.state, "fulfilled");
  await (next.value as typeof held).release();
  await closeAtRest(env);
});

Deno.test("Engine keeps its connections if the second attempt succeeds: a proxy led to a server that was starting", async () => {
  using time = fakeTime();
  const env = await setup();
  const first = await env.engine.connect();
  const second = watch(env.engine.connect());
  await time.settle();
  env.adapter.behavior.connect = () => {};
  await time.advance(3);
  assertEquals(second.state, "fulfilled");
  await Promise.all([first, env.held, second.value as typeof first].map((each) => each.release()));
  assertEquals(env.engine.status().idle, 3);
  assertEquals(env.retired, []);
  await closeAtRest(env);
});

Deno.test("Engine that is closed does not ask a server that refused a client once more", async () => {
  using time = fakeTime();
  const env = await setup();
  const first = await env.engine.connect();
  const second = watch(env.engine.connect());
  await time.settle();
  const { length } = env.adapter.dials;
  await Promise.all([first.release(), env.held.release()]);
  await (second.value as typeof first)?.release();
  await env.engine.close();
  await time.advance(5);
  assertEquals(env.adapter.dials.length, length);
});
