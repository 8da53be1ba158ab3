/**
 * The fault matrix: everything that goes wrong with a server, together with everything that goes wrong with DNS, under
 * the hands of callers.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { type Engine, type EngineOptions, getDnsEngine, type Logger } from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { TcpProxy } from "../../testing/mod.ts";
import { everythingIn, leaksIn } from "../support/secrets.ts";
import { pause } from "../support/waiting.ts";
import { type DatabaseKind, SECRETS } from "./databases.ts";
import { DNS_FAULTS, type DnsFaultCase, HOST, NameServers } from "./dns_faults.ts";
import {
  PROBE,
  SERVER_FAULTS,
  type ServerFaultCase,
  type Sight,
  type Target,
} from "./server_faults.ts";

/** What the engines of the matrix are given; seconds. */
export const OPTIONS = {
  poolSize: 4,
  maxOverflow: 0,
  poolTimeout: 1.5,
  connectTimeout: 1,
  probeTimeout: PROBE.probeTimeout,
  dnsTimeout: 1,
  dnsMaxRetries: 2,
} as const;

/** For so long each fault lasts. */
const FAULT_SECONDS = 3;
/** Calls are made by so many at once. */
const CALLERS = 4;
/** Seconds within which everybody must be served again. */
const RECOVERY_LIMIT = 5;
/** Seconds that a busy machine may add to what the options allow. */
const SLACK = 1;

/** What one pair of faults did. */
export interface Cell {
  readonly database: string;
  readonly server: string;
  readonly dns: string;
  /** What callers saw that was no result, how often. */
  readonly seen: Readonly<Record<string, number>>;
  readonly results: number;
  /** The longest call, in seconds. */
  readonly longest: number;
  /** From the end of the faults until every caller had a result. */
  readonly recovery: number;
  /** What was not as it must be. */
  readonly problems: readonly string[];
}

const EVENTS = ["addresschange", "retire", "terminate", "longlease", "lookuperror"] as const;

interface Call {
  readonly endedMs: number;
  readonly seconds: number;
  readonly error: unknown;
}

/** Every pair for one kind of database; servers of several faults stand side by side. */
export async function runMatrix(kind: DatabaseKind): Promise<Cell[]> {
  await using stack = new AsyncDisposableStack();
  // All servers first, one by one: a machine that is busy starting some keeps the others from answering in time.
  const lanes: Lane[] = [];
  for (const fault of SERVER_FAULTS) lanes.push(await startLane(kind, fault, stack));
  const running = lanes.map(async (lane) => {
    try {
      return await runLane(lane);
    } catch (cause) {
      throw new Error(`Cannot run the faults of a server that is "${lane.name}"`, { cause });
    }
  });
  // None is left behind when one fails.
  await Promise.allSettled(running);
  return (await Promise.all(running)).flat();
}

const EARLY = "before the fault";
/** So often a pair is tried on a machine on which callers fail before anything is done to them. */
const MOST_TRIES = 3;

/** One fault of the server with every fault of DNS, one after the other on the same server. */
async function runLane(lane: Lane): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const dnsFault of DNS_FAULTS) {
    let cell = await lane.run(dnsFault);
    for (let tries = 1; tries < MOST_TRIES && isEarly(cell); tries++) {
      cell = await lane.run(dnsFault);
    }
    cells.push(cell);
  }
  return cells;
}

/** Whether something went wrong before the fault began: then nothing was tried. */
function isEarly({ problems }: Cell): boolean {
  return problems.some((problem) => problem.startsWith(EARLY));
}

interface Lane {
  /** The fault of its server. */
  readonly name: string;
  run(dnsFault: DnsFaultCase): Promise<Cell>;
}

async function startLane(
  kind: DatabaseKind,
  fault: ServerFaultCase,
  stack: AsyncDisposableStack,
): Promise<Lane> {
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
      const witness = new Witness();
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
          logger: witness.logger,
          ...(fault.tls && { connectArgs: { ssl: { ca: authority.cert } } }),
          ...fault.options as EngineOptions<unknown>,
        });
      try {
        const scene = { dns, target, fault, dnsFault, witness, make };
        return { database: kind.name, ...await runCell(scene) };
      } finally {
        await dns.stop();
      }
    },
  };
}

interface Scene {
  readonly dns: NameServers;
  readonly target: Target;
  readonly fault: ServerFaultCase;
  readonly dnsFault: DnsFaultCase;
  readonly witness: Witness;
  make(): Engine<unknown>;
}

async function runCell(scene: Scene): Promise<Omit<Cell, "database">> {
  const { dns, target, fault, dnsFault, witness, make } = scene;
  const engine = make();
  witness.watch(engine);
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
    witness.seeEngine(engine);
    for (const error of [wrong, ...callers.errors]) witness.seeError(error);
    const cell = { ...report(scene, callers.calls, duringMs), recovery };
    problems.push(...judge(scene, cell), ...await closes(engine), ...witness.problems());
    return { ...cell, problems };
  } finally {
    await callers.stop();
    await engine.close({ drain: 0 });
  }
}

/** Who sees all that anybody may come to see, and looks for secrets in it. */
class Witness {
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
        if (detail.error) this.seeError(detail.error);
        else this.#texts.add(everythingIn(detail));
      });
    }
  }

  /** One of each kind: to look through an error takes a while. */
  seeError(error: unknown): void {
    const kind = String(error).replace(/\d+/g, "");
    if (this.#kinds.has(kind)) return;
    this.#kinds.add(kind);
    this.#texts.add(everythingIn(error));
  }

  seeEngine(engine: Engine<unknown>): void {
    for (const value of [engine, engine.url, engine.status()]) {
      this.#texts.add(`${value} ${JSON.stringify(value)} ${Deno.inspect(value)}`);
    }
  }

  problems(): string[] {
    const leaks = leaksIn([...this.#texts].join("\n"), Object.values(SECRETS));
    return leaks.map((secret) => `"${secret}" was to be seen`);
  }
}

/** Who calls again and again. */
class Callers {
  readonly calls: Call[] = [];
  readonly #engine: Engine<unknown>;
  readonly #statement: string;
  #running: Promise<void>[] = [];
  #last: number[] = [];
  #over = false;

  constructor(engine: Engine<unknown>, statement: string) {
    this.#engine = engine;
    this.#statement = statement;
  }

  get errors(): unknown[] {
    return this.calls.map(({ error }) => error).filter((error) => error !== undefined);
  }

  start(): void {
    this.#running = Array.from({ length: CALLERS }, (_, who) => this.#call(who));
  }

  /** Waits until each has had a result that came after now; in how many seconds. */
  async served(): Promise<number> {
    const startMs = performance.now();
    const all = () =>
      this.#last.length === CALLERS && this.#last.every((endedMs) => endedMs > startMs);
    while (!all() && performance.now() < startMs + RECOVERY_LIMIT * 1000) await pause(5);
    return (performance.now() - startMs) / 1000;
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
  }

  async #call(who: number): Promise<void> {
    this.#last[who] = -Infinity;
    while (!this.#over) {
      const startMs = performance.now();
      let error: unknown;
      try {
        await this.#engine.query(this.#statement, [SECRETS.value]);
      } catch (reason) {
        error = reason ?? new Error("rejected with nothing");
      }
      const endedMs = performance.now();
      if (error === undefined) this.#last[who] = endedMs;
      this.calls.push({ endedMs, seconds: (endedMs - startMs) / 1000, error });
      await pause(20);
    }
  }
}

function report(
  { fault, dnsFault, target }: Scene,
  calls: readonly Call[],
  duringMs: number,
): Omit<Cell, "database" | "recovery" | "problems"> {
  const seen: Record<string, number> = {};
  const during = calls.filter(({ endedMs }) => endedMs > duringMs);
  for (const { error } of during) {
    if (error === undefined) continue;
    const sight = sightOf(error, target.database.adapter);
    seen[sight] = (seen[sight] ?? 0) + 1;
  }
  return {
    server: fault.name,
    dns: dnsFault.name,
    seen,
    results: during.filter(({ error }) => error === undefined).length,
    longest: Math.max(0, ...during.map(({ seconds }) => seconds)),
  };
}

/** What a caller calls what he saw. */
function sightOf(error: unknown, adapter: Adapter<unknown>): string {
  const code = (error as { code?: unknown }).code;
  const own: readonly unknown[] = [
    "CONNECTION_LOST",
    "CONNECT_FAILED",
    "POOL_TIMEOUT",
    "RESOLVE_FAILED",
  ];
  if (own.includes(code)) return String(code);
  const kind = adapter.classify?.(error);
  if (kind === "disconnect") return "broken connection";
  return kind === "read-only" ? "read-only error" : String(error);
}

/** What callers may see, and for how long the longest may wait. */
export function expected(
  fault: ServerFaultCase,
  dnsFault: DnsFaultCase,
): { sees: readonly Sight[]; surely: readonly Sight[]; seconds: number } {
  if (fault.cold && dnsFault.noAnswer) {
    return { sees: ["RESOLVE_FAILED"], surely: ["RESOLVE_FAILED"], seconds: OPTIONS.dnsTimeout };
  }
  const seconds = fault.bound.reduce((sum, option) => sum + { ...OPTIONS, ...PROBE }[option], 0);
  return { sees: fault.sees, surely: fault.surely, seconds };
}

function judge(
  { fault, dnsFault }: Scene,
  { seen, longest, recovery }: Omit<Cell, "database" | "problems">,
): string[] {
  const { sees, surely, seconds } = expected(fault, dnsFault);
  const problems: string[] = [];
  for (const sight of Object.keys(seen)) {
    if (!(sees as readonly string[]).includes(sight)) problems.push(`callers saw ${sight}`);
  }
  for (const sight of surely) {
    if (!(sight in seen)) problems.push(`callers saw no ${sight}`);
  }
  if (longest > seconds + SLACK) problems.push(`a call took ${longest.toFixed(1)} s`);
  if (recovery >= RECOVERY_LIMIT) problems.push(`no recovery in ${RECOVERY_LIMIT} s`);
  return problems;
}

/** As many connections as the pool may have can be had at once. */
async function capacity(engine: Engine<unknown>): Promise<string[]> {
  const all = Array.from({ length: OPTIONS.poolSize }, () => engine.connect({ timeout: 5 }));
  const leases = await Promise.allSettled(all);
  const problems = leases.flatMap((lease) =>
    lease.status === "rejected" ? [`capacity was lost: ${lease.reason}`] : []
  );
  for (const lease of leases) if (lease.status === "fulfilled") await lease.value.release();
  return problems;
}

/** Every connection that was opened is closed. */
async function closes(engine: Engine<unknown>): Promise<string[]> {
  await engine.close({ drain: 1 });
  const { opened, closed, idle, inUse, connecting, waiting } = engine.status();
  const left = { open: opened - closed, idle, inUse, connecting, waiting };
  return Object.values(left).every((count) => count === 0)
    ? []
    : [`after close(): ${JSON.stringify(left)}`];
}
