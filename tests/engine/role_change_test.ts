/**
 * What follows when a server reports that its role has changed.
 */

import { assertEquals, assertRejects } from "@std/assert";
import type { Role } from "../../adapters/adapter.ts";
import type { EngineOptions } from "../../engine/options.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { checkoutMany, closeAtRest, releaseAll } from "../support/checks.ts";
import { type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";
import { resolvable } from "../support/waiting.ts";

const [A, B] = ["10.0.0.1", "10.0.0.2"];
const PRIMARY: Role = { standby: false, readOnly: false };
const STANDBY: Role = { standby: true, readOnly: true };

/** An engine whose name has two servers, both standbys at first. */
function readers(options: EngineOptions<FakeClient>): FakeEngine & {
  readonly roles: Record<string, Role>;
  questions(): number;
} {
  const roles: Record<string, Role> = { [A]: STANDBY, [B]: STANDBY };
  const env = fakeEngine(options, { role: ({ address }) => roles[address]! });
  env.dns.addresses = [A, B];
  const questions = () =>
    env.adapter.clients.flatMap(({ log }) => log).filter((entry) => entry === "role").length;
  return { ...env, roles, questions };
}

for (const targetSessionAttrs of ["standby", "read-only", "prefer-standby"] as const) {
  Deno.test(`targetSessionAttrs ${targetSessionAttrs} leaves a standby that reports its promotion: at the checkin, with all connections to it`, async () => {
    using time = fakeTime();
    const env = readers({ targetSessionAttrs });
    const leases = await checkoutMany(env, 3);
    assertEquals(leases.map(({ address }) => address), [A, A, A]);
    await leases[2]!.release();
    env.roles[A] = PRIMARY;
    env.adapter.reportRole(leases[0]!.client);
    assertEquals(leases.some(({ signal }) => signal.aborted), false);
    const asked = env.dns.questions.length;
    await time.tick(1000);
    await leases[0]!.release();
    await time.settle();
    assertEquals(env.dns.questions.length, asked + 1);
    assertEquals(await env.engine.use(({ address }) => address), B);
    await leases[1]!.release();
    assertEquals(env.adapter.open.map(({ address }) => address), [B]);
    await closeAtRest(env);
  });
}

Deno.test("targetSessionAttrs read-write leaves a primary that reports that it is read-only", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "read-write" });
  env.roles[A] = env.roles[B] = PRIMARY;
  await env.engine.use(({ client }) => {
    env.roles[A] = { standby: false, readOnly: true };
    env.adapter.reportRole(client);
  });
  await time.settle();
  assertEquals(await env.engine.use(({ address }) => address), B);
  await closeAtRest(env);
});

/** An error with which a server refuses a write. */
const refusal = () => Object.assign(new Error("read-only"), { code: "READ_ONLY" });

Deno.test("no connection to a server that refused a write is handed out while the server is asked for its role", async () => {
  using time = fakeTime();
  for (const isDemoted of [true, false]) {
    const env = readers({ targetSessionAttrs: "read-write", poolSize: 3, maxOverflow: 0 });
    env.roles[A] = env.roles[B] = PRIMARY;
    env.adapter.behavior.classify = (error) =>
      (error as { code?: unknown }).code === "READ_ONLY" ? "read-only" : undefined;
    await env.engine.warm(3);
    const answer = resolvable<void>();
    env.adapter.behavior.role = async ({ address }) => {
      if (address === A) await answer.promise;
      return env.roles[address]!;
    };
    if (isDemoted) env.roles[A] = STANDBY;
    const held = await env.engine.connect();
    const failed = assertRejects(() => env.engine.use(() => Promise.reject(refusal())));
    await time.settle();
    const next = env.engine.use(({ address }) => address);
    await held.release();
    await time.settle();
    assertEquals([env.engine.status().waiting, env.engine.status().idle], [1, 2]);
    answer.resolve();
    await failed;
    assertEquals(await next, isDemoted ? B : A);
    await time.settle();
    assertEquals(env.engine.status().idle, isDemoted ? 1 : 3);
    await closeAtRest(env);
  }
});

Deno.test("while a server is asked for its role, connections to another one serve", async () => {
  using time = fakeTime();
  const env = readers({
    targetSessionAttrs: "read-write",
    loadBalance: "round-robin",
    poolSize: 4,
    maxOverflow: 0,
  });
  env.roles[A] = env.roles[B] = PRIMARY;
  env.adapter.behavior.classify = () => "read-only";
  await env.engine.warm(4);
  const answer = resolvable<void>();
  env.adapter.behavior.role = ({ address }) => answer.promise.then(() => env.roles[address]!);
  const refused: string[] = [];
  const failed = assertRejects(() =>
    env.engine.use(({ address }) => {
      refused.push(address);
      throw refusal();
    })
  );
  await time.settle();
  const other = refused[0] === A ? B : A;
  for (let each = 0; each < 3; each++) {
    assertEquals(await env.engine.use(({ address }) => address), other);
  }
  answer.resolve();
  await failed;
  assertEquals(env.engine.status().idle, 4);
  await closeAtRest(env);
});

Deno.test("a report after which the role is the wanted one costs a question, and no connection", async () => {
  using time = fakeTime();
  for (const poolClass of ["queue", "static"] as const) {
    const env = readers({ targetSessionAttrs: "standby", poolClass });
    const leases = await checkoutMany(env, 2);
    for (const { client } of leases) env.adapter.reportRole(client);
    const asked = env.questions();
    await releaseAll(leases);
    await time.settle();
    assertEquals(env.questions() > asked, true);
    await env.engine.use(() => {});
    assertEquals(env.engine.status().closed, 0);
    await closeAtRest(env);
  }
});

Deno.test("poolClass static leaves a promoted standby when its last lease is released", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "standby", poolClass: "static" });
  const [one, other] = await checkoutMany(env, 2);
  env.roles[A] = PRIMARY;
  env.adapter.reportRole(one!.client);
  await one!.release();
  await time.settle();
  assertEquals([other!.signal.aborted, env.adapter.open.length], [false, 1]);
  await other!.release();
  await time.settle();
  assertEquals(await env.engine.use(({ address }) => address), B);
  await closeAtRest(env);
});

Deno.test("a report that arrives with the answer to the rollback counts at this checkin", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "standby" });
  env.adapter.behavior.reset = (client) => env.adapter.reportRole(client);
  await env.engine.use(({ client }) => {
    client.transactionStatus = "open";
    env.roles[A] = PRIMARY;
  });
  await time.settle();
  assertEquals(env.adapter.open, []);
  assertEquals(await env.engine.use(({ address }) => address), B);
  await closeAtRest(env);
});

Deno.test("a report before the first checkout is settled at the first checkin", async () => {
  using time = fakeTime();
  const env = readers({
    targetSessionAttrs: "standby",
    hooks: {
      connect({ client }) {
        if (client.address !== A) return;
        env.roles[A] = PRIMARY;
        env.adapter.reportRole(client);
      },
    },
  });
  await env.engine.use(() => {});
  await time.settle();
  assertEquals(await env.engine.use(({ address }) => address), B);
  await closeAtRest(env);
});

Deno.test("prefer-standby stays on the primary that it had to take, and does not ask it again", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "prefer-standby" });
  env.roles[A] = env.roles[B] = PRIMARY;
  await env.engine.use(() => {});
  const asked = env.questions();
  for (let each = 0; each < 3; each++) {
    await env.engine.use(({ client }) => env.adapter.reportRole(client));
  }
  await time.settle();
  assertEquals([env.questions(), env.engine.status().opened], [asked, 1]);
  await closeAtRest(env);
});

Deno.test("prefer-standby goes back to the promoted server if there is no standby, and stays there", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "prefer-standby" });
  env.roles[B] = PRIMARY;
  await env.engine.use(({ client }) => {
    env.roles[A] = PRIMARY;
    env.adapter.reportRole(client);
  });
  await time.settle();
  for (let each = 0; each < 5; each++) {
    await env.engine.use(({ client }) => env.adapter.reportRole(client));
  }
  await time.settle();
  assertEquals(env.engine.status().opened, 2);
  await closeAtRest(env);
});

Deno.test("a server that no longer answers for its role loses that connection alone", async () => {
  using time = fakeTime();
  const env = readers({ targetSessionAttrs: "standby" });
  const [one, other] = await checkoutMany(env, 2);
  env.adapter.behavior.role = () => Promise.reject(new Error("not now"));
  env.adapter.reportRole(one!.client);
  await one!.release();
  await other!.release();
  await time.settle();
  assertEquals([env.engine.status().idle, env.engine.status().closed], [1, 1]);
  await closeAtRest(env);
});

Deno.test("without targetSessionAttrs no report is listened to", async () => {
  using time = fakeTime();
  const env = readers({});
  await env.engine.use(({ client }) => env.adapter.reportRole(client));
  await time.settle();
  assertEquals([env.questions(), env.engine.status().idle], [0, 1]);
  await assertRejects(() => env.engine.use(() => Promise.reject(new Error("own"))));
  await closeAtRest(env);
});
