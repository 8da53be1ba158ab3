/**
 * Follows the calls that a holder makes on a client of postgres.js, as far as the messages on its socket do not show
 * them.
 *
 * @module
 */

import type { PostgresjsSql } from "./driver.ts";

/** A connection that a holder has reserved. */
interface Reserved {
  release?: () => void;
}

/** A statement in a file. */
interface FileQuery extends PromiseLike<unknown> {
  /** Reads the file and begins the statement. Called when the query is executed. */
  handler?: (query: unknown) => void;
}

type Method<T> = (...args: unknown[]) => Promise<T>;

/** Members of a client that the driver's types leave out. */
interface Internals {
  /** The driver's options, which it reads again for each value. */
  options?: { transform?: { undefined?: unknown } };
  begin?: Method<unknown>;
  reserve?: Method<Reserved>;
  file?: (...args: unknown[]) => FileQuery;
  end: PostgresjsSql["end"];
  close?: PostgresjsSql["end"];
}

/** What is known of the calls on one client. */
export interface HolderCalls {
  /** Number of transactions and reservations of the driver that have not ended: other statements wait for them. */
  readonly unfinished: number;
  /** Number of statements in files that have not ended: a file may still be read when the holder has gone. */
  readonly files: number;
  /** Whether the holder has closed the client. */
  readonly ended: boolean;
  /** Closes the client: the driver's own method. */
  readonly end: PostgresjsSql["end"];
}

/**
 * Follows the calls on a client from now on.
 *
 * @param client The client.
 * @param events `onUnsendable` is called when the driver begins a statement that it cannot send, `onMade` for a statement
 *   in a file.
 */
export function followCalls(
  client: PostgresjsSql,
  { onUnsendable, onMade }: { onUnsendable(): void; onMade(): void },
): HolderCalls {
  const sql = client as unknown as Internals;
  const end = sql.end.bind(sql);
  const calls = { unfinished: 0, files: 0, ended: false, end };
  for (const method of ["end", "close"] as const) {
    const original = sql[method];
    if (!original) continue;
    sql[method] = (options) => {
      calls.ended = true;
      return original.call(sql, options);
    };
  }
  const { begin, reserve, file, options } = sql;
  if (begin) {
    sql.begin = (...args) => {
      const promise = begin.apply(sql, args);
      const onEnd = () => calls.unfinished--;
      calls.unfinished++;
      promise.then(onEnd, onEnd);
      return promise;
    };
  }
  if (reserve) {
    sql.reserve = (...args) => {
      const promise = reserve.apply(sql, args);
      const countRelease = (reserved: Reserved) => {
        const { release } = reserved;
        reserved.release = () => {
          reserved.release = release!;
          calls.unfinished--;
          release!();
        };
      };
      calls.unfinished++;
      promise.then(countRelease, () => calls.unfinished--);
      return promise;
    };
  }
  if (file) {
    sql.file = (...args) => {
      const query = file.apply(sql, args);
      const { handler } = query;
      if (!handler) return query;
      onMade();
      query.handler = (own) => {
        const onEnd = () => calls.files--;
        calls.files++;
        query.then(onEnd, onEnd);
        handler(own);
      };
      return query;
    };
  }
  // A statement with a value that is not allowed ends at this value: it is never sent.
  if (options?.transform) {
    noteReads(options.transform, "undefined", (value) => value === undefined && onUnsendable());
  }
  return calls;
}

/** The connection of a client, as far as it is needed. */
export interface DriverConnection {
  /** Begins a statement; returns whether another one may follow before its answer. */
  // deno-lint-ignore no-explicit-any -- a query of the driver
  execute(query: any): unknown;
  /** Begins the next statement of a transaction or a reservation, and returns what `execute` did, if one waits. */
  reserved?: unknown;
}

/**
 * Lets all further statements of a transaction or a reservation reject, and those that wait for the ones before. On a
 * connection that has ended, the driver (3.4) rejects the first one and keeps the others for ever.
 *
 * @param connection A connection whose client has ended, before the driver is told that its socket is closed.
 */
export function rejectLate(connection: DriverConnection): void {
  const { execute } = connection;
  connection.execute = (query) => {
    execute.call(connection, query);
    return true;
  };
  const { reserved } = connection;
  let begins = typeof reserved === "function";
  while (begins) begins = (reserved as () => unknown)() === true;
}

/** A query of the driver. */
interface Query {
  /** `true` if it was cancelled before it was begun. */
  readonly cancelled: unknown;
  handler: () => void;
  cancel(): unknown;
}

/** The classes of queries whose `cancel()` is mended. */
const mended: WeakSet<object> = new WeakSet();
/** What begins the queries of the clients whose `cancel()` is mended. */
const mendedHandlers: WeakSet<() => void> = new WeakSet();

/**
 * Mends the driver's `cancel()` (3.4). A query that is cancelled in the same turn in which it was made is never begun,
 * and the driver then takes its connection for busy for ever: nothing that is sent on it is answered.
 *
 * @param client A client. It shares the class of its queries with all clients of its module; `cancel()` of those that
 *   were not passed here is as before.
 */
export function mendCancel(client: PostgresjsSql): void {
  const made = client.unsafe("") as unknown as Query;
  const query = Object.getPrototypeOf(made) as Query;
  const { cancel } = query;
  if (typeof cancel !== "function" || typeof made.handler !== "function") return;
  mendedHandlers.add(made.handler);
  if (mended.has(query)) return;
  mended.add(query);
  query.cancel = function (this: Query) {
    const cancelled = cancel.call(this);
    if (this.cancelled === true && mendedHandlers.has(this.handler)) this.handler = () => {};
    return cancelled;
  };
}

/** Calls a function whenever a property is read. */
function noteReads<T extends object>(
  object: T,
  name: keyof T,
  onRead: (value: unknown) => void,
): void {
  let value = object[name];
  Object.defineProperty(object, name, {
    enumerable: true,
    configurable: true,
    get() {
      onRead(value);
      return value;
    },
    set(changed) {
      value = changed;
    },
  });
}
