/**
 * The suite about what one holder leaves for the next: whatever a holder does with the driver's client, the next one gets
 * the answers to its own statements, in a session of its own. Every adapter passes it with its driver on a real server.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertNotEquals } from "@std/assert";
import process from "node:process";
import type { Adapter } from "../../adapters/adapter.ts";
import { type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { ALWAYS, type Registration } from "../support/servers.ts";
import { pause, soon } from "../support/waiting.ts";

/** What a holder does with its client. A statement that is not awaited has its rejection handled. */
export type Deed<C> = (client: C) => unknown;

/** An adapter, and what holders do with its driver. */
export interface HandoverSubject<C> {
  /** The function that makes the adapter; begins the names of the tests. */
  readonly factory: string;
  readonly adapter: Adapter<C>;
  /** The parts of the URL before the host; or a whole URL, for an adapter without a network. */
  readonly url:
    | { readonly dialect: string; readonly user: string; readonly password: string }
    | string;
  start(): Promise<{ readonly host: string; readonly port: number; stop(): Promise<void> }>;
  /** Statements to be run once. */
  readonly setUp: readonly string[];
  /** Deeds that leave something behind on the connection. */
  readonly deeds: Readonly<Record<string, Deed<C>>>;
  /** Deeds after which no answer comes without the holder: the connection is terminated at once. */
  readonly stuck: Readonly<Record<string, Deed<C>>>;
  /** Deeds that change the session: a reset takes them back. */
  readonly changes: Readonly<Record<string, Deed<C>>>;
  /** Returns `n`, the value, and `own`, whether the statement is in a transaction of its own. */
  readonly probe: string;
  /** Returns one row about the session. */
  readonly session: string;
  /** Takes the isolation level of the session, as `level`. */
  readonly level: string;
  /** Statements that fail in a new session, and would not if a change were left. */
  readonly gone?: readonly string[];
  /** Whether the next holder's connection is in autocommit, if `probe` cannot tell. */
  isIdle?(client: C): boolean;
}

const SILENT = { debug() {}, info() {}, warn() {} };

/** How many random scripts are run for each adapter, and the seed of the first one. */
const SCRIPTS = Number(process.env.DNSPOOL_HANDOVER_SCRIPTS ?? 40);
const SEED = Number(process.env.DNSPOOL_SEED ?? 1);
const CONNECT_TIMEOUT = 3;

/** Makes numbers below a limit from a seed (mulberry32). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) % limit;
  };
}

/** Calls a function, whatever comes of it. */
function ignore(call: () => unknown): void {
  try {
    Promise.resolve(call()).catch(() => {});
  } catch {
    // swallowed by the holder
  }
}

/** Waits for what a holder does, a moment at most. */
async function briefly(done: unknown): Promise<void> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => limit = setTimeout(resolve, 150));
  await Promise.race([done, late]).finally(() => clearTimeout(limit));
}

function networkUrl(
  { dialect, user, password }: { dialect: string; user: string; password: string },
  port: number,
): string {
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return `${dialect}://${login}@db.internal:${port}/orders`;
}

/** Registers the suite for one adapter. */
export function handoverContract<C>(
  subject: HandoverSubject<C>,
  { test, skipped }: Registration = ALWAYS,
): void {
  const { factory, adapter, url } = subject;
  let server: Awaited<ReturnType<HandoverSubject<C>["start"]>>;
  Deno.test.beforeAll(async () => {
    if (skipped) return;
    server = await subject.start();
    const engine = open();
    for (const text of subject.setUp) await engine.query(text);
    await engine.close();
  });
  Deno.test.afterAll(() => server?.stop());

  function open(options: EngineOptions<C> = {}): Engine<C> {
    return getDnsEngine<C>(typeof url === "string" ? url : networkUrl(url, server.port), {
      adapter,
      dnsLookup: fakeLookup([server.host], 60),
      dnsFallback: false,
      poolSize: 1,
      maxOverflow: 0,
      connectTimeout: CONNECT_TIMEOUT,
      logger: SILENT,
      ...options,
    });
  }

  /** Returns what a session is like. */
  async function sessionOf(engine: Engine<C>): Promise<unknown> {
    const [session] = await engine.query(subject.session);
    return session;
  }

  /** The session is like a new one. */
  async function assertNew(engine: Engine<C>, first: unknown, left: string): Promise<void> {
    assertEquals(await sessionOf(engine), first, left);
    for (const text of subject.gone ?? []) {
      const outcome = await engine.query(text).then(() => "it is there", () => "gone");
      assertEquals(outcome, "gone", `${text} after ${left}`);
    }
  }

  let number = 0;
  /** The next holder: its statements get their own answers in time. */
  async function assertUsable(engine: Engine<C>, left: string): Promise<void> {
    for (let each = 0; each < 2; each++) {
      const n = ++number;
      const beganMs = performance.now();
      const answer = soon(engine.query(subject.probe.replaceAll("?n", String(n))));
      const rows = await answer.catch((cause) => {
        throw new Error(`No answer after ${left}`, { cause });
      });
      const seen = (rows as ({ n?: unknown; own?: unknown } | undefined)[]).map((row) => [
        Number(row?.n),
        Boolean(row?.own),
      ]);
      assertEquals(seen, [[n, true]], `after ${left}`);
      if (subject.isIdle) {
        assert(await engine.use(({ client }) => subject.isIdle!(client)), `after ${left}`);
      }
      assertLess(performance.now() - beganMs, CONNECT_TIMEOUT * 1000 + 1000, `after ${left}`);
    }
  }

  async function act(engine: Engine<C>, deeds: readonly Deed<C>[], end: number): Promise<void> {
    if (end === 0) {
      const lease = await engine.connect();
      for (const deed of deeds) ignore(() => deed(lease.client));
      return void lease.release();
    }
    let acted: Promise<void> | undefined;
    const hold = async (client: C) => {
      for (const deed of deeds) {
        try {
          // What comes behind an open cursor waits for its end.
          await briefly(deed(client));
        } catch {
          // swallowed by the holder
        }
      }
      if (end === 2) throw new Error("the holder's own");
    };
    await engine.use(({ client }) => acted = hold(client)).catch(() => {});
    // A holder that has lost its connection is not waited for.
    await acted?.catch(() => {});
  }

  test(`${factory}() in an engine: the next holder gets its own answers, whatever the last one did`, async () => {
    for (const [name, deed] of Object.entries({ ...subject.deeds, ...subject.stuck })) {
      for (const end of [0, 1]) {
        const engine = open();
        const beganMs = performance.now();
        await act(engine, [deed], end);
        await assertUsable(engine, `${name} (${end})`);
        // Nothing here runs for longer, so nothing waited for the timeout.
        assertLess(performance.now() - beganMs, CONNECT_TIMEOUT * 1000, name);
        await soon(engine.close({ drain: 1 }));
      }
    }
  });

  test(`${factory}() in an engine: a release does not wait for an answer that cannot come`, async () => {
    for (const [name, deed] of Object.entries(subject.stuck)) {
      const engine = open();
      const lease = await engine.connect();
      await deed(lease.client);
      const beganMs = performance.now();
      await soon(lease.release());
      assertLess(performance.now() - beganMs, 1000, name);
      assertEquals(engine.status().closed, 1, name);
      await engine.close();
      await pause(1); // what a driver does after the end of its socket
    }
  });

  test(`${factory}() in an engine: the next holder gets its own answers after random scripts`, async () => {
    const all = { ...subject.deeds, ...subject.stuck, ...subject.changes };
    const names = Object.keys(all);
    const counts = { scripts: 0, closed: 0 };
    for (let seed = SEED; seed < SEED + SCRIPTS; seed++) {
      const random = randomFrom(seed);
      const resets = adapter.resetSession !== undefined && seed % 2 === 0;
      const engine = open({ poolResetOnReturn: resets ? "reset" : "rollback" });
      const first = await sessionOf(engine);
      for (let holder = 0; holder < 2; holder++) {
        const chosen = Array.from({ length: 1 + random(4) }, () => names[random(names.length)]!);
        const end = random(3);
        await act(engine, chosen.map((name) => all[name]!), end);
        const left = `seed ${seed}: ${chosen.join(", ")} (${end})`;
        await assertUsable(engine, left);
        if (resets) await assertNew(engine, first, left);
      }
      await soon(engine.close({ drain: 1 }));
      counts.scripts++;
      counts.closed += engine.status().closed - 1;
    }
    if (SCRIPTS > 40) console.log(`${factory}, seed ${SEED}:`, counts);
  });

  test(`${factory}() in an engine: a connection that its holder closed is not handed out again`, async () => {
    const engine = open();
    await engine.use(({ client }) => void adapter.close!(client).catch(() => {}));
    await assertUsable(engine, "close");
    assertEquals(engine.status().opened, 2);
    await engine.close();
  });

  if (!adapter.resetSession) return;

  test(`${factory}() in an engine: poolResetOnReturn "reset" makes the session like a new one`, async () => {
    for (const [name, change] of Object.entries(subject.changes)) {
      const engine = open({ poolResetOnReturn: "reset" });
      const first = await sessionOf(engine);
      await engine.use(async ({ client }) => {
        await change(client);
        const [changed] = await adapter.query!(client, subject.session);
        assertNotEquals(changed, first, `${name} changes nothing`);
      });
      await assertNew(engine, first, name);
      assertEquals(engine.status().opened, 1, name);
      await assertUsable(engine, name);
      await engine.close();
    }
  });

  test(`${factory}() in an engine: poolResetOnReturn "reset" keeps isolationLevel, what hooks.connect set, and prepared statements usable`, async () => {
    let calls = 0;
    const engine = open({
      poolResetOnReturn: "reset",
      isolationLevel: "serializable",
      hooks: {
        async connect({ client }) {
          calls++;
          await subject.changes.setting!(client);
        },
      },
    });
    const first = await sessionOf(engine);
    for (let each = 0; each < 3; each++) {
      const [{ level }] = await engine.query(subject.level) as [{ level: string }];
      assertEquals(level.toLowerCase().replaceAll("-", " "), "serializable");
      await assertUsable(engine, "a prepared statement");
      assertEquals(await sessionOf(engine), first);
      await engine.begin(async ({ client }) => {
        await adapter.query!(client, subject.session);
      });
    }
    assert(calls > 1);
    assertEquals(engine.status().opened, 1);
    await engine.close();
  });

  test(`${factory}() in an engine: a hook that resets the session drops no isolationLevel, also after an open transaction`, async () => {
    for (const hook of ["reset", "checkin"] as const) {
      const engine = open({
        isolationLevel: "serializable",
        hooks: { [hook]: ({ client }: { client: C }) => adapter.resetSession!(client) },
      });
      await engine.use(({ client }) => adapter.query!(client, "BEGIN"));
      const [{ level }] = await engine.query(subject.level) as [{ level: string }];
      assertEquals(level.toLowerCase().replaceAll("-", " "), "serializable", hook);
      assertEquals(engine.status().opened, 1, hook);
      await engine.close();
    }
  });

  test(`${factory}() in an engine: a holder that waits for no answer learns that the server closed its connection`, async () => {
    const engine = open();
    const outcome = engine.use(async ({ client, signal }) => {
      const never = new Promise<never>(() => {});
      signal.addEventListener("abort", () => aborted = true);
      await subject.deeds["is closed by the server"]!(client);
      await never;
    });
    let aborted = false;
    const error = await soon(outcome.then(() => undefined, (error) => error));
    assertEquals((error as { code?: unknown }).code, "CONNECTION_LOST");
    assert(aborted);
    await assertUsable(engine, "the end of its session");
    await pause(0);
    assertEquals(engine.status().inUse, 0);
    await engine.close();
  });
}
