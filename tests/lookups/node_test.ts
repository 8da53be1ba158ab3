import { Resolver } from "node:dns/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { nodeAddressesWithTtl } from "../../lookups/node.ts";

Deno.test("nodeAddressesWithTtl() names a server on port 53 by its address alone, which Node reads faster", async () => {
  const { setServers } = Resolver.prototype;
  const named: string[] = [];
  Resolver.prototype.setServers = (servers) => {
    named.push(...servers);
    throw new Error("no question is asked");
  };
  try {
    for (const host of ["127.0.0.53", "::1"]) {
      for (const port of [53, 5353]) {
        const { signal } = new AbortController();
        const question = {
          name: "db.internal",
          family: 4,
          server: { host, port },
          signal,
        } as const;
        await assertRejects(() => nodeAddressesWithTtl(question), Error, "no question is asked");
      }
    }
  } finally {
    Resolver.prototype.setServers = setServers;
  }
  assertEquals(named, ["127.0.0.53", "127.0.0.53:5353", "::1", "[::1]:5353"]);
});
