/**
 * `deno task soak`: runs 64 workers on two real servers for ten minutes, while the name moves, servers are killed and
 * frozen, the network loses data and DNS fails; and the ledger (`tests/scenarios/ledger_postgres_test.ts`) for the same
 * time.
 *
 * `deno task soak --seconds=60 --seed=7 deno node@22 bun@1` runs the workers on these runtimes in parallel. It prints
 * the figures, and fails if anything was left behind or lost, or memory grew. Exit status: 0; 1 if a part failed; 2 if
 * the command line is wrong.
 *
 * @module
 */

import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { deno, ROOT } from "../check/run_deno.ts";
import { injectFaults, type Site } from "./faults.ts";
import type { SoakReport } from "./program.ts";
import { test } from "../test/test.ts";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { seededRandom } from "../../testing/dns/random.ts";
import { DnsServer, TcpProxy } from "../../testing/mod.ts";

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  "deno": [Deno.execPath(), "run", "-A", "--no-lock", "--v8-flags=--expose-gc"],
  "node@20": ["npx", "--yes", "node@20", "--expose-gc"],
  "node@22": ["npx", "--yes", "node@22", "--expose-gc"],
  "node@24": ["npx", "--yes", "node@24", "--expose-gc"],
  "bun@1": ["npx", "--yes", "bun@1"],
};
const HOST = "db.internal";
const LOGIN = { user: "app", password: "s3cret", database: "soak" };
/** Maximum time for a finished process to exit, and for a server to notice closed connections. */
const LINGER_MS = 3000;
/** Maximum growth of the heap in the second half: the larger of a share and of megabytes for code compiled late. */
const MAX_GROWTH = { share: 0.05, megabytes: 0.5 };

const GREW = "the heap grew";

interface Options {
  readonly seconds: number;
  readonly seed: number;
  readonly parts: readonly string[];
}

function readArgs(args: readonly string[]): Options {
  const numbers: Record<string, number> = { seconds: 600, seed: Date.now() % 2 ** 31 };
  const parts: string[] = [];
  for (const arg of args) {
    const [, name = "", value] = /^--(seconds|seed)=(\d+)$/.exec(arg) ?? [];
    if (name) numbers[name] = Number(value);
    else if (arg in RUNTIMES || arg === "ledger") parts.push(arg);
    else {
      const known = [...Object.keys(RUNTIMES), "ledger"].join(", ");
      console.error(`Unknown argument "${arg}": there are --seconds=N, --seed=N, ${known}`);
      Deno.exit(2);
    }
  }
  const { seconds, seed } = numbers;
  return { seconds: seconds!, seed: seed!, parts: parts.length ? parts : ["deno", "ledger"] };
}

/** Runs the workers on one runtime with two servers; resolves with the problems found. */
async function soak(
  runtime: string,
  file: string,
  { seconds, seed }: Options,
): Promise<readonly string[]> {
  await using stack = new AsyncDisposableStack();
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const sites: Site[] = [];
  for (const host of [first, second]) {
    const own = await freePort([host]);
    const server = stack.use(await startPostgres({ ...LOGIN, host, port: own }));
    const listen = { host, port };
    const proxy = stack.use(await TcpProxy.start({ listen, to: { host, port: own } }));
    sites.push({ server, proxy });
  }
  const dns = stack.use(await DnsServer.start({ seed }));
  dns.set(HOST, [first], { ttl: 1 });
  const url = `postgresql://${LOGIN.user}:${LOGIN.password}@${HOST}:${port}/${LOGIN.database}`;
  const [program = "", ...flags] = RUNTIMES[runtime]!;
  const child = new Deno.Command(program, {
    args: [...flags, file, url, dns.address, String(seconds), String(seed)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(seconds * 1000 + 120_000),
  }).spawn();
  const errors = new Response(child.stderr).text();
  const setup = { name: HOST, dns, sites: sites as [Site, Site] };
  const injecting = injectFaults(setup, seconds, seededRandom(seed));
  let output = "";
  let lastMs = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    lastMs = performance.now();
  }
  const { code } = await child.status;
  const lingeredMs = performance.now() - lastMs;
  const faults = await injecting;
  const problems: string[] = [];
  if (code !== 0) problems.push(`it exited with ${code}`);
  if (lingeredMs > LINGER_MS) problems.push("something kept the process alive");
  const printed = (await errors).trim();
  if (printed) problems.push(`it printed errors: ${printed.slice(0, 2000)}`);
  for (const { server } of sites) {
    const left = await sessionsSoon(server);
    if (left > 0) problems.push(`${left} connections were left on ${server.where}`);
  }
  const report = reportOf(output);
  if (!report) problems.push(`it printed no report: ${output.slice(-500)}`);
  else problems.push(...problemsOf(report));
  console.log(`\n${runtime}, seed ${seed}, ${seconds} s: ${JSON.stringify(faults)}`);
  console.log(JSON.stringify(report));
  return problems.map((problem) => `${runtime}: ${problem}`);
}

/**
 * Runs a runtime whose heap grew alone, and for twice as long with the same bound. What leaks has then grown twice as much;
 * code that was compiled late, in a run that others slowed down, has not.
 */
function soakAgain(runtime: string, file: string, options: Options): Promise<readonly string[]> {
  console.log(`\n${runtime}: ${GREW}; once more, for twice as long`);
  return soak(runtime, file, { ...options, seconds: 2 * options.seconds });
}

function problemsOf({ wrong, opened, closed, timers, heap, done }: SoakReport): string[] {
  const problems = [...wrong];
  if (opened !== closed) problems.push(`${opened} connections were opened, and ${closed} closed`);
  if (timers > 0) problems.push(`${timers} timers were left`);
  const [, warm = 0, , end = Infinity] = heap;
  if (end - warm > Math.max(warm * MAX_GROWTH.share, MAX_GROWTH.megabytes)) {
    problems.push(`${GREW} from ${warm} to ${end} MB`);
  }
  if (done === 0) problems.push("no action succeeded");
  return problems;
}

/** Counts the sessions on a server, after the time it needs to notice closed connections. */
async function sessionsSoon(server: PostgresServer): Promise<number> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const text =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
  const endMs = performance.now() + LINGER_MS;
  let left: number;
  do {
    left = (await client.query(text)).rows[0].n;
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  } while (left > 0 && performance.now() < endMs);
  await client.end();
  return left;
}

function reportOf(output: string): SoakReport | undefined {
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const options = readArgs(Deno.args);
  Deno.chdir(ROOT);
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  const problems: string[] = [];
  try {
    const file = `${dir}/soak.mjs`;
    const bundled = await deno([
      ...["bundle", "--quiet", "--no-lock", "--import-map=tests/std/import_map.json"],
      ...["--platform=deno", `--output=${file}`, "scripts/soak/program.ts"],
    ]);
    if (bundled !== 0) {
      throw new Error(`Cannot bundle the program: deno bundle exited with ${bundled}`);
    }
    const runtimes = options.parts.filter((part) => part !== "ledger");
    const results = await Promise.all(runtimes.map((runtime) => soak(runtime, file, options)));
    for (const [index, found] of results.entries()) {
      const grew = found.length === 1 && found[0]!.includes(GREW);
      problems.push(...(grew ? await soakAgain(runtimes[index]!, file, options) : found));
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  if (options.parts.includes("ledger")) {
    Deno.env.set("DNSPOOL_LEDGER_SECONDS", String(options.seconds));
    Deno.env.set("DNSPOOL_SEED", String(options.seed));
    if (await test(["tests/scenarios/ledger_postgres_test.ts"]) !== 0) {
      problems.push("the ledger failed");
    }
  }
  for (const problem of problems) console.log(`SOAK: ${problem}`);
  console.log(problems.length === 0 ? "soak: ok" : `soak: ${problems.length} problems`);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
