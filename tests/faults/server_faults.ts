/**
 * What goes wrong with the server in the fault matrix, and what callers may see of it.
 *
 * @module
 */

import type { EngineOptions } from "../../mod.ts";
import type { TcpProxy } from "../../testing/mod.ts";
import type { TlsOptions } from "../../lab/server.ts";
import type { Database } from "./databases.ts";

/** What harm is done to. */
export interface Target {
  readonly database: Database;
  /** Everything that goes to the server passes these, where the case is `proxied`. */
  readonly proxies: readonly TcpProxy[];
  /** A certificate for the name, and one for another. */
  readonly tls: { readonly right: TlsOptions; readonly wrong: TlsOptions };
}

/** What a caller may see besides a result. */
export type Sight =
  | "broken connection"
  | "read-only error"
  | "CONNECTION_LOST"
  | "CONNECT_FAILED"
  | "POOL_TIMEOUT"
  | "RESOLVE_FAILED";

/** One thing that goes wrong. */
export interface ServerFaultCase {
  readonly name: string;
  /** Begins it; what is returned ends it. */
  begin(target: Target): Promise<() => Promise<void>>;
  /** What callers may see while it lasts. */
  readonly sees: readonly Sight[];
  /** What is sure to be seen. */
  readonly surely: readonly Sight[];
  /** The options that bound the longest call. */
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
  /** Nothing was known of the name, and no connection was open, when it began. */
  readonly cold?: boolean;
}

const nothing = () => Promise.resolve();

/** The calls on a connection that broke fail; the others wait until their time is up. */
const OUTAGE = {
  sees: ["broken connection", "CONNECT_FAILED", "POOL_TIMEOUT"],
  surely: ["CONNECT_FAILED"],
  bound: ["dnsTimeout", "poolTimeout", "connectTimeout"],
} as const;

/** Seconds. */
export const PROBE = { leaseProbeAfter: 0.5, probeTimeout: 0.5 } as const;

/** Likewise, but the connections do not break: they are probed, and dropped. */
const SILENCE = {
  sees: ["CONNECTION_LOST", "CONNECT_FAILED", "POOL_TIMEOUT"],
  surely: ["CONNECTION_LOST"],
  options: { leaseProbeAfter: PROBE.leaseProbeAfter },
  bound: ["leaseProbeAfter", "probeTimeout", "dnsTimeout", "poolTimeout", "connectTimeout"],
} as const;

/** All of them; the first is none. */
export const SERVER_FAULTS: readonly ServerFaultCase[] = [
  {
    name: "fine",
    begin: () => Promise.resolve(nothing),
    sees: [],
    surely: [],
    bound: ["dnsTimeout", "connectTimeout"],
  },
  {
    name: "fine, the engine new",
    cold: true,
    begin: () => Promise.resolve(nothing),
    sees: [],
    surely: [],
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
    surely: [],
    async begin({ database: { server } }) {
      await server.stop({ keep: true });
      await server.start();
      return nothing;
    },
  },
  {
    name: "read-only",
    options: { targetSessionAttrs: "read-write" },
    sees: ["read-only error", "broken connection", "CONNECT_FAILED", "POOL_TIMEOUT"],
    surely: ["read-only error", "CONNECT_FAILED"],
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
    sees: ["broken connection", "CONNECT_FAILED", "POOL_TIMEOUT"],
    surely: ["CONNECT_FAILED"],
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
