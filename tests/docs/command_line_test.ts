/**
 * The command lines in the documentation: the shell can parse them, the programs accept them, and docs/command_line.md
 * shows their real output. That output is Node's, so the test runs them on Node.
 */

import { assert, assertEquals } from "@std/assert";
import { readArgs } from "../../cli/args.ts";
import { dnsSettings } from "../../cli/dns_flags.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { preparePostgres, startPostgres } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";
import { onNode, runProgram, type Runtime, start } from "../support/cli.ts";
import { type Block, blocksOf, codeIn, proseOf, readPages } from "../support/docs.ts";

const pages = await readPages();
const blocks = pages.flatMap(blocksOf);

/** Shell functions that replace the real programs; each records its arguments. */
const PROGRAMS = ["dnspool", "npx", "bunx", "deno", "jq"]
  .map((name) => `${name}() { { printf '%s\\n' ${name} "$@"; echo; } >> "$CALLS"; }`).join("\n");
/** Hides all other programs from the shell. */
const EMPTY_PATH = "PATH=/nowhere";

/** Returns the words of each call in a shell block. */
async function callsOf({ text, where }: Block): Promise<string[][]> {
  const dir = await Deno.makeTempDir();
  try {
    const { code, stderr } = await new Deno.Command("bash", {
      args: ["-euc", `${EMPTY_PATH}\n${PROGRAMS}\n${text}`],
      cwd: dir,
      env: {
        CALLS: `${dir}/calls`,
        DATABASE_URL: "postgresql://app@db.internal/orders",
      },
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals([where, code, new TextDecoder().decode(stderr)], [where, 0, ""]);
    const noted = await Deno.readTextFile(`${dir}/calls`);
    return noted.trimEnd().split("\n\n").map((call) => call.split("\n"));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Returns the arguments of `dnspool` in a call, also through `npx` and the like; `undefined` if it is not called. */
function argsOf(call: readonly string[]): readonly string[] | undefined {
  const names = ["dnspool", "@dnspool/dnspool", "jsr:@dnspool/dnspool/cli"];
  const at = call.findIndex((word) => names.includes(word));
  return at < 0 ? undefined : call.slice(at + 1);
}

/** Parses a command line as the program does; throws if the program would refuse it. */
function accept(args: readonly string[]): void {
  const call = readArgs(args);
  if ("flags" in call) dnsSettings(call.flags, call.what);
}

Deno.test("pages: every shell block runs, and calls existing tasks and dnspool commands", async () => {
  const shown = blocks.filter(({ info }) => info === "sh");
  let ours = 0;
  for (const block of shown) {
    for (const call of await callsOf(block)) {
      const args = argsOf(call);
      if (args) {
        accept(args);
        ours++;
      } else if (call[0] !== "jq") {
        // The tests of tasks and of permissions check these.
        const known = /^npx --yes deno@2 task |^deno run --allow-net=.* main\.ts$/;
        assert(known.test(call.join(" ")), call.join(" "));
      }
    }
  }
  assert(ours >= 9, `${ours}`);
});

Deno.test("pages: dnspool accepts every dnspool command in the text", () => {
  const named = pages.flatMap((page) => codeIn(proseOf(page)))
    .filter((code) => /^dnspool [a-z]/.test(code));
  assert(named.length > 10, `${named.length}`);
  for (const code of named) accept(code.split(" ").slice(1));
});

const [page] = pages.filter(({ path }) => path === "docs/command_line.md");
const shown = blocksOf(page!);

/** Returns the session block that begins with a command: the arguments and the output. */
function session(beginning: string): { args: readonly string[]; output: string } {
  const { text } = shown.find(({ info, text }) =>
    info === "console" && text.startsWith(`$ dnspool ${beginning}`)
  )!;
  const [first = "", ...rest] = text.split("\n");
  const words = first.slice("$ dnspool ".length).match(/"[^"]*"|\S+/g)!;
  return { args: words.map((word) => word.replaceAll('"', "")), output: rest.join("\n") };
}

/** Replaces the parts of an output that differ from run to run. */
function alike(text: string, names: Readonly<Record<string, string>> = {}): string {
  for (const [from, to] of Object.entries(names)) text = text.replaceAll(from, to);
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>").replace(
    /\b\d+(\.\d+)? m?s\b/g,
    "<span>",
  )
    .replace(/PostgreSQL [\d.]+/g, "PostgreSQL").replace(/ {2,}/g, "  ");
}

const SERVER = "127.0.0.1:5353";

Deno.test("docs/command_line.md shows the real output of each command", async (t) => {
  assertEquals(shown.filter(({ info }) => info === "console").length, 5);
  await using node = await onNode();
  await using dns = await DnsServer.start();
  const asked = (args: readonly string[]) => args.map((arg) => arg.replace(SERVER, dns.address));
  const names = { [dns.address]: SERVER };

  await t.step("resolve", async () => {
    dns.set("db.internal", { cname: "node-a.internal" }, { ttl: 300 });
    dns.set("node-a.internal", ["127.0.0.2"], { ttl: 300 });
    const { args, output } = session("resolve db.internal");
    const { out } = await runProgram(node, asked(args));
    assertEquals(alike(out, names), alike(output));
    const json = await runProgram(node, asked([...args, "--json"]));
    const { took, ...rest } = JSON.parse(json.out);
    const block = shown.find(({ info }) => info === "json")!;
    const said = JSON.parse(block.text);
    assertEquals({ ...rest, server: SERVER, took: typeof took }, {
      ...said,
      took: typeof said.took,
    });
  });

  await t.step("resolve, without an address", async () => {
    const { args, output } = session("resolve db.example");
    const { code, err } = await runProgram(node, asked(args));
    assertEquals([code, alike(err, names)], [1, alike(output)]);
  });

  await t.step("watch", () => watch(node, dns, asked, names));
  await t.step("check", () => check(node, dns, asked, names));
});

type Asked = (args: readonly string[]) => string[];
type Names = Readonly<Record<string, string>>;

async function watch(node: Runtime, dns: DnsServer, asked: Asked, names: Names): Promise<void> {
  const { args, output } = session("watch");
  dns.set("db.internal", ["127.0.0.2"], { ttl: 1 });
  const running = start(node, asked(args));
  const lines = [await running.line()];
  dns.set("db.internal", ["127.0.0.3"], { ttl: 1 });
  lines.push(await running.line());
  dns.fault("db.internal", { rcode: "SERVFAIL" });
  lines.push(await running.line());
  dns.clearFaults();
  lines.push(await running.line());
  running.kill("SIGINT");
  await running.end();
  assertEquals(lines.map((line) => alike(line, names)), alike(output).trimEnd().split("\n"));
}

async function check(node: Runtime, dns: DnsServer, asked: Asked, names: Names): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const authority = await makeAuthority();
  const ca = await Deno.makeTempFile({ suffix: ".pem" });
  stack.defer(() => Deno.remove(ca));
  await Deno.writeTextFile(ca, authority.cert);
  stack.use(await preparePostgres());
  const common = { user: "app", password: "s3cret", database: "orders", port };
  const tls = await authority.issue({ names: ["db.internal"] });
  const primary = stack.use(await startPostgres({ ...common, host: first, tls }));
  await primary.stop({ keep: true });
  const other = await authority.issue({ names: ["replica.internal"] });
  const standby = { ...common, host: second, standbyOf: primary, tls: other };
  stack.use(await startPostgres(standby));
  await primary.start();

  const own = (args: readonly string[]) =>
    asked(args).map((arg) => arg.replace("/orders", `:${port}/orders`).replace("ca.pem", ca));
  const all = { ...names, [`internal:${port}`]: "internal", [`:${port}`]: ":5432", [ca]: "ca.pem" };
  const hosts = { [first]: "127.0.0.2", [second]: "127.0.0.3" };
  for (
    const { beginning, ttl, expected } of [
      { beginning: 'check "postgresql', ttl: 300, expected: 1 },
      { beginning: "check postgresql", ttl: 30, expected: 0 },
    ]
  ) {
    dns.set("db.internal", [first, second], { ttl });
    const { args, output } = session(beginning);
    const { code, out } = await runProgram(node, own(args));
    assertEquals([code, alike(out, { ...all, ...hosts })], [expected, alike(output)]);
  }
}
