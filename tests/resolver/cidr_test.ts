import { assert, assertEquals } from "@std/assert";
import { inCidr, parseCidr, withoutMapping } from "../../resolver/cidr.ts";
import { canonicalIp } from "../../internal/ip.ts";

/** Returns whether an address, in any spelling, is in a range. */
function holds(range: string, address: string): boolean {
  return inCidr(parseCidr(range)!, withoutMapping(canonicalIp(address)!));
}

Deno.test("inCidr() is true for the first and the last address of a range, and false for their neighbors", () => {
  const table: [range: string, first: string, last: string, before: string, after: string][] = [
    ["10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"],
    ["172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"],
    ["192.168.1.128/25", "192.168.1.128", "192.168.1.255", "192.168.1.127", "192.168.2.0"],
    ["255.255.255.254/31", "255.255.255.254", "255.255.255.255", "255.255.255.253", "0.0.0.0"],
    ["10.0.0.5", "10.0.0.5", "10.0.0.5", "10.0.0.4", "10.0.0.6"],
    ["10.0.0.5/32", "10.0.0.5", "10.0.0.5", "10.0.0.4", "10.0.0.6"],
    ["fd00::/8", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fcff::1", "fe00::"],
    [
      "2001:db8:0:8000::/49",
      "2001:db8:0:8000::",
      "2001:db8:0:ffff::1",
      "2001:db8::1",
      "2001:db8:1::",
    ],
    ["::1", "::1", "0:0:0:0:0:0:0:1", "::", "::2"],
  ];
  for (const [range, first, last, before, after] of table) {
    const found = [first, last, before, after].map((address) => holds(range, address));
    assertEquals(found, [true, true, false, false], range);
  }
});

Deno.test("inCidr() is true for all addresses of the family in a range of 0 bits", () => {
  for (const address of ["0.0.0.0", "255.255.255.255", "::ffff:10.0.0.1"]) {
    assertEquals([holds("0.0.0.0/0", address), holds("::/0", address)], [true, false], address);
  }
  for (const address of ["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::10.0.0.1"]) {
    assertEquals([holds("0.0.0.0/0", address), holds("::/0", address)], [false, true], address);
  }
});

Deno.test("withoutMapping() and parseCidr() turn IPv4-mapped IPv6 addresses into IPv4", () => {
  assertEquals(withoutMapping(canonicalIp("::FFFF:10.1.2.255")!), "10.1.2.255");
  assertEquals(withoutMapping("::ffff:0:1"), "0.0.0.1");
  for (const other of ["10.1.2.3", "::ffff:1", "::ffff:0:a01:203", "64:ff9b::a01:203"]) {
    assertEquals(withoutMapping(other), other);
  }
  assertEquals(parseCidr("::ffff:10.0.0.0/104")?.text, "10.0.0.0/8");
  assertEquals(parseCidr("::ffff:a00:5")?.text, "10.0.0.5/32");
  assert(holds("::ffff:10.0.0.0/104", "10.255.0.1"));
});

Deno.test("parseCidr() returns one spelling of a range", () => {
  assertEquals(parseCidr("FD00:0::/8")?.text, "fd00::/8");
  assertEquals(parseCidr("0:0:0:0:0:0:0:0/0")?.text, "::/0");
  assertEquals(parseCidr("10.0.0.5")?.text, "10.0.0.5/32");
});
