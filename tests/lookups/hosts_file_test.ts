import { assertEquals } from "@std/assert";
import { asksHostsFirst, parseHosts } from "../../lookups/internal/hosts_file.ts";

Deno.test("parseHosts() reads the addresses of each name in the order of the file", () => {
  const hosts = parseHosts([
    "# the machine",
    "127.0.0.1 localhost",
    "10.0.0.2\tdb.internal  db # the primary",
    "  fd00::2 db.internal",
    "10.0.0.3 DB.Internal.",
    "10.0.0.2 db.internal",
    "10.0.0.4",
    "not-an-address other.internal",
    "fe80::1%lo0 other.internal",
    "#10.0.0.5 other.internal",
    "10.0.0.6 last.internal\r",
  ].join("\n"));
  assertEquals([...hosts], [
    ["localhost", ["127.0.0.1"]],
    ["db.internal", ["10.0.0.2", "fd00::2", "10.0.0.3"]],
    ["db", ["10.0.0.2"]],
    ["last.internal", ["10.0.0.6"]],
  ]);
});

Deno.test("asksHostsFirst() follows the order in nsswitch.conf", () => {
  const table: [line: string, expected: boolean][] = [
    ["", true],
    ["passwd: files", true],
    ["hosts: files dns", true],
    ["hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns", true],
    ["hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", true],
    ["hosts: myhostname dns # files", false],
    ["hosts: dns files", false],
    ["hosts: dns", false],
    ["#hosts: dns files", true],
    ["hosts: mdns", false],
  ];
  for (const [line, expected] of table) {
    const text = `# comment\n${line}\nnetworks: files\n`;
    assertEquals([line, asksHostsFirst(text)], [line, expected]);
  }
});
