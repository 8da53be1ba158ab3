/**
 * Errors that the server reported on a connection and that its caller does not pass on, as an ORM may do.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import { type Adapter, ConnectionLostError, getDnsEngine, PoolTimeoutError } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { checkoutMany, keepLines, verdict, watch } from "../support/checks.ts";
import { balanced, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("a lost connection that its caller does not report is not handed out again, nor are others to the same address", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  const [first, second] = await checkoutMany({ engine }, 2);
  await second!.release();
  await time.advance(1);
  const asked = dns.questions.length;
  adapter.report(first!.client, verdict("disconnect"));
  assertEquals(first!.signal.aborted, false, "its caller may find out");
  await time.advance(0);
  assertEquals(dns.questions.length, asked + 1);
  await first!.release();
  assertEquals(await engine.use(({ client }) => client.id), 3);
  assertEquals(adapter.clients.map(({ open }) => open), [false, false, true]);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a connection that the server ended alone is not handed out again, and others to the same address are", async () => {
  using time = fakeTime();
  for (const how of ["report", "release", "ping"] as const) {
    const { engine, adapter, dns } = fakeEngine({ poolPrePing: true, prePingAfter: 1 });
    const [first, second] = await checkoutMany({ engine }, 2);
    if (how === "report") adapter.report(first!.client, verdict("closed"));
    // What follows on the same connection says nothing more.
    if (how === "report") adapter.report(first!.client, verdict("disconnect"));
    const asked = dns.questions.length;
    await first!.release(how === "release" ? verdict("closed") : undefined);
    await second!.release();
    if (how === "ping") {
      adapter.behavior.ping = ({ id }) => {
        if (id === 1) throw verdict("closed");
      };
      await time.advance(2);
    }
    assertEquals(await engine.use(({ client }) => client.id), 2);
    assertEquals(adapter.clients.map(({ open }) => open), [false, true], how);
    if (how !== "ping") assertEquals(dns.questions.length, asked, how);
    await engine.close();
  }
});

Deno.test("a second broken connection of the same outage does not evict the connections that were opened after it", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine();
  const [first, second] = await checkoutMany({ engine }, 2);
  adapter.report(first!.client, verdict("disconnect"));
  const third = await engine.connect();
  adapter.report(second!.client, verdict("disconnect"));
  for (const lease of [first!, second!, third]) await lease.release();
  await time.advance(0);
  assertEquals(adapter.open.map(({ id }) => id), [3]);
  await engine.close();
});

Deno.test("a read-only error that its caller does not report evicts connections if targetSessionAttrs needs writes, and DNS is asked anyway", async () => {
  using time = fakeTime();
  for (const targetSessionAttrs of ["read-write", "any"] as const) {
    const role = { standby: false, readOnly: false };
    const { engine, adapter, dns } = fakeEngine({ targetSessionAttrs }, { role: () => role });
    await engine.use(() => {});
    role.readOnly = true;
    await time.advance(1);
    const asked = dns.questions.length;
    await engine.use(({ client }) => adapter.report(client, verdict("read-only")));
    await time.advance(0);
    assertEquals(dns.questions.length, asked + 1);
    assertEquals(adapter.open.length, targetSessionAttrs === "any" ? 1 : 0);
    await engine.close();
  }
});

Deno.test("an error that says nothing about the connection changes nothing, nor does one of a closed connection", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  const lease = await engine.connect();
  adapter.report(lease.client, new Error("syntax error"));
  await lease.release();
  const detached = (await engine.connect()).detach();
  await time.advance(1);
  const asked = dns.questions.length;
  adapter.report(detached, verdict("disconnect"));
  await time.advance(0);
  assertEquals([dns.questions.length, engine.status().opened], [asked, 1]);
  await engine.close();
  adapter.report(adapter.clients[0]!, verdict("disconnect"));
  await time.advance(0);
  assertEquals(dns.questions.length, asked);
});

Deno.test("an adapter whose onError() throws is logged, and the pool goes on", async () => {
  using _time = fakeTime();
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, warn: (line: string) => void warnings.push(line) };
  const { engine, adapter } = fakeEngine({ logger });
  adapter.onError = () => {
    throw new Error("not today");
  };
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  assertEquals(warnings, ["[db.internal] A method of the adapter failed: not today"]);
  await engine.close();
});

Deno.test("Engine.isDisconnect() is true only for errors after which the work may have been done", async () => {
  using time = fakeTime();
  const { engine } = fakeEngine();
  const errors = async (work: () => unknown) => {
    const failed = engine.use(work).then(() => undefined, (error) => error);
    return engine.isDisconnect(await failed);
  };
  assertEquals(await errors(() => Promise.reject(verdict("disconnect"))), true);
  assertEquals(await errors(() => Promise.reject(verdict("read-only"))), false);
  assertEquals(await errors(() => Promise.reject(new Error("a duplicate key"))), false);
  assertEquals(await errors(() => Promise.reject(undefined)), false);
  const hung = errors(() => new Promise(() => {}));
  await engine.use(() => {});
  const closing = engine.close({ drain: 0 });
  await time.advance(0);
  await closing;
  assertEquals(await hung, true);
  assertEquals(await errors(() => {}), false, "what was never begun is not lost");
});

Deno.test("Engine.isDisconnect() is false if the adapter has no classify, or it throws", async () => {
  const classify = () => {
    throw new Error("no idea");
  };
  for (const change of [{ classify }, { classify: undefined }]) {
    const adapter = { ...fakeAdapter(), ...change } as Adapter<FakeClient>;
    const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter });
    assertEquals(engine.isDisconnect(verdict("disconnect")), false);
    await engine.close();
  }
});

Deno.test("Engine.query() accepts a signal and a timeout", async () => {
  using time = fakeTime();
  const { engine } = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  const lease = await engine.connect();
  const controller = new AbortController();
  const given = assertRejects(
    () => engine.query("SELECT 1", [], { signal: controller.signal }),
    Error,
    "left",
  );
  const late = assertRejects(() => engine.query("SELECT 1", [], { timeout: 2 }), PoolTimeoutError);
  controller.abort(new Error("left"));
  await given;
  await time.advance(2);
  await late;
  await lease.release();
  const rows = await engine.query<{ address: string }>("SELECT 1", [], { timeout: 2 });
  assertEquals(rows[0]!.address, "10.0.0.1");
  await engine.close();
});

Deno.test("Engine.use() rejects soon after the server ended the session, with what the server said last as its cause and in one log line", async () => {
  using time = fakeTime();
  for (const kind of ["closed", "disconnect"] as const) {
    const logger = keepLines();
    const { engine, adapter } = fakeEngine({ logger });
    const said = verdict(kind, "terminating connection due to idle-in-transaction timeout");
    let signal: AbortSignal | undefined;
    const used = watch(engine.use((lease) => {
      signal = lease.signal;
      return new Promise(() => {});
    }));
    await time.settle();
    const [client] = adapter.clients;
    adapter.report(client!, new Error("an earlier one"));
    adapter.report(client!, said);
    adapter.kill(client!, new Error("Connection terminated unexpectedly"));
    await time.advance(0.05);
    assertInstanceOf(used.error, ConnectionLostError);
    assertStrictEquals(used.error.cause, said);
    assertStrictEquals(signal!.reason, used.error);
    assert(engine.isDisconnect(used.error) && engine.isDisconnect(said));
    assertEquals(logger.lines, [
      "warn [db.internal] The server ended a connection in use to 10.0.0.1: terminating connection due to idle-in-transaction timeout",
    ]);
    assertEquals(engine.status().inUse, 0);
    await engine.close();
  }
});

Deno.test("Engine.use() rejects with the driver's own error if the driver reports it when the connection ends", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine();
  const own = new Error("Connection terminated unexpectedly");
  const used = watch(engine.use(async ({ client, signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await delay(40); // until the socket is closed
    if (!client.open) throw own;
  }));
  await time.settle();
  adapter.kill(adapter.clients[0]!, own);
  await time.advance(0.04);
  assertStrictEquals(used.error, own);
  await engine.close();
});

Deno.test("a session that the server ends alone leaves the others to its server as they are", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine({ logger: keepLines() });
  const [first, second, third] = await checkoutMany({ engine }, 3);
  await second!.release();
  adapter.report(first!.client, verdict("closed"));
  adapter.kill(adapter.clients[0]!);
  await first!.release(new Error("Connection terminated unexpectedly"));
  await third!.release(verdict("closed"));
  await time.advance(0);
  assertEquals(adapter.open.map(({ id }) => id), [2]);
  await engine.close();
});

Deno.test("Lease.release(error) tells of an outage although the connection was closed before", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine();
  const [first, second] = await checkoutMany({ engine }, 2);
  await second!.release();
  adapter.kill(first!.client);
  await first!.release(verdict("disconnect"));
  await time.advance(0);
  assertEquals(await engine.use(({ client }) => client.id), 3);
  assertEquals(adapter.open.map(({ id }) => id), [3]);
  await engine.close();
});
