/**
 * Connections of mysql2 that are opened to an address of their host's name and know when that address departed: for
 * libraries that pool connections by themselves.
 *
 * @module
 */

import { canonicalHost, checkHost } from "../../internal/host_name.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { lazyMysql2Adapter, type Mysql2Client, type Mysql2Config } from "../../adapters/mysql2.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import {
  type DnsPoolOptions,
  driverOptions,
  type RawOptions,
  refusePassword,
} from "../shared/options.ts";
import { TrackedHosts } from "../shared/tracked_hosts.ts";
import { ConnectionLink } from "./connection_link.ts";
import {
  checkMysql2Options,
  type CoreConnection,
  isOwnStream,
  type Mysql2Classes,
  type Mysql2Driver,
  optionsOf,
  readList,
} from "./module.ts";

/**
 * Creates the function that replaces a module's `createConnection`.
 *
 * @param mysql2 The module.
 * @param classes The module's classes.
 * @param options dnspool's options for all its connections.
 */
export function createConnectionFactory(
  mysql2: Mysql2Driver,
  { ofPromises, PoolConfig }: Mysql2Classes,
  options: DnsPoolOptions,
): Mysql2Driver["createConnection"] {
  const hasCredentials = options.credentials !== undefined;
  const createAdapter = (given: () => RawOptions, hasSeveral: boolean) =>
    probeAdapter(mysql2, given, { hasSeveral, hasCredentials });
  const hosts = new TrackedHosts<Mysql2Client>(options, createAdapter);
  const { classify, refusesLogin } = createAdapter(() => ({}), false);

  return (own: unknown) => {
    const { list, options: one } = readList(optionsOf(own), options.dnsSrv);
    const given = driverOptions(one);
    checkMysql2Options(given);
    refusePassword({ ...given, credentials: options.credentials }, given.uri);
    const config = new PoolConfig({ ...given }).connectionConfig;
    const { socketPath, host } = config;
    if (!list) warnHostNotTracked(socketPath ?? host, "dnsMysql2");
    const isLeft = socketPath || !list && hostKind(host) !== "name";
    if (isLeft || isOwnStream(given.stream)) {
      return withErrorHandler(mysql2.createConnection(given));
    }
    checkHost(host);
    const { port, user, database } = config;
    const target = { host, port, user, database, list };
    const link = new ConnectionLink(hosts.get(target, given), config, {
      hasSeveral: list !== undefined,
      classify: (error) => classify!(error),
      probeTimeoutMs: hosts.probeTimeoutMs,
      refusesLogin: (error) => refusesLogin!(error),
      reopen: (address, { chosen, login }, signal) =>
        createAdapter(() => given, list !== undefined).connect(address, {
          ...NO_SETTINGS,
          ...config,
          host: chosen.tlsHost,
          port: chosen.port,
          ...login,
          signal,
        }),
    });
    const created = mysql2.createConnection({
      ...given,
      host: canonicalHost(host),
      stream: link.openSocket,
    });
    if (ofPromises) {
      return created.then((connection: { connection: CoreConnection }) => {
        link.attach(connection.connection);
        return connection;
      }, (error: unknown) => {
        link.noteFailure(error);
        throw error;
      });
    }
    link.attach(created);
    return created;
  };
}

/** What a connection's own options say, and no URL. */
const NO_SETTINGS = { params: {}, connectArgs: {}, keepAlive: false, addresses: () => [] };

/** Adds a listener to a connection, so that its event `error` does not end the process. */
function withErrorHandler<T>(created: T): T {
  const handle = (connection: CoreConnection) => connection.on("error", () => {});
  if (created instanceof Promise) created.then(({ connection }) => handle(connection), () => {});
  else handle(created as CoreConnection);
  return created;
}

/** Creates the adapter that opens probe connections. */
function probeAdapter(
  { createConnection }: Mysql2Driver,
  given: () => RawOptions,
  { hasSeveral, hasCredentials }: {
    readonly hasSeveral: boolean;
    readonly hasCredentials: boolean;
  },
): Adapter<Mysql2Client> {
  const create = ({ host, port, stream, user, password }: Mysql2Config) =>
    createConnection({
      ...given(),
      ...(hasCredentials && user !== undefined && { user }),
      ...(hasCredentials && { password }),
      host,
      ...(hasSeveral && { port }),
      stream,
      connectTimeout: 0,
    });
  const module = {
    createConnection: create,
    Connection: { prototype: { promise() {} } },
  };
  return lazyMysql2Adapter<Mysql2Client>(() => Promise.resolve(module));
}
