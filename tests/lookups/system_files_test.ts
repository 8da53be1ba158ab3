import { assertEquals } from "@std/assert";
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostsFile, useSystemFiles } from "../../lookups/internal/system_files.ts";
import { systemServers } from "../../lookups/internal/system_servers.ts";
import { lookupByName } from "../../lookups/system.ts";
import { DnsServer } from "../../testing/mod.ts";
import { fakeTime } from "../support/time.ts";

/** Makes files in the place of the machine's, until the result is disposed of. */
export function systemFiles(): Disposable & { write(name: string, text: string): void } {
  const directory = mkdtempSync(join(tmpdir(), "dnspool-"));
  const path = (name: string) => join(directory, name);
  useSystemFiles({
    resolvConf: path("resolv.conf"),
    hosts: path("hosts"),
    nsswitch: path("nsswitch.conf"),
  });
  return {
    write: (name, text) => writeFileSync(path(name), text),
    [Symbol.dispose]() {
      useSystemFiles({});
      rmSync(directory, { recursive: true });
    },
  };
}
