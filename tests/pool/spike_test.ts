import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "../../internal/async.ts";
import { closeAtRest } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/**
 * HikariCP's spike demand test: fifty requests at once to an empty pool of fifty; a connect takes 150 ms and a query
 * 2 ms. A pool that opens a connection for each request opens fifty, and uses most of them once.
 */
Deno.test("Pool opens few connections for fifty requests at once (HikariCP's spike test)", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 50, maxOverflow: 0 }, {
    connect: () => delay(150),
    query: async () => {
      await delay(2);
      return [];
    },
  });
  const startMs = time.nowMs;
  const served: number[] = [];
  const requests = Array.from({ length: 50 }, async (_, i) => {
    await env.engine.query("SELECT 1");
    served.push(i);
    return time.nowMs - startMs;
  });
  await time.advance(1);
  const lastMs = Math.max(...await Promise.all(requests));
  const { opened } = env.engine.status();
  console.log(
    `${opened} connections were opened for 50 requests, the last served after ${lastMs} ms`,
  );
  // Four connects at once; each connection serves twelve or thirteen requests, while four more are being opened.
  assertLessOrEqual(opened, 8);
  assertLessOrEqual(lastMs, 150 + 13 * 2);
  assertEquals(served, served.toSorted((a, b) => a - b));
  assert(env.adapter.open.length === opened);
  await closeAtRest(env);
});
