/**
 * Measures how soon a warm engine follows a record through real resolvers: one authority, resolvers in front of it, and a
 * driver program on each runtime, with an engine of its own for each resolver, lookup and TTL.
 *
 * @module
 */

import { type Authority, startAuthority, ZONE } from "../../lab/authority.ts";
import { freePort, loopbackPair, onFreePort } from "../../lab/free_port.ts";
import { type ResolverServer, speaksHttps, startResolver } from "../../lab/resolvers.ts";
import type { Runtime } from "../../scripts/test/runtimes/binaries.ts";
import type { Asked, DriverReport } from "./driver.ts";
import { certificateFor } from "./https.ts";
import type { Setup } from "./setups.ts";

/** What is measured. */
export interface Plan {
  readonly setups: readonly Setup[];
  readonly runtimes: readonly Runtime[];
  /** The path of the bundled driver. */
  readonly driver: string;
  /** `"doh"`, over HTTPS, is measured with the resolvers that speak it. */
  readonly lookups: readonly ("system" | "wire" | "doh")[];
  /** The TTLs of the records, in seconds. */
  readonly ttls: readonly number[];
  /** How often each record moves. */
  readonly moves: number;
  /** Seconds of the longest pause before a move: longer than a resolver keeps its copy, so that moves come at any age of it. */
  readonly pauseSeconds: number;
  /** Seconds after which no record moves any more. */
  readonly moveSeconds: number;
  /** The outages that follow, and the numbers of addresses that are tried. */
  readonly outages: readonly Outage[];
  readonly sizes: readonly number[];
  /** Is told what happens, with the results so far. */
  onProgress?(step: string, results?: Results): void;
}

/** A time in which the authority gives no answer. */
export interface Outage {
  readonly name: string;
  /** Its length in seconds. */
  readonly seconds: number;
  begin(authority: Authority, names: readonly string[]): Promise<void>;
  end(authority: Authority): Promise<void>;
}

/** The results of one engine. */
export interface Cell {
  readonly setup: string;
  readonly runtime: string;
  readonly lookup: string;
  readonly ttl: number;
  /** Seconds from each move until every checkout gives the new address; `null`: it was not followed in time. */
  readonly moves: (number | null)[];
  /** The same from the end of each outage. */
  readonly outages: Record<string, number | null>;
  /** Questions at the authority per TTL. */
  questions: number;
  /** Seconds that the longest checkout took. */
  wait: number;
  /** Seconds that a timer of the driver or of this process was late, or an answer, at most, before each move was followed. */
  readonly late: number[];
  /** The codes of failed checkouts, with their number. */
  readonly failures: Record<string, number>;
}

/** How many addresses came through a resolver. */
export interface SizeResult {
  readonly setup: string;
  readonly runtime: string;
  readonly lookup: string;
  readonly size: number;
  /** The number of addresses, or the code of the error. */
  result: number | string | undefined;
}

/** The results of a run. */
export interface Results {
  /** The versions of the programs. */
  readonly versions: Record<string, string>;
  readonly cells: readonly Cell[];
  readonly sizes: readonly SizeResult[];
}

/** Milliseconds from one checkout of an engine to its next. */
export const EVERY_MS = 25;
/** Seconds after which a move counts as not followed. */
export const LIMIT_SECONDS = 75;
/** Milliseconds of the longest pause in which a condition is not looked at. */
const POLL_MS = 20;

/** The record and the engine of one cell. */
class Followed {
  readonly cell: Cell;
  readonly name: string;
  readonly #authority: Authority;
  /** The address of the record, and when it got it. */
  #wanted = "";
  #movedMs = 0;
  /** The address that checkouts give, and since when. */
  #given = "";
  #givenMs = 0;
  /** The longest that a timer or an answer was late since the move: on a busy machine the name servers are as late. */
  #lateMs = 0;
  static #count = 0;

  constructor(cell: Cell, name: string, authority: Authority) {
    this.cell = cell;
    this.name = name;
    this.#authority = authority;
  }

  get ready(): boolean {
    return this.#given !== "" && this.#given === this.#wanted;
  }

  /** Seconds that a timer or an answer was late, at most, since the record moved. */
  get late(): number {
    return this.#lateMs / 1000;
  }

  /** Gives the record an address that no record had before. */
  async move(): Promise<void> {
    const count = ++Followed.#count;
    const address = `10.${count >> 16}.${(count >> 8) & 255}.${count & 255}`;
    await persistently(() => this.#authority.set(this.name, [address], this.cell.ttl));
    this.#movedMs = Date.now();
    this.#wanted = address;
    this.#lateMs = 0;
  }

  /** Notes that checkouts give another address. */
  gives({ address, at, lateMs }: DriverReport & { what: "address" }): void {
    this.#given = address;
    this.#givenMs = at;
    this.#lateMs = Math.max(this.#lateMs, lateMs);
  }

  /**
   * Waits until checkouts have given the record's address for so long that they stay with it.
   *
   * @returns Seconds from the move to the first of them; `null` if it takes too long.
   */
  async settled(): Promise<number | null> {
    const quietMs = Math.max(this.cell.ttl * 1000 + 1000, 3000);
    let lastMs = Date.now();
    let wasReady = false;
    for (;;) {
      const nowMs = Date.now();
      if (!wasReady) this.#lateMs = Math.max(this.#lateMs, nowMs - lastMs - POLL_MS);
      lastMs = nowMs;
      wasReady = this.ready;
      if (this.ready && nowMs - this.#givenMs > quietMs && nowMs - this.#movedMs > quietMs) {
        return Math.max(0, this.#givenMs - this.#movedMs) / 1000;
      }
      if (nowMs - this.#movedMs > LIMIT_SECONDS * 1000) return null;
      await pause(POLL_MS);
    }
  }
}

/** Runs a plan. Everything that it starts has ended when it resolves or rejects. */
export async function measure(plan: Plan): Promise<Results> {
  const { onProgress = () => {} } = plan;
  await using stack = new AsyncDisposableStack();
  // BIND listens on addresses of network interfaces only.
  const authority = stack.use(
    await onFreePort(
      "127.0.0.1",
      (place) => startAuthority({ ...place, settings: ["max-records-per-type 0;"] }),
    ),
  );
  const versions: Results["versions"] = { authority: authority.title };
  const servers = new Map<string, string>();
  /** The URLs and the trusted certificates of those that speak HTTPS. */
  const overHttps = new Map<string, { readonly server: string; readonly ca: string }>();
  for (const { id, program, settings } of plan.setups) {
    let server: Authority | ResolverServer = authority;
    if (program !== undefined) {
      const host = program === "BIND" ? "127.0.0.1" : (await loopbackPair())[0];
      const upstream = authority.address;
      const options = { upstream, settings };
      if (plan.lookups.includes("doh") && speaksHttps(program)) {
        const { ca, ...files } = stack.use(await certificateFor(host));
        const port = await freePort([host]);
        Object.assign(options, { https: { port, ...files } });
        overHttps.set(id, { server: `https://${host}:${port}/dns-query`, ca });
      }
      server = stack.use(
        await onFreePort(host, (place) => startResolver(program, { ...place, ...options })),
      );
      onProgress(`${server.title} is ${id}`);
    }
    versions[id] = server.title;
    servers.set(id, server.where);
  }
  for (const { name, version } of plan.runtimes) versions[name] = version;

  const records = new Map<number, Followed>();
  const sizes = new Map<number, SizeResult>();
  const asked = new Map<Runtime, { followed: Asked[]; resolved: Asked[] }>();
  let count = 0;
  for (const runtime of plan.runtimes) {
    const lists = { followed: [] as Asked[], resolved: [] as Asked[] };
    asked.set(runtime, lists);
    for (const { id: setup } of plan.setups) {
      for (const lookup of plan.lookups) {
        const common = { setup, runtime: runtime.name, lookup };
        const where = lookup === "doh" ? overHttps.get(setup) : { server: servers.get(setup)! };
        if (!where) continue;
        for (const ttl of plan.ttls) {
          const id = ++count;
          const name = `c${id}.${ZONE}`;
          const cell: Cell = {
            ...{ ...common, ttl, moves: [], outages: {} },
            ...{ questions: 0, wait: 0, late: [], failures: {} },
          };
          records.set(id, new Followed(cell, name, authority));
          lists.followed.push({ id, name, lookup, ...where });
        }
        for (const size of plan.sizes) {
          const id = ++count;
          const name = `n${id}.${ZONE}`;
          sizes.set(id, { ...common, size, result: undefined });
          lists.resolved.push({ id, name, lookup, ...where });
          const addresses = Array.from({ length: size }, (_, i) => `10.255.${i >> 8}.${i & 255}`);
          await authority.set(name, addresses, 60);
        }
      }
    }
  }
  const all = [...records.values()];
  for (const record of all) await record.move();

  const onReport = (line: DriverReport) => {
    const record = records.get(line.id);
    if (line.what === "resolved") sizes.get(line.id)!.result = line.result;
    else if (line.what === "address") record!.gives(line);
    else if (line.what === "wait") record!.cell.wait = line.waitMs / 1000;
    else {
      const { failures } = record!.cell;
      failures[line.code] = (failures[line.code] ?? 0) + 1;
    }
  };
  for (const [runtime, lists] of asked) {
    stack.use(new Driver(runtime, plan.driver, { everyMs: EVERY_MS, ...lists }, onReport));
  }
  await until("every engine has an answer", () => all.every(({ ready }) => ready));
  await until(
    "every name of many addresses is resolved",
    () => [...sizes.values()].every(({ result }) => result !== undefined),
  );

  onProgress(`${all.length} engines are warm`);
  await pause(Math.max(...plan.ttls) * 1000 + 500);
  const startMs = Date.now();
  const before = new Map(authority.questions());
  await Promise.all(all.map(async (record) => {
    const { cell } = record;
    for (let n = 0; n < plan.moves; n++) {
      await pause(Math.random() * 1000 * plan.pauseSeconds);
      if (Date.now() - startMs > plan.moveSeconds * 1000) break;
      await record.move();
      cell.moves.push(await record.settled());
      cell.late.push(record.late);
    }
    const seconds = (Date.now() - startMs) / 1000;
    const asked = (authority.questions().get(record.name) ?? 0) - (before.get(record.name) ?? 0);
    cell.questions = asked / (seconds / cell.ttl);
  }));

  const results: Results = {
    versions,
    cells: all.map(({ cell }) => cell),
    sizes: [...sizes.values()],
  };
  onProgress("the records have moved", results);
  const names = all.map(({ name }) => name);
  for (const outage of plan.outages) {
    onProgress(`outage: ${outage.name}`);
    await outage.begin(authority, names);
    await pause(outage.seconds * 1000);
    await outage.end(authority);
    await Promise.all(all.map(async (record) => {
      await record.move();
      record.cell.outages[outage.name] = await record.settled();
    }));
    onProgress(`after the outage: ${outage.name}`, results);
  }
  return results;
}

/** Does something to the authority, and again if it fails: a process may have its port for a moment. */
async function persistently(action: () => Promise<void>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await action();
    } catch (error) {
      if (tries === 10) throw error;
      await pause(1000);
    }
  }
}

/** The outages of a full run. */
export const OUTAGES: readonly Outage[] = [
  {
    name: "silent",
    seconds: 20,
    begin: (authority) => authority.freeze(),
    end: (authority) => authority.thaw(),
  },
  {
    name: "killed",
    seconds: 20,
    begin: (authority) => authority.kill(),
    end: (authority) => persistently(() => authority.start()),
  },
  {
    name: "SERVFAIL",
    seconds: 20,
    begin: (authority) => persistently(() => authority.fail(true)),
    end: (authority) => persistently(() => authority.fail(false)),
  },
  {
    name: "NXDOMAIN",
    seconds: 5,
    begin: async (authority, names) => {
      for (const name of names) await authority.set(name, [], 0);
    },
    end: () => Promise.resolve(),
  },
];

/** A driver program that runs. */
class Driver implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: Promise<void>;

  constructor(runtime: Runtime, file: string, plan: unknown, onReport: (_: DriverReport) => void) {
    this.#child = new Deno.Command(runtime.program, {
      args: [...runtime.args, file],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#input.write(new TextEncoder().encode(JSON.stringify(plan) + "\n"));
    this.#output = this.#read(onReport);
  }

  async #read(onReport: (_: DriverReport) => void): Promise<void> {
    let text = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) onReport(JSON.parse(line));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#child.status;
    await this.#output;
  }
}

/** Waits for a condition, for as long as a move may take. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + LIMIT_SECONDS * 1000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`Not in ${LIMIT_SECONDS} seconds: ${what}`);
    await pause(POLL_MS);
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
