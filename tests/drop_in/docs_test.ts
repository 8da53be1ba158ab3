import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);

Deno.test("docs/drop_in_orms.md shows every example of a drop-in, complete and unchanged", async () => {
  const page = await Deno.readTextFile(new URL("docs/drop_in_orms.md", root));
  const blocks = [...page.matchAll(/^```ts ignore\n(.*?)^```$/gms)].map(([, text]) => text!);
  const examples: string[] = [];
  for await (const { name, isFile } of Deno.readDir(new URL("examples/", root))) {
    if (!isFile || !name.startsWith("drop_in_")) continue;
    examples.push(await Deno.readTextFile(new URL(`examples/${name}`, root)));
  }
  assert(examples.length >= 8);
  assertEquals(blocks.sort(), examples.sort());
});
