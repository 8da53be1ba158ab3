import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { bundle } from "../support/bundle.ts";
import { type Runtime, start } from "../support/cli.ts";
import { pause, until } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

const SOURCE = new URL("../support/interrupted_program.ts", import.meta.url).pathname;
const DRAIN = 1;

const deno: Runtime = {
  name: "deno",
  command: [Deno.execPath(), "run", "-A", "--no-check", "--no-lock", SOURCE],
  async [Symbol.asyncDispose]() {},
};

async function node(): Promise<Runtime> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  await bundle(SOURCE, `${dir}/program.mjs`);
  return {
    name: "node",
    command: ["node", `${dir}/program.mjs`],
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

async function sessions(server: PostgresServer): Promise<number> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const text =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
  const { rows } = await client.query(text);
  await client.end();
  return rows[0].n;
}

for (const make of [() => Promise.resolve(deno), node]) {
  const name = make === node ? "Node" : "Deno";

  Deno.test(`Ctrl-C in the middle, on ${name}: close() drains for its time, rejects what hangs, and the program exits by itself`, async () => {
    await using runtime = await make();
    const port = await freePort(["127.0.0.1"]);
    // A server that sleeps looks after its client only when it is told to.
    const settings = { client_connection_check_interval: "100ms" };
    const who = { host: "127.0.0.1", port, user: "app", password: "secret", settings };
    await using server = await startPostgres(who);
    for (const frozen of [false, true]) {
      using lag = new Lag();
      const running = start(runtime, [server.url(), String(DRAIN)]);
      assertEquals(await running.line(), "ready");
      if (frozen) {
        await server.freeze();
        await pause(100);
      }
      running.kill("SIGINT");
      const line = await running.line();
      const toldMs = performance.now();
      const { code, err } = await running.end();
      assertLess(performance.now() - toldMs, lag.limit(1000), "something kept the process alive");
      assertEquals([code, err], [0, ""]);
      const { seconds, errors, left, lagSeconds } = JSON.parse(line);
      assertGreater(seconds, DRAIN - 0.05);
      // A frozen server is given probeTimeout to cancel what is running.
      assertLess(seconds, DRAIN + (frozen ? 1.5 : 0) + 0.5 + lagSeconds);
      assertEquals(left, 0);
      const { CONNECTION_LOST, POOL_CLOSED, ...others } = errors;
      assertEquals(others, {});
      // One statement hung, or all that were under way. Callers that waited were told at once.
      assertEquals(CONNECTION_LOST, frozen ? 4 : 1);
      assert(POOL_CLOSED >= 4, line);
      if (frozen) await server.thaw();
      await until(async () => await sessions(server) === 0, "the end of all sessions");
    }
  });
}
