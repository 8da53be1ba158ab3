/**
 * The fault matrix: each fault of a server together with each fault of DNS, while callers run statements. It holds callers
 * to what is documented: the errors that they see, for how long at most a call takes, and that all are served again
 * afterwards without a restart.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Adapter } from "../../adapters/adapter.ts";
import { type Engine, type EngineOptions, getDnsEngine, type Logger } from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { TcpProxy } from "../../testing/mod.ts";
import { Lag } from "../support/lag.ts";
import { everythingIn, leaksIn } from "../support/secrets.ts";
import { pause } from "../support/waiting.ts";
import { keepCells } from "./cells.ts";
import { type DatabaseKind, SECRETS } from "./databases.ts";
import { DNS_FAULTS, type DnsFaultCase, HOST, NameServers } from "./dns_faults.ts";
import {
  type CallerError,
  PROBE,
  SERVER_FAULTS,
  type ServerFaultCase,
  type Target,
} from "./server_faults.ts";

/** The options of the engines, in seconds. */
export const OPTIONS = {
  poolSize: 4,
  maxOverflow: 0,
  poolTimeout: 1.5,
  connectTimeout: 1,
  probeTimeout: PROBE.probeTimeout,
  dnsTimeout: 1,
  dnsMaxRetries: 2,
} as const;

/** The duration of each fault. */
const FAULT_SECONDS = 3;
/** The number of callers. */
const CALLERS = 4;
/** Seconds within which every caller must be served again. */
const RECOVERY_LIMIT = 5;
/** Seconds that a server may add to the time limits of the options. */
const SLACK = 1;
/** Milliseconds by which timers are late on a machine that is too busy for time limits of a second to mean anything. */
const MAX_LAG_MS = 100;

/** The outcome of one pair of faults. */
export interface Cell {
  readonly database: string;
  readonly server: string;
  readonly dns: string;
  /** The errors that callers saw, with their number. */
  readonly seen: Readonly<Record<string, number>>;
  /** The number of calls that had a result. */
  readonly results: number;
  /** The longest call, in seconds. */
  readonly longest: number;
  /** The time from the end of the faults until every caller had a result, in seconds. */
  readonly recovery: number;
  /** By how much timers of this process were late, in milliseconds. */
  readonly lagMs: number;
  /** The violations of what is documented. */
  readonly problems: readonly string[];
}

const EVENTS = ["addresschange", "retire", "terminate", "longlease", "lookuperror"] as const;

interface Call {
  readonly endedMs: number;
  readonly seconds: number;
  readonly error: unknown;
}

/** Registers the test of one kind of database. */
export function testMatrix(kind: DatabaseKind): void {
  kind.test(`${kind.name}: callers see what is documented, in time, and are served again without a restart`, async () => {
    const cells = await runMatrix(kind);
    await keepCells(cells);
    const bad = cells.filter(({ problems }) => problems.length > 0).map((
      { server, dns, seen, problems },
    ) => `server ${server}, DNS ${dns}: ${problems.join("; ")} ${JSON.stringify(seen)}`);
    assertEquals(bad, []);
  });
}

/**
 * Runs every pair. Each fault of a server has a server of its own; they run side by side. What proves nothing because the
 * machine was too busy is repeated afterwards, alone.
 */
async function runMatrix(kind: DatabaseKind): Promise<Cell[]> {
  await using stack = new AsyncDisposableStack();
  // All servers first, one by one: starting some keeps a busy machine from running the others.
  const rows: Row[] = [];
  for (const fault of SERVER_FAULTS) rows.push(await startRow(kind, fault, stack));
  const running = rows.map(async (row) => {
    try {
      return await runRow(row);
    } catch (cause) {
      throw new Error(`Cannot run the faults of a server that is "${row.name}"`, { cause });
    }
  });
  await Promise.allSettled(running); // none is left behind if one fails
  const cells: Cell[] = [];
  for (const first of (await Promise.all(running)).flat()) {
    let cell = first;
    for (let tries = 1; tries < MAX_TRIES && provesNothing(cell); tries++) {
      const row = rows.find(({ name }) => name === first.server)!;
      cell = await row.run(DNS_FAULTS.find(({ name }) => name === first.dns)!);
    }
    cells.push(cell);
  }
  return cells;
}

const EARLY = "before the fault";
/** Maximum number of times that a pair is tried on a machine that is too busy. */
const MAX_TRIES = 4;

/** Runs one fault of the server with every fault of DNS, one after the other. */
async function runRow(row: Row): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const dnsFault of DNS_FAULTS) cells.push(await row.run(dnsFault));
  return cells;
}

/** Returns whether the machine was too busy, or something went wrong before the fault began. */
function provesNothing({ problems, lagMs }: Cell): boolean {
  return problems.some((problem) => problem.startsWith(EARLY) || lagMs > MAX_LAG_MS);
}

/** A server with one fault. */
interface Row {
  /** The name of the fault. */
  readonly name: string;
  run(dnsFault: DnsFaultCase): Promise<Cell>;
}

async function startRow(
  kind: DatabaseKind,
  fault: ServerFaultCase,
  stack: AsyncDisposableStack,
): Promise<Row> {
  const [main, other] = await loopbackPair();
  const authority = await makeAuthority();
  const tls = {
    right: await authority.issue({ names: [HOST] }),
    wrong: await authority.issue({ names: ["other.internal"] }),
  };
  const own = await freePort([main, other]);
  const database = await kind.start({
    host: main,
    port: own,
    tls: fault.tls ? tls.right : undefined,
  });
  stack.use(database.server);
  const port = fault.proxied ? await freePort([main, other]) : own;
  const proxies: TcpProxy[] = [];
  for (const host of fault.proxied ? [main, other] : [other]) {
    const listen = { host, port };
    proxies.push(stack.use(await TcpProxy.start({ listen, to: { host: main, port: own } })));
  }
  const target: Target = { database, proxies, tls };
  return {
    name: fault.name,
    async run(dnsFault) {
      const dns = await NameServers.start({ main, other });
      const { adapter } = database;
      const exposure = new Exposure();
      const make = () =>
        getDnsEngine<unknown>(database.url(HOST, port), {
          adapter,
          ...OPTIONS,
          dnsLookup: "wire",
          dnsNameservers: dns.addresses,
          dnsFallback: false,
          echo: "debug",
          echoPool: "debug",
          hideParameters: true,
          logger: exposure.logger,
          ...(fault.tls && { connectArgs: { ssl: { ca: authority.cert } } }),
          ...fault.options as EngineOptions<unknown>,
        });
      try {
        const scene = { dns, target, fault, dnsFault, exposure, make };
        return { database: kind.name, ...await runCell(scene) };
      } finally {
        await dns.stop();
      }
    },
  };
}

/** Everything that one pair of faults needs. */
interface Scene {
  readonly dns: NameServers;
  readonly target: Target;
  readonly fault: ServerFaultCase;
  readonly dnsFault: DnsFaultCase;
  readonly exposure: Exposure;
  make(): Engine<unknown>;
}

async function runCell(scene: Scene): Promise<Omit<Cell, "database">> {
  const { dns, target, fault, dnsFault, exposure, make } = scene;
  using lag = new Lag();
  const engine = make();
  exposure.watch(engine);
  const callers = new Callers(engine, target.database.statement);
  const problems: string[] = [];
  let duringMs = 0;
  try {
    if (!fault.cold) {
      callers.start();
      await callers.served();
      await pause(200);
    }
    const early = callers.calls.filter(({ error }) => error !== undefined);
    if (early.length > 0) problems.push(`${EARLY}: ${early[0]!.error}`);
    duringMs = performance.now();
    await dnsFault.begin(dns);
    const end = await fault.begin(target);
    if (fault.cold) callers.start();
    await pause(Math.max(0, FAULT_SECONDS * 1000 - (performance.now() - duringMs)));
    await dnsFault.end(dns);
    await end();
    const recovery = await callers.served();
    problems.push(...await capacity(engine));
    const wrong = await engine.query(target.database.wrong, [SECRETS.value]).catch((error) =>
      error
    );
    await callers.stop();
    exposure.addEngine(engine);
    for (const error of [wrong, ...callers.errors]) exposure.addError(error);
    const cell = { ...report(scene, callers.calls, duringMs), recovery, lagMs: lag.maxMs };
    problems.push(...judge(scene, cell), ...await closes(engine), ...exposure.problems());
    return { ...cell, problems };
  } finally {
    await callers.stop();
    await engine.close({ drain: 0 });
  }
}

/** Collects everything that an application can see, to look for secrets in it. */
class Exposure {
  readonly #texts = new Set<string>();
  readonly #kinds = new Set<string>();
  readonly logger: Logger = {
    debug: (line) => void this.#texts.add(line),
    info: (line) => void this.#texts.add(line),
    warn: (line) => void this.#texts.add(line),
  };

  watch(engine: Engine<unknown>): void {
    for (const type of EVENTS) {
      engine.addEventListener(type, (event) => {
        const { detail } = event as CustomEvent;
        if (detail.error) this.addError(detail.error);
        else this.#texts.add(everythingIn(detail));
      });
    }
  }

  /** Adds an error, one of each kind: to search through one takes a while. */
  addError(error: unknown): void {
    const kind = String(error).replace(/\d+/g, "");
    if (this.#kinds.has(kind)) return;
    this.#kinds.add(kind);
    this.#texts.add(everythingIn(error));
  }

  addEngine(engine: Engine<unknown>): void {
    for (const value of [engine, engine.url, engine.status()]) {
      this.#texts.add(`${value} ${JSON.stringify(value)} ${Deno.inspect(value)}`);
    }
  }

  problems(): string[] {
    const leaks = leaksIn([...this.#texts].join("\n"), Object.values(SECRETS));
    return leaks.map((secret) => `"${secret}" was to be seen`);
  }
}

/** Callers that run statements one after the other. */
class Callers {
  readonly calls: Call[] = [];
  readonly #engine: Engine<unknown>;
  readonly #statement: string;
  #running: Promise<void>[] = [];
  #lastResultMs: number[] = [];
  #stopped = false;

  constructor(engine: Engine<unknown>, statement: string) {
    this.#engine = engine;
    this.#statement = statement;
  }

  get errors(): unknown[] {
    return this.calls.map(({ error }) => error).filter((error) => error !== undefined);
  }

  start(): void {
    this.#running = Array.from({ length: CALLERS }, (_, index) => this.#call(index));
  }

  /** Waits until each caller has had a result since this call; returns the seconds that it took. */
  async served(): Promise<number> {
    const startMs = performance.now();
    const all = () =>
      this.#lastResultMs.length === CALLERS && this.#lastResultMs.every((ms) => ms > startMs);
    while (!all() && performance.now() < startMs + RECOVERY_LIMIT * 1000) await pause(5);
    return (performance.now() - startMs) / 1000;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #call(index: number): Promise<void> {
    this.#lastResultMs[index] = -Infinity;
    while (!this.#stopped) {
      const startMs = performance.now();
      let error: unknown;
      try {
        await this.#engine.query(this.#statement, [SECRETS.value]);
      } catch (reason) {
        error = reason ?? new Error("rejected with nothing");
      }
      const endedMs = performance.now();
      if (error === undefined) this.#lastResultMs[index] = endedMs;
      this.calls.push({ endedMs, seconds: (endedMs - startMs) / 1000, error });
      await pause(100);
    }
  }
}

function report(
  { fault, dnsFault, target }: Scene,
  calls: readonly Call[],
  duringMs: number,
): Omit<Cell, "database" | "recovery" | "lagMs" | "problems"> {
  const seen: Record<string, number> = {};
  const during = calls.filter(({ endedMs }) => endedMs > duringMs);
  for (const { error } of during) {
    if (error === undefined) continue;
    const kind = kindOf(error, target.database.adapter);
    seen[kind] = (seen[kind] ?? 0) + 1;
  }
  return {
    server: fault.name,
    dns: dnsFault.name,
    seen,
    results: during.filter(({ error }) => error === undefined).length,
    longest: Math.max(0, ...during.map(({ seconds }) => seconds)),
  };
}

/** Returns how the documentation calls an error. */
function kindOf(error: unknown, adapter: Adapter<unknown>): string {
  const code = (error as { code?: unknown }).code;
  const own: readonly unknown[] = [
    "CONNECTION_LOST",
    "CONNECT_FAILED",
    "POOL_TIMEOUT",
    "RESOLVE_FAILED",
  ];
  if (own.includes(code)) return String(code);
  const kind = adapter.classify?.(error);
  if (kind === "disconnect" || kind === "closed") return "broken connection";
  return kind === "read-only" ? "read-only error" : String(error);
}

/** Returns the errors that callers may see and those that they must see, and the longest call in seconds. */
export function expected(
  fault: ServerFaultCase,
  dnsFault: DnsFaultCase,
): { allowed: readonly CallerError[]; required: readonly CallerError[]; seconds: number } {
  if (fault.cold && dnsFault.noAnswer) {
    const errors = ["RESOLVE_FAILED"] as const;
    return { allowed: errors, required: errors, seconds: OPTIONS.dnsTimeout };
  }
  const seconds = fault.bound.reduce((sum, option) => sum + { ...OPTIONS, ...PROBE }[option], 0);
  return { allowed: fault.allowed, required: fault.required, seconds };
}

function judge(
  { fault, dnsFault }: Scene,
  { seen, longest, recovery }: Omit<Cell, "database" | "problems">,
): string[] {
  const { allowed, required, seconds } = expected(fault, dnsFault);
  const problems: string[] = [];
  for (const error of Object.keys(seen)) {
    if (!(allowed as readonly string[]).includes(error)) problems.push(`callers saw ${error}`);
  }
  for (const error of required) {
    const instead = dnsFault.abandonsConnects && error === "CONNECT_FAILED" &&
      "POOL_TIMEOUT" in seen;
    if (!(error in seen) && !instead) problems.push(`callers saw no ${error}`);
  }
  if (longest > seconds + SLACK) problems.push(`a call took ${longest.toFixed(1)} s`);
  if (recovery >= RECOVERY_LIMIT) problems.push(`no recovery in ${RECOVERY_LIMIT} s`);
  return problems;
}

/** Checks that as many connections as the pool may have can be checked out at once. */
async function capacity(engine: Engine<unknown>): Promise<string[]> {
  const all = Array.from({ length: OPTIONS.poolSize }, () => engine.connect({ timeout: 5 }));
  const leases = await Promise.allSettled(all);
  const problems = leases.flatMap((lease) =>
    lease.status === "rejected" ? [`capacity was lost: ${lease.reason}`] : []
  );
  for (const lease of leases) if (lease.status === "fulfilled") await lease.value.release();
  return problems;
}

/** Closes the engine, and checks that every connection that was opened is closed. */
async function closes(engine: Engine<unknown>): Promise<string[]> {
  await engine.close({ drain: 1 });
  const { opened, closed, idle, inUse, connecting, waiting } = engine.status();
  const left = { open: opened - closed, idle, inUse, connecting, waiting };
  return Object.values(left).every((count) => count === 0)
    ? []
    : [`after close(): ${JSON.stringify(left)}`];
}
