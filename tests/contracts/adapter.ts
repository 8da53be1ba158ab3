/**
 * The contract suite of the adapters: every adapter passes it with its driver on a real server. The files
 * `tests/adapters/*_contract_test.ts` run it.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type {
  Adapter,
  Target,
  TransactionPlan,
  TransactionStatus,
} from "../../adapters/adapter.ts";
import {
  type BeginOptions,
  ConnectError,
  ConnectionLostError,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  type Lease,
  TransactionAbortedError,
} from "../../mod.ts";
import { once } from "node:events";
import net from "node:net";
import { messageOf } from "../../internal/thrown.ts";
import { CREDENTIALS_TESTS } from "./credentials.ts";
import { hungUp, withBlackhole, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { runProgram } from "../support/program.ts";
import { ALWAYS, type Registration } from "../support/servers.ts";
import type { Dialect } from "../support/sql_dialects.ts";
import { makeTarget } from "../support/target.ts";
import { pause, soon, until } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

/** A row of a server's answer. */
export type Row = Readonly<Record<string, unknown>>;

/** A real server with a database `orders` and a user that may use it. */
export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** The last part of the server's log. */
  readonly log: string;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** An adapter, and what the suite needs to know about its driver and server. */
export interface AdapterSubject<C> {
  /** The function that makes the adapter, such as `"pgAdapter"`; begins the names of the tests. */
  readonly factory: string;
  /** The URL scheme that loads the driver, such as `"postgresql+pg"`; `undefined` if it cannot be loaded here. */
  readonly scheme: string | undefined;
  readonly adapter: Adapter<C>;
  readonly dialect: Dialect;
  readonly user: string;
  readonly password: string;
  start(): Promise<TestServer>;
  /** Runs one statement as the server's administrator, on a connection of its own. */
  asAdmin(server: TestServer, text: string): Promise<readonly Row[]>;
  /** A setting as a URL parameter and as an argument, and the statement that reads it. */
  readonly setting: {
    readonly params: Readonly<Record<string, string>>;
    readonly connectArgs: Readonly<Record<string, unknown>>;
    /** Returns `value`. */
    readonly query: string;
    readonly byParams: unknown;
    readonly byArgs: unknown;
  };
  /** Servers that stop answering during the handshake, by when they do. */
  readonly silentServers: Readonly<Record<string, SilentServer>>;
  /** Whether pending statements reject with the reason given to `terminate`. */
  readonly rejectsWithReason: boolean;
  /** `false` if the driver notices a lost connection only at the next statement. */
  readonly noticesClose?: false;
}

/** A server that stops answering. */
export interface SilentServer {
  /** The messages that it sends before. */
  readonly replies: readonly Uint8Array[];
  /** Whether it sends the first message, without waiting for the client. */
  readonly first?: boolean;
  /** The URL parameters of the connect. */
  readonly params?: Target["params"];
}

/** What each test gets. */
export interface TestContext<C> {
  readonly subject: AdapterSubject<C>;
  readonly adapter: Adapter<C>;
  readonly dialect: Dialect;
  readonly server: TestServer;
  /** The engines that the test made; they are closed after it. */
  readonly engines: Engine<C>[];
  target(changes?: Partial<Target>): Target;
  /** Opens a connection with the adapter, without an engine. */
  open(changes?: Partial<Target>): Promise<C>;
  ask(client: C, text: string, values?: readonly unknown[]): Promise<Row>;
  admin(text: string): Promise<readonly Row[]>;
  engine(options?: EngineOptions<C>, params?: Readonly<Record<string, string>>): Engine<C>;
  /** Waits until the server has no session except the administrator's. */
  noSessions(): Promise<void>;
}

/** Registers the suite for one adapter. */
export function adapterContract<C>(
  subject: AdapterSubject<C>,
  { test: register, skipped }: Registration = ALWAYS,
): void {
  let server: TestServer;
  const engines: Engine<C>[] = [];
  Deno.test.beforeAll(async () => {
    if (skipped) return;
    server = await subject.start();
    await subject.asAdmin(server, subject.dialect.table);
  });
  Deno.test.afterAll(() => server?.stop());
  for (const [name, test] of Object.entries(TESTS)) {
    register(titleOf(subject, name), async () => {
      try {
        await (test as (context: TestContext<C>) => Promise<void>)(
          contextOf(subject, server, engines),
        );
      } finally {
        for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
      }
    });
  }
  for (
    const [when, { replies, first = false, params = {} }] of Object.entries(subject.silentServers)
  ) {
    register(
      `${subject.factory}().connect(): rejects at an abort and leaves no socket if the server is silent ${when}`,
      () =>
        withMute(replies, async ({ port, conn, silent }) => {
          const controller = new AbortController();
          const { signal } = controller;
          const reason = new Error("enough");
          const { adapter, target } = contextOf(subject, server, engines);
          const outcome = outcomeOf(adapter.connect("127.0.0.1", target({ port, params, signal })));
          await silent;
          controller.abort(reason);
          assertEquals((await soon(outcome)).error, reason);
          await hungUp(await conn);
        }, { first }),
    );
  }
}

/** Returns the name of a test: it begins with the method, or with the adapter if it is about an engine. */
function titleOf<C>({ factory }: AdapterSubject<C>, name: string): string {
  return /^\w+\(\)/.test(name) ? `${factory}().${name}` : `${factory}() in an engine: ${name}`;
}

function contextOf<C>(
  subject: AdapterSubject<C>,
  server: TestServer,
  engines: Engine<C>[],
): TestContext<C> {
  const { adapter, dialect, user, password } = subject;
  const target = (changes: Partial<Target> = {}): Target =>
    makeTarget({
      port: server.port,
      user,
      password,
      database: "orders",
      addresses: () => [server.host],
      ...changes,
    });
  const context: TestContext<C> = {
    subject,
    adapter,
    dialect,
    server,
    engines,
    target,
    open: (changes) => soon(adapter.connect(server.host, target(changes))),
    async ask(client, text, values) {
      return (await adapter.query!(client, text, values))[0] as Row;
    },
    admin: (text) => subject.asAdmin(server, text),
    engine(options = {}, params = {}) {
      const engine = getDnsEngine<C>(urlOf(subject, server, params), {
        adapter,
        dnsLookup: fakeLookup([server.host], 60),
        dnsFallback: false,
        ...options,
      });
      engines.push(engine);
      return engine;
    },
    async noSessions() {
      await until(
        async () => Number((await context.admin(dialect.sessions))[0]!.n) <= 1,
        "the end of all sessions",
      );
    },
  };
  return context;
}

function urlOf<C>(
  { scheme, adapter, user, password }: AdapterSubject<C>,
  { port }: TestServer,
  params: Readonly<Record<string, string>> = {},
): string {
  const query = new URLSearchParams(params).toString();
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const dialect = scheme ?? adapter.name.replaceAll(/\W/g, "");
  return `${dialect}://${login}@db.internal:${port}/orders${query && `?${query}`}`;
}

/** Returns the outcome of a promise as a value. */
async function outcomeOf<T>(promise: Promise<T>): Promise<{ value?: T; error?: unknown }> {
  return await promise.then((value) => ({ value }), (error) => ({ error }));
}

/** Opens a way to a server on which the first connection is closed with the server's n-th packet. */
export async function cutWay(
  server: Pick<TestServer, "host" | "port">,
  { number, how }: { readonly number: number; readonly how: "end" | "reset" },
) {
  const sockets = new Set<net.Socket>();
  const way = { port: 0, isCut: false };
  const listener = net.createServer((near) => {
    const far = net.connect(server.port, server.host);
    const isFirst = sockets.size === 0;
    let packets = 0;
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from.on("error", () => {}));
      from.on("close", () => to.destroy());
    }
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => {
      near.write(bytes);
      if (!isFirst || ++packets !== number) return;
      way.isCut = true;
      if (how === "end") near.end();
      else near.resetAndDestroy();
      far.destroy();
    });
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  way.port = (listener.address() as net.AddressInfo).port;
  return Object.assign(way, {
    async [Symbol.asyncDispose]() {
      const closed = once(listener, "close");
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  });
}

/** Returns all strings that a program could print of an error and its causes. */
export function textsOf(error: unknown): string {
  const texts = [inspected(error), JSON.stringify(error) ?? ""];
  for (let each = error; each instanceof Error; each = each.cause) {
    texts.push(String(each), each.stack ?? "", ...Object.values(each).map(String));
  }
  return texts.join("\n");
}

const TESTS: Readonly<Record<string, <C>(context: TestContext<C>) => Promise<void>>> = {
  ...CREDENTIALS_TESTS,

  "connect(): dials the given IP, whatever the host name": async (context) => {
    const { adapter, server, dialect } = context;
    for (const host of ["db.internal", "name.that.does.not.exist.invalid", "192.0.2.1"]) {
      const client = await context.open({ host });
      const { ip, port } = await context.ask(client, dialect.whereAmI);
      assertEquals([ip, Number(port)], [server.host, server.port]);
      await adapter.close!(client);
    }
  },

  "connect(): sends user, password and database, special characters included": async (context) => {
    const client = await context.open();
    const { who } = await context.ask(client, context.dialect.whoAmI);
    assertEquals(who, `${context.subject.user} orders`);
    await context.adapter.close!(client);
  },

  "connect(): rejects with the server's error for a wrong password or database, and leaves no session":
    async (context) => {
      for (const wrong of [{ password: "not the one" }, { database: "nowhere" }]) {
        const { error } = await outcomeOf(context.open(wrong));
        assert(error instanceof Error);
        assertEquals(context.adapter.classify!(error), undefined);
        const texts = textsOf(error);
        assertFalse(
          texts.includes("not the one") || texts.includes(context.subject.password),
          texts,
        );
      }
      await context.noSessions();
    },

  "probe(): is answered by a live server and leaves no session and no line in its log": async (
    { adapter, server, target, noSessions },
  ) => {
    const before = server.log;
    for (let i = 0; i < 5; i++) await soon(adapter.probe!(server.host, target()));
    await noSessions();
    const lines = server.log.startsWith(before) ? server.log.slice(before.length) : server.log;
    assertFalse(/abort|eof|could not|denied|fatal/i.test(lines), lines);
  },

  "probe(): hears nothing of a frozen server, and ends with its signal": async (context) => {
    const { adapter, server, target, noSessions } = context;
    const controller = new AbortController();
    const reason = new Error("enough");
    await server.freeze();
    try {
      const { signal } = controller;
      const outcome = outcomeOf(adapter.probe!(server.host, target({ signal })));
      assertEquals(await Promise.race([outcome, pause(300)]), undefined);
      controller.abort(reason);
      assertEquals((await soon(outcome)).error, reason);
    } finally {
      await server.thaw();
    }
    await noSessions();
  },

  "probe(): rejects with a refusal": async ({ adapter, target }) => {
    const { error } = await outcomeOf(soon(adapter.probe!("127.0.0.1", target({ port: 1 }))));
    assertEquals((error as { code?: string }).code, "ECONNREFUSED");
  },

  "does not retry a wrong password, although it has connected before": async (context) => {
    const engine = context.engine({ poolSize: 1 });
    await engine.use(() => {});
    const wrong = context.engine({ connectArgs: { password: "not the one" }, poolTimeout: 4 });
    using lag = new Lag();
    const startMs = performance.now();
    const error = await assertRejects(() => wrong.connect(), ConnectError);
    assertLess(performance.now() - startMs, lag.limit(2000));
    assertFalse(textsOf(error).includes("not the one"));
  },

  "hands out no connection that the server closed in the middle of the login, or just after it":
    async (context) => {
      for (const how of ["end", "reset"] as const) {
        for (let number = 1;; number++) {
          await using way = await cutWay(context.server, { number, how });
          const engine = context.engine({
            dnsLookup: fakeLookup(["127.0.0.1"], 60),
            connectArgs: { port: way.port },
            poolSize: 1,
            maxOverflow: 0,
            logger: { debug() {}, info() {}, warn() {} },
          });
          await outcomeOf(soon(engine.warm())); // or the engine tries again
          if (!way.isCut) break;
          await pause(50);
          await pause(0); // whatever has arrived is read now
          const outcome = await outcomeOf(soon(engine.query("SELECT 1 AS one")));
          const isSilent = context.subject.noticesClose === false && outcome.error !== undefined;
          if (isSilent) await soon(engine.query("SELECT 1 AS one"));
          else assertEquals([how, number, outcome.error], [how, number, undefined]);
          await engine.close({ drain: 0 });
        }
      }
    },

  "shows no password in what a console prints of the engine, its pool and status, a lease and an error":
    async (context) => {
      const { password } = context.subject;
      const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
      const shown = (what: string, value: unknown) => {
        for (const text of [inspected(value, 20), JSON.stringify(value) ?? "", String(value)]) {
          for (
            const secret of [
              password,
              encodeURIComponent(password),
              JSON.stringify(password).slice(1, -1),
            ]
          ) {
            assertFalse(text.includes(secret), `${what}: ${text.slice(0, 500)}`);
          }
        }
      };
      const lease = await engine.connect();
      shown("engine", engine);
      shown("pool", engine.pool);
      shown("status", engine.status());
      shown("url", engine.url);
      shown("lease", lease);
      const { error } = await outcomeOf(engine.query("SELECT 1", undefined, { timeout: 0.01 }));
      shown("timeout", error);
      await lease.release();
      const lost = engine.use(async ({ client }) => {
        context.adapter.terminate!(client);
        await context.ask(client, "SELECT 1");
      });
      shown("lost", (await outcomeOf(lost)).error);
      shown("server's", (await outcomeOf(engine.query("SELECT nothing_of_it"))).error);
      const wrong = context.engine({ connectArgs: { port: 1 } });
      shown("refused", (await outcomeOf(wrong.connect())).error);
    },

  "classify(): a refused connect is a disconnect": async (context) => {
    const error = await assertRejects(() =>
      soon(context.adapter.connect("127.0.0.1", context.target({ port: 1 })))
    );
    assertEquals(context.adapter.classify!(error), "disconnect");
  },

  "passes URL parameters and connectArgs to the driver, and connectArgs override": async (
    context,
  ) => {
    const { params, connectArgs, query, byParams, byArgs } = context.subject.setting;
    const valueFor = async (options: Pick<EngineOptions, "connectArgs">) => {
      const engine = context.engine(options, params);
      return ((await engine.query(query))[0] as Row).value;
    };
    assertEquals(await valueFor({}), byParams);
    assertEquals(await valueFor({ connectArgs }), byArgs);
  },

  "check(): refuses a URL parameter that the driver would ignore": (
    context,
  ) => {
    assertThrows(
      () => context.engine({}, { no_such_thing: "1" }),
      TypeError,
      '"no_such_thing" is not a URL parameter of the driver ',
    );
    return Promise.resolve();
  },

  "check(): refuses TLS settings that contradict each other": (context) => {
    const contradictions = [
      [
        "disable",
        true,
        '"connectArgs.ssl" must not be given: it asks for TLS, and sslmode=disable in the URL contradicts it',
      ],
      [
        "verify-full",
        false,
        '"connectArgs.ssl" must not be given: it turns TLS off, and sslmode=verify-full in the URL contradicts it',
      ],
      [
        "verify-full",
        { rejectUnauthorized: false },
        '"connectArgs.ssl.rejectUnauthorized" must not be given: sslmode=verify-full in the URL already says how the certificate is checked',
      ],
    ] as const;
    for (const [sslmode, ssl, message] of contradictions) {
      assertThrows(() => context.engine({ connectArgs: { ssl } }, { sslmode }), TypeError, message);
    }
    assertThrows(
      () => context.engine({}, { sslmode: "prefer" }),
      TypeError,
      '"sslmode of the database URL" must be one of "disable", "require", "verify-ca", "verify-full" (no fallback to plain text), got "prefer"',
    );
    return Promise.resolve();
  },

  "gives up an address that never answers after connectTimeout": async (context) => {
    await withBlackhole(async (port) => {
      await assertConnectTimesOut(context, port);
    });
  },

  "gives up a server that accepts and is silent after connectTimeout, closes its socket and frees the slot":
    async (context) => {
      await withMute([], async ({ port, conn }) => {
        await assertConnectTimesOut(context, port);
        await hungUp(await conn);
      });
    },

  "connect(): rejects at an abort before or right after the start of the dial, and leaves no session":
    async (context) => {
      const reason = new Error("enough");
      const aborted = context.target({ signal: AbortSignal.abort(reason) });
      assertEquals(
        (await outcomeOf(context.adapter.connect(context.server.host, aborted))).error,
        reason,
      );
      for (const turns of [0, 1, 2, 5, 20]) {
        const controller = new AbortController();
        const { signal } = controller;
        const outcome = outcomeOf(
          context.adapter.connect(context.server.host, context.target({ signal })),
        );
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        controller.abort(reason);
        assertEquals((await soon(outcome)).error, reason);
      }
      await context.noSessions();
    },

  "connect(): leaves no session if it is aborted at any moment of the handshake": async (
    context,
  ) => {
    for (let delayMs = 0; delayMs < 20; delayMs++) {
      const controller = new AbortController();
      const { signal } = controller;
      const outcome = outcomeOf(
        context.adapter.connect(context.server.host, context.target({ signal })),
      );
      await pause(delayMs / 2);
      controller.abort(new Error("enough"));
      const { value: client, error } = await soon(outcome);
      if (error) assertEquals((error as Error).message, "enough");
      else await context.adapter.close!(client!);
    }
    await context.noSessions();
  },

  "connect(): ignores an abort after it has resolved": async (context) => {
    const controller = new AbortController();
    const client = await context.open({ signal: controller.signal });
    controller.abort(new Error("too late"));
    await context.adapter.ping!(client);
    await context.adapter.close!(client);
  },

  "query(): takes values and returns rows": async (context) => {
    const client = await context.open();
    const { n, t } = await context.ask(client, context.dialect.echo, Object.freeze([20, "it's"]));
    assertEquals([Number(n), t], [21, "it's"]);
    await assertRejects(() => context.adapter.query!(client, "SELEC 1"));
    const first = await context.adapter.query!(client, context.dialect.insert, ["rows"]);
    assertEquals([...first], []);
    assertEquals([...await context.adapter.query!(client, "DELETE FROM things")], []);
    await context.adapter.close!(client);
  },

  "classify(): a failed statement is no disconnect, and the connection works on": async (
    context,
  ) => {
    const client = await context.open();
    const error = await assertRejects(() =>
      context.adapter.query!(client, "SELECT * FROM nothing")
    );
    assertEquals(context.adapter.classify!(error), undefined);
    await context.adapter.ping!(client);
    await context.adapter.close!(client);
  },

  "notices that the server closed an idle connection, without an uncaught error": async (
    context,
  ) => {
    const engine = context.engine();
    const id = await sessionOf(engine, context);
    assertEquals(engine.status().idle, 1);
    await context.admin(context.dialect.kill(id));
    if (context.subject.noticesClose === false) {
      const error = await assertRejects(() => soon(engine.query("SELECT 1")));
      assertEquals(context.adapter.classify!(error), "disconnect", inspected(error));
    }
    await until(() => engine.status().idle === 0);
    assertEquals(engine.status().closed, 1);
    assertNotEquals(await sessionOf(engine, context), id);
  },

  "onClose(): reports a lost connection, without an uncaught error": async (context) => {
    const client = await context.open();
    const { id } = await context.ask(client, context.dialect.session);
    const ended = new Promise<void>((resolve) => context.adapter.onClose!(client, () => resolve()));
    await context.admin(context.dialect.kill(id));
    if (context.subject.noticesClose !== false) await soon(ended);
    const error = await assertRejects(() => soon(context.adapter.ping!(client)));
    const verdict = context.adapter.classify!(error);
    // With the server's own words, it is known that it has ended this session alone, or itself.
    assert(verdict === "disconnect" || verdict === "closed", `${verdict}: ${inspected(error)}`);
    await context.adapter.close!(client).catch(() => {});
    context.adapter.terminate!(client);
  },

  "onClose(): calls its listener once": async (context) => {
    const client = await context.open();
    const { id } = await context.ask(client, context.dialect.session);
    let calls = 0;
    context.adapter.onClose!(client, () => calls++);
    await context.admin(context.dialect.kill(id));
    if (context.subject.noticesClose === false) await context.adapter.ping!(client).catch(() => {});
    await until(() => calls > 0);
    context.adapter.terminate!(client);
    await pause(20);
    assertEquals(calls, 1);
  },

  "does not lease a connection again whose session was killed during a query": async (
    context,
  ) => {
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const lease = await engine.connect();
    const { id } = await context.ask(lease.client, context.dialect.session);
    const outcome = outcomeOf(context.adapter.query!(lease.client, context.dialect.sleep));
    await until(async () => (await context.admin(context.dialect.running("leep(30)"))).length > 0);
    await context.admin(context.dialect.kill(id));
    const { error } = await soon(outcome);
    assert(engine.isDisconnect(error), inspected(error));
    await lease.release(error);
    assertNotEquals(await sessionOf(engine, context), id);
  },

  "ping(): resolves on a live server, rejects on a dead one and is limited in time on a frozen one":
    async ({ subject, ...context }) => {
      const server = await subject.start();
      const own = contextOf(subject, server, context.engines);
      try {
        const engine = own.engine({ poolPrePing: true, connectTimeout: 0.4, connectRetry: false });
        const id = await sessionOf(engine, own);
        assertEquals(await sessionOf(engine, own), id);

        await server.freeze();
        using lag = new Lag();
        const startMs = performance.now();
        const frozen = await assertRejects(() => engine.connect(), ConnectError);
        const tookMs = performance.now() - startMs;
        await server.thaw();
        assertGreater(tookMs, 390);
        assertLess(tookMs, lag.limit(2500));
        assertMatch(frozen.message, /no connection within 0\.(?:4|39\d*|38\d*) seconds/);

        const client = await own.open();
        await own.adapter.ping!(client);
        await server.kill();
        const dead = await assertRejects(() => soon(own.adapter.ping!(client)));
        assertEquals(own.adapter.classify!(dead), "disconnect", inspected(dead));
        own.adapter.terminate!(client);
        await server.start();
        await sessionOf(engine, own);
        await engine.close();
      } finally {
        await server.stop();
      }
    },

  "rolls an open transaction back at checkin, or commits it if told to": async (
    context,
  ) => {
    const { dialect } = context;
    for (const how of ["rollback", "commit"] as const) {
      const engine = context.engine({ poolSize: 1, maxOverflow: 0, poolResetOnReturn: how });
      const lease = await engine.connect();
      const { id } = await context.ask(lease.client, dialect.session);
      await context.adapter.query!(lease.client, "BEGIN");
      await context.adapter.query!(lease.client, dialect.insert, [how]);
      await lease.release();
      assertEquals(await sessionOf(engine, context), id);
      const { n } = (await context.admin(dialect.count))[0]!;
      assertEquals([how, Number(n)], [how, how === "commit" ? 1 : 0]);
    }
    await context.admin("DELETE FROM things");
  },

  "begin() commits if its function returns and rolls back if it throws": async (context) => {
    const { dialect } = context;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const insert = (name: string) =>
      engine.begin(async ({ client }) => {
        await context.adapter.query!(client, dialect.insert, [name]);
        if (name === "undone") throw new Error("undo");
      });
    await insert("kept");
    await assertRejects(() => insert("undone"), Error, "undo");
    assertEquals(Number(((await engine.query(dialect.count))[0] as Row).n), 1);
    await context.admin("DELETE FROM things");
  },

  "begin() resolves if and only if the work is there, when its function handles an error": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    const { errorsEndTransactions } = dialect;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const insert = (client: unknown, name: string) =>
      adapter.query!(client as never, dialect.insert, [name]);
    await engine.query(dialect.insert, ["first"]);
    for (const statementsAfter of [0, 1]) {
      const duplicates: unknown[] = [];
      const outcome = await outcomeOf(engine.begin(async ({ client }) => {
        await insert(client, "kept");
        await insert(client, "first").catch((error) => duplicates.push(error));
        for (let i = 0; i < statementsAfter; i++) {
          await adapter.query!(client, "SELECT 1").catch(() => {});
        }
      }));
      assertEquals(duplicates.length, 1);
      const { error } = outcome as { error?: TransactionAbortedError };
      if (errorsEndTransactions) {
        assertInstanceOf(error, TransactionAbortedError);
        assertEquals(messageOf(error.cause), messageOf(duplicates[0]));
      } else {
        assertEquals(error, undefined);
      }
      assertEquals(Number(((await engine.query(dialect.count))[0] as Row).n), error ? 1 : 2);
      await context.admin("DELETE FROM things WHERE name = 'kept'");
    }
    assertEquals(engine.status().opened, 1);
    await context.admin("DELETE FROM things");
  },

  "begin() with within: an error that the inner function handles does not harm the outer transaction":
    async (
      context,
    ) => {
      const { adapter, dialect } = context;
      const { errorsEndTransactions } = dialect;
      const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
      const insert = (client: unknown, name: string) =>
        adapter.query!(client as never, dialect.insert, [name]);
      const inner = await engine.begin(async (lease) => {
        await insert(lease.client, "outer");
        const outcome = await outcomeOf(engine.begin(async ({ client }) => {
          await insert(client, "inner");
          await insert(client, "outer").catch(() => {});
        }, { within: lease }));
        await insert(lease.client, "after");
        return outcome;
      });
      const { error } = inner as { error?: unknown };
      assertEquals(error instanceof TransactionAbortedError, errorsEndTransactions);
      const expected = errorsEndTransactions ? 2 : 3;
      assertEquals(Number(((await engine.query(dialect.count))[0] as Row).n), expected);
      await context.admin("DELETE FROM things");
    },

  "begin() has settings for its transaction, which are gone however it ends": async <C>(
    context: TestContext<C>,
  ) => {
    const { adapter, dialect } = context;
    const { settings, read, inside, outside } = dialect.transaction;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const textOf = async (client: C) => (await context.ask(client, read)).t;
    const after = () => engine.use(({ client }) => textOf(client));
    const before = await after();
    assertStringIncludes(String(before), outside);
    const ends: [string, (lease: Lease<C>) => unknown, RegExp | undefined][] = [
      ["returns", () => {}, undefined],
      ["throws", () => Promise.reject(new Error("mine")), /mine/],
      ["fails", ({ client }) => context.ask(client, "SELECT no_such_column"), /no_such_column/],
      ["is late", ({ client }) => context.ask(client, dialect.sleep), /no end of the transaction/],
      [
        "ends it itself",
        async ({ client }) => void await context.ask(client, "ROLLBACK"),
        undefined,
      ],
      ["releases", async (lease) => await lease.release(), undefined],
      ["ends the session", async (lease) => {
        const { id } = await context.ask(lease.client, dialect.session);
        await context.admin(dialect.kill(id));
        await context.ask(lease.client, dialect.sleep); // not every driver notices it before
      }, /./],
    ];
    for (const [name, end, error] of ends) {
      let session: unknown;
      const { error: thrown } = await outcomeOf(engine.begin(async (lease) => {
        session = (await context.ask(lease.client, dialect.session)).id;
        assertEquals(await textOf(lease.client), inside, name);
        await end(lease);
      }, { settings, ...(name === "is late" && { timeout: 1 }) }));
      if (error) assertMatch(textsOf(thrown), error, name);
      assertEquals(await after(), before, name);
      // Without a cancel, the server goes on.
      if (name === "is late" && !adapter.cancel) await context.admin(dialect.kill(session));
    }
    // None of it was sent as a part of a statement.
    await context.admin(dialect.count);
    // What cannot be set leaves the session as it was.
    const id = await sessionOf(engine, context);
    await assertRejects(() => engine.begin(() => {}, { settings: { ...settings, no_such: 1 } }));
    assertEquals([await after(), await sessionOf(engine, context)], [before, id]);
    if (adapter.transactionStatus) {
      await engine.use(({ client }) => assertEquals(adapter.transactionStatus!(client), "idle"));
    }
  },

  "begin() has an isolation level, and is read-only, for its transaction alone": async <C>(
    context: TestContext<C>,
  ) => {
    const { dialect } = context;
    const { deferrable } = dialect.transaction;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const countOf = async (client: C) => Number((await context.ask(client, dialect.count)).n);
    const sees = (options?: BeginOptions<C>) =>
      engine.begin(async ({ client }) => {
        const n = await countOf(client);
        await context.admin(`INSERT INTO things (name) VALUES ('${crypto.randomUUID()}')`);
        return await countOf(client) > n;
      }, options);
    const byDefault = dialect.defaultLevel === "read committed";
    assertEquals(await sees({ isolationLevel: "read committed" }), true);
    assertEquals(await sees(), byDefault);
    assertEquals(await sees({ isolationLevel: "REPEATABLE_READ", readOnly: true }), false);
    assertEquals(await sees(), byDefault);
    const insert = (readOnly: boolean) =>
      engine.begin(({ client }) => context.adapter.query!(client, dialect.insert, ["x"]), {
        readOnly,
      });
    await assertRejects(() => insert(true));
    await insert(false);
    await engine.query(dialect.insert, ["y"]);
    await context.admin("DELETE FROM things");

    const safe = { isolationLevel: "serializable", readOnly: true, deferrable: true } as const;
    const text = "SELECT current_setting('transaction_deferrable') AS d";
    const deferred = engine.begin(({ client }) => context.ask(client, text), safe);
    if (deferrable) assertEquals((await deferred).d, "on");
    else await assertRejects(() => deferred, TypeError, '"deferrable" must not be given');
    await assertRejects(
      () => engine.begin(() => {}, { isolationLevel: "snapshot" }),
      TypeError,
      '"isolationLevel" must be one of',
    );
  },

  "begin() after a ROLLBACK of its function: PostgreSQL rejects, and nothing is there": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const outcome = await outcomeOf(engine.begin(async ({ client }) => {
      await adapter.query!(client, dialect.insert, ["undone"]);
      await adapter.query!(client, "ROLLBACK");
    }));
    const { error } = outcome as { error?: unknown };
    assertEquals(error instanceof TransactionAbortedError, dialect.errorsEndTransactions);
    assertEquals(Number(((await engine.query(dialect.count))[0] as Row).n), 0);
    assertEquals(engine.status().opened, 1);
  },

  "a BEGIN that its holder did not await opens no transaction for the next holder": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    const send = (client: unknown, text: string, values?: readonly unknown[]) =>
      void adapter.query!(client as never, text, values).catch(() => {});
    const holders: ((client: unknown) => unknown)[] = [
      (client) => send(client, "BEGIN"),
      async (client) => {
        await adapter.query!(client as never, "SELECT 1");
        send(client, "BEGIN");
      },
      (client) => {
        send(client, "SELECT 1");
        send(client, "BEGIN");
      },
      (client) => {
        send(client, dialect.echo, [1, "a"]);
        send(client, "BEGIN");
      },
      async (client) => {
        send(client, "BEGIN");
        await adapter.query!(client as never, dialect.echo, [1, "a"]);
        send(client, dialect.echo, [2, "b"]);
      },
      async (client) => {
        const first = adapter.query!(client as never, dialect.echo, [1, "a"]);
        send(client, "BEGIN");
        await first;
      },
    ];
    for (const [index, hold] of holders.entries()) {
      for (const direct of [false, true]) {
        if (direct) {
          const lease = await engine.connect();
          await hold(lease.client);
          await lease.release();
        } else {
          await engine.use(({ client }) => hold(client));
        }
        await engine.query(dialect.insert, ["next"]);
        const [row] = await context.admin(dialect.count);
        assertEquals(Number(row!.n), 1, `holder ${index}`);
        await context.admin("DELETE FROM things");
      }
    }
  },

  "query(): a number of values that does not fit is refused, nothing is done, and the connections are kept":
    async (
      context,
    ) => {
      const { dialect } = context;
      const engine = context.engine({ poolSize: 2, maxOverflow: 0 });
      await engine.warm(2);
      for (const values of [["a", "b"], ["a", "b", "c", "d"]]) {
        await assertRejects(() => engine.query(dialect.insert, values));
      }
      for (const values of [[1], [1, "a", 2]]) {
        await assertRejects(() => engine.query(dialect.echo, values));
      }
      assertEquals(Number((await context.admin(dialect.count))[0]!.n), 0);
      await engine.warm(2);
      assertEquals(engine.status().opened, 2);
    },

  "query() returns the columns of a table after a migration, on connections that knew it before":
    async (
      context,
    ) => {
      const { dialect } = context;
      const engine = context.engine({ poolSize: 2, maxOverflow: 0 });
      await engine.warm(2);
      await context.admin("CREATE TABLE migrated (name varchar(100))");
      const placeholder = dialect.insert.includes("$1") ? "$1" : "?";
      const text = `SELECT * FROM migrated WHERE name = ${placeholder}`;
      const both = () => Promise.all([1, 2].map(() => engine.query(text, ["a"])));
      await engine.query(`INSERT INTO migrated VALUES (${placeholder})`, ["a"]);
      for (let i = 0; i < 7; i++) await both();
      await context.admin("ALTER TABLE migrated ADD COLUMN size int DEFAULT 5");
      for (let i = 0; i < 3; i++) {
        for (const rows of await both()) assertEquals([...rows], [{ name: "a", size: 5 }]);
      }
      assertEquals(engine.status().opened, 2);
      await context.admin("DROP TABLE migrated");
    },

  "transactionStatus(): is right or undefined": async (context) => {
    const { adapter, dialect } = context;
    const client = await context.open();
    const assertRightOrUndefined = (expected: TransactionStatus) => {
      const actual = adapter.transactionStatus?.(client);
      assert(actual === undefined || actual === expected, `it is ${actual}`);
    };
    assertRightOrUndefined("idle");
    await adapter.query!(client, "BEGIN");
    assertRightOrUndefined("open");
    await adapter.query!(client, dialect.insert, ["in"]);
    assertRightOrUndefined("open");
    await adapter.reset!(client, "rollback");
    assertRightOrUndefined("idle");
    await adapter.query!(client, "BEGIN");
    await adapter.query!(client, dialect.insert, ["in"]);
    await adapter.reset!(client, "commit");
    assertRightOrUndefined("idle");
    assertEquals(Number((await context.ask(client, dialect.count)).n), 1);
    await adapter.query!(client, "DELETE FROM things");
    await adapter.close!(client);
  },

  "close(): ends the session, and the server logs no aborted connection": async (
    context,
  ) => {
    const client = await context.open();
    const { id } = await context.ask(client, context.dialect.session);
    const before = context.server.log.length;
    await soon(context.adapter.close!(client));
    await until(async () => (await context.admin(context.dialect.alive(id))).length === 0);
    await pause(50);
    const log = context.server.log.slice(before);
    assertFalse(context.dialect.abortedLogLine.test(log), log);
  },

  "close(): may be called again, and terminate() after it": async (context) => {
    const client = await context.open();
    await soon(
      Promise.allSettled([context.adapter.close!(client), context.adapter.close!(client)]),
    );
    await soon(Promise.allSettled([context.adapter.close!(client)]));
    context.adapter.terminate!(client);
    context.adapter.terminate!(client, new Error("again"));
    await context.noSessions();
  },

  "terminate(): closes the socket at once, and pending statements reject": async (context) => {
    const { adapter, dialect } = context;
    const client = await context.open();
    const reason = new Error("the server departed");
    const outcome = outcomeOf(adapter.query!(client, dialect.sleep));
    await until(async () => (await context.admin(dialect.running("leep(30)"))).length > 0);
    using lag = new Lag();
    const startMs = performance.now();
    adapter.terminate!(client, reason);
    adapter.terminate!(client, new Error("again"));
    const { error } = await soon(outcome);
    assertLess(performance.now() - startMs, lag.limit(500));
    assert(error instanceof Error);
    if (context.subject.rejectsWithReason) assertEquals(error, reason);
    const later = await assertRejects(() => soon(adapter.query!(client, "SELECT 1")));
    assertEquals(adapter.classify!(later), "disconnect", inspected(later));
    for (const { pid, id } of await context.admin(dialect.running("leep(30)"))) {
      await context.admin(dialect.kill(pid ?? id));
    }
    await context.noSessions();
  },

  "role(): tells a writable server from a read-only one": async (context) => {
    const { adapter, dialect } = context;
    const client = await context.open();
    assertEquals(await adapter.role!(client), { standby: false, readOnly: false });
    await adapter.close!(client);
    const [on, off] = dialect.readOnly;
    await context.admin(on);
    try {
      const client = await context.open();
      assertEquals((await adapter.role!(client)).readOnly, true);
      const error = await assertRejects(() => adapter.query!(client, dialect.insert, ["refused"]));
      assertEquals(adapter.classify!(error), "read-only", inspected(error));
      await adapter.close!(client);
    } finally {
      await context.admin(off);
    }
  },

  "a session or a transaction that its caller made read-only is no read-only server": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    for (const text of dialect.ownReadOnly) {
      const client = await context.open();
      await adapter.query!(client, text);
      await assertRejects(() => adapter.query!(client, dialect.insert, ["refused"]));
      await adapter.reset!(client, "rollback");
      assertEquals(await adapter.role!(client), { standby: false, readOnly: false }, text);
      await adapter.close!(client);
      const engine = context.engine({ targetSessionAttrs: "read-write" });
      await engine.warm(3);
      await engine.use(async ({ client }) => {
        await adapter.query!(client, text);
        await adapter.query!(client, dialect.insert, ["refused"]).catch(() => {});
        await adapter.reset!(client, "rollback");
      });
      const { opened, closed } = engine.status();
      assertEquals([opened, closed], [3, 0], text);
      await engine.close();
    }
  },

  "waits for a server that takes writes, and names the role of a read-only one": async (
    context,
  ) => {
    const [on, off] = context.dialect.readOnly;
    await context.admin(on);
    try {
      const engine = context.engine({ targetSessionAttrs: "read-write", poolTimeout: 0.4 });
      const error = await assertRejects(() => engine.connect(), ConnectError);
      assertStringIncludes(error.message, 'read-only, and "read-write" is wanted');
      const waiting = context.engine({ targetSessionAttrs: "read-write", poolTimeout: 5 });
      const result = waiting.use(() => "served");
      await pause(100);
      await context.admin(off);
      assertEquals(await soon(result), "served");
    } finally {
      await context.admin(off);
    }
  },

  "onError(): reports a read-only error that the caller handles itself": async (context) => {
    const { adapter, dialect } = context;
    if (!adapter.onError) return;
    const [on, off] = dialect.readOnly;
    await context.admin(on);
    try {
      const client = await context.open();
      const verdicts: unknown[] = [];
      adapter.onError!(client, (error) => verdicts.push(adapter.classify!(error)));
      await adapter.query!(client, dialect.insert, ["refused"]).catch(() => {});
      await until(() => verdicts.length > 0);
      assertEquals(verdicts, ["read-only"]);
      await adapter.close!(client);
    } finally {
      await context.admin(off);
    }
  },

  "sets isolationLevel for the session, and that of executionOptions for a lease": async (
    context,
  ) => {
    const { dialect } = context;
    const levelOf = async (engine: Pick<Engine<unknown>, "query">) =>
      String(((await engine.query(dialect.level))[0] as Row).level).toLowerCase();
    const plain = context.engine();
    assertEquals(await levelOf(plain), dialect.defaultLevel);
    const engine = context.engine({
      isolationLevel: "READ_UNCOMMITTED",
      poolSize: 1,
      maxOverflow: 0,
    });
    assertEquals(await levelOf(engine), "read uncommitted");
    const strict = engine.executionOptions({ isolationLevel: "serializable" });
    assertEquals(await levelOf(strict), "serializable");
    assertEquals(await levelOf(engine), "read uncommitted");
    assertEquals(engine.status().opened, 1);
    const strictLease = plain.executionOptions({ isolationLevel: "serializable" });
    assertEquals(await levelOf(strictLease), "serializable");
    assertEquals(await levelOf(plain), dialect.defaultLevel);
    await assertRejects(
      () => plain.executionOptions({ isolationLevel: "x; DROP TABLE things" }).connect(),
      TypeError,
      '"isolationLevel" must be one of "read uncommitted", "read committed", "repeatable read", "serializable", got "x; DROP TABLE things"',
    );
  },

  "cancel(): ends the statement on the server after the timeout or the signal of a query, and the session is reused":
    async (context) => {
      const { adapter, dialect } = context;
      if (!adapter.cancel) return;
      const engine = context.engine({ poolSize: 1, maxOverflow: 0, probeTimeout: 5 });
      const session = await sessionOf(engine, context);
      const late = await assertRejects(() =>
        soon(engine.query(dialect.sleep, [], { timeout: 0.2 }))
      );
      assert(late instanceof DOMException && late.name === "TimeoutError", inspected(late));
      assertEquals(late.message, "no end of the query within 0.2 seconds");
      assert(late.cause instanceof Error, "the server's own error is the cause");
      assertFalse(engine.isDisconnect(late));
      const controller = new AbortController();
      const reason = new Error("enough");
      const aborted = outcomeOf(engine.query(dialect.sleep, [], { signal: controller.signal }));
      await until(async () => (await context.admin(dialect.running("(30)"))).length === 1);
      controller.abort(reason);
      assertEquals((await soon(aborted)).error, reason);
      assertEquals(await context.admin(dialect.running("(30)")), []);
      assertEquals(await sessionOf(engine, context), session);
      assertEquals(engine.status().opened, 1);
    },

  "cancel(): rolls a transaction back whose signal is aborted during a statement, and the session is reused":
    async (context) => {
      const { adapter, dialect } = context;
      if (!adapter.cancel) return;
      const engine = context.engine({ poolSize: 1, maxOverflow: 0, probeTimeout: 5 });
      const session = await sessionOf(engine, context);
      const reason = new Error("enough");
      const controller = new AbortController();
      const aborted = outcomeOf(
        engine.begin(async ({ client }) => {
          await adapter.query!(client, dialect.insert, ["undone"]);
          setTimeout(() => controller.abort(reason), 100);
          await adapter.query!(client, dialect.sleep);
        }, { signal: controller.signal }),
      );
      assertEquals((await soon(aborted)).error, reason);
      assertEquals(await context.admin("SELECT name FROM things WHERE name = 'undone'"), []);
      assertEquals(await sessionOf(engine, context), session);
    },

  "cancel(): ends a setting of a transaction after its timeout, before it and in it, and the session is reused":
    async <C>(context: TestContext<C>) => {
      const { adapter, dialect } = context;
      if (!adapter.cancel) return;
      const plans: Pick<TransactionPlan, "before" | "after">[] = [
        { before: [[dialect.insert, ["before"]], [dialect.sleep]], after: [] },
        { before: [], after: [[dialect.insert, ["undone"]], [dialect.sleep]] },
      ];
      for (const plan of plans) {
        const planTransaction = () => ({ begin: "BEGIN", end: [], ...plan });
        const engine = context.engine({
          adapter: { ...adapter, planTransaction },
          poolSize: 1,
          maxOverflow: 0,
          probeTimeout: 5,
        });
        const session = await sessionOf(engine, context);
        let called = false;
        const late = await assertRejects(() =>
          soon(
            engine.begin(() => void (called = true), { readOnly: false, timeout: 0.3 }),
          )
        );
        assert(late instanceof DOMException && late.name === "TimeoutError", inspected(late));
        assertEquals([called, await context.admin(dialect.running("(30)"))], [false, []]);
        assertEquals(await sessionOf(engine, context), session);
      }
      assertEquals(await context.admin("SELECT name FROM things WHERE name = 'undone'"), []);
    },

  "cancel(): in 100 races with the end of the statement, never hits the next one": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    if (!adapter.cancel) return;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0, probeTimeout: 5 });
    const outcomes = { done: 0, cancelled: 0 };
    for (let round = 0; round < 100; round++) {
      // From those that end before the cancel can be sent to those that end after it certainly arrived.
      const nap = round % 20 === 19 ? 1 : (round % 20) * 0.002;
      const query = engine.query(dialect.nap(nap), [], { timeout: 0.002 });
      const { error } = await soon(outcomeOf(query));
      if (error === undefined) outcomes.done++;
      else if ((error as Error).name === "TimeoutError") outcomes.cancelled++;
      else throw error;
      const [row] = await engine.query(dialect.echo, [round, "own"]) as Row[];
      assertEquals([Number(row!.n), row!.t], [round + 1, "own"]);
    }
    assertGreater(outcomes.done, 0);
    assertGreater(outcomes.cancelled, 0);
    assertEquals(engine.status().opened, 1, "no connection was lost for it");
  },

  "cancel(): a connection that is terminated when the engine is closed leaves no statement on the server":
    async (context) => {
      const { adapter, dialect } = context;
      if (!adapter.cancel) return;
      const engine = context.engine({ probeTimeout: 5 });
      const names = "SELECT name FROM things WHERE name LIKE 'slow%'";
      const running = outcomeOf(engine.query(dialect.slowInsert(30)));
      await until(async () => (await context.admin(dialect.running("slow"))).length === 1);
      await engine.close({ drain: 0 });
      assert((await soon(running)).error instanceof ConnectionLostError);
      await until(async () => (await context.admin(dialect.running("slow"))).length === 0);
      assertEquals(await context.admin(names), []);
    },

  "cancel(): a lease whose retireGrace is over leaves no statement on the server": async (
    context,
  ) => {
    const { adapter, dialect, server } = context;
    if (!adapter.cancel) return;
    let addresses = [server.host];
    const engine = context.engine({
      retireGrace: 0.2,
      probeTimeout: 5,
      dnsLookup: { name: "moving", lookup: () => Promise.resolve({ addresses, ttl: 0.3 }) },
      dnsMinTtl: 0.3,
    });
    const terminated = new Promise((resolve) => engine.addEventListener("terminate", resolve));
    const running = outcomeOf(engine.query(dialect.slowInsert(30)));
    await until(async () => (await context.admin(dialect.running("slow"))).length === 1);
    addresses = ["127.0.0.99"];
    await soon(terminated);
    assert((await soon(running)).error instanceof ConnectionLostError);
    await until(async () => (await context.admin(dialect.running("slow"))).length === 0);
    assertEquals(engine.status().byAddress, {});
    assertEquals(await context.admin("SELECT name FROM things WHERE name LIKE 'slow%'"), []);
  },

  "keeps bind values out of errors with hideParameters": async (context) => {
    const { dialect } = context;
    const engine = context.engine({ hideParameters: true });
    const secret = "s3cret'value";
    const failing: [text: string, values: readonly unknown[]][] = [
      [dialect.insert, [secret]],
      [dialect.echo.replace(/SELECT/, "SELEC"), [77_123, secret]],
    ];
    await engine.query(dialect.insert, [secret]);
    for (const [text, values] of failing) {
      const error = await assertRejects(() => engine.query(text, values));
      const texts = textsOf(error);
      for (const value of ["s3cret", "77123"]) assertFalse(texts.includes(value), texts);
    }
    await context.admin("DELETE FROM things");
  },

  "keeps data out of the server's errors of query, use and begin with hideParameters, in the server's spelling too":
    async (context) => {
      const { adapter, dialect } = context;
      const engine = context.engine({ hideParameters: true });
      // Longer than the 64 bytes after which MariaDB cuts a value, with characters that servers escape.
      const secret = `s3cret "it's" \\ ${"x".repeat(70)}`;
      await engine.query(dialect.insert, [secret]);
      const { query } = adapter;
      const failing: (readonly [text: string, values: readonly unknown[]])[] = [
        [dialect.insert, [secret]],
        [`${dialect.table} s3cret`, []],
        [dialect.echo, [`${secret} is no number`, secret]],
      ];
      for (const [text, values] of failing) {
        const calls = {
          query: () => engine.query(text, values),
          use: () => engine.use(({ client }) => query!(client, text, values)),
          begin: () => engine.begin(({ client }) => query!(client, text, values)),
          savepoint: () =>
            engine.use((within) =>
              engine.begin(() =>
                engine.begin(({ client }) => query!(client, text, values), { within })
                  .catch((error) => {
                    throw new Error("mine", { cause: error });
                  })
              )
            ),
        };
        for (const [name, call] of Object.entries(calls)) {
          // The text of a query is the program's own, and no bind value.
          if (name === "query" && values.length === 0) continue;
          const { error } = await outcomeOf<unknown>(call());
          // MariaDB takes what is no number for 0.
          if (error === undefined && text === dialect.echo) continue;
          assert(error instanceof Error, name);
          const texts = textsOf(error);
          assertFalse(texts.includes("s3cret"), `${name}: ${texts}`);
        }
      }
      await context.admin("DELETE FROM things");
    },

  "with hideParameters, keeps the message that a function of the database raises, without the bind values of query":
    async (
      context,
    ) => {
      const { adapter, dialect } = context;
      await context.admin(dialect.raiser);
      const engine = context.engine({ hideParameters: true });
      const { error } = await outcomeOf(engine.query(dialect.raise, ["s3cret"]));
      assertStringIncludes(messageOf(error), "no credit for [hidden] (S3CRET)");
      assertFalse(textsOf(error).includes("s3cret"), textsOf(error));
      // Elsewhere the values are not known.
      const used = engine.use(({ client }) => adapter.query!(client, dialect.raise, ["s3cret"]));
      assertStringIncludes(messageOf((await outcomeOf(used)).error), "no credit for s3cret");
    },

  "loads the driver by the URL alone": async (context) => {
    const { subject, server, dialect } = context;
    if (subject.scheme === undefined) return;
    const engine = getDnsEngine(urlOf(subject, server), {
      dnsLookup: fakeLookup([server.host], 60),
    });
    assertEquals(engine.driver, subject.adapter.name);
    const [row] = await engine.query(dialect.whereAmI);
    assertEquals((row as Row).ip, server.host);
    await engine.close();
  },

  "goes on with a program that awaits close() or dispose()": async (context) => {
    const { subject, server } = context;
    if (subject.scheme === undefined) return;
    const url = urlOf(subject, server).replace("db.internal", server.host);
    const ways = ["close()", "close({ drain: 0 })", "dispose()"];
    const { code, out, err } = await runProgram(`
      import { getDnsEngine } from "root/mod.ts";
      ${
      ways.map((way) =>
        `{
        const engine = getDnsEngine(${JSON.stringify(url)});
        await engine.warm(2);
        await engine.${way};
        console.log(${JSON.stringify(way)});
      }`
      ).join("\n")
    }
    `);
    assertEquals([code, out.split("\n")], [0, ways], err);
  },

  "terminates a lease after leaseTimeout, cancels what it is running, and goes on": async (
    context,
  ) => {
    const { adapter, dialect } = context;
    const engine = context.engine({
      poolSize: 1,
      maxOverflow: 0,
      leaseTimeout: 0.5,
      logger: { debug() {}, info() {}, warn() {} },
    });
    let id: unknown;
    const stuck = outcomeOf(engine.use(async ({ client }) => {
      ({ id } = await context.ask(client, dialect.session));
      await adapter.query!(client, dialect.sleep);
    }));
    const begun = performance.now();
    assertEquals(((await soon(engine.query(dialect.whereAmI)))[0] as Row).ip, context.server.host);
    assertLess(performance.now() - begun, 20_000);
    assertEquals(((await stuck).error as { code?: string }).code, "LEASE_TIMEOUT");
    // Without a cancel, the server goes on.
    if (!adapter.cancel) return void await context.admin(dialect.kill(id));
    await until(
      async () =>
        (await context.admin(dialect.running("SLEEP"))).length === 0 &&
        (await context.admin(dialect.running("pg_sleep(30"))).length === 0,
      "the end of the statement",
    );
  },

  "listens on channels of any name, or refuses by the adapter's name": async (context) => {
    const { adapter, dialect } = context;
    const engine = context.engine({ poolSize: 1, maxOverflow: 0 });
    if (!adapter.notifications) {
      const refused = () => engine.listen("orders", () => {});
      await assertRejects(refused, TypeError, `the adapter "${adapter.name}" has no`);
      return;
    }
    const names = [
      "orders",
      "Orders",
      '"; DROP TABLE things; --',
      "a'b\\c",
      "ключ",
      "x".repeat(63),
    ];
    const heard: [string, string][] = [];
    const listeners = await Promise.all(
      names.map((name) =>
        engine.listen(name, (payload, channel) => void heard.push([channel, payload]))
      ),
    );
    await engine.use(async ({ client }) => { // the only place in the pool
      for (const name of names) await context.ask(client, "SELECT pg_notify($1, $1)", [name]);
      await context.ask(client, "NOTIFY orders");
    });
    await until(() => heard.length > names.length, "the notifications");
    assertEquals(heard, [...names.map((name) => [name, name]), ["orders", ""]] as typeof heard);
    await listeners[0]!.close();
    await engine.query("SELECT pg_notify('orders', 'not heard'), pg_notify('Orders', 'last')");
    await until(() => heard.length > names.length + 1, "the last one");
    assertEquals(heard.at(-1), ["Orders", "last"]);
    assertEquals(Number(((await engine.query(dialect.sessions))[0] as Row).n), 2);
    for (const name of ["a\0b", "x".repeat(64), "é".repeat(32), "\ud800"]) {
      await assertRejects(
        () => engine.listen(name, () => {}),
        TypeError,
        '"channel" must be 1 to 63',
      );
    }
    await engine.close();
    await context.noSessions();
  },

  "listens on another connection when the server ended the session": async (context) => {
    const { adapter, dialect } = context;
    if (!adapter.notifications) return;
    const engine = context.engine();
    const heard: string[] = [];
    let gaps = 0;
    const onGap = () => void gaps++;
    await engine.listen("orders", (payload) => void heard.push(payload), { onGap });
    const listening = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    const [{ pid }] = await context.admin(listening) as [Row];
    await context.admin(dialect.kill(pid));
    await until(() => gaps === 1, "the gap");
    await context.admin("NOTIFY orders, 'after it'");
    await until(() => heard.length > 0, "the notification");
    assertEquals(heard, ["after it"]);
  },

  "lets a program exit that listens, unless a listener keeps it alive": async (context) => {
    const { subject, server, adapter } = context;
    if (subject.scheme === undefined || !adapter.notifications) return;
    const url = urlOf(subject, server).replace("db.internal", server.host);
    const { code, out, err } = await runProgram(`
      import { getDnsEngine } from "root/mod.ts";
      const engine = getDnsEngine(${JSON.stringify(url)});
      await engine.listen("orders", () => {});
      const listener = await engine.listen("orders", (payload) => {
        console.log(payload);
        void listener.close();
      }, { keepProcessAlive: true });
      await engine.query("NOTIFY orders, 'heard'");
    `);
    assertEquals([code, out], [0, "heard"], err);
  },

  "lets a program exit that leaves idle connections open": async (context) => {
    const { subject, server } = context;
    if (subject.scheme === undefined) return;
    const url = urlOf(subject, server).replace("db.internal", server.host);
    const { code, out, err } = await runProgram(`
      import { getDnsEngine } from "root/mod.ts";
      const engine = getDnsEngine(${JSON.stringify(url)});
      await engine.query("SELECT 1");
      console.log(engine.status().idle);
    `);
    assertEquals([code, out], [0, "1"], err);
  },
};

/** Asserts that an engine gives up a server on 127.0.0.1 that does not complete the handshake. */
async function assertConnectTimesOut<C>(
  { adapter, engine }: TestContext<C>,
  port: number,
): Promise<void> {
  const { url } = engine();
  const silent = getDnsEngine<C>(url.with({ host: "127.0.0.1", port }), {
    adapter,
    connectTimeout: 0.3,
  });
  using lag = new Lag();
  const startMs = performance.now();
  const error = await assertRejects(() => soon(silent.connect()), ConnectError);
  const tookMs = performance.now() - startMs;
  assertGreater(tookMs, 290);
  assertLess(tookMs, lag.limit(2000));
  assertStringIncludes(error.message, `Cannot connect to "127.0.0.1": 127.0.0.1:${port} said: `);
  assert(error.cause instanceof DOMException && error.cause.name === "TimeoutError");
  const { inUse, connecting, waiting } = silent.status();
  assertEquals([inUse, connecting, waiting], [0, 0, 0]);
  await silent.close();
}

async function sessionOf<C>(engine: Engine<C>, { dialect }: TestContext<C>): Promise<unknown> {
  return ((await engine.query(dialect.session))[0] as Row).id;
}
