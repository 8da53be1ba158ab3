/**
 * `deno task bench:connect`: how soon a new connection is open if there are three hosts, by dnspool, postgres.js and
 * libpq (psql), each with its own way to name several hosts, in interleaved rounds on real PostgreSQL servers.
 *
 * A silent server accepts connections and says nothing. `--quick` makes fewer rounds.
 *
 * @module
 */

import { createServer } from "node:net";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { pgAdapter } from "../adapters/pg.ts";
import { freePort, loopbackPair } from "../lab/free_port.ts";
import { startPostgres } from "../lab/postgres.ts";
import { type EngineOptions, getDnsEngine } from "../mod.ts";
import { figure, quick, table } from "./report.ts";
import { quantile } from "./rounds.ts";

const LOGIN = { user: "bench", password: "bench", database: "bench" };
const ROUNDS = quick ? 5 : 31;
/** Rounds of a scenario in which peers wait for a timeout. */
const SLOW_ROUNDS = quick ? 1 : 3;
/** Milliseconds after which a peer is no longer waited for. */
const LIMIT_MS = quick ? 5_000 : 40_000;

/** Opens a first connection, and closes everything. */
type Connect = (hosts: readonly string[], role: "any" | "read-write") => Promise<void>;

const [first] = await loopbackPair();
const [a, b, c] = [first, next(first, 1), next(first, 2)];
const port = await freePort([a, b, c]);

function next(host: string, by: number): string {
  const parts = host.split(".").map(Number);
  return [...parts.slice(0, 3), (parts[3]! + by) % 250 + 1].join(".");
}

function urlOf(hosts: readonly string[], role: string): string {
  const list = hosts.map((host) => `${host}:${port}`).join(",");
  const query = role === "any" ? "" : `?target_session_attrs=${role}`;
  return `postgresql://${LOGIN.user}:${LOGIN.password}@${list}/${LOGIN.database}${query}`;
}

function engineOf(hosts: readonly string[], role: string, options: EngineOptions<pg.Client> = {}) {
  return getDnsEngine(urlOf(hosts, role), { adapter: pgAdapter(pg), ...options });
}

const CLIENTS: Readonly<Record<string, Connect>> = {
  "dnspool, pg": async (hosts, role) => {
    const engine = engineOf(hosts, role);
    await (await engine.connect()).release();
    await engine.close();
  },
  "postgres.js": async (hosts, role) => {
    const several = { host: [...hosts], port: hosts.map(() => port) };
    const sql = postgres({
      ...LOGIN,
      ...several as unknown as { host: string; port: number }, // the types know one host only
      max: 1,
      fetch_types: false,
      ...(role !== "any" && { target_session_attrs: role }),
    });
    try {
      await sql`SELECT 1`;
    } finally {
      await sql.end({ timeout: 0 });
    }
  },
  "libpq (psql)": async (hosts, role) => {
    const child = new Deno.Command("psql", {
      args: ["-XAtq", "-c", "SELECT 1", urlOf(hosts, role)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const limit = setTimeout(() => child.kill(), LIMIT_MS);
    const { success } = await child.status;
    clearTimeout(limit);
    if (!success) throw new Error("psql failed");
  },
};

async function available(): Promise<[name: string, connect: Connect][]> {
  const found = await new Deno.Command("psql", { args: ["--version"] }).output().catch(() =>
    undefined
  );
  return Object.entries(CLIENTS).filter(([name]) => found !== undefined || !name.includes("psql"));
}

/** Milliseconds of one connect; `LIMIT_MS` if it is not open by then, or fails. */
async function time(connect: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  let limit: ReturnType<typeof setTimeout> | undefined;
  try {
    await Promise.race([
      connect(),
      new Promise((_, reject) => limit = setTimeout(() => reject(new Error("too late")), LIMIT_MS)),
    ]);
    return performance.now() - beganMs;
  } catch {
    return LIMIT_MS;
  } finally {
    clearTimeout(limit);
  }
}

/** Runs a scenario, and shows the median of each client and the ratio to dnspool. */
async function compare(
  title: string,
  clients: readonly (readonly [name: string, connect: () => Promise<void>])[],
  rounds: number,
): Promise<number[]> {
  const times: number[][] = clients.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const turn of clients.keys()) {
      const index = (round + turn) % clients.length;
      times[index]!.push(await time(clients[index]![1]));
    }
  }
  const medians = times.map((each) => quantile(each, 0.5));
  table(
    title,
    ["", "ms", "quartiles", "ratio"],
    clients.map(([name], index) => {
      const median = medians[index]!;
      const spread = [0.25, 0.75].map((at) => figure(quantile(times[index]!, at))).join(" to ");
      const text = median >= LIMIT_MS ? `above ${figure(LIMIT_MS)}` : figure(median);
      return [name, text, spread, figure(median / medians[0]!)];
    }),
  );
  return medians;
}

const writer = await startPostgres({ ...LOGIN, host: c, port });
const readers = { default_transaction_read_only: "on" };
const reader = await startPostgres({ ...LOGIN, host: b, port, settings: readers });
const held = new Set<{ destroy(): void }>();
const silent = createServer((socket) => {
  held.add(socket);
  socket.on("error", () => {});
});
await new Promise<void>((resolve) => silent.listen(port, a, resolve));
try {
  const clients = await available();
  const on = (hosts: readonly string[], role: "any" | "read-write" = "any") =>
    clients.map(([name, connect]) => [name, () => connect(hosts, role)] as const);
  const refusing = next(first, 3);
  await compare("one host", on([c]), ROUNDS);
  await compare("the first of three refuses", on([refusing, c, b]), ROUNDS);
  await compare("the first of three is silent", on([a, c, b]), SLOW_ROUNDS);
  await compare("the writer is the third of three", on([b, b, c], "read-write"), ROUNDS);
  await compare(
    "the writer is the third, the first is silent",
    on([a, b, c], "read-write"),
    SLOW_ROUNDS,
  );

  // The second connection of one engine, beside a direct one.
  const several = engineOf([b, b, c], "read-write", { poolSize: 0 });
  const direct = engineOf([c], "read-write", { poolSize: 0 });
  const again = (engine: typeof several) => async () => {
    const lease = await engine.connect();
    lease.invalidate(new Error("the benchmark opens a new one"));
  };
  await compare("the next connection of an engine, the writer is the third of three", [
    ["dnspool, the writer alone", again(direct)],
    ["dnspool, three hosts", again(several)],
  ], ROUNDS);
  await several.close();
  await direct.close();
} finally {
  for (const socket of held) socket.destroy();
  silent.close();
  await reader.stop();
  await writer.stop();
}
process.exit(0);
