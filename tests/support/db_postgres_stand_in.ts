/**
 * A stand-in for `jsr:@db/postgres` 0.19, for machines that cannot reach JSR: a client over `npm:pg` with the members
 * that the adapter and its tests use. Like the real one, it reports no lost connection, cannot abort a connect, and is
 * out of step after a message that it does not know. `tests/adapters/db_postgres_driver_test.ts` holds both to the same.
 *
 * @module
 */

import net from "node:net";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

/** The address of each host name, instead of the operating system's resolver. */
export const names: Map<string, string> = new Map();

/** Options of a client. */
export interface ClientOptions {
  hostname?: string;
  host_type?: "tcp" | "socket";
  port?: string | number;
  user?: string;
  password?: string;
  database?: string;
  applicationName?: string;
  options?: string | Record<string, string>;
  tls?: { enabled?: boolean; enforce?: boolean; caCertificates?: string[] };
  connection?: { attempts?: number };
}

/** An error that the server reported. */
export class PostgresError extends Error {
  override readonly name = "PostgresError";
  constructor(
    readonly fields: {
      readonly code: string;
      readonly message: string;
      readonly severity?: string;
    },
  ) {
    super(fields.message);
  }
}

/** The connection is lost. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** A statement in a transaction has failed. */
export class TransactionError extends Error {
  override readonly name = "TransactionError";
  constructor(transaction: string, cause: PostgresError) {
    super(`The transaction "${transaction}" has been aborted`, { cause });
  }
}

type Statement =
  | string
  | TemplateStringsArray
  | { text: string; args?: unknown[]; fields?: readonly string[] };

/** One connection. */
export class Client {
  /** Whether it is connected, as far as it knows: it notices a lost connection only at the next statement. */
  connected = false;
  readonly #options: ClientOptions;
  #pg: pg.Client | undefined;
  #terminated = false;
  #transaction: string | null = null;
  /** Whether the server has ended the session; the real one learns it from its next write. */
  #broken = false;
  /** Number of notifications that no statement has met. */
  #notifications = 0;
  /** Answers that the client has not read: each statement is given the one of an earlier statement. */
  readonly #unread: { rows: unknown[] }[] = [];

  constructor(options: ClientOptions = {}) {
    if (!options.user || !options.database) {
      throw new Error("Missing connection parameters: user or database");
    }
    if (options.options !== undefined) checkOptions(options.options);
    this.#options = options;
  }

  get session(): { current_transaction: string | null; pid: number | undefined } {
    const { processID } = (this.#pg ?? {}) as { processID?: number };
    return { current_transaction: this.#transaction, pid: processID };
  }

  async connect(): Promise<void> {
    if (this.connected) return;
    const { hostname, port, user, password, database, applicationName, options, tls } =
      this.#options;
    const secure = tls?.enabled ?? true;
    if (secure && !tls?.enforce) throw new Error("The stand-in does not fall back to plain text");
    const client = new pg.Client({
      host: net.isIP(hostname!) ? hostname! : names.get(hostname!) ?? "0.0.0.0",
      port: Number(port),
      user: user!,
      password: password!,
      database: database!,
      ...(applicationName !== undefined && { application_name: applicationName }),
      ...(options !== undefined && { options: textOf(options) }),
      types: { getTypeParser: parserOf },
      ssl: secure && {
        ...(net.isIP(hostname!) ? { host: hostname } : { servername: hostname! }),
        ...(tls?.caCertificates?.length && { ca: tls.caCertificates }),
      },
    });
    client.on("error", () => {});
    client.on("end", () => this.#broken = true);
    client.on("notification", () => this.#notifications++);
    try {
      await client.connect();
    } catch (error) {
      throw translate(error);
    }
    this.#pg = client;
    this.connected = true;
    this.#terminated = false;
  }

  async end(): Promise<void> {
    const client = this.#pg;
    if (this.connected) {
      if (this.#broken) throw brokenPipe();
      this.#reset();
      await client?.end();
    }
    this.#terminated = true;
  }

  queryArray(statement: Statement, ...args: unknown[]): Promise<{ rows: unknown[][] }> {
    return this.#query<unknown[]>(statement, args, "array");
  }

  queryObject(
    statement: Statement,
    ...args: unknown[]
  ): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#query<Record<string, unknown>>(statement, args, undefined);
  }

  createTransaction(name: string): Transaction {
    return new Transaction(name, this, {
      run: (text, args, mode) => this.#run(text, args, mode),
      lock: (name) => this.#transaction = name,
    });
  }

  async #query<R>(statement: Statement, args: unknown[], mode: "array" | undefined) {
    if (this.#terminated) throw new Error("Connection to the database has been terminated");
    if (this.#transaction !== null) {
      throw new Error(
        `This connection is currently locked by the "${this.#transaction}" transaction`,
      );
    }
    const result = await this.#run(...read(statement, args), mode) as { rows: R[] };
    const doubled = mode === undefined && doubledName(result as { fields?: { name: string }[] });
    if (doubled) {
      throw new Error(`Field names "${doubled}" are duplicated in the result of the query`);
    }
    const { fields } = statement as { fields?: readonly string[] };
    if (fields === undefined) return result;
    const count = Object.keys(result.rows[0] ?? {}).length;
    if (fields.length === count) return result;
    // Like the real one, which notices it at the columns and leaves the rest of the answer where it is.
    this.#unread.push(result);
    throw new RangeError(
      `The fields provided for the query don't match the ones returned as a result (${count} expected, ${fields.length} received)`,
    );
  }

  async #run(text: string, values: unknown[], rowMode: "array" | undefined) {
    if (!this.connected) {
      throw new Error(
        "The client has been disconnected from the database. Enable reconnection in the client to attempt reconnection after failure",
      );
    }
    if (this.#broken) throw brokenPipe();
    try {
      const config = { text, values, ...(rowMode && { rowMode }) };
      this.#unread.push(joined(await this.#pg!.query(config as pg.QueryConfig)));
    } catch (error) {
      const translated = translate(error);
      if (translated instanceof ConnectionError) this.#reset();
      throw translated;
    }
    const unknown = COPIES_OUT.test(text) ? "H" : this.#notifications > 0 ? "A" : undefined;
    if (unknown === undefined) return this.#unread.shift()!;
    // Like the real one, which gives up at the message, and gives the answer to the next statement.
    if (unknown === "A") this.#notifications--;
    const kind = values.length > 0 ? "prepared" : "simple";
    throw new Error(`Unexpected ${kind} query message: ${unknown}`);
  }

  #reset(): void {
    this.connected = false;
    this.#transaction = null;
    this.#unread.length = 0;
  }
}

/** What a transaction needs of its client. */
interface ClientAccess {
  run(text: string, args: unknown[], mode: "array" | undefined): Promise<{ rows: unknown[] }>;
  lock(name: string | null): void;
}

/** One of the driver's transactions: while it is open, the client refuses other statements. */
export class Transaction {
  readonly #client: Client;
  readonly #access: ClientAccess;

  constructor(readonly name: string, client: Client, access: ClientAccess) {
    this.#client = client;
    this.#access = access;
  }

  async begin(): Promise<void> {
    await this.#client.queryArray("BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED;");
    this.#access.lock(this.name);
  }

  async commit(): Promise<void> {
    this.#assertOpen();
    await this.queryArray("COMMIT ");
    this.#access.lock(null);
  }

  async rollback(): Promise<void> {
    this.#assertOpen();
    await this.queryArray("ROLLBACK ");
    this.#access.lock(null);
  }

  queryArray(statement: Statement, ...args: unknown[]): Promise<{ rows: unknown[] }> {
    return this.#query(read(statement, args), "array");
  }

  queryObject(statement: Statement, ...args: unknown[]): Promise<{ rows: unknown[] }> {
    return this.#query(read(statement, args), undefined);
  }

  #assertOpen(): void {
    if (this.#client.session.current_transaction === this.name) return;
    throw new Error(
      'This transaction has not been started yet, make sure to use the "begin" method to do so',
    );
  }

  async #query([text, values]: [string, unknown[]], mode: "array" | undefined) {
    this.#assertOpen();
    try {
      return await this.#access.run(text, values, mode);
    } catch (error) {
      if (!(error instanceof PostgresError)) throw error;
      await this.commit();
      throw new TransactionError(this.name, error);
    }
  }
}

/** Matches a statement whose rows come as messages that the driver does not know. */
const COPIES_OUT = /^\s*copy\b[^]*\bto\s+stdout\b/i;

/** Returns one result for several statements, with the rows of all of them. */
function joined(result: unknown): { rows: unknown[] } {
  if (!Array.isArray(result)) return result as { rows: unknown[] };
  const rows = result.flatMap((one: { rows: unknown[] }) => one.rows);
  return { ...result.at(-1), rows };
}

/** Returns the name of two columns of a result, if there is one. */
function doubledName(result: { fields?: { name: string }[] }): string | undefined {
  const names = (result.fields ?? []).map(({ name }) => name);
  return names.find((name, index) => names.indexOf(name) !== index);
}

/** Like the real one, reads `int8` as a bigint, and leaves `float8` a text. */
const parserOf: typeof pg.types.getTypeParser = (type: number, format?: "text" | "binary") => {
  if (type === pg.types.builtins.INT8) return BigInt;
  return type === pg.types.builtins.FLOAT8
    ? String
    : pg.types.getTypeParser(type, format as "text");
};

function brokenPipe(): Error {
  return Object.assign(new Error("Broken pipe (os error 32)"), { name: "BrokenPipe" });
}

/** Refuses settings that the real one does not read: it splits a text at each space, and takes no name with a dot. */
function checkOptions(options: string | Record<string, string>): void {
  const names = typeof options === "string" ? [] : Object.keys(options);
  const words = typeof options === "string" ? options.split(" ") : [];
  const settings: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const setting = word === "-c" ? words.shift() : /^--\w/.test(word) ? word.slice(2) : undefined;
    if (setting !== undefined) settings.push(setting);
    else if (word === "-c") throw new Error(`No provided value for "-c" in options parameter`);
    else if (/^-\w/.test(word)) {
      throw new Error(`Argument "${word}" is not supported in options parameter`);
    } else throw new Error(`Value "${word}" is not a valid options argument`);
  }
  for (const setting of settings) {
    if (!/.+=.+/.test(setting)) {
      throw new Error(`Value "${setting}" is not a valid options argument`);
    }
    names.push(setting.slice(0, setting.indexOf("=")));
  }
  const wrong = names.find((name) => !/^\w+$/.test(name));
  if (wrong !== undefined) throw new Error(`The "${wrong}" key in the options argument is invalid`);
}

function read(statement: Statement, args: unknown[]): [text: string, values: unknown[]] {
  if (typeof statement === "string") return [statement, (args[0] ?? []) as unknown[]];
  if ("raw" in statement) {
    return [statement.reduce((text, next, index) => `${text}$${index}${next}`), args];
  }
  return [statement.text, statement.args ?? []];
}

function textOf(options: string | Record<string, string>): string {
  if (typeof options === "string") return options;
  return Object.entries(options).map(([name, value]) => `--${name}=${value.replaceAll(" ", "\\ ")}`)
    .join(" ");
}

/** Translates an error of pg: to a PostgresError, or at the end of a session, whose reason the driver does not pass on, to a ConnectionError. */
function translate(error: unknown): Error {
  const { code, message, severity } = error as {
    code?: string;
    message: string;
    severity?: string;
  };
  if (severity !== undefined && !code?.startsWith("57P0")) {
    return new PostgresError({ ...error as object, code: code!, message });
  }
  const ended = severity !== undefined ||
    /^Connection terminated|^Client has encountered a connection error/.test(message);
  return ended ? new ConnectionError("The session was terminated unexpectedly") : error as Error;
}
