/**
 * Opens, uses and closes connections of mysql2, by way of the connection below that of `mysql2/promise`.
 *
 * @module
 */

import type { Socket } from "node:net";
import { mustBe } from "../../internal/argument_error.ts";
import { captureStackHere } from "../../internal/thrown.ts";
import { checkValueCount, hasValues, isList } from "../shared/values.ts";
import type { BindValues } from "../adapter.ts";
import { socketClosed } from "../shared/socket.ts";
import type { MysqlSession } from "../shared/mysql_session.ts";
import type { Mysql2Client, Mysql2Config, Mysql2Module, Mysql2PromiseModule } from "./driver.ts";
import type { PacketSource } from "./packets.ts";

/** Takes the result of a statement, or its error. */
type ResultCallback = (error: Error | null, rows: unknown, fields: unknown) => void;

/** The connection below that of `mysql2/promise`. Its members with an underscore are private to the driver. */
export interface CoreConnection extends PacketSource {
  readonly stream: Socket;
  /** ID of the session. */
  readonly threadId?: number | null;
  readonly config: {
    readonly trace?: boolean;
    readonly user?: string;
    password?: string | undefined;
    readonly namedPlaceholders?: boolean;
  };
  prepare(
    sql: string,
    callback: (error: Error | null, prepared: { readonly parameters: ArrayLike<unknown> }) => void,
  ): unknown;
  _resolveNamedPlaceholders?(statement: { sql: string; values: unknown }): void;
  query(sql: string, callback: ResultCallback): unknown;
  execute(sql: string, values: readonly unknown[], callback: ResultCallback): unknown;
  readonly _fatalError?: unknown;
  readonly _protocolError?: unknown;
  /** Whether the connection was closed without a message to the server. */
  readonly _closing?: boolean;
  /** Adds a command; `_addCommandClosedState` takes its place when the connection is closed. */
  addCommand?: unknown;
  readonly _addCommandClosedState?: unknown;
  /** Resets the session; missing in old versions. */
  reset?(callback: (error: Error | null) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  once(event: "connect", listener: () => void): unknown;
  promise(): Mysql2Client;
}

/** Returns the connection below a client. */
export function coreOf(client: Mysql2Client): CoreConnection {
  return (client as unknown as { connection: CoreConnection }).connection;
}

/**
 * Opens a client on a socket.
 *
 * @param mysql2 The module, with promises or with callbacks.
 * @param config The driver's options, with the socket.
 * @returns The client, with promises.
 * @throws The driver's error.
 */
export async function openClient<C extends Mysql2Client>(
  mysql2: Mysql2PromiseModule<C> | Mysql2Module<C>,
  config: Mysql2Config,
): Promise<C> {
  const created = mysql2.createConnection(config);
  if (!("promise" in created)) {
    const client = await created;
    // Without a listener, the `error` of an idle connection ends the process.
    coreOf(client).on("error", () => {});
    return client;
  }
  const core = created as unknown as CoreConnection;
  await new Promise<void>((resolve, reject) => {
    core.on("error", reject);
    core.once("connect", resolve);
  });
  return created.promise();
}

/**
 * Closes a client. mysql2 sends COM_QUIT and leaves it to the server to close the socket.
 *
 * @param client The client.
 * @param sockets `core` is its connection, `socket` the socket that was dialed.
 */
export async function closeClient(
  client: Mysql2Client,
  { core, socket }: { readonly core: CoreConnection; readonly socket: Socket },
): Promise<void> {
  const closed = socketClosed(socket);
  const failed = await client.end();
  if (failed) {
    core.stream.destroy();
    socket.destroy();
  } else {
    core.stream.end();
  }
  await closed;
}

/**
 * Runs one statement of the user. With values it is a prepared statement: mysql2 would write the values into the text,
 * and so into its errors.
 *
 * `mysql2/promise` records the stack at each call, in case that it fails, which is a fifth of the cost. Here the stack
 * is recorded at the failure: the caller's `await` is part of it all the same.
 *
 * @param core The connection.
 * @param text The statement.
 * @param values The bind values.
 * @param session Commits the statement if autocommit is off; missing for statements of a transaction.
 * @returns The rows.
 * @throws The driver's error.
 */
export async function runStatement(
  core: CoreConnection,
  text: string,
  values: BindValues | undefined,
  session?: MysqlSession,
): Promise<readonly unknown[]> {
  const statement = hasValues(values) ? toList(core, text, values) : undefined;
  try {
    return await new Promise((resolve, reject) => {
      const callback: ResultCallback = (error, rows, fields) => {
        if (error) reject(error);
        else if (!session?.isUncommitted) resolve(rowsOf(rows, fields));
        else session.commitStatement().then(() => resolve(rowsOf(rows, fields)), reject);
      };
      if (!statement) return void core.query(text, callback);
      const { sql, values } = statement;
      // The driver looks at its own list of statements both times; only the first time the server is asked.
      core.prepare(sql, (error, prepared) => {
        try {
          if (error) throw error;
          checkValueCount(values, prepared.parameters.length);
          core.execute(sql, values, callback);
        } catch (error) {
          reject(error);
        }
      });
    });
  } catch (error) {
    if (core.config.trace !== false) captureStackHere(error);
    throw error;
  }
}

/** Makes a list of values, and placeholders for it, of an object of names. */
function toList(
  core: CoreConnection,
  sql: string,
  values: BindValues,
): { sql: string; values: unknown[] } {
  if (isList(values)) return { sql, values: [...values] };
  const statement = { sql, values: values as unknown };
  if (core.config.namedPlaceholders) core._resolveNamedPlaceholders?.(statement);
  if (!Array.isArray(statement.values)) {
    throw mustBe("values", "an array, or with namedPlaceholders=true an object", values);
  }
  return statement as { sql: string; values: unknown[] };
}

/** Runs one statement of the adapter itself. Its rows are objects, whatever the user's settings. */
export async function ask(client: Mysql2Client, sql: string): Promise<unknown> {
  const query = client.query as unknown as (options: object) => Promise<[unknown, unknown]>;
  const options = { sql, rowsAsArray: false, nestTables: false, typeCast: true };
  return (await query.call(client, options))[0];
}

/** Returns whether a connection was closed, or is being closed. */
export function isClosed(core: CoreConnection): boolean {
  const { addCommand, _addCommandClosedState: closed, _fatalError, _closing, stream } = core;
  return Boolean(_fatalError) || _closing === true || stream.destroyed ||
    closed !== undefined && addCommand === closed;
}

/**
 * Makes the session like a new one with COM_RESET_CONNECTION (MySQL from 5.7.3 on, MariaDB from 10.2.4 on). The driver
 * forgets its prepared statements, which the server has dropped.
 *
 * @param core The connection.
 * @throws The driver's error; an error if the driver is too old.
 */
export async function resetSession(core: CoreConnection): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    if (!core.reset) throw new Error("This version of mysql2 cannot reset a session");
    core.reset((error) => error ? reject(error) : resolve());
  });
}

/** Returns the rows of the first result that has any: a procedure gives several results. */
function rowsOf(result: unknown, fields: unknown): readonly unknown[] {
  if (!Array.isArray(result) || !Array.isArray(fields)) return [];
  const first = fields.findIndex((each) => Array.isArray(each));
  if (first >= 0) return result[first] as unknown[];
  return fields.includes(undefined) ? [] : result;
}
