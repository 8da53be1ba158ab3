/**
 * The connections behind the drop-in: each is what `postgres()` returns with one connection, which is open already.
 *
 * @module
 */

import type { Adapter, Target } from "../../adapters/adapter.ts";
import { adapterOf, FIRST, type NotifyListener } from "../../adapters/postgresjs/clients.ts";
import { resolvePassword } from "../../adapters/postgresjs/options.ts";
import type { DriverSocket } from "../../adapters/postgresjs/socket.ts";
import type { PostgresjsSql } from "../../adapters/postgresjs/driver.ts";
import type { BackendKey } from "../../adapters/shared/postgres_cancel.ts";
import { type TlsOptions, withServerName } from "../../adapters/shared/tls.ts";
import type { DriverConnection } from "../../adapters/postgresjs/holder_calls.ts";
import type { DriverFunction, DriverSql, ParsedOptions } from "./module.ts";

/** A client of the pool. */
export type Client = DriverSql & PostgresjsSql;

/** What the drop-in uses of a client beside the adapter. */
export interface ClientParts {
  readonly connection: DriverConnection;
  readonly socket: DriverSocket;
  /** Cancels queries of the client. */
  readonly canceller: unknown;
}

/** The clients of one pool. */
export interface Clients {
  /** The key of the session that listens for notifications, if there is one. */
  readonly listeningKey: BackendKey | undefined;
  readonly adapter: Adapter<Client>;
  partsOf(client: Client): ClientParts;
}

/**
 * Makes the clients of a pool.
 *
 * @param postgres The driver's function.
 * @param options Its options, as it has read them. Clients share what they learn of the database's types.
 * @param max Maximum number of connections of the pool.
 */
export function clientsOf(postgres: DriverFunction, options: ParsedOptions, max: number): Clients {
  const connections: WeakMap<Client, DriverConnection> = new WeakMap();
  const all: WeakMap<Client, ClientParts> = new WeakMap();
  /** The client that listens for notifications. */
  let listening: Client | undefined;
  const { adapter, socketOf } = adapterOf<Client>({
    check() {},

    async prepare(target) {
      const login = target.passing
        ? { user: target.user ?? options.user, pass: target.password ?? "" }
        : await resolvePassword({ pass: options.pass });
      let client: Client | undefined;
      return {
        // As in the driver, what `listen()` hears is for its own callbacks.
        onnotify(channel, payload) {
          if (client !== listening) (options.onnotify as NotifyListener)?.(channel, payload);
        },
        tls: readTls(options, target),
        direct: options.sslnegotiation === "direct",
        tlsOptional: options.ssl === "prefer",
        create({ host, port, socket, onnotify }) {
          const own = { host: [host], port: [port], socket, onnotify, ...login };
          return client = postgres(clientOptions(options, own, max)) as Client;
        },
        onConnection: (sql, connection) => connections.set(sql, connection),
      };
    },
  });
  const { ref: _ref, unref: _unref, notifications, ...rest } = adapter;
  return {
    get listeningKey() {
      return listening && socketOf(listening).backendKey;
    },
    // Idle connections keep the process alive, as with the driver's own pool.
    adapter: {
      ...rest,
      notifications: {
        ...notifications!,
        onNotify(client, listener) {
          listening = client;
          notifications!.onNotify(client, listener);
        },
      },
    },
    partsOf(client) {
      let parts = all.get(client);
      if (!parts) {
        const { canceller } = (client as DriverSql).unsafe("");
        const connection = connections.get(client)!;
        all.set(client, parts = { connection, socket: socketOf(client), canceller });
      }
      return parts;
    },
  };
}

function clientOptions(
  options: ParsedOptions,
  own: object,
  max: number,
): Record<string, unknown> {
  let reads = 0;
  // The driver obeys `sslrootcert=system`, and sends it to the server too, which refuses it.
  const { sslrootcert: _, ...connection } = options.connection;
  const all = {
    ...options,
    connection,
    ...own,
    path: false,
    ssl: false,
    idle_timeout: undefined,
    max_lifetime: null,
    connect_timeout: 0,
    backoff: false,
    keep_alive: null,
    max_pipeline: Math.max(1, options.max_pipeline),
    target_session_attrs: undefined,
    no_subscribe: true,
    transform: { ...options.transform },
    debug: withoutFirst(options.debug),
  };
  // One connection is created; it refuses BEGIN outside of `begin()` if the pool has others.
  return Object.defineProperty(all, "max", {
    enumerable: true,
    get: () => reads++ === 0 ? 1 : max,
  });
}

/** Keeps the first statement, which is not the caller's, from the function that `debug` may be. */
function withoutFirst(debug: unknown): unknown {
  if (typeof debug !== "function") return debug;
  let isOver = false;
  return (connection: number, text: string, ...rest: unknown[]) => {
    if (!isOver && text === FIRST) isOver = true;
    else debug(connection, text, ...rest);
  };
}

/** Reads the driver's option `ssl`, with the certificate checked for the host name. */
function readTls({ ssl }: ParsedOptions, { host }: Target): TlsOptions | false {
  if (!ssl) return false;
  if (ssl === "require" || ssl === "allow" || ssl === "prefer") {
    return withServerName(host, { rejectUnauthorized: false });
  }
  return withServerName(host, typeof ssl === "object" ? ssl : {});
}
