/**
 * Runs the engine's own statements: logs them, hides bind values if asked to, and combines them to transactions and
 * savepoints.
 *
 * @module
 */

import type { Adapter } from "../adapters/adapter.ts";
import type { Log } from "../internal/log.ts";
import { redactValues } from "../internal/redact.ts";
import type { Lease } from "../pool/lease.ts";

/** Runs one statement on a lease. */
export type Run<C> = (
  lease: Lease<C>,
  text: string,
  values?: readonly unknown[],
) => Promise<readonly unknown[]>;

/** How statements are run. */
export interface StatementSettings {
  /** What the statements are for, for the error: `run a query`. */
  readonly action: string;
  /** The log that gets each statement. */
  readonly log: Log;
  /** Prefix of each log line. */
  readonly token: string | undefined;
  /** Whether bind values are kept out of log lines and errors. */
  readonly hidesValues: boolean;
}

/**
 * Makes the function that runs statements.
 *
 * @param adapter Runs them on a connection.
 * @param settings How they are run.
 * @throws {TypeError} if the adapter cannot run statements.
 */
export function statementRunner<C>(
  adapter: Adapter<C>,
  { action, log, token, hidesValues }: StatementSettings,
): Run<C> {
  if (!adapter.query) {
    throw new TypeError(`Cannot ${action}: the adapter "${adapter.name}" has no method "query"`);
  }
  const prefix = token ? `[${token}] ` : "";
  const run: Run<C> = (lease, text, values) => {
    if (log.infoEnabled) log.info(prefix + text + showValues(values, hidesValues));
    return adapter.query!(lease.client, text, values);
  };
  if (!hidesValues) return run;
  return async (lease, text, values) => {
    try {
      return await run(lease, text, values);
    } catch (error) {
      throw redactValues(error, text, values ?? []);
    }
  };
}

/** Shows bind values for a log line. Values without a JSON form are counted: a log line must not throw. */
function showValues(values: readonly unknown[] | undefined, hidesValues: boolean): string {
  if (!values?.length) return "";
  if (hidesValues) return ` [${values.length} values hidden]`;
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
    // If the rollback fails as well, the first error says more, and the state of the session is not known.
    if (!lease.released) await run(lease, "ROLLBACK").catch(() => lease.invalidate(error));
    throw error;
  }
}

let savepoints = 0;

/** Runs a function in a savepoint of the transaction that is open in the lease's session. */
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
