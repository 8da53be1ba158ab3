import { assertEquals } from "@std/assert";
import { inspectServers } from "../../cli/servers.ts";
import { readEngineOptions } from "../../engine/options.ts";
import { fakeAdapter } from "../../testing/mod.ts";

const PASSWORD = "tr0ub/dor&3";

Deno.test("inspectServers() reports a failure to read the role, without the password", async () => {
  const adapter = fakeAdapter({
    role() {
      throw new Error(`no role for app:${encodeURIComponent(PASSWORD)}\n(${PASSWORD})`);
    },
  });
  const reports = await inspectServers(["10.0.0.1"], {
    adapter,
    destination: {
      host: "db.internal",
      port: 1,
      password: PASSWORD,
      params: {},
      connectArgs: {},
      keepAlive: true,
    },
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
