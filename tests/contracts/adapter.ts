/**
 * The contract of adapters as a suite: every adapter is put to it on its real server. `tests/adapter_<driver>_test.ts`
 * runs it.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { ConnectError, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { hungUp, withBlackhole, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { runProgram } from "../support/program.ts";
import { ALWAYS, type Registration } from "../support/servers.ts";
import type { Dialect } from "../support/sql_dialects.ts";
import { pause, soon, until } from "../support/waiting.ts";

/** A row of a server's answer. */
export type Row = Readonly<Record<string, unknown>>;

/** A real server with a database `orders` and a user who may use it. */
export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** The end of what it logged. */
  readonly log: string;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** An adapter, and what its driver's tests need to know. */
export interface AdapterSubject<C> {
  /** Such as `"pg"`. */
  readonly name: string;
  /** The scheme that brings it by URL alone, such as `"postgresql+pg"`; `undefined` where none can here. */
  readonly scheme: string | undefined;
  readonly adapter: Adapter<C>;
  readonly dialect: Dialect;
  readonly user: string;
  readonly password: string;
  start(): Promise<TestServer>;
  /** Runs one statement as the server's administrator, on a connection of its own. */
  asAdmin(server: TestServer, text: string): Promise<readonly Row[]>;
  /** A URL parameter and an argument that say the same thing, and the question for what the session has of it. */
  readonly setting: {
    readonly params: Readonly<Record<string, string>>;
    readonly connectArgs: Readonly<Record<string, unknown>>;
    /** `value`. */
    readonly question: string;
    readonly byParams: unknown;
    readonly byArgs: unknown;
  };
  /** What a server says before it falls silent in mid-handshake. */
  readonly silences: Readonly<Record<string, Silence>>;
  /** Whether pending work rejects with the very reason that `terminate` is given. */
  readonly tellsReason: boolean;
  /** `false`: the driver learns that its connection has ended when it is asked for something. */
  readonly noticesEnd?: false;
}

/** A server that falls silent. */
export interface Silence {
  readonly replies: readonly Uint8Array[];
  /** It speaks before it is spoken to. */
  readonly first?: boolean;
  /** What the URL asks for. */
  readonly params?: Target["params"];
}

/** What every test has at hand. */
interface Stage<C> {
  readonly subject: AdapterSubject<C>;
  readonly adapter: Adapter<C>;
  readonly dialect: Dialect;
  readonly server: TestServer;
  /** Made by the test; closed after it. */
  readonly engines: Engine<C>[];
  target(changes?: Partial<Target>): Target;
  /** A connection straight from the adapter. */
  open(changes?: Partial<Target>): Promise<C>;
  ask(client: C, text: string, values?: readonly unknown[]): Promise<Row>;
  admin(text: string): Promise<readonly Row[]>;
  engine(options?: EngineOptions<C>, params?: Readonly<Record<string, string>>): Engine<C>;
  /** Waits until the server has no session but the administrator's. */
  deserted(): Promise<void>;
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
    register(`${subject.name}: ${name}`, async () => {
      try {
        await (test as (stage: Stage<C>) => Promise<void>)(stageOf(subject, server, engines));
      } finally {
        for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
      }
    });
  }
  for (const [when, { replies, first = false, params = {} }] of Object.entries(subject.silences)) {
    register(
      `${subject.name}: an abort while the server is silent ${when} rejects with its reason and leaves no socket`,
      () =>
        withMute(replies, async ({ port, conn, silent }) => {
          const controller = new AbortController();
          const { signal } = controller;
          const reason = new Error("enough");
          const { adapter, target } = stageOf(subject, server, engines);
          const outcome = outcomeOf(adapter.connect("127.0.0.1", target({ port, params, signal })));
          await silent;
          controller.abort(reason);
          assertEquals((await soon(outcome)).error, reason);
          await hungUp(await conn);
        }, { first }),
    );
  }
}

function stageOf<C>(
  subject: AdapterSubject<C>,
  server: TestServer,
  engines: Engine<C>[],
): Stage<C> {
  const { adapter, dialect, user, password } = subject;
  const target = (changes: Partial<Target> = {}): Target => ({
    host: "db.internal",
    port: server.port,
    user,
    password,
    database: "orders",
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => [server.host],
    signal: new AbortController().signal,
    ...changes,
  });
  const stage: Stage<C> = {
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
    async deserted() {
      await until(async () => Number((await stage.admin(dialect.sessions))[0]!.n) <= 1, "silence");
    },
  };
  return stage;
}

function urlOf<C>(
  { scheme, adapter, user, password }: AdapterSubject<C>,
  { port }: TestServer,
  params: Readonly<Record<string, string>> = {},
): string {
  const query = new URLSearchParams(params).toString();
  const who = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const dialect = scheme ?? adapter.name.replaceAll(/\W/g, "");
  return `${dialect}://${who}@db.internal:${port}/orders${query && `?${query}`}`;
}

/** How a promise ends, as a value. */
async function outcomeOf<T>(promise: Promise<T>): Promise<{ value?: T; error?: unknown }> {
  return await promise.then((value) => ({ value }), (error) => ({ error }));
}

/** All that anybody could print of an error, its causes included. */
export function textsOf(error: unknown): string {
  const texts = [inspected(error), JSON.stringify(error) ?? ""];
  for (let each = error; each instanceof Error; each = each.cause) {
    texts.push(String(each), each.stack ?? "", ...Object.values(each).map(String));
  }
  return texts.join("\n");
}

const TESTS: Readonly<Record<string, <C>(stage: Stage<C>) => Promise<void>>> = {
  "connect() goes to the IP it is given, whatever the name says": async (stage) => {
    const { adapter, server, dialect } = stage;
    for (const host of ["db.internal", "name.that.does.not.exist.invalid", "192.0.2.1"]) {
      const client = await stage.open({ host });
      const { ip, port } = await stage.ask(client, dialect.whereAmI);
      assertEquals([ip, Number(port)], [server.host, server.port]);
      await adapter.close!(client);
    }
  },

  "user, password and database reach the server, in any spelling": async (stage) => {
    const client = await stage.open();
    const { who } = await stage.ask(client, stage.dialect.whoAmI);
    assertEquals(who, `${stage.subject.user} orders`);
    await stage.adapter.close!(client);
  },

  "a wrong password and a wrong database are the server's own error, are no disconnect and leave no session":
    async (stage) => {
      for (const wrong of [{ password: "not the one" }, { database: "nowhere" }]) {
        const { error } = await outcomeOf(stage.open(wrong));
        assert(error instanceof Error);
        assertEquals(stage.adapter.classify!(error), undefined);
        const texts = textsOf(error);
        assertFalse(texts.includes("not the one") || texts.includes(stage.subject.password), texts);
      }
      await stage.deserted();
    },

  "a wrong password is not tried again, though the engine has connected before": async (stage) => {
    const engine = stage.engine({ poolSize: 1 });
    await engine.use(() => {});
    const wrong = stage.engine({ connectArgs: { password: "not the one" }, poolTimeout: 4 });
    const startMs = performance.now();
    const error = await assertRejects(() => wrong.connect(), ConnectError);
    assertLess(performance.now() - startMs, 2000);
    assertFalse(textsOf(error).includes("not the one"));
  },

  "a refused port is a disconnect": async (stage) => {
    const error = await assertRejects(() =>
      soon(stage.adapter.connect("127.0.0.1", stage.target({ port: 1 })))
    );
    assertEquals(stage.adapter.classify!(error), "disconnect");
  },

  "URL parameters and connectArgs reach the driver, and connectArgs win": async (stage) => {
    const { params, connectArgs, question, byParams, byArgs } = stage.subject.setting;
    const valueFor = async (options: Pick<EngineOptions, "connectArgs">) => {
      const engine = stage.engine(options, params);
      return ((await engine.query(question))[0] as Row).value;
    };
    assertEquals(await valueFor({}), byParams);
    assertEquals(await valueFor({ connectArgs }), byArgs);
  },

  "a parameter that the driver would ignore is refused by name when the engine is made": (
    stage,
  ) => {
    assertThrows(
      () => stage.engine({}, { no_such_thing: "1" }),
      TypeError,
      'Cannot use the URL parameter "no_such_thing": ',
    );
    return Promise.resolve();
  },

  "TLS that is said twice, and differently, is refused when the engine is made": (stage) => {
    for (
      const [sslmode, ssl] of [["disable", true], ["verify-full", false], [
        "verify-full",
        { rejectUnauthorized: false },
      ]] as const
    ) {
      assertThrows(
        () => stage.engine({ connectArgs: { ssl } }, { sslmode }),
        TypeError,
        `Cannot use both, for they contradict each other: sslmode=${sslmode} in the URL`,
      );
    }
    assertThrows(
      () => stage.engine({}, { sslmode: "prefer" }),
      TypeError,
      "Cannot use sslmode=prefer: ",
    );
    return Promise.resolve();
  },

  "an address that never answers is given up after connectTimeout": async (stage) => {
    await withBlackhole(async (port) => {
      await givenUp(stage, port);
    });
  },

  "a server that accepts and says nothing is given up after connectTimeout, its socket closed, the slot given back":
    async (stage) => {
      await withMute([], async ({ port, conn }) => {
        await givenUp(stage, port);
        await hungUp(await conn);
      });
    },

  "an abort before the dial, and one right after it began, reject with their reason and leave no session":
    async (stage) => {
      const reason = new Error("enough");
      const aborted = stage.target({ signal: AbortSignal.abort(reason) });
      assertEquals(
        (await outcomeOf(stage.adapter.connect(stage.server.host, aborted))).error,
        reason,
      );
      for (const turns of [0, 1, 2, 5, 20]) {
        const controller = new AbortController();
        const { signal } = controller;
        const outcome = outcomeOf(
          stage.adapter.connect(stage.server.host, stage.target({ signal })),
        );
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        controller.abort(reason);
        assertEquals((await soon(outcome)).error, reason);
      }
      await stage.deserted();
    },

  "aborts at any moment of the handshake leave no session": async (stage) => {
    for (let delayMs = 0; delayMs < 20; delayMs++) {
      const controller = new AbortController();
      const { signal } = controller;
      const outcome = outcomeOf(
        stage.adapter.connect(stage.server.host, stage.target({ signal })),
      );
      await pause(delayMs / 2);
      controller.abort(new Error("enough"));
      const { value: client, error } = await soon(outcome);
      if (error) assertEquals((error as Error).message, "enough");
      else await stage.adapter.close!(client!);
    }
    await stage.deserted();
  },

  "an abort that comes after the connection is open does nothing to it": async (stage) => {
    const controller = new AbortController();
    const client = await stage.open({ signal: controller.signal });
    controller.abort(new Error("too late"));
    await stage.adapter.ping!(client);
    await stage.adapter.close!(client);
  },

  "query() gives rows, and takes values": async (stage) => {
    const client = await stage.open();
    const { n, t } = await stage.ask(client, stage.dialect.echo, Object.freeze([20, "it's"]));
    assertEquals([Number(n), t], [21, "it's"]);
    await assertRejects(() => stage.adapter.query!(client, "SELEC 1"));
    const first = await stage.adapter.query!(client, stage.dialect.insert, ["rows"]);
    assertEquals([...first], []);
    assertEquals([...await stage.adapter.query!(client, "DELETE FROM things")], []);
    await stage.adapter.close!(client);
  },

  "an error of a statement is no disconnect, and the connection is good for the next one": async (
    stage,
  ) => {
    const client = await stage.open();
    const error = await assertRejects(() => stage.adapter.query!(client, "SELECT * FROM nothing"));
    assertEquals(stage.adapter.classify!(error), undefined);
    await stage.adapter.ping!(client);
    await stage.adapter.close!(client);
  },

  "a connection that the server ends while it is idle is noticed without a query, and ends no process":
    async (stage) => {
      const engine = stage.engine();
      const id = await sessionOf(engine, stage);
      assertEquals(engine.status().idle, 1);
      await stage.admin(stage.dialect.kill(id));
      if (stage.subject.noticesEnd === false) {
        const error = await assertRejects(() => soon(engine.query("SELECT 1")));
        assertEquals(stage.adapter.classify!(error), "disconnect", inspected(error));
      }
      await until(() => engine.status().idle === 0);
      assertEquals(engine.status().closed, 1);
      assertNotEquals(await sessionOf(engine, stage), id);
    },

  "a connection that dies while nobody listens ends no process": async (stage) => {
    const client = await stage.open();
    const { id } = await stage.ask(client, stage.dialect.session);
    const ended = new Promise<void>((resolve) => stage.adapter.onClose!(client, () => resolve()));
    await stage.admin(stage.dialect.kill(id));
    if (stage.subject.noticesEnd !== false) await soon(ended);
    const error = await assertRejects(() => soon(stage.adapter.ping!(client)));
    assertEquals(stage.adapter.classify!(error), "disconnect");
    await stage.adapter.close!(client).catch(() => {});
    stage.adapter.terminate!(client);
  },

  "onClose() tells of an end once": async (stage) => {
    const client = await stage.open();
    const { id } = await stage.ask(client, stage.dialect.session);
    let calls = 0;
    stage.adapter.onClose!(client, () => calls++);
    await stage.admin(stage.dialect.kill(id));
    if (stage.subject.noticesEnd === false) await stage.adapter.ping!(client).catch(() => {});
    await until(() => calls > 0);
    stage.adapter.terminate!(client);
    await pause(20);
    assertEquals(calls, 1);
  },

  "a session that is killed in mid-query is a disconnect, and is not handed out again": async (
    stage,
  ) => {
    const engine = stage.engine({ poolSize: 1, maxOverflow: 0 });
    const lease = await engine.connect();
    const { id } = await stage.ask(lease.client, stage.dialect.session);
    const outcome = outcomeOf(stage.adapter.query!(lease.client, stage.dialect.sleep));
    await until(async () => (await stage.admin(stage.dialect.running("leep(30)"))).length > 0);
    await stage.admin(stage.dialect.kill(id));
    const { error } = await soon(outcome);
    assertEquals(stage.adapter.classify!(error), "disconnect", inspected(error));
    await lease.release(error);
    assertNotEquals(await sessionOf(engine, stage), id);
  },

  "ping() passes on a live server, is a disconnect on a dead one, and is bounded on a frozen one":
    async ({ subject, ...stage }) => {
      const server = await subject.start();
      const own = stageOf(subject, server, stage.engines);
      try {
        const engine = own.engine({ poolPrePing: true, connectTimeout: 0.4, connectRetry: false });
        const id = await sessionOf(engine, own);
        assertEquals(await sessionOf(engine, own), id);

        await server.freeze();
        const startMs = performance.now();
        const frozen = await assertRejects(() => engine.connect(), ConnectError);
        const tookMs = performance.now() - startMs;
        await server.thaw();
        assertGreater(tookMs, 390);
        assertLess(tookMs, 2500);
        assertStringIncludes(frozen.message, "no connection within 0.4 seconds");

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

  "an open transaction is rolled back at checkin, or committed where that is asked for": async (
    stage,
  ) => {
    const { dialect } = stage;
    for (const how of ["rollback", "commit"] as const) {
      const engine = stage.engine({ poolSize: 1, maxOverflow: 0, poolResetOnReturn: how });
      const lease = await engine.connect();
      const { id } = await stage.ask(lease.client, dialect.session);
      await stage.adapter.query!(lease.client, "BEGIN");
      await stage.adapter.query!(lease.client, dialect.insert, [how]);
      await lease.release();
      assertEquals(await sessionOf(engine, stage), id);
      const { n } = (await stage.admin(dialect.count))[0]!;
      assertEquals([how, Number(n)], [how, how === "commit" ? 1 : 0]);
    }
    await stage.admin("DELETE FROM things");
  },

  "engine.begin() commits what returns and rolls back what throws": async (stage) => {
    const { dialect } = stage;
    const engine = stage.engine({ poolSize: 1, maxOverflow: 0 });
    const insert = (name: string) =>
      engine.begin(async ({ client }) => {
        await stage.adapter.query!(client, dialect.insert, [name]);
        if (name === "undone") throw new Error("undo");
      });
    await insert("kept");
    await assertRejects(() => insert("undone"), Error, "undo");
    assertEquals(Number(((await engine.query(dialect.count))[0] as Row).n), 1);
    await stage.admin("DELETE FROM things");
  },

  "inTransaction() knows without asking, or says that it does not know": async (stage) => {
    const { adapter, dialect } = stage;
    const client = await stage.open();
    const knows = (expected: boolean) => {
      const said = adapter.inTransaction?.(client);
      assert(said === undefined || said === expected, `it said ${said}`);
    };
    knows(false);
    await adapter.query!(client, "BEGIN");
    knows(true);
    await adapter.query!(client, dialect.insert, ["in"]);
    knows(true);
    await adapter.reset!(client, "rollback");
    knows(false);
    await adapter.query!(client, "BEGIN");
    await adapter.query!(client, dialect.insert, ["in"]);
    await adapter.reset!(client, "commit");
    knows(false);
    assertEquals(Number((await stage.ask(client, dialect.count)).n), 1);
    await adapter.query!(client, "DELETE FROM things");
    await adapter.close!(client);
  },

  "close() says goodbye: the session ends, and the server has nothing to complain of": async (
    stage,
  ) => {
    const client = await stage.open();
    const { id } = await stage.ask(client, stage.dialect.session);
    const before = stage.server.log.length;
    await soon(stage.adapter.close!(client));
    await until(async () => (await stage.admin(stage.dialect.alive(id))).length === 0);
    await pause(50);
    const log = stage.server.log.slice(before);
    assertFalse(stage.dialect.complaint.test(log), log);
  },

  "close() again, and terminate() after it, are harmless": async (stage) => {
    const client = await stage.open();
    await soon(Promise.allSettled([stage.adapter.close!(client), stage.adapter.close!(client)]));
    await soon(Promise.allSettled([stage.adapter.close!(client)]));
    stage.adapter.terminate!(client);
    stage.adapter.terminate!(client, new Error("again"));
    await stage.deserted();
  },

  "terminate() drops the socket at once, and pending work rejects": async (stage) => {
    const { adapter, dialect } = stage;
    const client = await stage.open();
    const reason = new Error("the server departed");
    const outcome = outcomeOf(adapter.query!(client, dialect.sleep));
    await until(async () => (await stage.admin(dialect.running("leep(30)"))).length > 0);
    const startMs = performance.now();
    adapter.terminate!(client, reason);
    adapter.terminate!(client, new Error("again"));
    const { error } = await soon(outcome);
    assertLess(performance.now() - startMs, 500);
    assert(error instanceof Error);
    if (stage.subject.tellsReason) assertEquals(error, reason);
    const later = await assertRejects(() => soon(adapter.query!(client, "SELECT 1")));
    assertEquals(adapter.classify!(later), "disconnect", inspected(later));
    for (const { pid, id } of await stage.admin(dialect.running("leep(30)"))) {
      await stage.admin(dialect.kill(pid ?? id));
    }
    await stage.deserted();
  },

  "role() tells a writable server from a read-only one": async (stage) => {
    const { adapter, dialect } = stage;
    const client = await stage.open();
    assertEquals(await adapter.role!(client), { standby: false, readOnly: false });
    await adapter.close!(client);
    const [on, off] = dialect.readOnly;
    await stage.admin(on);
    try {
      const client = await stage.open();
      assertEquals((await adapter.role!(client)).readOnly, true);
      const error = await assertRejects(() => adapter.query!(client, dialect.insert, ["refused"]));
      assertEquals(adapter.classify!(error), "read-only", inspected(error));
      await adapter.close!(client);
    } finally {
      await stage.admin(off);
    }
  },

  "a read-only server is waited out by who wants to write, and is told by its role": async (
    stage,
  ) => {
    const [on, off] = stage.dialect.readOnly;
    await stage.admin(on);
    try {
      const engine = stage.engine({ targetSessionAttrs: "read-write", poolTimeout: 0.4 });
      const error = await assertRejects(() => engine.connect(), ConnectError);
      assertStringIncludes(error.message, 'read-only, and "read-write" is wanted');
      const patient = stage.engine({ targetSessionAttrs: "read-write", poolTimeout: 5 });
      const coming = patient.use(() => "served");
      await pause(100);
      await stage.admin(off);
      assertEquals(await soon(coming), "served");
    } finally {
      await stage.admin(off);
    }
  },

  "onError() tells of a read-only error that the caller keeps to themselves": async (stage) => {
    const { adapter, dialect } = stage;
    if (!adapter.onError) return;
    const [on, off] = dialect.readOnly;
    await stage.admin(on);
    try {
      const client = await stage.open();
      const heard: unknown[] = [];
      adapter.onError!(client, (error) => heard.push(adapter.classify!(error)));
      await adapter.query!(client, dialect.insert, ["refused"]).catch(() => {});
      await until(() => heard.length > 0);
      assertEquals(heard, ["read-only"]);
      await adapter.close!(client);
    } finally {
      await stage.admin(off);
    }
  },

  "isolationLevel holds for the session, and executionOptions for a lease": async (stage) => {
    const { dialect } = stage;
    const levelOf = async (engine: Pick<Engine<unknown>, "query">) =>
      String(((await engine.query(dialect.level))[0] as Row).level).toLowerCase();
    const plain = stage.engine();
    assertEquals(await levelOf(plain), dialect.defaultLevel);
    const engine = stage.engine({
      isolationLevel: "READ_UNCOMMITTED",
      poolSize: 1,
      maxOverflow: 0,
    });
    assertEquals(await levelOf(engine), "read uncommitted");
    const strict = engine.executionOptions({ isolationLevel: "serializable" });
    assertEquals(await levelOf(strict), "serializable");
    assertEquals(await levelOf(engine), "read uncommitted");
    assertEquals(engine.status().opened, 1);
    const borrowed = plain.executionOptions({ isolationLevel: "serializable" });
    assertEquals(await levelOf(borrowed), "serializable");
    assertEquals(await levelOf(plain), dialect.defaultLevel);
    await assertRejects(
      () => plain.executionOptions({ isolationLevel: "x; DROP TABLE things" }).connect(),
      TypeError,
      'Cannot use the isolation level "x; DROP TABLE things"',
    );
  },

  "with hideParameters, bind values stay out of errors": async (stage) => {
    const { dialect } = stage;
    const engine = stage.engine({ hideParameters: true });
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
    await stage.admin("DELETE FROM things");
  },

  "a URL alone brings the driver": async (stage) => {
    const { subject, server, dialect } = stage;
    if (subject.scheme === undefined) return;
    const engine = getDnsEngine(urlOf(subject, server), {
      dnsLookup: fakeLookup([server.host], 60),
    });
    assertEquals(engine.driver, subject.name);
    const [row] = await engine.query(dialect.whereAmI);
    assertEquals((row as Row).ip, server.host);
    await engine.close();
  },

  "a program that leaves idle connections behind exits by itself": async (stage) => {
    const { subject, server } = stage;
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

/** What an engine does about a server on this machine's `port` that does not let one in. */
async function givenUp<C>({ adapter, engine }: Stage<C>, port: number): Promise<void> {
  const { url } = engine();
  const silent = getDnsEngine<C>(url.with({ host: "127.0.0.1", port }), {
    adapter,
    connectTimeout: 0.3,
  });
  const startMs = performance.now();
  const error = await assertRejects(() => soon(silent.connect()), ConnectError);
  const tookMs = performance.now() - startMs;
  assertGreater(tookMs, 290);
  assertLess(tookMs, 2000);
  assertStringIncludes(error.message, `Cannot connect to "127.0.0.1": 127.0.0.1:${port} said: `);
  assert(error.cause instanceof DOMException && error.cause.name === "TimeoutError");
  const { inUse, connecting, waiting } = silent.status();
  assertEquals([inUse, connecting, waiting], [0, 0, 0]);
  await silent.close();
}

async function sessionOf<C>(engine: Engine<C>, { dialect }: Stage<C>): Promise<unknown> {
  return ((await engine.query(dialect.session))[0] as Row).id;
}
