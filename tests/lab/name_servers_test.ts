import { assertEquals, assertFalse, assertRejects } from "@std/assert";
import { existsSync } from "node:fs";
import { type Authority, startAuthority } from "../../lab/authority.ts";
import { loopbackPair, onFreePort } from "../../lab/free_port.ts";
import { type ResolverName, type ResolverServer, startResolver } from "../../lab/resolvers.ts";
import { wireLookup } from "../../lookups/wire.ts";
import { resolverTest } from "../support/servers.ts";

const HOST = "127.0.0.1"; // BIND listens on addresses of network interfaces only

/** Asks a server once; rejects after 2 seconds. */
async function ask({ address }: Authority | ResolverServer, name: string): Promise<string[]> {
  const signal = AbortSignal.timeout(2000);
  const { addresses } = await wireLookup.lookup({ name, family: 4, server: address, signal });
  return [...addresses].sort();
}

resolverTest([])(
  "startAuthority() runs a server whose names change at once, and stop() leaves nothing",
  async () => {
    const server = await onFreePort(HOST, startAuthority);
    await server.set("db.lab.internal", ["10.0.0.1", "10.0.0.2"], 5);
    assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.1", "10.0.0.2"]);
    await server.set("db.lab.internal", ["10.0.0.3"], 5);
    assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.3"]);
    await server.set("db.lab.internal", [], 0);
    await assertRejects(() => ask(server, "db.lab.internal"), Error, "NXDOMAIN");
    assertEquals(server.questions().get("db.lab.internal"), 3);
    await assertRejects(
      () => server.set("db.elsewhere.internal", ["10.0.0.1"], 5),
      Error,
      "NOTZONE",
    );
    const { dataDir } = server;
    await server.stop();
    assertFalse(existsSync(dataDir));
  },
);

resolverTest([])(
  "Authority is silent while it is frozen, fails when it is told to, and keeps its names when it is killed",
  async () => {
    await using server = await onFreePort(HOST, startAuthority);
    await server.set("db.lab.internal", ["10.0.0.1"], 5);
    await server.freeze();
    await assertRejects(() => ask(server, "db.lab.internal"), DOMException);
    await server.thaw();
    await server.fail(true);
    await assertRejects(() => ask(server, "db.lab.internal"), Error, "SERVFAIL");
    await server.fail(false);
    assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.1"]);
    await server.kill();
    await server.start();
    assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.1"]);
  },
);

resolverTest([])("startAuthority() refuses an address on which BIND would not listen", async () => {
  await assertRejects(
    () => startAuthority({ host: "127.0.0.2", port: 15_353 }),
    Error,
    "Cannot run BIND on 127.0.0.2: no network interface has it, take 127.0.0.1",
  );
});

for (const name of ["BIND", "unbound", "dnsmasq", "knot", "PowerDNS"] as ResolverName[]) {
  resolverTest([name])(
    `startResolver() runs ${name}, which answers from its cache, and stop() leaves nothing`,
    async () => {
      await using authority = await onFreePort(HOST, startAuthority);
      await authority.set("db.lab.internal", ["10.0.0.1"], 60);
      const host = name === "BIND" ? HOST : (await loopbackPair())[0];
      const upstream = authority.address;
      const server = await onFreePort(host, (place) => startResolver(name, { ...place, upstream }));
      assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.1"]);
      assertEquals(await ask(server, "db.lab.internal"), ["10.0.0.1"]);
      assertEquals(authority.questions().get("db.lab.internal"), 1);
      const { dataDir } = server;
      await server.stop();
      assertFalse(existsSync(dataDir));
    },
  );
}
