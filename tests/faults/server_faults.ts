/**
 * The faults of the server in the fault matrix, and the errors that callers see meanwhile.
 *
 * @module
 */

import type { EngineOptions } from "../../mod.ts";
import type { TcpProxy } from "../../testing/mod.ts";
import type { TlsOptions } from "../../lab/server.ts";
import type { Database } from "./databases.ts";

/** The parts that a fault can be made in. */
export interface Target {
  readonly database: Database;
  /** The proxies in front of the server, if the case is `proxied`. */
  readonly proxies: readonly TcpProxy[];
  /** A certificate for the name of the server, and one for another name. */
  readonly tls: { readonly right: TlsOptions; readonly wrong: TlsOptions };
}

/** An error as the documentation calls it. */
export type CallerError =
  | "broken connection"
  | "read-only error"
  | "CONNECTION_LOST"
  | "CONNECT_FAILED"
  | "POOL_TIMEOUT"
  | "RESOLVE_FAILED";

/** A fault. */
export interface ServerFaultCase {
  readonly name: string;
  /** Begins the fault; the returned function ends it. */
  begin(target: Target): Promise<() => Promise<void>>;
  /** The errors that callers may see meanwhile. */
  readonly allowed: readonly CallerError[];
  /** The errors that callers must see. */
  readonly required: readonly CallerError[];
  /** The options whose sum is the time limit of a call. */
  readonly bound: readonly (
    | "dnsTimeout"
    | "poolTimeout"
    | "connectTimeout"
    | "leaseProbeAfter"
    | "probeTimeout"
  )[];
  readonly proxied?: boolean;
  readonly tls?: boolean;
  readonly options?: EngineOptions<unknown>;
  /** Whether the engine is new when the fault begins: it knows no address and has no connection. */
  readonly cold?: boolean;
}

const nothing = () => Promise.resolve();

/**
 * Calls on a connection that broke fail, with the driver's error or with that of the lease, whichever comes first; the
 * others wait until their timeout.
 */
const OUTAGE = {
  allowed: ["broken connection", "CONNECTION_LOST", "CONNECT_FAILED", "POOL_TIMEOUT"],
  required: ["CONNECT_FAILED"],
  bound: ["dnsTimeout", "poolTimeout", "connectTimeout"],
} as const;

/** Options of the probe of a lease, in seconds. */
export const PROBE = { leaseProbeAfter: 0.5, probeTimeout: 0.5 } as const;

/** As in an outage, but the connections do not break: they are probed, and terminated. */
const SILENCE = {
  allowed: ["CONNECTION_LOST", "CONNECT_FAILED", "POOL_TIMEOUT"],
  required: ["CONNECTION_LOST"],
  options: { leaseProbeAfter: PROBE.leaseProbeAfter },
  bound: ["leaseProbeAfter", "probeTimeout", "dnsTimeout", "poolTimeout", "connectTimeout"],
} as const;

/** All faults; the first is none. */
export const SERVER_FAULTS: readonly ServerFaultCase[] = [
  {
    name: "fine",
    begin: () => Promise.resolve(nothing),
    allowed: [],
    required: [],
    bound: ["dnsTimeout", "connectTimeout"],
  },
  {
    name: "fine, the engine new",
    cold: true,
    begin: () => Promise.resolve(nothing),
    allowed: [],
    required: [],
    bound: ["dnsTimeout", "connectTimeout"],
  },
  {
    name: "refuses",
    proxied: true,
    ...OUTAGE,
    async begin({ proxies }) {
      await each(proxies, (proxy) => proxy.fault({ refuse: true }));
      proxies.forEach((proxy) => proxy.cut());
      return () => each(proxies, (proxy) => proxy.clearFaults());
    },
  },
  {
    name: "accepts and says nothing",
    proxied: true,
    ...OUTAGE,
    async begin({ proxies }) {
      await each(proxies, (proxy) => proxy.fault({ silent: true }));
      proxies.forEach((proxy) => proxy.cut());
      return () => each(proxies, (proxy) => proxy.clearFaults());
    },
  },
  {
    name: 'says "too many clients"',
    proxied: true,
    ...OUTAGE,
    async begin({ proxies, database }) {
      await each(proxies, (proxy) => proxy.fault({ refuse: true }));
      proxies.forEach((proxy) => proxy.cut());
      const empty = await database.fill();
      await each(proxies, (proxy) => proxy.clearFaults());
      return empty;
    },
  },
  {
    name: "killed, and started again later",
    ...OUTAGE,
    async begin({ database: { server } }) {
      await server.kill();
      return () => server.start();
    },
  },
  {
    name: "frozen",
    ...SILENCE,
    async begin({ database: { server } }) {
      await server.freeze();
      return () => server.thaw();
    },
  },
  {
    name: "unreachable",
    proxied: true,
    ...SILENCE,
    async begin({ proxies }) {
      await each(proxies, (proxy) => proxy.fault({ drop: "both", silent: true }));
      return () => each(proxies, (proxy) => proxy.clearFaults());
    },
  },
  {
    name: "restarted at once",
    ...OUTAGE,
    required: [],
    async begin({ database: { server } }) {
      await server.stop({ keep: true });
      await server.start();
      return nothing;
    },
  },
  {
    name: "read-only",
    options: { targetSessionAttrs: "read-write" },
    allowed: [
      "read-only error",
      "broken connection",
      "CONNECTION_LOST",
      "CONNECT_FAILED",
      "POOL_TIMEOUT",
    ],
    // PostgreSQL reports its role: it may be left before it has refused a write.
    required: ["CONNECT_FAILED"],
    bound: ["dnsTimeout", "poolTimeout", "connectTimeout"],
    async begin({ database }) {
      await database.setReadOnly(true);
      return () => database.setReadOnly(false);
    },
  },
  {
    name: "wrong certificate",
    tls: true,
    proxied: true,
    allowed: ["broken connection", "CONNECTION_LOST", "CONNECT_FAILED", "POOL_TIMEOUT"],
    required: ["CONNECT_FAILED"],
    bound: ["dnsTimeout", "poolTimeout", "connectTimeout"],
    async begin({ proxies, database, tls }) {
      // No handshake is under way when the server reads its certificate: MariaDB would wait for its end.
      const show = async (certificate: TlsOptions) => {
        await each(proxies, (proxy) => proxy.fault({ refuse: true }));
        proxies.forEach((proxy) => proxy.cut());
        await database.server.putTls(certificate);
        await database.reloadTls();
        await each(proxies, (proxy) => proxy.clearFaults());
      };
      await show(tls.wrong);
      return () => show(tls.right);
    },
  },
];

async function each(
  proxies: readonly TcpProxy[],
  act: (proxy: TcpProxy) => Promise<void>,
): Promise<void> {
  await Promise.all(proxies.map(act));
}
