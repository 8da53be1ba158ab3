import { assert, assertEquals, assertFalse, assertLessOrEqual } from "@std/assert";
import { existsSync } from "node:fs";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { patroniLookup } from "../../examples/patroni_lookup.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { type Authority, startAuthority } from "../../lab/authority.ts";
import { onFreePort } from "../../lab/free_port.ts";
import { type PatroniCluster, PRIMARY, REPLICAS, startPatroni } from "../../lab/patroni.ts";
import { childrenOf, isRunning } from "../../lab/processes.ts";
import { wireLookup } from "../../lookups/wire.ts";
import { type Engine, getDnsEngine } from "../../mod.ts";
import { patroniTest } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "secret" };
/** Writers of each engine. */
const WRITERS = 2;

/** Returns the addresses of a name, in order; none if it has none. */
async function ask({ address: server }: Authority, name: string): Promise<string[]> {
  const signal = AbortSignal.timeout(10_000);
  const answer = wireLookup.lookup({ name, family: 4, server, signal });
  return await answer.then(({ addresses }) => [...addresses].sort(), () => []);
}

/** Waits until the names say what Patroni says. */
async function untilNamed(authority: Authority, { members }: PatroniCluster, leader: string) {
  const hosts = members.map(({ host }) => host);
  await until(async () => {
    const [primary, replicas] = [await ask(authority, PRIMARY), await ask(authority, REPLICAS)];
    return primary.join() === leader &&
      replicas.join() === hosts.filter((host) => host !== leader).join();
  });
}

/** Writes all the time, and keeps what came of it. */
class Ledger {
  /** The rows that were acknowledged. */
  readonly rows: number[] = [];
  readonly errors: unknown[] = [];
  readonly #loops: Promise<void>[];
  #lastId = 0;
  #stopped = false;

  constructor(engines: readonly Engine<unknown>[]) {
    const writers = engines.flatMap((engine) => Array.from({ length: WRITERS }, () => engine));
    this.#loops = writers.map((engine) => this.#write(engine));
  }

  /** Waits until each writer can have been acknowledged a row that it began later. */
  async goOn(): Promise<void> {
    const next = this.#lastId + this.#loops.length;
    await until(() => this.rows.filter((id) => id > next).length > this.#loops.length);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #write(engine: Engine<unknown>): Promise<void> {
    while (!this.#stopped) {
      const id = ++this.#lastId;
      try {
        await engine.query(`INSERT INTO ledger VALUES (${id})`);
        this.rows.push(id);
      } catch (error) {
        this.errors.push(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

patroniTest(
  "startPatroni() runs a cluster whose names follow its leader, which an engine follows by DNS, several hosts and the REST API without a lost row, and stop() leaves nothing",
  async () => {
    await using authority = await onFreePort("127.0.0.1", startAuthority);
    await using cluster = await startPatroni({ authority, ...LOGIN });
    const first = await cluster.settled();
    await untilNamed(authority, cluster, first.host);
    const common = {
      adapter: pgAdapter(pg),
      targetSessionAttrs: "read-write",
      poolTimeout: 60, // on a busy machine
    } as const;
    const { host, port } = authority.address;
    await using byName = getDnsEngine(cluster.url(PRIMARY), {
      ...common,
      dnsNameservers: [`${host}:${port}`],
    });
    await using byHosts = getDnsEngine(cluster.url(...cluster.members.map(({ host }) => host)), {
      ...common,
    });
    await using byApi = getDnsEngine(cluster.url("leader.lab"), {
      ...common,
      dnsLookup: patroniLookup(cluster.members.map(({ api }) => api)),
    });
    const engines = [byName, byHosts, byApi];
    await byName.query("CREATE TABLE ledger (id int)");
    const ledger = new Ledger(engines);
    const servers = () =>
      Promise.all(engines.map(async (engine) => {
        const [row] = await engine.query<{ host: string }>("SELECT host(inet_server_addr())");
        return row!.host;
      }));
    assertEquals(await servers(), [first.host, first.host, first.host]);

    const second = await cluster.switchover();
    assert(second !== first);
    assertEquals(await servers(), [second.host, second.host, second.host]);
    assertEquals(await cluster.settled(), second);
    await untilNamed(authority, cluster, second.host);

    await second.kill();
    const third = await cluster.newLeader(second);
    assertEquals(await servers(), [third.host, third.host, third.host]);

    await ledger.goOn();
    await ledger.stop();
    // What failed was under way at one of two events, and on a connection that broke.
    assertLessOrEqual(ledger.errors.length, 2 * WRITERS * engines.length);
    assertEquals(ledger.errors.filter((error) => !byName.isDisconnect(error)), []);
    const kept = await byName.query<{ id: number }>("SELECT id FROM ledger");
    const ids = new Set(kept.map(({ id }) => id));
    assertEquals(ledger.rows.filter((id) => !ids.has(id)), [], "lost");

    const pids = [
      cluster.etcd.pid!,
      ...cluster.members.flatMap(({ pid, postgresPid }) =>
        [pid, postgresPid].flatMap((each) => each === undefined ? [] : [each, ...childrenOf(each)])
      ),
    ];
    const dirs = [cluster.etcd, ...cluster.members].map(({ dataDir }) => dataDir);
    assert(pids.length > 5 && pids.every(isRunning));
    await cluster.stop();
    assertFalse(pids.some(isRunning));
    assertFalse(dirs.some((dir) => existsSync(dir)));
  },
);
