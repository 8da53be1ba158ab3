/** The command line as a separate program, on Deno and on Node: outputs, colors, signals, exit status. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../cli/version.ts";
import { DnsServer } from "../../testing/mod.ts";
import { onDeno, onNode, runProgram, type Runtime, start } from "../support/cli.ts";
import { bundle } from "../support/bundle.ts";
import { soon } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

const DOCS = new URL("../../docs/command_line.md", import.meta.url);

/** Runs a test on each runtime, with its own DNS server. */
function onEach(
  name: string,
  test: (runtime: Runtime, dns: DnsServer) => Promise<void>,
): void {
  Deno.test(name, async (t) => {
    await using node = await onNode();
    for (const runtime of [onDeno(), node]) {
      await t.step(runtime.name, async () => {
        await using dns = await DnsServer.start();
        dns.set("db.internal", ["127.0.0.2"], { ttl: 1 });
        await test(runtime, dns);
      });
    }
  });
}

onEach("--help writes the texts in the docs", async (runtime) => {
  const docs = await Deno.readTextFile(DOCS);
  for (const args of [[], ["resolve"], ["watch"], ["check"]]) {
    const { code, out, err } = await runProgram(runtime, [...args, "--help"]);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(docs, `\`\`\`text\n${out}\`\`\`\n`);
  }
  assertEquals(await runProgram(runtime, ["--version"]), { code: 0, out: `${VERSION}\n`, err: "" });
});

onEach("results go to standard output, errors to standard error", async (runtime, dns) => {
  const flags = ["--nameserver", dns.address, "--lookup", "wire", "--no-fallback"];
  const good = await runProgram(runtime, ["resolve", "db.internal", ...flags]);
  assertEquals([good.code, good.err], [0, ""]);
  assertStringIncludes(good.out, "\n  addresses  127.0.0.2\n");
  const bad = await runProgram(runtime, ["resolve", "none.internal", ...flags]);
  assertEquals([bad.code, bad.out], [1, ""]);
  assertMatch(bad.err, /NXDOMAIN\)\n$/);
  const wrong = await runProgram(runtime, ["resolve", "db.internal", "--wire"]);
  assertEquals([wrong.code, wrong.out], [2, ""]);
  assertMatch(
    wrong.err,
    /^"--wire" is not a flag of dnspool resolve.*\n"dnspool resolve --help" explains it\n$/,
  );
  assertEquals((await runProgram(runtime, [])).code, 2);
});

onEach("output has colors if they are requested, and never in JSON", async (runtime, dns) => {
  const args = ["resolve", "db.internal", "--nameserver", dns.address];
  const colored = { FORCE_COLOR: "1" };
  const plain = (await runProgram(runtime, args)).out;
  const painted = (await runProgram(runtime, args, colored)).out;
  assertEquals(plain.includes("\x1b"), false);
  assertStringIncludes(painted, "\x1b[32m127.0.0.2\x1b[0m");
  for (const rest of [["--no-color"], ["--json"]]) {
    assertEquals(
      (await runProgram(runtime, [...args, ...rest], colored)).out.includes("\x1b"),
      false,
    );
  }
});

onEach("watch runs until Ctrl-C, and ends with status 0", async (runtime, dns) => {
  const flags = ["--nameserver", dns.address, "--lookup", "wire", "--no-fallback"];
  const running = start(runtime, ["watch", "db.internal", ...flags]);
  assertMatch(await running.line(), /^\S+Z {2}127\.0\.0\.2 {2}TTL 1 s, age \d+\.\d ms$/);
  dns.set("db.internal", ["127.0.0.3"], { ttl: 1 });
  using lag = new Lag();
  const movedMs = performance.now();
  assertMatch(await running.line(), / {2}127\.0\.0\.3 {2}TTL 1 s, .* of 127\.0\.0\.2$/);
  const tookMs = performance.now() - movedMs;
  assert(tookMs < lag.limit(3000), `${tookMs}`);
  dns.fault("db.internal", { rcode: "SERVFAIL" });
  assertMatch(await running.line(), / {2}failed: .*: SERVFAIL; {2}127\.0\.0\.3 stays in use, age /);
  dns.clearFaults();
  assertMatch(await running.line(), / {2}127\.0\.0\.3 {2}TTL 1 s, .* {2}recovered after /);
  const stoppedMs = performance.now();
  running.kill("SIGINT");
  const { code, err } = await running.end();
  assertEquals([code, err], [0, ""]);
  const endMs = performance.now() - stoppedMs;
  assert(endMs < lag.limit(3000), `it ended after ${endMs} ms`);
});

onEach("watch ends with status 0 after SIGTERM", async (runtime, dns) => {
  const running = start(runtime, ["watch", "db.internal", "--nameserver", dns.address, "--json"]);
  assertEquals(JSON.parse(await running.line()).event, "answer");
  running.kill("SIGTERM");
  const { code, err } = await running.end();
  assertEquals([code, err], [0, ""]);
});

Deno.test("on Node, the program runs through npm's link, and an import does nothing", async () => {
  await using node = await onNode();
  const file = node.command[1]!;
  await Deno.symlink(file, `${file}.link`);
  const linked = await runProgram({ ...node, command: ["node", `${file}.link`] }, ["--version"]);
  assertEquals(linked, { code: 0, out: `${VERSION}\n`, err: "" });
  const module = file.replace("cli.mjs", "module.mjs");
  await bundle(new URL("../../cli/process.ts", import.meta.url).pathname, module);
  const program = `import(${JSON.stringify(module)}).then(({ main }) => main(["--version"]))`;
  const imported = await runProgram({ ...node, command: ["node", "-e"] }, [program]);
  assertEquals(imported, { code: 0, out: `${VERSION}\n`, err: "" });
});

Deno.test("on Deno, the permissions in the docs are sufficient", async () => {
  const flags = ["--allow-net", "--allow-env", "--allow-read"];
  const docs = await Deno.readTextFile(DOCS);
  assertStringIncludes(docs, `deno run ${flags.join(" ")} jsr:@dnspool/dnspool/cli`);
  await using dns = await DnsServer.start();
  dns.set("db.internal", ["127.0.0.2"], { ttl: 3 });
  const deno = onDeno();
  const command = deno.command.flatMap((arg) => arg === "-A" ? ["--no-prompt", ...flags] : [arg]);
  for (const lookup of ["system", "wire"]) {
    const args = ["resolve", "db.internal", "--nameserver", dns.address, "--lookup", lookup];
    const { code, out, err } = await runProgram({ ...deno, command }, args);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "\n  TTL        3 s\n");
  }
});

onEach("watch ends when its output is closed", async (runtime, dns) => {
  const args = ["watch", "db.internal", "--nameserver", dns.address, "--lookup", "wire"];
  const [program = "", ...first] = runtime.command;
  const child = new Deno.Command(program, {
    args: [...first, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(20_000),
  }).spawn();
  const err = new Response(child.stderr).text();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  dns.set("db.internal", ["127.0.0.3"], { ttl: 1 });
  const { code, signal } = await child.status;
  assertEquals([code, signal, await err], [0, null, ""]);
});

onEach("resolve ends with the signal's status when it is interrupted", async (runtime, dns) => {
  dns.fault("*", { drop: true });
  const table = [["SIGINT", 130], ["SIGTERM", 143]] as const;
  for (const [signal, expected] of table) {
    const asked = dns.nextQuery("db.internal");
    const args = ["resolve", "db.internal", "--nameserver", dns.address, "--lookup", "wire"];
    const running = start(runtime, args);
    await soon(asked);
    running.kill(signal);
    const { code, out, err } = await running.end();
    assertEquals([code, out, err], [expected, "", ""]);
  }
});
