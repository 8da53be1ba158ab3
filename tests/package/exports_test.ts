import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

/** Its driver comes from JSR, which not every machine reaches: its example is not run. */
const NOT_RUN = "./adapters/db_postgres";

for (const [path, file] of Object.entries(config.exports)) {
  Deno.test(`the export "${path}" says what it is for, with an example that runs`, async () => {
    const text = await Deno.readTextFile(new URL(file, new URL("../../", import.meta.url)));
    const [first = ""] = /^(?:#!.*\n)?\/\*\*[^]*?\*\//.exec(text) ?? [];
    assert(first.includes("@module"), "its first comment is no doc of the module");
    const words = first.replace(/@module|\W/g, " ").trim().split(/ +/);
    assert(words.length > 2, first);
    const examples = text.matchAll(/^ *\* ```(ts\b.*)$/gm);
    const running = [...examples].filter(([, info]) =>
      path === NOT_RUN || !info!.includes("ignore")
    );
    assert(running.length > 0, "it has no example, or only such as are not run");
  });
}

Deno.test("every export that is published is in the list of what is published", async () => {
  const { include } = config.publish;
  for (const file of Object.values(config.exports)) {
    const path = file.replace(/^\.\//, "");
    const listed = include.some((glob) => {
      const pattern = glob.replaceAll(".", "\\.").replaceAll("**/*", ".+");
      return new RegExp(`^${pattern}$`).test(path);
    });
    assertEquals([path, listed], [path, true]);
  }
  await Promise.all(
    include.filter((glob) => !glob.includes("*")).map((file) =>
      Deno.stat(new URL(file, new URL("../../", import.meta.url)))
    ),
  );
});
