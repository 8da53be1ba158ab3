/**
 * Runs a benchmark in private mount and network namespaces, in which only the loopback device exists, packets can be
 * dropped, and the operating system resolves names at a DNS server of the benchmark.
 *
 * @module
 */

import { preparePostgres } from "../lab/postgres.ts";
import { deno, ROOT } from "../scripts/check/run_deno.ts";

/** The name server in the /etc/resolv.conf of the namespace. */
export const NAMESERVER = "127.0.0.53";

/** The released peers; Node 22 and Bun come from npm as well. */
const PACKAGES = {
  // The AWS wrapper imports these two without depending on them.
  "@aws-sdk/credential-providers": "3",
  "@aws-sdk/rds-signer": "3",
  "aws-advanced-nodejs-wrapper": "2.0.1",
  "bun": "1",
  "mariadb": "3.5.4",
  "mysql2": "3.24.6",
  "node": "22",
  "pg": "8.23.1",
  "postgres": "3.4.9",
};

/** The directory in which they are kept between runs, and in which bundles find them. */
export const PREPARED = new URL(".deno/drill/", ROOT).pathname;

/** Node 22. */
export const NODE = `${PREPARED}node_modules/node/bin/node`;

/** The argument of the process inside the namespaces, with the directory for the files that it mounts. */
export const INSIDE = "--inside=";

/** Returns why there are no namespaces on this machine; `undefined` if there are. */
export function whyUnsupported(): string | undefined {
  if (Deno.build.os !== "linux") return "it needs Linux's namespaces";
  if (Deno.uid() !== 0) return "it needs root, to make private mount and network namespaces";
  return undefined;
}

/**
 * Downloads everything that is needed, and runs a benchmark again in the namespaces.
 *
 * @param file The benchmark.
 * @param args Its arguments.
 * @param prepare Prepares what needs the network, such as bundles.
 * @returns Its exit code.
 */
export async function runInside(
  file: string,
  args: readonly string[],
  prepare: () => Promise<void>,
): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-bench-" });
  try {
    await preparePeers();
    await prepare();
    // Ctrl-C reaches the child as well; this process stays alive to clean up.
    const ignore = () => {};
    Deno.addSignalListener("SIGINT", ignore);
    const self = [Deno.execPath(), "run", "-A", "--no-lock", "--cached-only"];
    const child = new Deno.Command("unshare", {
      args: ["-mn", ...self, file, `${INSIDE}${dir}`, ...args],
      cwd: ROOT,
    }).spawn();
    const { code } = await child.status;
    Deno.removeSignalListener("SIGINT", ignore);
    return code;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function preparePeers(): Promise<void> {
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
  await using _ = await preparePostgres(); // downloads it into Deno's cache
}

/**
 * Bundles a program into the directory of the peers.
 *
 * @param source Its path.
 * @param name The name of the bundle.
 * @returns The path of the bundle.
 */
export async function bundle(source: string, name: string): Promise<string> {
  const output = `${PREPARED}${name}`;
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--platform=deno", `--output=${output}`],
    ...["--import-map=tests/std/import_map.json", source],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle ${source}`);
  return output;
}

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

/** Runs a program to its end. */
export async function run(program: string, args: readonly string[], cwd?: string): Promise<void> {
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

/** Drops all packets to and from `address` until the result is disposed. */
export async function dropPackets(address: string): Promise<AsyncDisposable> {
  const rules = [
    "add table ip drill",
    "add chain ip drill input { type filter hook input priority 0; }",
    `add rule ip drill input ip daddr ${address} drop`,
    `add rule ip drill input ip saddr ${address} drop`,
  ].join("\n");
  await nft(rules);
  return { [Symbol.asyncDispose]: () => nft("delete table ip drill") };
}

/** Returns whether {@linkcode dropPackets} works on this machine. */
export async function canDropPackets(): Promise<boolean> {
  try {
    await (await dropPackets("127.0.0.99"))[Symbol.asyncDispose]();
    return true;
  } catch {
    return false;
  }
}

async function nft(rules: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("nft", { args: [rules] }).output();
  if (!success) {
    throw new Error(`Cannot set the packet filter: ${new TextDecoder().decode(stderr)}`);
  }
}
