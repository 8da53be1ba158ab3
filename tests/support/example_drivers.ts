/**
 * The examples of the drivers, one like the other: what they do, on two real servers whose name moves.
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
import { watchSockets } from "./sockets.ts";
import { soon, until } from "./waiting.ts";

const NAME = "db.internal";
const CUSTOMER = 42;
/** Of an example that runs as a program; the first run fetches the driver. */
const PATIENCE_MS = 60_000;

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

/** A connection of the administrator's. */
export interface Admin {
  rows(text: string): Promise<readonly Record<string, unknown>[]>;
  end(): Promise<unknown>;
}

/** What is to be known of an example and its servers. */
export interface ExampleSubject<C, S extends ExampleServer> {
  /** Its name in `examples/`. */
  readonly file: string;
  readonly example: DriverExample<C>;
  readonly dialect: Dialect;
  readonly registration: Registration;
  start(where: { host: string; port: number }): Promise<S>;
  admin(server: S): Promise<Admin>;
  /** The table as the example's first comment says it. */
  readonly table: RegExp;
  /** Inside of which the orders are nobody else's. */
  readonly lock: readonly [begin: string, end: string];
}

/** Registers the tests of one example. */
export function testDriverExample<C, S extends ExampleServer>(subject: ExampleSubject<C, S>): void {
  const { file, example, dialect, registration } = subject;
  type Body = (lab: ExampleLab<C, S>) => Promise<void>;
  const test = (what: string, body: Body) =>
    registration.test(`examples/${file} ${what}`, () => inLab(pair, body));
  let pair: ServerPair<S>;

  async function startServers(): Promise<ServerPair<S>> {
    const text = await Deno.readTextFile(new URL(`../../examples/${file}`, import.meta.url));
    const [table = ""] = subject.table.exec(text) ?? [];
    return await startPair(async (where) => {
      const server = await subject.start(where);
      await ask(server, table);
      return server;
    });
  }

  async function ask(server: S, text: string) {
    const admin = await subject.admin(server);
    return await admin.rows(text).finally(() => admin.end());
  }

  async function idOfLast(server: S): Promise<unknown> {
    return (await ask(server, "SELECT max(id) AS id FROM orders"))[0]!.id;
  }

  async function inLab(pair: ServerPair<S>, body: Body): Promise<void> {
    clearDnsCache();
    const sockets = watchSockets();
    await using dns = await DnsServer.start({ ttl: 0 });
    dns.set(NAME, [pair.first.host]);
    for (const server of [pair.first, pair.second]) await ask(server, "DELETE FROM orders");
    const engine = example.openEngine(pair.first.url(NAME), {
      dnsNameservers: [dns.address],
      dnsMinTtl: 0,
      dnsFallback: false,
      probeTimeout: 0.5,
    });
    const count = async (server: S) =>
      Number((await ask(server, "SELECT count(*) AS n FROM orders"))[0]!.n);
    try {
      await body({ ...pair, dns, engine, ask, count, hold });
    } finally {
      await engine.close({ drain: 0 });
      await sockets.closed();
    }
  }

  /** Keeps the orders of a server to itself, until the returned function is called. */
  async function hold(server: S): Promise<() => Promise<void>> {
    const admin = await subject.admin(server);
    const [begin, end] = subject.lock;
    for (const text of begin.split(";")) await admin.rows(text);
    return async () => {
      await admin.rows(end);
      await admin.end();
    };
  }

  if (!registration.skipped) {
    Deno.test.beforeAll(async () => {
      pair = await startServers();
    });
    Deno.test.afterAll(() => pair?.stop());
  }

  test("goes where the name points, with the very next call", async (lab) => {
    const { first, second, dns, engine, count } = lab;
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
  });

  test("gives the connection back when the work on it throws, and rolls back", async (lab) => {
    const { engine, first, ask } = lab;
    const lock = example.lockOrders(engine, () => Promise.reject(new Error("no more")));
    await assertRejects(() => lock, Error, "no more");
    assertEquals(engine.status().inUse, 0);
    assertEquals(await example.lockOrders(engine, async () => {}), first.host);
    await ask(first, "ALTER TABLE orders RENAME TO gone");
    await assertRejects(() => example.tryToOrder(engine, CUSTOMER), Error, "orders");
    await ask(first, "ALTER TABLE gone RENAME TO orders");
    assertEquals(engine.status().inUse, 0);
  });

  test("waits for a server that takes writes", async ({ first, second, dns, engine, ask }) => {
    const [on, off] = dialect.readOnly;
    await ask(second, on);
    try {
      dns.set(NAME, [second.host]);
      const ordered = example.placeOrder(engine, CUSTOMER);
      await until(() => dns.count(NAME) >= 2, "a second question");
      dns.set(NAME, [first.host]);
      await soon(ordered);
      assertEquals(Object.keys(engine.status().byAddress), [first.host]);
    } finally {
      await ask(second, off);
    }
  });

  test("says that nobody knows, where the server falls silent, and sends nothing twice", (lab) =>
    loseServer(lab, {
      lose: (server) => server.freeze(),
      regain: (server) => server.thaw(),
      check: (error) => assertInstanceOf(error, ConnectionLostError),
    }));

  registration.test(
    `examples/${file} says that nobody knows, where the server crashes, and sends nothing twice`,
    async () => {
      const mortal = await startServers();
      try {
        await inLab(mortal, (lab) =>
          loseServer(lab, {
            lose: (server) => server.kill(),
            check: (error) => assertFalse(error instanceof DnsPoolError), // it is the driver's own
          }));
      } finally {
        await mortal.stop();
      }
    },
  );

  /** Loses the server in the midst of an order. */
  async function loseServer(lab: ExampleLab<C, S>, { lose, regain, check }: Loss): Promise<void> {
    const { first, second, dns, engine, count, hold } = lab;
    const release = await hold(first);
    const outcome = example.tryToOrder(engine, CUSTOMER);
    await until(async () => (await ask(first, dialect.running("INTO orders"))).length > 0);
    dns.set(NAME, [second.host]);
    await lose(first);
    // Somebody else's order shows the engine that the name has moved.
    assertEquals(await soon(example.placeOrder(engine, 1)), await idOfLast(second));
    const { unknown } = await soon(outcome) as { unknown: unknown };
    check(unknown);
    assertEquals(await count(second), 1);
    await regain?.(first);
    await release().catch(() => {}); // its connection may be gone
    if (regain) assertEquals(await count(first), 0);
  }

  test("closes when those who are at work have ended", async ({ first, engine, hold, count }) => {
    const release = await hold(first);
    const ordered = example.tryToOrder(engine, CUSTOMER);
    await until(() => engine.status().inUse === 1);
    let closed = false;
    const closing = engine.close({ drain: 30 }).then(() => closed = true);
    await assertRejects(() => example.placeOrder(engine, CUSTOMER), PoolClosedError);
    assert(!closed);
    await release();
    assert("placed" in await soon(ordered));
    await soon(closing);
    const { opened, closed: ended } = engine.status();
    assertEquals([opened, ended, await count(first)], [1, 1, 1]);
  });

  test("runs as it stands", async ({ first, count }) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-lock", "--import-map=tests/_std/import_map.json"],
        `examples/${file}`,
      ],
      cwd: new URL("../../", import.meta.url),
      env: { DATABASE_URL: first.url(), NO_COLOR: "1" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    assertEquals([code, err], [0, ""]);
    assertEquals(out!.replace(/placed: \d+/, "placed: N"), `{ placed: N } 1\n${first.host}`);
    assertEquals(await count(first), 1);
  });
}

/** How a server is lost. */
interface Loss {
  lose(server: ExampleServer): Promise<void>;
  /** Where it comes back with its data. */
  regain?(server: ExampleServer): Promise<void>;
  /** Looks at what the order came to. */
  check(error: unknown): void;
}

/** What a test has at hand. */
interface ExampleLab<C, S extends ExampleServer> {
  readonly first: S;
  readonly second: S;
  readonly dns: DnsServer;
  readonly engine: Engine<C>;
  /** Asks as the administrator. */
  ask(server: S, text: string): Promise<readonly Record<string, unknown>[]>;
  /** How many orders a server has. */
  count(server: S): Promise<number>;
  hold(server: S): Promise<() => Promise<void>>;
}
