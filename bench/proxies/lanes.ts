/**
 * The lanes of the drill of proxies: each a proxy of its own with its settings, and a pool in front of it.
 *
 * @module
 */

import type { EngineOptions } from "../../mod.ts";
import { CLIENTS, type LaneClient } from "../failover/clients.ts";
import type { LaneTask } from "../failover/lanes.ts";

/** A proxy with its settings. */
export type ProxiesKind =
  | {
    readonly pgbouncer: Readonly<Record<string, string | number>>;
    /** Whether it is told to RECONNECT when the name has moved and its own answer has ended. */
    readonly reconnects?: true;
  }
  | { readonly haproxy: HaproxySettings };

/** Settings of HAProxy. */
export interface HaproxySettings {
  /** Lines of the section `listen`. */
  readonly listen: readonly string[];
  /** Parameters of the line of the server. */
  readonly server: string;
  /** Lines of the section `resolvers`. */
  readonly resolvers: readonly string[];
}

/** The request for TLS, which PostgreSQL answers before any login. */
const CHECK = [
  "option tcp-check",
  "tcp-check send-binary 0000000804d2162f",
  "tcp-check expect rbinary ^(4E|53)",
];

/** Settings with which PgBouncer notices that its server moved or is lost. */
export const TUNED_PGBOUNCER = {
  pool_mode: "transaction",
  dns_max_ttl: 1,
  dns_nxdomain_ttl: 1,
  server_lifetime: 3,
  server_login_retry: 1,
  server_connect_timeout: 2,
  server_check_delay: 0,
} as const;

/** The proxies by their names. */
export const PROXIES = {
  "PgBouncer, transaction": { pgbouncer: { pool_mode: "transaction" } },
  "PgBouncer, transaction, RECONNECT": {
    pgbouncer: { pool_mode: "transaction", dns_max_ttl: 1, server_login_retry: 1 },
    reconnects: true,
  },
  "PgBouncer, session": { pgbouncer: { pool_mode: "session" } },
  "PgBouncer, transaction, tuned": {
    pgbouncer: TUNED_PGBOUNCER,
  },
  "PgBouncer, session, tuned": {
    pgbouncer: { ...TUNED_PGBOUNCER, pool_mode: "session" },
  },
  "HAProxy": {
    haproxy: { listen: [], server: "check resolvers lab init-addr last,libc,none", resolvers: [] },
  },
  "HAProxy, tuned": {
    haproxy: {
      listen: CHECK,
      server:
        "check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions resolvers lab init-addr last,libc,none",
      resolvers: [
        "timeout resolve 1s",
        "timeout retry 500ms",
        "hold valid 1s",
        // Not "obsolete": that would keep the address that the name had before.
        ...["timeout", "refused", "nx", "other"].map((each) => `hold ${each} 1h`),
      ],
    },
  },
} as const satisfies Readonly<Record<string, ProxiesKind>>;

/** A pool in front of a proxy. */
interface Front {
  readonly name: string;
  readonly client: string;
  readonly options?: EngineOptions;
}

const PG_POOL: Front = { name: "pg.Pool", client: "pg.Pool query" };
const PLAIN: Front = { name: "dnspool", client: "dnspool" };
const PRE_PING: Front = {
  name: "dnspool, pre-ping",
  client: "dnspool",
  options: { poolPrePing: true },
};
const READ_WRITE: Front = { name: "dnspool, read-write", client: "dnspool read-write" };

const RECYCLE: Front = {
  name: "dnspool, read-write, poolRecycle 5",
  client: "dnspool read-write",
  options: { poolRecycle: 5 },
};

/** A lane. */
export interface ProxiesLane {
  readonly name: string;
  /** The name of its proxy. */
  readonly proxy: keyof typeof PROXIES;
  /** The name of its pool. */
  readonly pool: string;
  /** Creates its client. */
  create(task: LaneTask): Promise<LaneClient>;
}

const lane = (proxy: keyof typeof PROXIES, { name, client, options }: Front): ProxiesLane => ({
  name: `${name} | ${proxy}`,
  proxy,
  pool: name,
  create: (task) => CLIENTS[client]!({ ...task, options }),
});

/** The pools in front of each proxy. */
const FRONTS: Readonly<Record<keyof typeof PROXIES, readonly Front[]>> = {
  "PgBouncer, transaction": [PG_POOL, PLAIN, PRE_PING, READ_WRITE],
  "PgBouncer, transaction, RECONNECT": [PG_POOL, READ_WRITE],
  "PgBouncer, transaction, tuned": [PG_POOL, PLAIN, READ_WRITE],
  "PgBouncer, session": [READ_WRITE],
  "PgBouncer, session, tuned": [READ_WRITE, RECYCLE],
  "HAProxy": [PG_POOL, READ_WRITE, RECYCLE],
  "HAProxy, tuned": [PG_POOL, READ_WRITE, RECYCLE],
};

/** All lanes. */
export const PROXIES_LANES: readonly ProxiesLane[] =
  (Object.keys(PROXIES) as (keyof typeof PROXIES)[])
    .flatMap((proxy) => FRONTS[proxy].map((front) => lane(proxy, front)));
