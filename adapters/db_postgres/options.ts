/**
 * Reads the options of the driver's `Client` from the URL and from `connectArgs`.
 *
 * @module
 */

import { mustBe, mustNotBeGiven } from "../../internal/argument_error.ts";
import type { Destination } from "../adapter.ts";
import {
  argName,
  loginOf,
  paramName,
  readParams,
  refuseArgs,
  refuseLibpqArgs,
  singleParam,
} from "../shared/params.ts";
import { SESSION_PARAMS } from "../shared/postgres.ts";
import { checkTls } from "../shared/tls.ts";
import type { DbPostgresOptions } from "./driver.ts";

/** Options of the driver that the adapter sets itself, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  connection: "a lost connection is not reopened, the pool opens another one",
  host_type: "the address comes from DNS",
  tls: 'give "ssl": true, or an object with "ca", as for the other drivers',
};

/**
 * Reads the options, except the address, and TLS, whose files are not read yet.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for a URL parameter or an argument that is not allowed.
 */
export function readOptions(destination: Destination): Omit<DbPostgresOptions, "hostname" | "tls"> {
  const { params, connectArgs, port } = destination;
  refuseArgs(destination, REFUSED);
  refuseLibpqArgs(destination, ["options"]);
  checkSettings(destination);
  const { application_name, fallback_application_name, options, ...session } = readParams(
    params,
    "db-postgres",
    SESSION_PARAMS,
  );
  const applicationName = application_name ?? fallback_application_name;
  const { ssl: _, hostname: _hostname, ...args } = connectArgs;
  const all = {
    ...loginOf(destination),
    ...(applicationName !== undefined && { applicationName: String(applicationName) }),
    ...args,
    port,
  };
  return {
    // As in libpq; the driver has no default.
    ...(all.user !== undefined && { database: all.user }),
    ...all,
    ...sessionOptions(session, args.options ?? options),
    host_type: "tcp",
    connection: { attempts: 0 },
  };
}

/** The forms that the driver reads; it splits the text at each space. */
const SETTINGS = /^(?:(?:-c |--)\w+=[^ ]+(?: (?=-)|$))*$/;

/** Checks the settings of the session, which the driver would refuse at each connect. */
function checkSettings({ params, connectArgs }: Destination): void {
  const allowed = (form: string) =>
    `${form}, of which no name has a dot (@db/postgres takes no other; "pg" and "postgresjs" do)`;
  const given = connectArgs.options;
  if (typeof given === "object" && given !== null) {
    const wrong = Object.keys(given).find((name) => !/^\w+$/.test(name));
    if (wrong !== undefined) throw mustBe(argName("options"), allowed("settings by name"), wrong);
    return;
  }
  const texts = {
    [paramName("options")]: singleParam(params, "options"),
    [argName("options")]: given,
  };
  for (const [name, text] of Object.entries(texts)) {
    if (typeof text !== "string" || SETTINGS.test(text)) continue;
    throw mustBe(name, allowed("settings as -c name=value or --name=value without a space"), text);
  }
}

/** Joins the settings of the session with the option `options`, which is a string or an object. */
function sessionOptions(
  session: Readonly<Record<string, unknown>>,
  options: unknown,
): { options?: string | Record<string, string> } {
  const settings = Object.entries(session).map(([name, value]) => [name, String(value)] as const);
  if (typeof options === "object" && options !== null) {
    return { options: { ...Object.fromEntries(settings), ...options } };
  }
  const texts = settings.map(([name, value]) => `-c ${name}=${value}`);
  if (typeof options === "string" && options !== "") texts.push(options);
  return texts.length > 0 ? { options: texts.join(" ") } : {};
}

/**
 * Checks the TLS settings. The driver verifies a certificate in full or not at all, has no client certificates, and
 * takes nothing but authorities.
 *
 * @param destination What the URL and `connectArgs` say.
 * @throws {TypeError} if a setting is not allowed, or if the driver has none like it.
 */
export function checkDriverTls(destination: Destination): void {
  checkTls(destination);
  const { params, connectArgs } = destination;
  const mode = singleParam(params, "sslmode");
  if (mode === "require" || mode === "verify-ca") {
    const allowed = '"disable" or "verify-full" (@db/postgres always verifies in full)';
    throw mustBe(paramName("sslmode"), allowed, mode);
  }
  const { ssl } = connectArgs;
  const files = ["sslcert", "sslkey"].filter((name) => singleParam(params, name) !== undefined);
  const options = typeof ssl === "object" ? Object.keys(ssl as object) : [];
  const [unsupported] = [
    ...files.map(paramName),
    ...options.filter((name) => name !== "ca").map((name) => argName(`ssl.${name}`)),
  ];
  if (unsupported === undefined) return;
  throw mustNotBeGiven(
    unsupported,
    '@db/postgres has no client certificates, and no options of TLS but "ca"; use the driver "pg" or "postgresjs"',
  );
}
