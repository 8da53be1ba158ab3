/**
 * The files of the JSR module, in a directory from which `deno publish` publishes them: those of deno.json's
 * `publish.include`, with the documents as the registries show them.
 *
 * @module
 */

import { dirname } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { ROOT } from "../check/run_deno.ts";
import { readDocuments } from "./documents.ts";

/** Lists the published files, as paths from the root. */
export async function publishedFiles(): Promise<string[]> {
  const files: string[] = [];
  for (const pattern of config.publish.include) {
    const [, folder, ending = ""] = /^([a-z_]+\/)\*\*\/\*(\.ts)$/.exec(pattern) ?? [];
    if (folder === undefined) files.push(pattern);
    else files.push(...(await filesBelow(folder)).filter((file) => file.endsWith(ending)));
  }
  return [...new Set(files)].sort();
}

async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) files.push(...await filesBelow(`${folder}${name}/`));
    else files.push(folder + name);
  }
  return files;
}

/** Writes the files of the module into a directory. */
export async function writeJsrModule(dir: string): Promise<void> {
  const documents = await readDocuments(config.version);
  for (const path of await publishedFiles()) {
    await Deno.mkdir(dirname(`${dir}/${path}`), { recursive: true });
    const text = documents.get(path) ?? await Deno.readTextFile(new URL(path, ROOT));
    await Deno.writeTextFile(`${dir}/${path}`, text);
  }
}
