import { assertEquals } from "@std/assert";
import { parseResolvConf } from "../../lookups/internal/resolv_conf.ts";

function hosts(text: string): string[] {
  return parseResolvConf(text).servers.map(({ host }) => host);
}

Deno.test("parseResolvConf() reads the servers in order, at port 53", () => {
  const text = "search internal\nnameserver 10.0.0.2\nnameserver\t10.0.0.3\nnameserver   fd00::2\n";
  assertEquals(parseResolvConf(text), {
    servers: [
      { host: "10.0.0.2", port: 53 },
      { host: "10.0.0.3", port: 53 },
      { host: "fd00::2", port: 53 },
    ],
    attempts: undefined,
    ndots: 1,
  });
});

Deno.test("parseResolvConf() names 127.0.0.1 if the file names no server, as glibc does", () => {
  for (
    const text of [
      "",
      "\n\n",
      "# nameserver 10.0.0.2\n",
      "options edns0 trust-ad\nsearch internal\n",
      "nameserver\n",
      "nameserver db.internal\n",
      "nameserver 300.0.0.1\n",
      "nameserver 10.0.0.2.\n",
      "nameserver 10.0.0.2:53\n",
    ]
  ) {
    assertEquals([text, hosts(text)], [text, ["127.0.0.1"]]);
  }
});

Deno.test("parseResolvConf() skips what it does not understand, and reads the rest", () => {
  const table: [line: string, expected: string[]][] = [
    ["options no-aaaa", ["10.0.0.9"]],
    ["options no-such-option:7 edns0", ["10.0.0.9"]],
    ["family inet6", ["10.0.0.9"]],
    ["NAMESERVER 10.0.0.2", ["10.0.0.9"]],
    [" nameserver 10.0.0.2", ["10.0.0.9"]],
    ["; nameserver 10.0.0.2", ["10.0.0.9"]],
    ["nameserver=10.0.0.2", ["10.0.0.9"]],
    ["nameserver 10.0.0.2 10.0.0.3", ["10.0.0.2", "10.0.0.9"]],
    ["nameserver 10.0.0.2 # the first", ["10.0.0.2", "10.0.0.9"]],
    ["nameserver 10.0.0.2\r", ["10.0.0.2", "10.0.0.9"]],
    ["nameserver 10.0.0.9", ["10.0.0.9"]],
  ];
  for (const [line, expected] of table) {
    assertEquals([line, hosts(`${line}\nnameserver 10.0.0.9`)], [line, expected]);
  }
});

Deno.test("parseResolvConf() reads addresses in every spelling that glibc reads, and zones", () => {
  const table: [spelling: string, expected: string][] = [
    ["127.1", "127.0.0.1"],
    ["0x7f.0.0.0x35", "127.0.0.53"],
    ["2130706433", "127.0.0.1"],
    ["FD00:0:0::2", "fd00::2"],
    ["fe80::53%eth0", "fe80::53%eth0"],
    ["FE80:0::53%2", "fe80::53%2"],
  ];
  for (const [spelling, expected] of table) {
    assertEquals([spelling, hosts(`nameserver ${spelling}`)], [spelling, [expected]]);
  }
});

Deno.test("parseResolvConf() names at most three servers, as glibc asks no more", () => {
  const text = [1, 2, 3, 4].map((last) => `nameserver 10.0.0.${last}`).join("\n");
  assertEquals(hosts(text), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
});

Deno.test("parseResolvConf() reads options of several lines, within glibc's limits", () => {
  const read = (options: string) => {
    const { attempts, ndots, servers: [server] } = parseResolvConf(options);
    return [server!.timeout, attempts, ndots, server!.tcp ?? false];
  };
  const table: [text: string, ...unknown[]][] = [
    ["options timeout:1 attempts:3", 1, 3, 1, false],
    ["options timeout:1\noptions attempts:3\noptions ndots:5 use-vc", 1, 3, 5, true],
    ["options timeout:1 timeout:2", 2, undefined, 1, false],
    ["options timeout:99 attempts:99 ndots:99", 30, 5, 15, false],
    ["options timeout:0 attempts:0 ndots:0", 1, 1, 0, false],
    ["options timeout: attempts:x ndots:y", 1, 1, 0, false],
    ["options TIMEOUT:1 USE-VC", undefined, undefined, 1, false],
    ["options rotate edns0 trust-ad single-request", undefined, undefined, 1, false],
    ["#options use-vc", undefined, undefined, 1, false],
  ];
  for (const [text, ...expected] of table) assertEquals([text, ...read(text)], [text, ...expected]);
});
