/**
 * The connection parameters of libpq that no driver obeys by itself, and what to use instead. A database URL that was
 * written for libpq may have them, and most drivers would ignore them.
 *
 * @module
 */

import { mustNotBeGiven } from "../../internal/argument_error.ts";

/** Names of an engine's or a drop-in's own options, which some reasons name. */
export interface LibpqOptionNames {
  /** Option for the timeout of a connect. */
  readonly connectTimeout: string;
  /** Option for TCP keepalive. */
  readonly keepAlive: string;
  /** Option for TLS, and where `sslmode` may be given. */
  readonly tls: string;
}

/** The options of an engine. */
const ENGINE_OPTIONS: LibpqOptionNames = {
  connectTimeout: "connectTimeout",
  keepAlive: "keepAlive",
  tls:
    'put sslmode, sslrootcert, sslcert and sslkey into the database URL, or give "connectArgs.ssl"',
};

const NOT_SUPPORTED = "the driver does not have it";

/**
 * Returns the reasons to refuse the parameters (PostgreSQL, chapter "libpq", "Parameter Key Words").
 *
 * @param options The options that the reasons name.
 */
function reasonsWith(
  { connectTimeout, keepAlive, tls }: LibpqOptionNames,
): Readonly<Record<string, string>> {
  const useKeepAlive = `use the option "${keepAlive}"`;
  const session = "the driver does not send it to the server from here";
  return {
    application_name: session,
    channel_binding:
      'the driver cannot require it; pg uses it if the server offers it and "enableChannelBinding" is true',
    client_encoding: session,
    connect_timeout: `use the option "${connectTimeout}"`,
    dbname: "put the database into the path of the URL",
    fallback_application_name: session,
    gssdelegation: NOT_SUPPORTED,
    gssencmode: NOT_SUPPORTED,
    gsslib: NOT_SUPPORTED,
    hostaddr: "the address comes from DNS",
    keepalives: useKeepAlive,
    keepalives_count: useKeepAlive,
    keepalives_idle: useKeepAlive,
    keepalives_interval: useKeepAlive,
    krbsrvname: NOT_SUPPORTED,
    load_balance_hosts: 'use the option "loadBalance"',
    max_protocol_version: NOT_SUPPORTED,
    min_protocol_version: NOT_SUPPORTED,
    options: session,
    passfile: NOT_SUPPORTED,
    replication: session,
    require_auth: NOT_SUPPORTED,
    requirepeer: NOT_SUPPORTED,
    requiressl: tls,
    service: NOT_SUPPORTED,
    servicefile: NOT_SUPPORTED,
    ssl_max_protocol_version: 'use "maxVersion" of the option "ssl"',
    ssl_min_protocol_version: 'use "minVersion" of the option "ssl"',
    sslcert: tls,
    sslcertmode: NOT_SUPPORTED,
    sslcompression: NOT_SUPPORTED,
    sslcrl: NOT_SUPPORTED,
    sslcrldir: NOT_SUPPORTED,
    sslkey: tls,
    sslmode: tls,
    sslnegotiation: NOT_SUPPORTED,
    sslpassword: NOT_SUPPORTED,
    sslrootcert: tls,
    sslsni: NOT_SUPPORTED,
    target_session_attrs: 'use the option "targetSessionAttrs"',
    tcp_user_timeout: NOT_SUPPORTED,
  };
}

/**
 * Refuses the parameters of libpq that would be ignored.
 *
 * @param given The names that were given.
 * @param how `obeyed`: the parameters that are obeyed there; `nameOf`: names one in the error; `options`: the options
 *   that the reasons name, an engine's by default.
 * @throws {TypeError} for the first one that would be ignored, with what to use instead.
 */
export function refuseLibpq(
  given: Iterable<string>,
  { obeyed, nameOf, options = ENGINE_OPTIONS }: {
    readonly obeyed: readonly string[];
    readonly nameOf: (name: string) => string;
    readonly options?: LibpqOptionNames;
  },
): void {
  const reasons = reasonsWith(options);
  for (const name of given) {
    if (obeyed.includes(name) || !Object.hasOwn(reasons, name)) continue;
    throw mustNotBeGiven(nameOf(name), reasons[name]!);
  }
}
