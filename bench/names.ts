/**
 * `deno task bench:resolve --names`: 5,000 names at once, none of them known, compared with one `Resolver` of `node:dns`
 * and with cacheable-lookup.
 *
 * A DNS server on the loopback interface, in a process of its own, answers every A question at once. Each contender runs in
 * a process of its own as well, in turn, so that memory can be compared. Names that are not answered count as such: a
 * contender that sends all questions at once loses those for which the server's socket has no room.
 *
 * @module
 */

import CacheableLookup from "npm:cacheable-lookup@7.0.0";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import process from "node:process";
import { getIpWithTtl } from "../resolver.ts";
import { finish, quick, runtimeName, table } from "./report.ts";

const COUNT = 5000;
const ROUNDS = quick ? 1 : 5;
const HOST = "127.0.0.1";
/** Interval in milliseconds at which memory and delays of timers are measured. */
const EVERY_MS = 10;

/** Makes the function that resolves a name by asking a server. */
type Contender = (server: string) => (name: string) => Promise<unknown>;

/** The contenders; the first is what the others are compared with. */
const CONTENDERS: Readonly<Record<string, Contender>> = {
  "node:dns Resolver": (server) => {
    const resolver = new Resolver();
    resolver.setServers([server]);
    return (name) => resolver.resolve4(name, { ttl: true });
  },
  "cacheable-lookup": (server) => {
    const resolver = new Resolver();
    resolver.setServers([server]);
    type Options = NonNullable<ConstructorParameters<typeof CacheableLookup>[0]>;
    const cacheable = new CacheableLookup({ resolver, lookup: false } as unknown as Options);
    return (name) => cacheable.lookupAsync(name);
  },
  "dnspool wire": (server) => dnspool(server, "wire"),
  "dnspool system": (server) => dnspool(server, "system"),
};

function dnspool(server: string, dnsLookup: "wire" | "system"): (name: string) => Promise<unknown> {
  const options = { dnsLookup, dnsNameservers: [server], dnsFallback: false };
  return (name) => getIpWithTtl(name, options);
}

/** What became of the names. */
interface Outcome {
  readonly answered: number;
  readonly seconds: number;
  /** The longest delay of a timer, in milliseconds, after the calls were made. */
  readonly delayMs: number;
  /** CPU time in seconds. */
  readonly cpu: number;
  /** Maximum of the resident memory, in MB. */
  readonly memoryMb: number;
}

/** Runs one part of the benchmark, which the command line names; by default all of it. */
export async function runNames(): Promise<void> {
  const [part, name, server] = process.argv.slice(process.argv.indexOf("--names") + 1)
    .filter((arg) => arg !== "--quick");
  if (part === "serve") return serve();
  if (part !== "contender") return await compareAll();
  console.log(JSON.stringify(await measure(CONTENDERS[name!]!(server!))));
  process.exit(0);
}

/** Answers every question for an A record with an address; prints the port. */
function serve(): void {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    let end = 12;
    while (query[end] !== 0) end += query[end]! + 1;
    end += 5;
    const isA = query[end - 3] === 1;
    const response = new Uint8Array(end + (isA ? 16 : 0));
    response.set(query.subarray(0, end));
    response.set([0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0], 2);
    if (isA) response.set([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2], end);
    socket.send(response, from.port, from.address);
  });
  socket.bind(0, HOST, () => console.log(socket.address().port));
}

async function measure(resolve: (name: string) => Promise<unknown>): Promise<Outcome> {
  await resolve("first.internal");
  const names = Array.from({ length: COUNT }, (_, index) => `name-${index}.internal`);
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const answers = names.map(resolve);
  let dueMs = performance.now() + EVERY_MS;
  let delayMs = 0;
  let memory = 0;
  const interval = setInterval(() => {
    delayMs = Math.max(delayMs, performance.now() - dueMs);
    memory = Math.max(memory, process.memoryUsage().rss);
    dueMs = performance.now() + EVERY_MS;
  }, EVERY_MS);
  const results = await Promise.allSettled(answers);
  const seconds = (performance.now() - startMs) / 1000;
  clearInterval(interval);
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    answered: results.filter(({ status }) => status === "fulfilled").length,
    seconds,
    delayMs,
    cpu: (user + system) / 1e6,
    memoryMb: Math.max(memory, process.memoryUsage().rss) / 1e6,
  };
}

/** Starts this program for one part. */
function start(...args: string[]): ChildProcess {
  const run = process.versions.deno ? ["run", "-A", "--no-lock"] : [];
  return spawn(process.execPath, [...run, process.argv[1]!, "--names", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Returns the first line that a program prints. */
async function firstLine({ stdout }: ChildProcess): Promise<string> {
  let text = "";
  while (!text.includes("\n")) {
    const [chunk] = await once(stdout!, "data") as [Uint8Array];
    text += new TextDecoder().decode(chunk);
  }
  return text.split("\n")[0]!;
}

async function compareAll(): Promise<void> {
  const server = start("serve");
  const outcomes = Object.fromEntries(
    Object.keys(CONTENDERS).map((name) => [name, [] as Outcome[]]),
  );
  try {
    const address = `${HOST}:${await firstLine(server)}`;
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, list] of Object.entries(outcomes)) {
        list.push(JSON.parse(await firstLine(start("contender", name, address))));
      }
    }
  } finally {
    server.kill();
  }
  const medians = Object.entries(outcomes).map(([name, list]) => ({ name, ...medianOf(list) }));
  const first = medians[0]!;
  console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
  table(
    `${COUNT} names at once`,
    ["", "answered", "seconds", "ratio", "CPU s", "ratio", "delay ms", "MB"],
    medians.map(({ name, answered, seconds, cpu, delayMs, memoryMb }) => [
      name,
      String(answered),
      seconds.toFixed(2),
      (seconds / first.seconds).toFixed(2),
      cpu.toFixed(2),
      (cpu / first.cpu).toFixed(2),
      delayMs.toFixed(0),
      memoryMb.toFixed(0),
    ]),
  );
  finish({ medians });
}

function medianOf(outcomes: readonly Outcome[]): Outcome {
  const median = (of: (outcome: Outcome) => number) =>
    outcomes.map(of).sort((a, b) => a - b)[outcomes.length >> 1]!;
  return {
    answered: median(({ answered }) => answered),
    seconds: median(({ seconds }) => seconds),
    delayMs: median(({ delayMs }) => delayMs),
    cpu: median(({ cpu }) => cpu),
    memoryMb: median(({ memoryMb }) => memoryMb),
  };
}
