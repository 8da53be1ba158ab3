/**
 * Statements that an engine runs by itself: written to the log, bind values hidden where that is asked for, and put
 * together to transactions and savepoints.
 *
 * @module
 */

import { redactValues } from "../internal/redact.ts";
import type { Lease } from "../pool/lease.ts";
import type { Log } from "../internal/log.ts";
import type { Adapter } from "../adapters/adapter.ts";

/** Runs one statement on a lease. */
export type Run<C> = (
  lease: Lease<C>,
  text: string,
  values?: readonly unknown[],
) => Promise<readonly unknown[]>;

/** What is told of statements. */
export interface StatementSettings {
  /** What they are run for, for the error. */
  readonly what: string;
  /** Where they are written. */
  readonly log: Log;
  /** Stands in front of each. */
  readonly token: string | undefined;
  /** Whether bind values are kept out of log lines and errors. */
  readonly hidden: boolean;
}

/**
 * What runs statements.
 *
 * @param adapter Whose connections they are run on.
 * @param settings What is told of them.
 * @returns The function.
 * @throws {TypeError} where the adapter cannot run any.
 */
export function statementRunner<C>(
  adapter: Adapter<C>,
  { what, log, token, hidden }: StatementSettings,
): Run<C> {
  if (!adapter.query) {
    throw new TypeError(`Cannot ${what}: the adapter "${adapter.name}" has no method "query"`);
  }
  const prefix = token ? `[${token}] ` : "";
  const run: Run<C> = (lease, text, values) => {
    if (log.infoEnabled) log.info(prefix + text + suffix(values, hidden));
    return adapter.query!(lease.client, text, values);
  };
  if (!hidden) return run;
  return async (lease, text, values) => {
    try {
      return await run(lease, text, values);
    } catch (error) {
      throw values?.length ? redactValues(error, text, values) : error;
    }
  };
}

/** What a log line says of the bind values. Those that cannot be shown are not worth failing for. */
function suffix(values: readonly unknown[] | undefined, hidden: boolean): string {
  if (!values?.length) return "";
  if (hidden) return ` [${values.length} values hidden]`;
  try {
    const plain = (_: string, value: unknown) => typeof value === "bigint" ? String(value) : value;
    return ` ${JSON.stringify(values, plain)}`;
  } catch {
    return ` [${values.length} values]`;
  }
}

/** Runs a function in a transaction of the lease's session. */
export async function transaction<C, T>(
  lease: Lease<C>,
  fn: (lease: Lease<C>) => T | Promise<T>,
  run: Run<C>,
): Promise<T> {
  await run(lease, "BEGIN");
  try {
    const result = await fn(lease);
    await run(lease, "COMMIT");
    return result;
  } catch (error) {
    // Where the rollback fails as well, the first error says more, and nobody knows what the session is in.
    if (!lease.released) await run(lease, "ROLLBACK").catch(() => lease.invalidate(error));
    throw error;
  }
}

let savepoints = 0;

/** Runs a function in a savepoint of the transaction that the lease's session is in. */
export async function savepoint<C, T>(
  lease: Lease<C>,
  fn: (lease: Lease<C>) => T | Promise<T>,
  run: Run<C>,
): Promise<T> {
  const name = `dnspool_${++savepoints}`;
  await run(lease, `SAVEPOINT ${name}`);
  let result: T;
  try {
    result = await fn(lease);
  } catch (error) {
    if (!lease.released) await run(lease, `ROLLBACK TO SAVEPOINT ${name}`).catch(() => {});
    throw error;
  }
  await run(lease, `RELEASE SAVEPOINT ${name}`);
  return result;
}
