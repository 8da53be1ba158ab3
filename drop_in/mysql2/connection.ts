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
  const createAdapter = (given: () => RawOptions) => probeAdapter(mysql2, given, hasCredentials);
  const hosts = new TrackedHosts<Mysql2Client>(options, createAdapter);
  const { classify, refusesLogin } = createAdapter(() => ({}));

  return (own: unknown) => {
    const given = driverOptions(optionsOf(own));
    checkMysql2Options(given);
    refusePassword({ ...given, credentials: options.credentials }, given.uri);
    const config = new PoolConfig({ ...given }).connectionConfig;
    const { socketPath, host } = config;
    warnHostNotTracked(socketPath ?? host, "dnsMysql2");
    if (socketPath || hostKind(host) !== "name" || isOwnStream(given.stream)) {
      return withErrorHandler(mysql2.createConnection(given));
    }
    checkHost(host);
    const link = new ConnectionLink(hosts.get(config, given), config, {
      classify: (error) => classify!(error),
      probeTimeoutMs: hosts.probeTimeoutMs,
      refusesLogin: (error) => refusesLogin!(error),
      reopen: (address, login, signal) =>
        createAdapter(() => given).connect(address, {
          ...NO_SETTINGS,
          ...config,
          ...login,
          signal,
        }),
    });
    const created = mysql2.createConnection({
      ...given,
      // Of the name in this form TLS checks the certificate.
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
  hasCredentials: boolean,
): Adapter<Mysql2Client> {
  const create = ({ host, stream, user, password }: Mysql2Config) =>
    createConnection({
      ...given(),
      ...(hasCredentials && user !== undefined && { user }),
      ...(hasCredentials && { password }),
      host,
      stream,
      connectTimeout: 0,
    });
  const module = {
    createConnection: create,
    Connection: { prototype: { promise() {} } },
  };
  return lazyMysql2Adapter<Mysql2Client>(() => Promise.resolve(module));
}
