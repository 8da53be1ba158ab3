import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { jsrProblems, npmProblems } from "../../scripts/package/demands.ts";
import {
  absoluteLinks,
  DOCUMENTS,
  readDocuments,
  REPOSITORY,
} from "../../scripts/package/documents.ts";
import { publishedFiles, writeJsrModule } from "../../scripts/package/jsr.ts";
import { packageJson } from "../../scripts/package/npm/package.ts";
import { BY_HAND, versionProblems } from "../../scripts/package/release.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("package.json and deno.json have what npm and JSR demand", async () => {
  assertEquals(npmProblems(packageJson(config), REPOSITORY), []);
  assertEquals(jsrProblems(config, await publishedFiles()), []);
});

Deno.test("npmProblems() finds what npm refuses with provenance", () => {
  const { repository: _, ...without } = packageJson(config);
  const found = npmProblems(without, REPOSITORY);
  assertEquals(found.length, 1);
  assert(found[0]!.startsWith("repository: provenance demands"), found[0]);
  assertEquals(npmProblems(packageJson(config), "other/dnspool").length, 1);
  const bad = { ...packageJson(config), name: "dnspool", version: "1", private: true };
  assertEquals(npmProblems(bad, REPOSITORY).length, 3);
});

Deno.test("jsrProblems() finds exports and files that JSR refuses", () => {
  const files = ["README.md", "mod.ts", "Mod.ts"];
  const exports = { ".": "./mod.ts", "./a b": "./a.ts" };
  const found = jsrProblems({ name: "@a/b", version: "1.0.0", license: "MIT", exports }, files);
  assertEquals(found.map((problem) => problem.split(" ")[0]), [
    "name:",
    "exports:",
    "exports:",
    '"Mod.ts"',
  ]);
});

Deno.test("absoluteLinks() makes links and images lead to the version's files, and leaves the others", () => {
  const base = `https://github.com/${REPOSITORY}/blob/v1.2.3`;
  const raw = `https://raw.githubusercontent.com/${REPOSITORY}/v1.2.3`;
  for (
    const [text, expected] of [
      ["[a](docs/a.md#b), [c](D.md)", `[a](${base}/docs/a.md#b), [c](${base}/D.md)`],
      [
        "[a](#b) [c](https://d.test/) [e](mailto:f@g)",
        "[a](#b) [c](https://d.test/) [e](mailto:f@g)",
      ],
      ['<img src="a.svg" alt="b">', `<img src="${raw}/a.svg" alt="b">`],
      ["![a](b.png)", `![a](${raw}/b.png)`],
    ] as const
  ) {
    assertEquals(absoluteLinks(text, "1.2.3"), expected);
  }
});

Deno.test("no link of a published document is relative, and each leads to a file of the repository", async () => {
  let links = 0;
  for (const [name, text] of await readDocuments(config.version)) {
    for (const [, target = ""] of text.matchAll(/(?:\]\(|\bsrc=")([^)"]+)/g)) {
      assert(/^(?:https:|#)/.test(target), `${name} links to ${target}`);
      const path = new RegExp(`/${REPOSITORY}/(?:blob/)?v${config.version}/([^#]+)`).exec(target);
      if (!path) continue;
      await Deno.stat(new URL(path[1]!, ROOT));
      links++;
    }
  }
  assert(links > 20, `${links}`);
});

Deno.test("writeJsrModule() writes the published files, with the documents as registries show them", async () => {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-test-" });
  try {
    await writeJsrModule(dir);
    const documents = await readDocuments(config.version);
    for (const path of await publishedFiles()) {
      const text = await Deno.readTextFile(`${dir}/${path}`);
      const source = await Deno.readTextFile(new URL(path, ROOT));
      assertEquals(text, documents.get(path) ?? source, path);
    }
    assert(DOCUMENTS.every((name) => documents.has(name)));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("publish.yml publishes what was checked, and to JSR only when npm has it", async () => {
  const text = await Deno.readTextFile(new URL(".github/workflows/publish.yml", ROOT));
  const jobs = [...text.matchAll(/^ {2}([a-z]+):\n {4}needs: ([a-z]+)$/gm)].map(([, ...job]) =>
    job
  );
  assertEquals(jobs, [["package", "test"], ["npm", "package"], ["jsr", "npm"]]);
  const commands = [...text.matchAll(/^ +(?:- )?run: (.*)$/gm)].map(([, command]) => command!);
  const publishing = commands.filter((command) => command.includes("publish"));
  assertEquals(publishing.length, 2, publishing.join("\n"));
  assert(publishing.every((command) => command.includes("release/")), publishing.join("\n"));
});

Deno.test("versionProblems() finds what keeps a version from being released", () => {
  const ready = {
    version: "1.2.3",
    program: "1.2.3",
    changelog: "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-02\n\n- A.\n",
    readme: "# dnspool\n",
    changes: "",
    env: { GITHUB_REF_TYPE: "tag", GITHUB_REF_NAME: "v1.2.3", GITHUB_REPOSITORY: REPOSITORY },
  };
  assertEquals(versionProblems(ready), []);
  assertEquals(versionProblems({ ...ready, env: {} }), [], "on one's own machine");
  const others = [
    { program: "1.2.2" },
    { changelog: "# Changelog\n\n## 1.2.2\n\n- A.\n" },
    { changelog: "# Changelog\n\n## Unreleased\n\n- B.\n\n## 1.2.3\n\n- A.\n" },
    { readme: "It is not published yet. It will be\n" },
    { changes: " M mod.ts\n" },
    { env: { ...ready.env, GITHUB_REF_NAME: "v1.2.4" } },
    { env: { ...ready.env, GITHUB_REPOSITORY: "other/dnspool" } },
  ];
  for (const other of others) {
    assertEquals(versionProblems({ ...ready, ...other }).length, 1, JSON.stringify(other));
  }
});

Deno.test("CONTRIBUTING.md says what must be done by hand, on each of the three sites", async () => {
  const text = await Deno.readTextFile(new URL("CONTRIBUTING.md", ROOT));
  const section = text.slice(text.indexOf("## To release"));
  for (const site of ["GitHub", "npm", "JSR"]) {
    assert(BY_HAND.some((item) => item.startsWith(site)), site);
    assert(section.includes(`**${site}**`), `nothing about ${site}`);
  }
  assert(section.includes("deno task release --dry-run"));
});
