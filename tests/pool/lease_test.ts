import { assertEquals, assertFalse } from "@std/assert";
import type { Lease } from "../../mod.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { PoolLease } from "../../pool/pool_lease.ts";
import { closeAtRest } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Every member that the interface names; the compiler sees to it that none is missing or too many. */
const MEMBERS: { readonly [member in keyof Lease<FakeClient>]: true } = {
  client: true,
  address: true,
  port: true,
  host: true,
  info: true,
  released: true,
  signal: true,
  release: true,
  invalidate: true,
  detach: true,
  untilLost: true,
  [Symbol.asyncDispose]: true,
  [Symbol.dispose]: true,
};

for (const poolClass of ["queue", "static"] as const) {
  Deno.test(`Lease of a pool of class "${poolClass}" has no members but those of the interface`, async () => {
    using _time = fakeTime();
    const env = fakeEngine({ poolClass });
    const lease = await env.engine.connect();
    const members = new Set<PropertyKey>(Reflect.ownKeys(lease));
    for (const member of Reflect.ownKeys(Object.getPrototypeOf(lease))) members.add(member);
    members.delete("constructor");
    assertEquals(members, new Set(Reflect.ownKeys(MEMBERS)));
    for (const member of ["abort", "borrowIsolationLevel"]) assertFalse(member in lease, member);
    await lease.release();
    await closeAtRest(env);
  });
}

Deno.test("Lease is a type without a constructor and without members of the pool's own", () => {
  // @ts-expect-error -- an interface is no value
  const make = (): unknown => Lease;
  // @ts-expect-error -- only the pool terminates a connection
  const abort = (lease: Lease<FakeClient>): void => lease.abort(new Error());
  // @ts-expect-error -- only an engine sets an isolation level
  const borrow = (lease: Lease<FakeClient>): void => lease.borrowIsolationLevel("serializable");
  assertEquals([make, abort, borrow].length, 3);
});

Deno.test("PoolLease.isLease() knows a lease from what looks like one", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  const { proxy, revoke } = Proxy.revocable(lease, {});
  revoke();
  const others = [null, undefined, "lease", { ...lease }, Object.create(lease), proxy];
  assertEquals([lease, ...others].map((value) => PoolLease.isLease(value)), [
    true,
    ...others.map(() => false),
  ]);
  await lease.release();
  await closeAtRest(env);
});
