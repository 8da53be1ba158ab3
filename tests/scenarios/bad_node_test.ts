/** A server that lets clients in, answers pings and role questions, and refuses every statement. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { fakeTime } from "../support/time.ts";

const [BAD, GOOD] = ["10.0.0.1", "10.0.0.2"];

/** What a Galera node says that has left its cluster. */
function notReady(): Error {
  const message = "WSREP has not yet prepared node for application use";
  return Object.assign(new Error(message), { errno: 1047, verdict: "disconnect" });
}

for (
  const options of [
    {},
    { targetSessionAttrs: "read-write", poolPrePing: true },
    { loadBalance: "random" },
    { loadBalance: "round-robin" },
    { loadBalance: "least-connections" },
    { poolClass: "static" },
    { poolClass: "null" },
  ] as const
) {
  Deno.test(`Engine with ${JSON.stringify(options)}: a server that refuses every statement is left within a second, and hardly comes back`, async () => {
    using time = fakeTime();
    const adapter = fakeAdapter({
      query: ({ address }) => address === BAD ? Promise.reject(notReady()) : undefined!,
    });
    const engine = getDnsEngine("fake://app@galera.internal/x", {
      adapter,
      dnsLookup: {
        name: "table",
        lookup: () => Promise.resolve({ addresses: [BAD!, GOOD!], ttl: 60 }),
      },
      dnsFallback: false,
      ...options,
    });
    let failedFirst = 0;
    let failedLater = 0;
    let served = 0;
    for (let tick = 0; tick < 3000; tick++) {
      for (let i = 0; i < 4; i++) {
        engine.query("SELECT 1").then(
          () => served++,
          () => tick < 50 ? failedFirst++ : failedLater++,
        );
      }
      await time.tick(20);
    }
    assertLess(failedFirst, 20);
    assertLess(failedLater, 12, "one connection at a time finds out, ever more rarely");
    assertGreater(served, 11_900);
    assertEquals(engine.status().byAddress[BAD!], undefined);
    await engine.close();
  });
}
