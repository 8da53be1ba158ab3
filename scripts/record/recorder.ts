/**
 * Starts servers and records all events, with the drivers that this runtime has. Runs on Deno and on Bun.
 *
 * @module
 */

import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startGalera } from "../../lab/galera.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { driversOf, type Kind } from "./drivers.ts";
import { type Dialect, type EventCase, record, type Recordings } from "./events.ts";
import {
  blockingEvents,
  fillCluster,
  galeraEvents,
  LOGIN,
  MARIADB,
  mariadbEvents,
  startBlocking,
  startServer,
} from "./events_mariadb.ts";
import { BOSS, POSTGRES, postgresEvents, standbyEvents, startPrimary } from "./events_postgres.ts";
import { haproxyEvents, pgbouncerEvents, startBouncer, startProxy } from "./events_proxies.ts";

/** The recordings by driver. */
export type Recorded = Record<string, Recordings>;

/** A cluster that notices the loss of a node soon. */
const PROVIDER = { "evs.suspect_timeout": "PT1.5S", "evs.keepalive_period": "PT0.5S" };

/**
 * Records the events whose names match.
 *
 * @returns The recordings, and the events that could not be recorded.
 */
export async function recordAll(only: RegExp): Promise<{ recorded: Recorded; failed: string[] }> {
  const recorded: Recorded = {};
  const failed: string[] = [];
  const run = async (kind: Kind, dialect: Dialect, events: EventCase[]) => {
    for (const event of events) {
      if (!only.test(`${event.server}: ${event.name}`)) continue;
      console.error(`${event.server}: ${event.name}`);
      try {
        await record(event, driversOf(kind), dialect, ({ name }) => recorded[name] ??= {});
      } catch (error) {
        failed.push(`${event.server}: ${event.name}: ${error}`);
      }
    }
  };
  const isWanted = (pattern: RegExp) => only.source === "." || pattern.test(only.source);

  if (isWanted(/PostgreSQL|PgBouncer|HAProxy/)) {
    await using server = await startPrimary();
    await run("postgresql", POSTGRES, postgresEvents(server));
    {
      await using proxy = await startBouncer(server);
      await run("postgresql", POSTGRES, pgbouncerEvents(server, proxy));
    }
    {
      await using proxy = await startProxy(server);
      const login = { ...proxy.address, user: "client", password: "s3cret", database: "orders" };
      const front = { title: "PostgreSQL", login };
      await run("postgresql", POSTGRES, haproxyEvents(server, proxy, front));
    }
    await server.stop({ keep: true });
    const [host] = await loopbackPair();
    const settings = {
      max_standby_streaming_delay: "300ms",
      wal_retrieve_retry_interval: "100ms",
      max_connections: 40,
    };
    await using standby = await startPostgres({
      ...{ host, port: await freePort([host]), ...BOSS },
      ...{ standbyOf: server, settings },
    });
    await server.start();
    await run("postgresql", POSTGRES, standbyEvents(server, standby));
  }
  if (isWanted(/MariaDB|HAProxy/)) {
    await using server = await startServer();
    await run("mysql", MARIADB, mariadbEvents(server));
    await using proxy = await startProxy(server);
    const front = { title: "MariaDB", login: { ...proxy.address, ...LOGIN } };
    await run("mysql", MARIADB, haproxyEvents(server, proxy, front));
    await using blocking = await startBlocking();
    await run("mysql", MARIADB, blockingEvents(blocking));
  }
  if (isWanted(/Galera/)) {
    await using cluster = await startGalera({ ...LOGIN, provider: PROVIDER });
    await fillCluster(cluster);
    await run("mysql", MARIADB, galeraEvents(cluster, cluster.nodes[0]!.version));
  }
  return { recorded, failed };
}
