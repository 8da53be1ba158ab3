/**
 * Conditions that are no outage of the server, and one server that is no better than an outage, each together with the
 * faults of DNS: a healthy server loses no lease and fails no caller, a bad one is left within a second if the name has
 * another address, and connections stay below twice the limit. Engines with each driver and the drop-ins are held to it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import type { LabServer } from "../../lab/server.ts";
import type { DnsPoolOptions } from "../../drop_in/pg_pool.ts";
import { Lag } from "../support/lag.ts";
import { pause } from "../support/waiting.ts";
import { type ConditionCell, keepConditionCells } from "./cells.ts";
import { DNS_FAULTS, type DnsFaultCase, HOST } from "./dns_faults.ts";
import { NameServerThread, type SceneDns, type StartDns, startHere } from "./scene_dns.ts";
import { type Caller, type Limits, type Subject, SUBJECTS } from "./subjects.ts";
import { Gauge, mysqlRefuser, postgresRefuser, Way, type WayFaults } from "./way.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
/** Maximum number of connections of the servers: many pools share one. */
const MAX_CONNECTIONS = 600;
/** Number of pools at a time. */
const LANES = 26;
/** The same where the event loop is blocked. */
const BLOCKED_LANES = 10;
/** Number of callers that run short statements one after the other, and that run a long one. */
const CALLERS = 3;
const LONG_CALLERS = 2;
/** Duration of a long statement, and of a fault of DNS meanwhile, in seconds: leases are probed more than once. */
const LONG = 3.5;
const FAULT = 2;
/** Milliseconds within which a bad server is left. */
const LEFT_MS = 1000;
/** Milliseconds of the waits until callers were served. */
const SERVED_LIMIT_MS = 60_000;
/** Milliseconds by which timers are late on a machine that is too busy for a time limit of a second to mean anything. */
const MAX_LAG_MS = 100;
/** Pause between two logins by which the server's own delay is measured. */
const LOGIN_PAUSE_MS = 100;
const MAX_TRIES = 3;

const LIMITS: Limits = { poolSize: 6, poolTimeout: 30, connectTimeout: 8 };
/** Connections beside those that an engine counts: it closes a whole pool of idle ones at a move, and probes two addresses. */
const MAX_UNCOUNTED = LIMITS.poolSize + 2;
/** Options of the probes, in seconds: shorter than the slow login. */
const PROBES: DnsPoolOptions = { leaseProbeAfter: 0.5, probeTimeout: 1 };
const SLOW_LOGIN_MS = 2000;

/** The statements of a kind of database. */
interface Statements {
  readonly short: string;
  readonly long: string;
  readonly refusedWrite: readonly string[];
}

const WRITE = "INSERT INTO faults VALUES (1)";
const REFUSED_WRITE = ["START TRANSACTION READ ONLY", WRITE, "ROLLBACK"];
const STATEMENTS: Readonly<Record<Subject["database"], Statements>> = {
  PostgreSQL: {
    short: "SELECT pg_sleep(0.03)",
    long: `SELECT pg_sleep(${LONG})`,
    refusedWrite: REFUSED_WRITE,
  },
  MariaDB: {
    short: "SELECT SLEEP(0.03)",
    long: `SELECT SLEEP(${LONG})`,
    refusedWrite: REFUSED_WRITE,
  },
};

/** A call, by the milliseconds of the clock. */
interface Call {
  readonly beganMs: number;
  readonly endedMs: number;
  readonly error: unknown;
}

/** One pool under one condition, with one fault of DNS. */
interface Scene {
  readonly caller: Caller;
  readonly statements: Statements;
  readonly subject: Subject;
  readonly dns: SceneDns;
  readonly dnsFault: DnsFaultCase;
  /** The faults of the ways to the main address and to the other. */
  readonly ways: readonly WayFaults[];
  readonly callers: Callers;
  readonly problems: string[];
}

/** A condition. */
export interface ConditionCase {
  readonly name: string;
  /** What callers see, for the documentation. */
  readonly seen: string;
  readonly options: DnsPoolOptions;
  /** Timeout of a connect and of a ping, in seconds. */
  readonly connectTimeout?: number;
  /** Faults of the ways from the beginning. */
  readonly way?: Partial<WayFaults>;
  /** Whether the name has both addresses. */
  readonly both?: boolean;
  /** Whether the event loop of the process is blocked: the test needs a process of its own. */
  readonly blocked?: boolean;
  /** The faults of DNS that it is combined with. Default: all. */
  readonly dnsFaults?: readonly string[];
  run(scene: Scene): Promise<void>;
}

const NO_ERRORS = "results only";

/** All conditions. */
export const CONDITIONS: readonly ConditionCase[] = [
  {
    name: "slow login (2 s)",
    seen: NO_ERRORS,
    options: PROBES,
    way: { loginDelayMs: SLOW_LOGIN_MS },
    run: holdThroughMove,
  },
  {
    name: "5 % loss",
    seen: NO_ERRORS,
    options: { leaseProbeAfter: 0.5 },
    way: { loss: 0.05 },
    run: holdThroughMove,
  },
  {
    name: "lagging event loop",
    seen: NO_ERRORS,
    options: { ...PROBES, poolPrePing: true, dnsTimeout: 20 }, // little of it is left to the process
    connectTimeout: 1,
    blocked: true,
    dnsFaults: ["fine", "silent", "SERVFAIL", "TTL 0", "flapping"], // all share what is left of the time
    run: holdThroughMove,
  },
  {
    name: "answers pings only",
    seen: "the driver's error, for less than a second",
    options: PROBES,
    both: true,
    run: leaveBadServer,
  },
  {
    name: "flapping record with long calls",
    seen: NO_ERRORS,
    options: { ...PROBES, dnsMinTtl: 0 },
    dnsFaults: ["fine"],
    run: holdWhileFlapping,
  },
  {
    name: "own read-only transactions",
    seen: NO_ERRORS,
    options: { ...PROBES, targetSessionAttrs: "read-write" },
    run: refuseOwnWrites,
  },
];

/** Holds leases while the name moves to another address of the same healthy server. */
async function holdThroughMove({ dns, dnsFault, callers }: Scene): Promise<void> {
  await dns.begin(dnsFault);
  const long = callers.long();
  await pause(300);
  await dns.move();
  await pause(FAULT * 1000 - 300);
  await dns.end(dnsFault);
  await long;
}

/** Lets the server at the main address refuse all statements; the one at the other address is healthy. */
async function leaveBadServer(
  { dns, dnsFault, ways: [main], callers, problems }: Scene,
): Promise<void> {
  await dns.begin(dnsFault);
  const badMs = performance.now();
  main!.refuses = true;
  await pause(FAULT * 1000 + LEFT_MS);
  // Without an answer of DNS, the first checkout after the TTL waits longer than that.
  if (!dnsFault.noAnswer && !await callers.served()) problems.push("not all callers were served");
  await dns.end(dnsFault);
  const late = callers.calls.filter(({ beganMs, error }) =>
    error !== undefined && beganMs > badMs + LEFT_MS
  );
  if (late.length > 0) {
    problems.push(`${late.length} calls failed after ${LEFT_MS} ms: ${late[0]!.error}`);
  }
  const failed = callers.calls.some(({ error }) => error !== undefined);
  if (!failed && dnsFault.name === "fine") problems.push("no statement was refused");
}

/** Lets the name go to and fro while more callers than connections run long statements. */
async function holdWhileFlapping({ dns, callers }: Scene): Promise<void> {
  await dns.flap(0.3);
  const all = Array.from({ length: 2 * LIMITS.poolSize }, async (_, index) => {
    await pause(index * 100);
    await callers.long(1);
  });
  await Promise.all(all);
}

/** Lets one caller's writes be refused by its own read-only transactions, while others work. */
async function refuseOwnWrites(
  { caller, statements, subject, dns, dnsFault, problems }: Scene,
): Promise<void> {
  const { opened } = caller.engine.status();
  await dns.begin(dnsFault);
  let refused = 0;
  for (const endMs = performance.now() + FAULT * 1000; performance.now() < endMs;) {
    const error = await caller.runOnOne(statements.refusedWrite).catch((lost) => lost);
    if (/read.only/i.test(String(error))) refused++;
    else problems.push(`the write was not refused: ${error}`);
    await pause(50);
  }
  await dns.end(dnsFault);
  const reopened = caller.engine.status().opened - opened;
  const most = LIMITS.poolSize + (subject.closesReadOnly ? refused : 0);
  // A name that alternates is followed by new connections.
  if (reopened > most && !dnsFault.abandonsConnects) {
    problems.push(`${reopened} connections were opened for ${refused} refused writes`);
  }
}

/** Callers that run statements, and everything that they saw. */
class Callers {
  readonly calls: Call[] = [];
  readonly #caller: Caller;
  readonly #statements: Statements;
  readonly #served = new Array<number>(CALLERS).fill(0);
  #running: Promise<void>[] = [];
  #stopped = false;

  constructor(caller: Caller, statements: Statements) {
    this.#caller = caller;
    this.#statements = statements;
  }

  start(): void {
    this.#running = this.#served.map((_, index) => this.#loop(index));
  }

  /** Runs long statements side by side. */
  async long(count = LONG_CALLERS): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#call(this.#statements.long)));
  }

  /** Waits until each caller has had a result; returns whether that took less than the limit. */
  async served(): Promise<boolean> {
    const before = [...this.#served];
    const endMs = performance.now() + SERVED_LIMIT_MS;
    const all = () => this.#served.every((count, index) => count > before[index]!);
    while (!all() && performance.now() < endMs) await pause(10);
    return all();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #loop(index: number): Promise<void> {
    while (!this.#stopped) {
      if (await this.#call(this.#statements.short)) this.#served[index]!++;
      await pause(100);
    }
  }

  async #call(statement: string): Promise<boolean> {
    const beganMs = performance.now();
    let error: unknown;
    try {
      await this.#caller.run(statement);
    } catch (reason) {
      error = reason ?? new Error("rejected with nothing");
    }
    this.calls.push({ beganMs, endedMs: performance.now(), error });
    return error === undefined;
  }
}

/** What a pool is made for: a name with two addresses, and a server that both lead to. */
interface Stage {
  readonly main: string;
  readonly other: string;
  readonly port: number;
  readonly ways: readonly WayFaults[];
  /** Counts the connections on both ways; `undefined` if others use them as well. */
  readonly gauge: Gauge | undefined;
  readonly startDns: StartDns;
}

/** Measures how long a login takes by a client that no pool has, until it is disposed of: a starved server answers late. */
class Logins implements AsyncDisposable {
  readonly #done: { readonly atMs: number; readonly tookMs: number }[] = [];
  readonly #running: Promise<void>;
  #beganMs = 0;
  #stopped = false;

  constructor(subject: Subject, url: string) {
    this.#running = this.#loop(subject, url);
  }

  /** Returns the longest login since a moment, that under way included, in milliseconds. */
  longestSince(sinceMs: number): number {
    const done = this.#done.filter(({ atMs }) => atMs >= sinceMs).map(({ tookMs }) => tookMs);
    return Math.max(performance.now() - this.#beganMs, ...done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #loop(subject: Subject, url: string): Promise<void> {
    while (!this.#stopped) {
      this.#beganMs = performance.now();
      const caller = subject.make(url, { ...LIMITS, poolSize: 1 }, {});
      await caller.run("SELECT 1").catch(() => {});
      const atMs = performance.now();
      this.#done.push({ atMs, tookMs: atMs - this.#beganMs });
      await caller.end();
      await pause(LOGIN_PAUSE_MS);
    }
  }
}

/** Registers the tests of what needs no process of its own. */
export function testConditions(database: Subject["database"], register: Register): void {
  const title = `${database}: a healthy server loses no lease, a bad one is left, the limit holds`;
  register(title, async () => {
    await using stack = new AsyncDisposableStack();
    const server = await startServer(database, stack);
    const subjects = SUBJECTS.filter((subject) => subject.database === database);
    const logins = stack.use(
      new Logins(subjects[0]!, urlOf(database, server.host, server.port)),
    );
    const cells = runCells(
      subjects,
      CONDITIONS.filter(({ blocked }) => !blocked),
      async (subject, condition, dnsFault) => {
        const beganMs = performance.now();
        const cell = await runOnWays(server, subject, condition, dnsFault);
        return { ...cell, lagMs: Math.max(cell.lagMs, logins.longestSince(beganMs)) };
      },
    );
    await finish(`conditions of ${database}`, await cells);
  });
}

/** Registers the test with a blocked event loop. */
export function testBlocked(register: Register): void {
  register(
    "with an event loop that is blocked again and again, a healthy server loses no lease, the limit holds",
    async () => {
      await using stack = new AsyncDisposableStack();
      const stages = new Map<string, Stage>();
      const thread = stack.use(new NameServerThread());
      for (const database of ["PostgreSQL", "MariaDB"] as const) {
        const [main, other] = await loopbackPair();
        // The server listens on both: a proxy in this process would be blocked as well.
        const { port } = await startServer(database, stack, [main, other]);
        stages.set(database, {
          main,
          other,
          port,
          ways: [],
          gauge: undefined,
          startDns: thread.start,
        });
      }
      using _block = new Block();
      const cells = runCells(
        SUBJECTS,
        CONDITIONS.filter(({ blocked }) => blocked),
        (subject, condition, dnsFault) =>
          runOn(stages.get(subject.database)!, subject, condition, dnsFault),
      );
      await finish("blocked", await cells);
    },
  );
}

type Register = (name: string, body: () => Promise<void>) => void;

/** Blocks the event loop for 1.6 seconds again and again, until it is disposed of. */
class Block implements Disposable {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.#next();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #next(): void {
    this.#timer = setTimeout(() => {
      const endMs = performance.now() + 1600;
      while (performance.now() < endMs);
      this.#next();
    }, 400);
  }
}

async function startServer(
  database: Subject["database"],
  stack: AsyncDisposableStack,
  hosts?: readonly [string, string],
): Promise<LabServer> {
  const [host] = hosts ?? await loopbackPair();
  const all = hosts ?? [host];
  const where = { host, port: await freePort(all), ...LOGIN };
  const start = database === "PostgreSQL"
    ? startPostgres({
      ...where,
      settings: { max_connections: MAX_CONNECTIONS, listen_addresses: all.join(",") },
    })
    : startMariadb({
      ...where,
      settings: {
        max_connections: MAX_CONNECTIONS,
        open_files_limit: 4096,
        bind_address: all.join(","),
      },
    });
  const server = stack.use(await start);
  const subject = SUBJECTS.find((subject) => subject.database === database)!;
  const caller = subject.make(urlOf(database, host, where.port), LIMITS, {});
  await caller.run("CREATE TABLE faults (n int)");
  await caller.end();
  return server;
}

function urlOf(database: Subject["database"], host: string, port: number): string {
  const scheme = database === "PostgreSQL" ? "postgresql" : "mysql";
  return `${scheme}://${LOGIN.user}:${LOGIN.password}@${host}:${port}/${LOGIN.database}`;
}

const refuserOf = (database: Subject["database"]) =>
  database === "PostgreSQL" ? postgresRefuser : mysqlRefuser;

/** A pool, a condition and a fault of DNS. */
type RunCell = (
  subject: Subject,
  condition: ConditionCase,
  dnsFault: DnsFaultCase,
) => Promise<ConditionCell>;

/** Runs all combinations, several at a time. What proves nothing because the machine was too busy is repeated, alone. */
async function runCells(
  subjects: readonly Subject[],
  conditions: readonly ConditionCase[],
  run: RunCell,
): Promise<ConditionCell[]> {
  const todo = conditions.flatMap((condition) =>
    DNS_FAULTS.filter(({ name }) => condition.dnsFaults?.includes(name) ?? true)
      .flatMap((dnsFault) => subjects.map((subject) => [subject, condition, dnsFault] as const))
  );
  const cells: ConditionCell[] = [];
  const again: (typeof todo)[number][] = [];
  const lane = async () => {
    for (let next; (next = todo.shift());) {
      const cell = await run(...next);
      const isBusy = cell.problems.length > 0 && cell.lagMs > MAX_LAG_MS && !next[1].blocked;
      if (isBusy) again.push(next);
      else cells.push(cell);
    }
  };
  const lanes = conditions.some(({ blocked }) => blocked) ? BLOCKED_LANES : LANES;
  await Promise.all(Array.from({ length: lanes }, lane));
  for (const next of again) {
    let cell = await run(...next);
    for (let tries = 2; tries < MAX_TRIES && cell.problems.length > 0; tries++) {
      if (cell.lagMs > MAX_LAG_MS) cell = await run(...next);
    }
    cells.push(cell);
  }
  return cells;
}

async function finish(file: string, cells: readonly ConditionCell[]): Promise<void> {
  await keepConditionCells(file, cells);
  const bad = cells.filter(({ problems }) => problems.length > 0).map(
    ({ subject, condition, dns, problems }) =>
      `${subject}, ${condition}, DNS ${dns}: ${problems.join("; ")}`,
  );
  assertEquals(bad, []);
}

let seed = 0;

/** Opens the ways of one combination, and runs it. */
async function runOnWays(
  server: LabServer,
  subject: Subject,
  condition: ConditionCase,
  dnsFault: DnsFaultCase,
): Promise<ConditionCell> {
  await using stack = new AsyncDisposableStack();
  const [main, other] = await loopbackPair();
  const port = await freePort([main, other]);
  const gauge = new Gauge();
  const ways: WayFaults[] = [];
  for (const host of [main, other]) {
    const faults = { loginDelayMs: 0, loss: 0, refuses: false, ...condition.way };
    const refuser = refuserOf(subject.database);
    const listen = { host, port };
    stack.use(await Way.open({ listen, to: server, faults, gauge, refuser, seed: ++seed }));
    ways.push(faults);
  }
  return await runOn(
    { main, other, port, ways, gauge, startDns: startHere },
    subject,
    condition,
    dnsFault,
  );
}

async function runOn(
  stage: Stage,
  subject: Subject,
  condition: ConditionCase,
  dnsFault: DnsFaultCase,
): Promise<ConditionCell> {
  const { main, other, port, ways, gauge, startDns } = stage;
  const dns = await startDns({ main, other, both: condition.both ?? false });
  const limits = { ...LIMITS, connectTimeout: condition.connectTimeout ?? LIMITS.connectTimeout };
  const caller = subject.make(urlOf(subject.database, HOST, port), limits, {
    dnsLookup: "wire",
    dnsNameservers: dns.addresses,
    dnsFallback: false,
    dnsTimeout: 5,
    ...condition.options,
  });
  const { engine } = caller;
  const problems: string[] = [];
  engine.addEventListener("terminate", ({ detail: { address, reason } }) => {
    problems.push(`leases on ${address} were terminated: ${reason}`);
  });
  const statements = STATEMENTS[subject.database];
  const callers = new Callers(caller, statements);
  let most = 0;
  const watch = setInterval(() => {
    const { idle, inUse, connecting } = engine.status();
    most = Math.max(most, idle + inUse + connecting);
  }, 10);
  using lag = new Lag();
  try {
    callers.start();
    if (!await callers.served()) problems.push("not all callers were served at first");
    await condition.run({ caller, statements, subject, dns, dnsFault, ways, callers, problems });
    if (!await callers.served()) problems.push("not all callers were served in the end");
  } finally {
    await callers.stop();
    clearInterval(watch);
    await caller.end();
    await dns.stop();
  }
  problems.push(...judge(condition, callers.calls, most, gauge), ...leftOver(caller));
  const errors = callers.calls.filter(({ error }) => error !== undefined).length;
  const longest = Math.max(...callers.calls.map(({ beganMs, endedMs }) => endedMs - beganMs));
  return {
    subject: subject.name,
    condition: condition.name,
    dns: dnsFault.name,
    errors,
    longest: longest / 1000,
    most,
    lagMs: lag.maxMs,
    problems,
  };
}

function judge(
  condition: ConditionCase,
  calls: readonly Call[],
  most: number,
  gauge: Gauge | undefined,
): string[] {
  const problems: string[] = [];
  const isBad = condition.both === true;
  const errors = calls.filter(({ error }) => error !== undefined);
  if (errors.length > 0 && !isBad) {
    problems.push(`${errors.length} of ${calls.length} calls failed: ${errors[0]!.error}`);
  }
  const limit = 2 * LIMITS.poolSize;
  if (most > limit) problems.push(`${most} connections of a pool of ${LIMITS.poolSize}`);
  if (gauge && gauge.most > limit + MAX_UNCOUNTED) {
    problems.push(`${gauge.most} sockets of a pool of ${LIMITS.poolSize}`);
  }
  return problems;
}

/** Checks that every connection that was opened is closed. */
function leftOver({ engine }: Caller): string[] {
  const { opened, closed, idle, inUse, connecting, waiting } = engine.status();
  const left = { open: opened - closed, idle, inUse, connecting, waiting };
  return Object.values(left).every((count) => count === 0)
    ? []
    : [`after the end: ${JSON.stringify(left)}`];
}
