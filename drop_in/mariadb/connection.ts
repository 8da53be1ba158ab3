/**
 * Connections of mariadb that are opened to an address of their host's name and know when that address departed: for
 * libraries that pool connections by themselves.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { lazyMariadbAdapter, type MariadbConfig } from "../../adapters/mariadb.ts";
import { withErrorListener } from "../../adapters/mariadb/connection.ts";
import { canonicalHost, checkHost } from "../../internal/host_name.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import { type DnsPoolOptions, type RawOptions, refusePassword } from "../shared/options.ts";
import { TrackedHosts } from "../shared/tracked_hosts.ts";
import { ConnectionLink } from "./connection_link.ts";
import {
  clientOf,
  type CoreConnection,
  makingConnection,
  type MariadbClasses,
  type MariadbDriver,
  type Pinned,
} from "./module.ts";
import {
  checkMariadbOptions,
  isOwnStream,
  loginOf,
  mariadbOptions,
  optionsOf,
  securedFor,
  withLogger,
} from "./options.ts";

/** The functions that replace those of a module. */
export interface ConnectionFunctions {
  createConnection: MariadbDriver["createConnection"];
  importFile: (options: unknown, ...rest: unknown[]) => unknown;
}

/** What a connection's own options say, and no URL. */
const NO_SETTINGS = { params: {}, connectArgs: {}, keepAlive: true, addresses: () => [] };

/**
 * Creates the functions that replace a module's `createConnection` and `importFile`.
 *
 * @param mariadb The module.
 * @param classes The module's classes.
 * @param options dnspool's options for all its connections.
 */
export function createConnectionFactory(
  mariadb: MariadbDriver,
  classes: MariadbClasses,
  options: DnsPoolOptions,
): ConnectionFunctions {
  const { credentials } = options;
  const createAdapter = (given: () => RawOptions, hasSeveral: boolean) =>
    probeAdapter(classes, given, { hasSeveral, hasCredentials: credentials !== undefined });
  const hosts = new TrackedHosts<Pinned>(options, createAdapter);

  /** Calls a function of the module that opens a connection with these options. */
  const open = (own: unknown, call: (options: RawOptions) => unknown): unknown => {
    const { list, options: one } = optionsOf(own, classes, options.dnsSrv);
    const given = mariadbOptions(one);
    checkMariadbOptions(given);
    refusePassword({ ...given, credentials }, undefined);
    const config = new classes.ConnectionOptions({ ...given });
    const { socketPath, host, port, user, database } = config;
    if (!list) warnHostNotTracked(socketPath ?? host, "dnsMariadb");
    const isLeft = socketPath || !list && hostKind(host) !== "name";
    if (isLeft || isOwnStream(given.stream)) return call(given);
    checkHost(host);
    const hasSeveral = list !== undefined;
    const adapter = createAdapter(() => given, hasSeveral);
    const target = { host, port, user, database, list };
    const link = new ConnectionLink(hosts.get(target, given), config, {
      adapter,
      hasSeveral,
      probeTimeoutMs: hosts.probeTimeoutMs,
      reopen: (address, { chosen, login }, signal) =>
        adapter.connect(address, {
          ...NO_SETTINGS,
          ...{ host: chosen.tlsHost, port: chosen.port, user, database },
          ...login,
          signal,
        }),
    });
    const tracked = {
      ...given,
      // Of the name in this form TLS checks the certificate.
      host: canonicalHost(host),
      stream: () => link.socket,
      logger: withLogger(config.logger, { error: (error) => link.onError(error) }),
      permitRedirect: false,
    };
    const { created, core } = makingConnection(() => withErrorListener(() => call(tracked)));
    link.attach(core, opened(created, core));
    return created;
  };

  return {
    createConnection: (options) => open(options, (given) => mariadb.createConnection(given)),
    importFile: (options, ...rest) =>
      open(
        options,
        (given) => (mariadb as MariadbDriver & ConnectionFunctions).importFile(given, ...rest),
      ),
  };
}

/** Returns when a connection is open: by the promise that made it, or by its event. */
function opened(created: unknown, core: CoreConnection): Promise<unknown> {
  if (created instanceof Promise) return created;
  return new Promise((resolve, reject) => {
    core.once("connect", (error?: unknown) => error ? reject(error) : resolve(undefined));
  });
}

/** Creates the adapter that opens probe connections. */
function probeAdapter(
  { Connection, ConnectionOptions, version }: MariadbClasses,
  given: () => RawOptions,
  { hasSeveral, hasCredentials }: {
    readonly hasSeveral: boolean;
    readonly hasCredentials: boolean;
  },
): Adapter<Pinned> {
  const createConnection = async (config: MariadbConfig) => {
    const { host, port, stream, logger } = config;
    const options = new ConnectionOptions({ ...given() });
    const core = new Connection({
      ...options,
      ...(hasCredentials && loginOf(config, options)),
      host,
      ...securedFor(options, host),
      ...(hasSeveral && { port }),
      stream,
      logger: withLogger(options.logger, logger),
      connectTimeout: 0,
      permitRedirect: false,
    });
    await core.connect();
    return clientOf(core);
  };
  return lazyMariadbAdapter<Pinned>(() => Promise.resolve({ createConnection, version }));
}
