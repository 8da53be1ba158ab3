import { assertEquals } from "@std/assert";
import { inspectServers, type ServerReport } from "../../cli/servers.ts";
import { readEngineOptions } from "../../engine/options.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { fakeTime } from "../support/time.ts";

const PASSWORD = "tr0ub/dor&3";
const DESTINATION = {
  host: "db.internal",
  port: 1,
  params: {},
  connectArgs: {},
  keepAlive: true,
};

Deno.test("inspectServers() reports a failure to read the role, without the password", async () => {
  const adapter = fakeAdapter({
    role() {
      throw new Error(`no role for app:${encodeURIComponent(PASSWORD)}\n(${PASSWORD})`);
    },
  });
  const reports = await inspectServers(["10.0.0.1"], {
    adapter,
    destination: { ...DESTINATION, password: PASSWORD },
    settings: readEngineOptions({}),
    signal: new AbortController().signal,
  });
  assertEquals(reports.map(({ connect, ...rest }) => ({ ...rest, connected: connect! >= 0 })), [{
    host: "db.internal",
    address: "10.0.0.1",
    port: 1,
    connected: true,
    tls: "unknown",
    role: undefined,
    version: undefined,
    error: { code: undefined, message: "no role for app:*** (***)" },
  }]);
  assertEquals(adapter.open, []);
});

Deno.test("inspectServers() reports a notification that does not come, and a setting that is refused", async () => {
  using time = fakeTime();
  const adapter = fakeAdapter({
    query(_, text) {
      if (text === "set") throw new Error(`refused for ${PASSWORD}`);
      return [];
    },
  });
  const plan = adapter.planTransaction!({ settings: { "app.tenant": 7 } });
  const reports = inspectServers(["10.0.0.1"], {
    adapter,
    destination: { ...DESTINATION, password: PASSWORD },
    settings: readEngineOptions({ connectTimeout: 3 }),
    signal: new AbortController().signal,
    trials: { channel: "orders", plan },
  });
  await time.advance(4);
  const [{ listen, settings, error }] = await reports as [ServerReport];
  assertEquals([error, listen?.error?.message, settings?.error?.message], [
    undefined,
    "no notification within 3 seconds",
    "refused for ***",
  ]);
  assertEquals(adapter.clients.length, 2);
  assertEquals(adapter.open, []);
});
