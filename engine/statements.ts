/**
 * Runs the engine's own statements: logs them, hides bind values if asked to, and combines them to transactions and
 * savepoints.
 *
 * @module
 */

import type {
  Adapter,
  BindValues,
  NotCommitted,
  Statement,
  TransactionPlan,
  TransactionStatus,
} from "../adapters/adapter.ts";
import { TransactionAbortedError } from "../errors.ts";
import type { Log } from "../internal/log.ts";
import { redactValues } from "../internal/redact.ts";
import type { Lease } from "../pool/lease.ts";
import { PoolLease } from "../pool/pool_lease.ts";
import type { GuardOptions } from "./call_limit.ts";

/** Runs one statement on a lease. */
export type Run<C> = (
  lease: Lease<C>,
  text: string,
  values?: BindValues,
  onDone?: () => void,
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
  const note = statementLog(log, token);
  const run: Run<C> = (lease, text, values, onDone) => {
    if (log.infoEnabled) note(text + showValues(values, hidesValues));
    return adapter.query!(lease.client, text, values, onDone);
  };
  if (!hidesValues) return run;
  return async (lease, text, values, onDone) => {
    try {
      return await run(lease, text, values, onDone);
    } catch (error) {
      throw redactValues(error, text, listed(values));
    }
  };
}

/** Makes the function that logs statements. */
export function statementLog(log: Log, token: string | undefined): (text: string) => void {
  const prefix = token ? `[${token}] ` : "";
  return (text) => log.info(prefix + text);
}

/** Shows bind values for a log line. Values without a JSON form are counted: a log line must not throw. */
function showValues(values: BindValues | undefined, hidesValues: boolean): string {
  const { length } = listed(values);
  if (length === 0) return "";
  if (hidesValues) return ` [${length} values hidden]`;
  try {
    const plain = (_: string, value: unknown) => typeof value === "bigint" ? String(value) : value;
    return ` ${JSON.stringify(values, plain)}`;
  } catch {
    return ` [${length} values]`;
  }
}

/** Returns values as a list, without their names. */
function listed(values: BindValues | undefined): readonly unknown[] {
  return values === undefined ? [] : Array.isArray(values) ? values : Object.values(values);
}

/** What a transaction is run with. */
export interface TransactionParts<C> {
  readonly adapter: Adapter<C>;
  /** Runs the statements of the transaction. */
  readonly run: Run<C>;
  /** Logs what the adapter does by itself. */
  readonly note: (text: string) => void;
  /** The statements of a transaction with settings; `undefined` for one without. */
  readonly plan: TransactionPlan | undefined;
  /** Runs what the call's signal and timeout cancel. */
  guard<T>(work: () => T | Promise<T>, options?: GuardOptions): T | Promise<T>;
}

/** Runs a function in a transaction of the lease's session. What its plan changes in the session is put back. */
export async function transaction<C, T>(
  lease: Lease<C>,
  fn: (lease: Lease<C>) => T | Promise<T>,
  parts: TransactionParts<C>,
): Promise<T> {
  const [first, ...others] = parts.plan?.before ?? [];
  if (first === undefined) return await plainTransaction(lease, fn, parts);
  await set(lease, first, parts);
  PoolLease.borrowSettings(lease, true);
  try {
    for (const statement of others) await set(lease, statement, parts);
    return await plainTransaction(lease, fn, parts);
  } finally {
    if (!lease.released) await putBack(lease, parts);
  }
}

/** Runs a statement that sets something. If it is done in spite of an abort, what follows is done or undone as well. */
async function set<C>(
  lease: Lease<C>,
  statement: Statement,
  { run, guard }: TransactionParts<C>,
): Promise<void> {
  await guard(() => run(lease, ...statement), { keepsResult: true });
}

/** Puts the settings of the session back. If that fails, the connection is closed when it comes back. */
async function putBack<C>(lease: Lease<C>, { run, plan }: TransactionParts<C>): Promise<void> {
  try {
    for (const statement of plan?.end ?? []) await run(lease, ...statement);
    PoolLease.borrowSettings(lease, false);
  } catch {
    // The transaction has ended, and how it did so counts.
  }
}

async function plainTransaction<C, T>(
  lease: Lease<C>,
  fn: (lease: Lease<C>) => T | Promise<T>,
  parts: TransactionParts<C>,
): Promise<T> {
  const { adapter, run } = parts;
  PoolLease.takeServerError(lease);
  await begin(lease, parts);
  try {
    for (const statement of parts.plan?.after ?? []) await set(lease, statement, parts);
    const result = await parts.guard(() => fn(lease));
    await commit(lease, parts);
    return result;
  } catch (error) {
    // If the rollback fails as well, the first error says more, and the state of the session is not known.
    if (!lease.released && statusOf(adapter, lease) !== "idle") {
      await run(lease, "ROLLBACK").catch(() => lease.invalidate(error));
    }
    throw error;
  }
}

async function begin<C>(
  lease: Lease<C>,
  { adapter, run, note, plan }: TransactionParts<C>,
): Promise<void> {
  const statement = plan?.begin;
  if (!adapter.begin) return void await run(lease, statement ?? "BEGIN");
  note(statement ?? "BEGIN");
  await adapter.begin(lease.client, statement);
}

async function commit<C>(
  lease: Lease<C>,
  { adapter, run, note }: TransactionParts<C>,
): Promise<void> {
  let failure: NotCommitted | undefined;
  if (adapter.commit) {
    note("COMMIT");
    failure = await adapter.commit(lease.client);
  } else if (statusOf(adapter, lease) === "failed") {
    failure = {};
  } else {
    await run(lease, "COMMIT");
  }
  if (!failure) return;
  throw aborted("Cannot commit", failure.cause ?? PoolLease.takeServerError(lease));
}

function statusOf<C>(adapter: Adapter<C>, { client }: Lease<C>): TransactionStatus | undefined {
  try {
    return adapter.transactionStatus?.(client);
  } catch {
    return undefined;
  }
}

function aborted(action: string, cause: unknown): TransactionAbortedError {
  return cause === undefined
    ? new TransactionAbortedError(`${action}: the transaction has ended before`)
    : new TransactionAbortedError(`${action}: an error has ended the transaction`, { cause });
}

let savepoints = 0;

/** Runs a function in a savepoint of the transaction that is open in the lease's session. */
export async function savepoint<C, T>(
  lease: Lease<C>,
  fn: (lease: Lease<C>) => T | Promise<T>,
  parts: TransactionParts<C>,
): Promise<T> {
  const { run, guard } = parts;
  const name = `dnspool_${++savepoints}`;
  PoolLease.takeServerError(lease);
  await run(lease, `SAVEPOINT ${name}`);
  try {
    const result = await guard(() => fn(lease));
    await release(lease, name, parts);
    return result;
  } catch (error) {
    if (!lease.released) {
      const undone = run(lease, `ROLLBACK TO SAVEPOINT ${name}`);
      await undone.then(() => PoolLease.takeServerError(lease), () => {});
    }
    throw error;
  }
}

/** Releases a savepoint. If that fails after an error that the function handled, that error is the reason. */
async function release<C>(
  lease: Lease<C>,
  name: string,
  { adapter, run }: TransactionParts<C>,
): Promise<void> {
  const cause = PoolLease.takeServerError(lease);
  try {
    await run(lease, `RELEASE SAVEPOINT ${name}`);
  } catch (error) {
    const otherReason = cause === undefined || adapter.classify?.(error) !== undefined;
    throw otherReason ? error : aborted("Cannot release the savepoint", cause);
  }
}
