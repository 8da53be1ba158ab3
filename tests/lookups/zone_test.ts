import { assertEquals } from "@std/assert";
import os from "node:os";
import { withZoneNumber } from "../../lookups/internal/zone.ts";

type Interfaces = ReturnType<typeof os.networkInterfaces>;

Deno.test("withZoneNumber() replaces the name of an interface by its number", () => {
  const real = os.networkInterfaces;
  const eth0 = [
    { address: "10.0.0.7", family: "IPv4" },
    { address: "fd00::7", family: "IPv6", scopeid: 0 },
    { address: "fe80::7", family: "IPv6", scopeid: 12 },
  ];
  try {
    os.networkInterfaces = () => ({ eth0 }) as unknown as Interfaces;
    const table = [
      ["fe80::53%eth0", "fe80::53%12"],
      ["fe80::53%eth1", "fe80::53%eth1"],
      ["fe80::53%2", "fe80::53%2"],
      ["fe80::53", "fe80::53"],
      ["10.0.0.2", "10.0.0.2"],
    ];
    for (const [address, expected] of table) assertEquals(withZoneNumber(address!), expected);
    os.networkInterfaces = () => {
      throw new Error("no permission");
    };
    assertEquals(withZoneNumber("fe80::53%eth0"), "fe80::53%eth0");
  } finally {
    os.networkInterfaces = real;
  }
});
