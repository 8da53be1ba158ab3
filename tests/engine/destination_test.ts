import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConnectError, getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { listen } from "../support/peers.ts";

const DRIVERS = [
  "postgresql+pg",
  "postgresql+postgresjs",
  ...("Deno" in globalThis ? ["postgresql+db-postgres"] : []), // runs on Deno only
  "mysql+mysql2",
  "mysql+mariadb",
];

for (const driver of DRIVERS) {
  Deno.test(`destinationOf(): the port in connectArgs is dialed, and named in errors, by ${driver}`, async () => {
    let port = 0;
    {
      await using closed = await listen();
      port = closed.port;
    }
    const engine = getDnsEngine(`${driver}://app@db.internal:1/orders`, {
      connectArgs: { port },
      dnsLookup: fakeLookup(["127.0.0.1"], 60),
      dnsFallback: false,
    });
    await assertRejects(
      () => engine.connect(),
      ConnectError,
      `127.0.0.1:${port} said`,
    );
    await engine.close();
  });
}

Deno.test("destinationOf(): a port in connectArgs that is no port is refused, and a string of digits is one", async () => {
  const url = "postgresql://app@db.internal/orders";
  for (const port of [0, 65_536, 5432.5, "", "5432a", null]) {
    const { message } = assertThrows(() => getDnsEngine(url, { connectArgs: { port } }), TypeError);
    const got = JSON.stringify(port);
    assertEquals(
      message,
      `"connectArgs.port" must be a whole number from 1 to 65535, got ${got}`,
    );
  }
  await getDnsEngine(url, { connectArgs: { port: "5433" } }).close();
  assertThrows(
    () => getDnsEngine("sqlite::memory:", { connectArgs: { port: 5432 } }),
    TypeError,
    '"connectArgs.port" must not be given: SQLite has no network',
  );
});
