import { assert, assertEquals } from "@std/assert";
import { hostsComeFirst, hostsFile, resolvConf } from "../../lookups/internal/system_files.ts";
import { systemServers } from "../../lookups/internal/system_servers.ts";
import { lookupByName } from "../../lookups/system.ts";
import { systemFiles } from "../support/system_files.ts";
import { fakeTime } from "../support/time.ts";

function hosts(): string[] {
  return systemServers().map(({ host }) => host);
}

Deno.test("systemServers() names what resolv.conf names, whatever else is in it", () => {
  using files = systemFiles();
  files.write("resolv.conf", "options no-aaaa whatever\nnameserver 10.0.0.2 10.0.0.3\n");
  assertEquals(systemServers(), [{ host: "10.0.0.2", port: 53 }]);
  for (const name of ["system", "wire"] as const) {
    assertEquals(lookupByName(name).servers?.(), systemServers());
  }
});

Deno.test("systemServers() names 127.0.0.1 without a file, and no server that is not configured", () => {
  using _ = systemFiles();
  assertEquals(hosts(), ["127.0.0.1"]);
});

Deno.test("systemServers() sees an edited file within a second, and looks at it no more often", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 10.0.0.2\n");
  assertEquals(hosts(), ["10.0.0.2"]);
  files.write("resolv.conf", "nameserver 10.0.0.33\n");
  await time.advance(0.999);
  assertEquals(hosts(), ["10.0.0.2"]);
  await time.advance(0.001);
  assertEquals(hosts(), ["10.0.0.33"]);
  // The same length, perhaps in the same millisecond, in another file.
  files.replace("resolv.conf", "nameserver 10.0.0.44\n");
  await time.advance(1);
  assertEquals(hosts(), ["10.0.0.44"]);
});

Deno.test("hostsFile() and hostsComeFirst() see edited files within a second, and files that come and go", async () => {
  using time = fakeTime();
  using files = systemFiles();
  assertEquals([hostsFile()?.size, hostsComeFirst()], [0, true]);
  files.write("hosts", "10.0.0.2 db.internal\n");
  files.write("nsswitch.conf", "hosts: dns files\n");
  await time.advance(1);
  assertEquals([hostsFile()?.get("db.internal"), hostsComeFirst()], [["10.0.0.2"], false]);
  files.write("hosts", "");
  files.write("nsswitch.conf", "hosts: files\n");
  await time.advance(1);
  assertEquals([hostsFile()?.get("db.internal"), hostsComeFirst()], [undefined, true]);
});

Deno.test("resolvConf() and hostsFile() read a file once as long as it does not change", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 10.0.0.2\n");
  files.write("hosts", "10.0.0.2 db.internal\n");
  const before = [resolvConf(), hostsFile()];
  await time.advance(5);
  assert(resolvConf() === before[0] && hostsFile() === before[1]);
});
