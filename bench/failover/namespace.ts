/**
 * Runs the drill in private mount and network namespaces, in which only the loopback device exists and the operating
 * system resolves names at the DNS server of the drill.
 *
 * @module
 */

import { preparePostgres } from "../../lab/postgres.ts";
import { deno, ROOT } from "../../scripts/check/run_deno.ts";
import type { Programs } from "./run.ts";
import { NAMESERVER } from "./environment.ts";

/** The released peers; Node 22 comes from npm as well. */
const PACKAGES = {
  // The AWS wrapper imports these two without depending on them.
  "@aws-sdk/credential-providers": "3",
  "@aws-sdk/rds-signer": "3",
  "aws-advanced-nodejs-wrapper": "2.0.1",
  "mariadb": "3.5.4",
  "mysql2": "3.24.6",
  "node": "22",
  "pg": "8.23.1",
  "postgres": "3.4.9",
};

/** The directory in which they are kept between drills. */
const PREPARED = new URL(".deno/drill/", ROOT).pathname;

/** The argument of the process inside the namespaces, with the directory for the files that it mounts. */
export const INSIDE = "--inside=";

/** Returns why the drill cannot run on this machine; `undefined` if it can. */
export function whyUnsupported(): string | undefined {
  if (Deno.build.os !== "linux") return "it needs Linux's namespaces";
  if (Deno.uid() !== 0) return "it needs root, to make private mount and network namespaces";
  return undefined;
}

/** Downloads everything the drill needs, and runs this program again in the namespaces. Resolves with its exit code. */
export async function runInside(args: readonly string[]): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-drill-" });
  try {
    await prepare();
    // Ctrl-C reaches the child as well; this process stays alive to clean up.
    const ignore = () => {};
    Deno.addSignalListener("SIGINT", ignore);
    const self = [Deno.execPath(), "run", "-A", "--no-lock", "--cached-only"];
    const child = new Deno.Command("unshare", {
      args: ["-mn", ...self, "bench/failover.ts", `${INSIDE}${dir}`, ...args],
      cwd: ROOT,
    }).spawn();
    const { code } = await child.status;
    Deno.removeSignalListener("SIGINT", ignore);
    return code;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function prepare(): Promise<void> {
  await Deno.mkdir(PREPARED, { recursive: true });
  const manifest = JSON.stringify({ private: true, type: "module", dependencies: PACKAGES });
  const installed = `${PREPARED}installed.json`;
  if (await Deno.readTextFile(installed).catch(() => "") !== manifest) {
    console.error("Fetching the peers from npm");
    await Deno.writeTextFile(`${PREPARED}package.json`, manifest);
    await Deno.writeTextFile(`${PREPARED}deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
    await run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"], PREPARED);
    await Deno.writeTextFile(installed, manifest);
  }
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--platform=deno", `--output=${programs.bundle}`],
    ...["--import-map=tests/std/import_map.json", "bench/failover/lane.ts"],
  ]);
  if (code !== 0) throw new Error("Cannot bundle the lanes");
  await using _ = await preparePostgres(); // downloads it into Deno's cache
}

/** The programs that run the lanes. */
export const programs: Programs = {
  bundle: `${PREPARED}lane.mjs`,
  node: `${PREPARED}node_modules/node/bin/node`,
  deno: Deno.execPath(),
};

/** Sets up the namespaces from inside: the loopback device, and name resolution at {@linkcode NAMESERVER}. */
export async function setUpNamespace(dir: string): Promise<void> {
  await run("ip", ["link", "set", "lo", "up"]);
  const files = {
    "resolv.conf": `nameserver ${NAMESERVER}\n`,
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${dir}/${name}`, text);
    await run("mount", ["--bind", `${dir}/${name}`, `/etc/${name}`]);
  }
}

async function run(program: string, args: readonly string[], cwd?: string): Promise<void> {
  const command = new Deno.Command(program, {
    args: [...args],
    ...(cwd !== undefined && { cwd }),
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  });
  const { success } = await command.output();
  if (!success) throw new Error(`Cannot run "${program} ${args.join(" ")}"`);
}
