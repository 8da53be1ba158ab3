import { assert, assertEquals, assertFalse } from "@std/assert";
import { existsSync } from "node:fs";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { freePort, onFreePort } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { isRunning } from "../../lab/processes.ts";
import { startHaproxy, startPgbouncer } from "../../lab/proxies.ts";
import { getDnsEngine } from "../../mod.ts";
import { proxiesTest } from "../support/servers.ts";

const LOGIN = { user: "app", password: "secret" };
const WORKERS = 4;

proxiesTest(
  "behind a real PgBouncer and a real HAProxy that lose their server for a while, only calls in flight fail, and stop() leaves nothing",
  async () => {
    const host = "127.0.0.1";
    await using server = await startPostgres({ host, port: await freePort([host]), ...LOGIN });
    await using bouncer = await onFreePort(host, (place) =>
      startPgbouncer({
        ...place,
        ...LOGIN,
        database: "postgres",
        server: server.address,
        settings: { pool_mode: "transaction", server_login_retry: 1 },
      }));
    await using haproxy = await onFreePort(host, (place) =>
      startHaproxy({
        ...place,
        listen: [`server one ${server.where} check inter 200ms fall 1 rise 1`],
      }));
    let isBack = false;
    const connected = [bouncer, haproxy].map(() => Promise.withResolvers<void>());
    const work = async ({ port }: { port: number }, index: number) => {
      await using engine = getDnsEngine(`postgresql://app:secret@${host}:${port}/postgres`, {
        adapter: pgAdapter(pg),
        poolSize: WORKERS,
        maxOverflow: 0,
        poolPrePing: true,
      });
      let failed = 0;
      // Until an engine has connected once, a connect that fails rejects at once.
      await Promise.all(Array.from({ length: WORKERS }, () => engine.query("SELECT 1")));
      connected[index]!.resolve();
      await Promise.all(Array.from({ length: WORKERS }, async () => {
        for (let done = 0; done < 5;) {
          const wasBack = isBack;
          await engine.query("SELECT 1").then(() => done += Number(wasBack), () => failed++);
        }
      }));
      return failed;
    };
    const working = Promise.all([bouncer, haproxy].map(work));
    await Promise.race([working, Promise.all(connected.map(({ promise }) => promise))]);
    await server.stop({ keep: true });
    await bouncer.logged(/connect failed/);
    await haproxy.logged(/is DOWN/);
    await server.start();
    isBack = true;
    const failed = await working;
    assert(failed.every((count) => count <= WORKERS), `${failed} calls failed`);

    const pids = [bouncer.pid!, haproxy.pid!];
    assert(pids.every(isRunning));
    for (const each of [bouncer, haproxy]) await each.stop();
    assertFalse(pids.some(isRunning));
    assertEquals([bouncer, haproxy].map(({ dataDir }) => existsSync(dataDir)), [false, false]);
  },
);
