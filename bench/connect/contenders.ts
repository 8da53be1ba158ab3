/**
 * The contenders of `bench/connect.ts`, each in a process of its own.
 *
 * @module
 */

import { bundle, NODE, PREPARED, run } from "../namespace.ts";
import { deno, ROOT } from "../../scripts/check/run_deno.ts";
import { ANSWER, type ConnectResult, type ConnectTask } from "./task.ts";

/** A contender. */
export interface Contender {
  /** Its name in the tables. */
  readonly name: string;
  readonly database: "postgres" | "mariadb";
  /** The program: `libpq`, `pgx`, or the contender of client.ts. */
  readonly client: string;
  /** Whether it takes a list of hosts, or one name with several addresses. */
  readonly way: "hosts" | "name";
  /** Which build of dnspool it is, if it is one. */
  readonly build?: "now" | "before";
}

const NOW = { build: "now" } as const;

/** All contenders. dnspool comes first for each database. */
export const CONTENDERS: readonly Contender[] = [
  { name: "dnspool", database: "postgres", client: "dnspool pg", way: "hosts", ...NOW },
  { name: "dnspool, one name", database: "postgres", client: "dnspool pg", way: "name", ...NOW },
  {
    name: "dnspool before",
    database: "postgres",
    client: "dnspool pg",
    way: "name",
    build: "before",
  },
  { name: "pg, one name", database: "postgres", client: "pg", way: "name" },
  { name: "postgres.js", database: "postgres", client: "postgres.js", way: "hosts" },
  { name: "libpq", database: "postgres", client: "libpq", way: "hosts" },
  { name: "pgx", database: "postgres", client: "pgx", way: "hosts" },
  { name: "dnspool, mysql2", database: "mariadb", client: "dnspool mysql2", way: "hosts", ...NOW },
  {
    name: "dnspool, mariadb",
    database: "mariadb",
    client: "dnspool mariadb",
    way: "hosts",
    ...NOW,
  },
  { name: "mysql2, one name", database: "mariadb", client: "mysql2", way: "name" },
  { name: "mysql2, PoolCluster", database: "mariadb", client: "mysql2 cluster", way: "hosts" },
  { name: "mariadb, one name", database: "mariadb", client: "mariadb", way: "name" },
  { name: "mariadb, PoolCluster", database: "mariadb", client: "mariadb cluster", way: "hosts" },
];

/** The last commit whose engines knew one host only. */
const BEFORE = "616b0c7";

const CLIENT = "connect_client.mjs";
const PGX = `${PREPARED}connect_pgx`;
const BUILDS = { now: "connect_now.mjs", before: "connect_before.mjs" };

/** Bundles and compiles the contenders; names those that this machine cannot have. */
export async function prepareContenders(): Promise<void> {
  await bundle("bench/connect/client.ts", CLIENT);
  await bundle("bench/connect/build.ts", BUILDS.now);
  const omit = (name: string, file: string) => async (error: Error) => {
    console.error(`Omitted: ${name} (${error.message})`);
    await Deno.remove(file).catch(() => {});
  };
  await bundleBefore().catch(omit("dnspool before", PREPARED + BUILDS.before));
  await compilePgx().catch(omit("pgx", PGX));
}

async function bundleBefore(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-before-" });
  try {
    const archive = `${dir}/before.tar`;
    await run("git", ["archive", `--output=${archive}`, BEFORE], ROOT.pathname);
    await run("tar", ["-xf", archive, "-C", dir]);
    await Deno.mkdir(`${dir}/bench/connect`, { recursive: true });
    const entry = `${dir}/bench/connect/build.ts`;
    await Deno.copyFile(new URL("bench/connect/build.ts", ROOT), entry);
    const code = await deno([
      ...["bundle", "--quiet", "--no-lock", "--platform=deno"],
      ...[`--output=${PREPARED}${BUILDS.before}`, entry],
    ]);
    if (code !== 0) throw new Error(`cannot bundle ${BEFORE}`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Compiles it with Debian's packages. */
async function compilePgx(): Promise<void> {
  const { success } = await new Deno.Command("go", {
    args: ["build", "-o", PGX, "bench/connect/pgx/main.go"],
    cwd: ROOT,
    env: {
      GO111MODULE: "off",
      GOPATH: "/usr/share/gocode",
      GOCACHE: `${PREPARED}go`,
      GOFLAGS: "",
    },
  }).output().catch(() => ({ success: false }));
  if (!success) {
    throw new Error("apt-get install golang-go golang-github-jackc-pgx-v4-dev");
  }
}

/** Returns whether a contender was prepared. */
export async function isPrepared({ client, build }: Contender): Promise<boolean> {
  const file = client === "pgx" ? PGX : build ? PREPARED + BUILDS[build] : undefined;
  if (client === "libpq") {
    return await Promise.any(
      ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"].map((
        dir,
      ) => Deno.stat(`${dir}/libpq.so.5`)),
    ).then(() => true, () => false);
  }
  return file === undefined || await Deno.stat(file).then(() => true, () => false);
}

function commandOf({ client, build }: Contender): [program: string, args: string[]] {
  if (client === "pgx") return [PGX, []];
  if (client === "libpq") {
    const flags = ["run", "-A", "--no-lock", "--cached-only"];
    return [Deno.execPath(), [...flags, "bench/connect/libpq.ts"]];
  }
  return [NODE, [PREPARED + CLIENT, client, ...build ? [PREPARED + BUILDS[build]] : []]];
}

/** The process of a contender, started when it is needed. */
export class ContenderProcess {
  readonly contender: Contender;
  #child: Deno.ChildProcess | undefined;
  #answered = Promise.withResolvers<ConnectResult>();

  constructor(contender: Contender) {
    this.contender = contender;
  }

  /** Runs a task; resolves with the milliseconds, `undefined` if it failed or took longer than `limitMs`. */
  async connect(task: ConnectTask, limitMs: number): Promise<number | undefined> {
    this.#child ??= this.#start();
    this.#answered = Promise.withResolvers();
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(task) + "\n"));
    writer.releaseLock();
    let limit: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<ConnectResult>((resolve) => {
      limit = setTimeout(() => resolve({ error: "too late" }), limitMs);
    });
    const { ms, error } = await Promise.race([this.#answered.promise, late]);
    clearTimeout(limit);
    if (error === "too late") await this.end();
    else if (error !== undefined) console.error(`${this.contender.name}: ${error}`);
    return ms !== undefined && ms <= limitMs ? ms : undefined;
  }

  /** Ends the process. */
  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.status;
  }

  #start(): Deno.ChildProcess {
    const [program, args] = commandOf(this.contender);
    const child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    }).spawn();
    void this.#read(child);
    return child;
  }

  async #read(child: Deno.ChildProcess): Promise<void> {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith(ANSWER)) this.#answered.resolve(JSON.parse(line.slice(ANSWER.length)));
        else console.error(line);
      }
    }
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#answered.resolve({ error: "its process ended" });
  }
}
