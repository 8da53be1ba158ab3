/** The examples that are for another runtime; those for Deno run by themselves. */

import { assertEquals, assertMatch } from "@std/assert";
import { bundle } from "../support/bundle.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url);

Deno.test("the example with node:test passes on Node", async () => {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const file = `${dir}/failover.test.mjs`;
    await bundle(new URL("test_your_failover_node_test.ts", EXAMPLES).pathname, file);
    const { code, stdout } = await new Deno.Command("node", {
      args: ["--test", "--test-reporter=tap", file],
      signal: AbortSignal.timeout(60_000),
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertMatch(said, /^# pass 1$/m);
    assertEquals(code, 0, said);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the examples of a user's own test are short", async () => {
  const examples: string[] = [];
  for await (const { name } of Deno.readDir(EXAMPLES)) {
    if (!/^test_your_failover.*_test\.ts$/.test(name)) continue;
    const lines = (await Deno.readTextFile(new URL(name, EXAMPLES))).trimEnd().split("\n");
    assertEquals(lines.length < 30, true, `${name}: ${lines.length} lines`);
    examples.push(name);
  }
  assertEquals(examples.sort(), [
    "test_your_failover_node_test.ts",
    "test_your_failover_test.ts",
  ]);
});

Deno.test("examples/README.md names every example", async () => {
  const index = await Deno.readTextFile(new URL("README.md", EXAMPLES));
  const named = [...index.matchAll(/\]\(([^/)]+\.ts)\)/g)].map(([, name]) => name!);
  const there: string[] = [];
  for await (const { name } of Deno.readDir(EXAMPLES)) if (name.endsWith(".ts")) there.push(name);
  assertEquals(named.sort(), there.sort());
});
