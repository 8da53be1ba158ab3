/**
 * The suite of the drivers' examples: what each example does on two real servers whose name moves from one to the other.
 *
 * @module
 */

import { assert, assertEquals, assertFalse, assertInstanceOf, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  DnsPoolError,
  type Engine,
  type EngineOptions,
  PoolClosedError,
} from "../../mod.ts";
import { clearDnsCache } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { type LabServer, type ServerPair, startPair } from "./drop_in_failover.ts";
import type { Registration } from "./servers.ts";
import type { Dialect } from "./sql_dialects.ts";
import { untilSocketsClosed } from "./sockets.ts";
import { soon, until } from "./waiting.ts";

const NAME = "db.internal";
const CUSTOMER = 42;
/** Maximum time of an example that runs as a program; the first run downloads the driver. */
const MAX_PROGRAM_MS = 60_000;

/** What the example of a driver exports. */
interface DriverExample<C> {
  openEngine(url: string, options?: EngineOptions<C>): Engine<C>;
  countOrders(engine: Engine<C>, customer: number): Promise<number>;
  placeOrder(engine: Engine<C>, customer: number): Promise<number>;
  lockOrders(engine: Engine<C>, work: () => Promise<void>): Promise<string>;
  tryToOrder(
    engine: Engine<C>,
    customer: number,
  ): Promise<{ placed: number } | { unknown: unknown }>;
}

/** A server that can be frozen. */
interface ExampleServer extends LabServer {
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** A connection of the administrator. */
export interface Admin {
  rows(text: string): Promise<readonly Record<string, unknown>[]>;
  end(): Promise<unknown>;
}

/** An example, and what the suite needs to know about its servers. */
export interface ExampleSubject<C, S extends ExampleServer> {
  /** File name in `examples/`. */
  readonly file: string;
  readonly example: DriverExample<C>;
  readonly dialect: Dialect;
  readonly registration: Registration;
  start(address: { host: string; port: number }): Promise<S>;
  admin(server: S): Promise<Admin>;
  /** Matches the statement in the example's first comment that creates the table. */
  readonly table: RegExp;
  /** Statements that lock the orders, separated by semicolons, and the one that unlocks them. */
  readonly lock: readonly [lock: string, unlock: string];
}

/** What each test gets. */
interface TestContext<C, S extends ExampleServer> {
  readonly subject: ExampleSubject<C, S>;
  readonly example: DriverExample<C>;
  readonly first: S;
  readonly second: S;
  readonly dns: DnsServer;
  /** The example's engine; the name is that of the first server. */
  readonly engine: Engine<C>;
  /** Runs a statement as the administrator. */
  ask(server: S, text: string): Promise<readonly Record<string, unknown>[]>;
  /** Returns the number of orders on a server. */
  count(server: S): Promise<number>;
  /** Locks the orders of a server; returns the function that unlocks them. */
  lock(server: S): Promise<() => Promise<void>>;
}

/** How a test loses a server. */
interface Loss<S extends ExampleServer> {
  lose(server: S): Promise<void>;
  /** Whether its connections break at once. Default: false. */
  readonly breaks?: boolean;
  /** Brings the server back with its data. */
  regain?(server: S): Promise<void>;
  /** Checks the error of the order that was under way. */
  check(error: unknown): void;
}

/** Registers the tests of one example. */
export function testDriverExample<C, S extends ExampleServer>(subject: ExampleSubject<C, S>): void {
  const { file, registration } = subject;
  let pair: ServerPair<S>;
  if (!registration.skipped) {
    Deno.test.beforeAll(async () => {
      pair = await startServers(subject);
    });
    Deno.test.afterAll(() => pair?.stop());
  }
  for (const [name, test] of Object.entries(TESTS)) {
    registration.test(`examples/${file}: ${name}`, () => withContext(subject, pair, test));
  }
  registration.test(
    `examples/${file}: reports an unknown outcome after a crash, and sends nothing twice`,
    async () => {
      const own = await startServers(subject);
      try {
        await withContext(subject, own, (context) =>
          loseServer(context, {
            lose: (server) => server.kill(),
            breaks: true,
            check: (error) => assertFalse(error instanceof DnsPoolError), // it is the driver's own
          }));
      } finally {
        await own.stop();
      }
    },
  );
}

async function startServers<C, S extends ExampleServer>(
  subject: ExampleSubject<C, S>,
): Promise<ServerPair<S>> {
  const example = new URL(`../../examples/${subject.file}`, import.meta.url);
  const [table = ""] = subject.table.exec(await Deno.readTextFile(example)) ?? [];
  return await startPair(async (address) => {
    const server = await subject.start(address);
    await askAsAdmin(subject, server, table);
    return server;
  });
}

async function askAsAdmin<C, S extends ExampleServer>(
  subject: ExampleSubject<C, S>,
  server: S,
  text: string,
): Promise<readonly Record<string, unknown>[]> {
  const admin = await subject.admin(server);
  return await admin.rows(text).finally(() => admin.end());
}

async function lockOrders<C, S extends ExampleServer>(
  subject: ExampleSubject<C, S>,
  server: S,
): Promise<() => Promise<void>> {
  const admin = await subject.admin(server);
  const [lock, unlock] = subject.lock;
  for (const text of lock.split(";")) await admin.rows(text);
  return async () => {
    await admin.rows(unlock);
    await admin.end();
  };
}

async function withContext<C, S extends ExampleServer>(
  subject: ExampleSubject<C, S>,
  { first, second }: ServerPair<S>,
  body: (context: TestContext<C, S>) => Promise<void>,
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start({ ttl: 0 });
  dns.set(NAME, [first.host]);
  const ask = (server: S, text: string) => askAsAdmin(subject, server, text);
  for (const server of [first, second]) await ask(server, "DELETE FROM orders");
  const { example } = subject;
  const engine = example.openEngine(first.url(NAME), {
    dnsNameservers: [dns.address],
    dnsMinTtl: 0,
    dnsFallback: false,
    probeTimeout: 0.5,
  });
  const count = async (server: S) =>
    Number((await ask(server, "SELECT count(*) AS n FROM orders"))[0]!.n);
  const lock = (server: S) => lockOrders(subject, server);
  await untilSocketsClosed(async () => {
    try {
      await body({ subject, example, first, second, dns, engine, ask, count, lock });
    } finally {
      await engine.close({ drain: 0 });
    }
  });
}

/** Loses the first server during an order whose name moves to the second one. */
async function loseServer<C, S extends ExampleServer>(
  context: TestContext<C, S>,
  { lose, breaks = false, regain, check }: Loss<S>,
): Promise<void> {
  const { subject, example, first, second, dns, engine, ask, count, lock } = context;
  const unlock = await lock(first);
  const outcome = example.tryToOrder(engine, CUSTOMER);
  const running = subject.dialect.running("INTO orders");
  await until(async () => (await ask(first, running)).length > 0);
  await lose(first);
  // A connection that breaks tells so before the engine notices that its server has left.
  if (breaks) await soon(outcome);
  dns.set(NAME, [second.host]);
  // Another customer's order makes the engine notice that the name has moved.
  const placed = await soon(example.placeOrder(engine, 1));
  assertEquals(placed, (await ask(second, "SELECT max(id) AS id FROM orders"))[0]!.id);
  const { unknown } = await soon(outcome) as { unknown: unknown };
  check(unknown);
  assertEquals(await count(second), 1);
  await regain?.(first);
  await unlock().catch(() => {}); // its connection may be lost
  if (regain) assertEquals(await count(first), 0);
}

const TESTS: Readonly<
  Record<string, <C, S extends ExampleServer>(context: TestContext<C, S>) => Promise<void>>
> = {
  "follows the name with the next call": async (context) => {
    const { example, first, second, dns, engine, count } = context;
    assertEquals(await example.placeOrder(engine, CUSTOMER), 1);
    assertEquals(await example.lockOrders(engine, async () => {}), first.host);
    dns.set(NAME, [second.host]);
    assertEquals(await example.countOrders(engine, CUSTOMER), 0);
    assertEquals(await example.tryToOrder(engine, CUSTOMER), { placed: 1 });
    assertEquals(await example.lockOrders(engine, async () => {}), second.host);
    assertEquals(await example.countOrders(engine, CUSTOMER), 1);
    assertEquals([await count(first), await count(second)], [1, 1]);
    const { inUse, byAddress } = engine.status();
    assertEquals([inUse, Object.keys(byAddress)], [0, [second.host]]);
  },

  "releases the connection and rolls back if the work on it throws": async (context) => {
    const { example, engine, first, ask } = context;
    const lock = example.lockOrders(engine, () => Promise.reject(new Error("no more")));
    await assertRejects(() => lock, Error, "no more");
    assertEquals(engine.status().inUse, 0);
    assertEquals(await example.lockOrders(engine, async () => {}), first.host);
    await ask(first, "ALTER TABLE orders RENAME TO gone");
    await assertRejects(() => example.tryToOrder(engine, CUSTOMER), Error, "orders");
    await ask(first, "ALTER TABLE gone RENAME TO orders");
    assertEquals(engine.status().inUse, 0);
  },

  "waits for a server that takes writes": async (context) => {
    const { subject, example, first, second, dns, engine, ask } = context;
    const [on, off] = subject.dialect.readOnly;
    await ask(second, on);
    try {
      dns.set(NAME, [second.host]);
      const ordered = example.placeOrder(engine, CUSTOMER);
      await until(() => dns.count(NAME) >= 2, "a second DNS query");
      dns.set(NAME, [first.host]);
      await soon(ordered);
      assertEquals(Object.keys(engine.status().byAddress), [first.host]);
    } finally {
      await ask(second, off);
    }
  },

  "reports an unknown outcome if the server stops answering, and sends nothing twice": (context) =>
    loseServer(context, {
      lose: (server) => server.freeze(),
      regain: (server) => server.thaw(),
      check: (error) => assertInstanceOf(error, ConnectionLostError),
    }),

  "closes its engine when running orders are done": async (context) => {
    const { example, first, engine, lock, count } = context;
    const unlock = await lock(first);
    const ordered = example.tryToOrder(engine, CUSTOMER);
    await until(() => engine.status().inUse === 1);
    let isClosed = false;
    const closing = engine.close({ drain: 30 }).then(() => isClosed = true);
    await assertRejects(() => example.placeOrder(engine, CUSTOMER), PoolClosedError);
    assert(!isClosed);
    await unlock();
    assert("placed" in await soon(ordered));
    await soon(closing);
    const { opened, closed } = engine.status();
    assertEquals([opened, closed, await count(first)], [1, 1, 1]);
  },

  "runs as a program": async ({ subject, first, count }) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-lock", "--import-map=tests/std/import_map.json"],
        `examples/${subject.file}`,
      ],
      cwd: new URL("../../", import.meta.url),
      env: { DATABASE_URL: first.url(), NO_COLOR: "1" },
      signal: AbortSignal.timeout(MAX_PROGRAM_MS),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    assertEquals([code, err], [0, ""]);
    assertEquals(out!.replace(/placed: \d+/, "placed: N"), `{ placed: N } 1\n${first.host}`);
    assertEquals(await count(first), 1);
  },
};
