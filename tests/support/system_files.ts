/**
 * Files that stand for those of the machine: resolv.conf, hosts and nsswitch.conf.
 *
 * @module
 */

import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useSystemFiles } from "../../lookups/internal/system_files.ts";

/** The files of a test. At first there are none. */
export interface SystemFiles extends Disposable {
  /** Writes a file in its place. */
  write(name: "resolv.conf" | "hosts" | "nsswitch.conf", text: string): void;
  /** Writes another file, and gives it the name, as editors do. */
  replace(name: "resolv.conf" | "hosts" | "nsswitch.conf", text: string): void;
}

/** Makes files that are read in place of the machine's until the result is disposed of. */
export function systemFiles(): SystemFiles {
  const directory = mkdtempSync(join(tmpdir(), "dnspool-"));
  const path = (name: string) => join(directory, name);
  useSystemFiles({
    resolvConf: path("resolv.conf"),
    hosts: path("hosts"),
    nsswitch: path("nsswitch.conf"),
  });
  return {
    write: (name, text) => writeFileSync(path(name), text),
    replace(name, text) {
      writeFileSync(path("new"), text);
      renameSync(path("new"), path(name));
    },
    [Symbol.dispose]() {
      useSystemFiles({});
      rmSync(directory, { recursive: true });
    },
  };
}
