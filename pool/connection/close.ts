/**
 * Ends connections: calls the hooks, then closes gracefully or terminates.
 *
 * @module
 */

import { ConnectionLostError, LeaseTimeoutError } from "../../errors.ts";
import { deadline } from "../../internal/async.ts";
import { awakeTimer } from "../../internal/clock.ts";
import type { Log } from "../../internal/log.ts";
import { asError, messageOf } from "../../internal/thrown.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import type { HookedConnection, PoolHooks } from "./hooks.ts";

/** Maximum duration of a graceful close, after which the connection is terminated; and of each hook before it. */
export const MAX_CLOSE_MS: number = 2000;

/** The hooks to be called, and the log for what they throw. */
export interface CloseHooks<C> {
  readonly hooks: PoolHooks<C>;
  readonly log: Log;
}

/** How a connection is terminated. */
export interface TerminateOptions {
  /** Whether the statement that is running is cancelled on the server, which is alive. Default: no. */
  readonly cancel?: boolean;
}

/** How a connection is ended. */
export interface CloseOptions<C> {
  readonly adapter: Adapter<C>;
  /** `"close"` ends the session with a message to the server, `"terminate"` destroys the socket. */
  readonly how: "close" | "terminate";
  /** Why it is terminated: for the hook `invalidate`, and for the driver, whose pending work rejects with it. */
  readonly reason?: unknown;
  /**
   * Maximum duration of a cancel of the statement that was running. Missing: it is not cancelled, because the server
   * does not answer or the connection is broken.
   */
  readonly cancelMs?: number | undefined;
  /** Missing for a connection that never was in a pool: no hook is called. */
  readonly onClose?: CloseHooks<C> | undefined;
}

/**
 * Ends a connection: calls the hooks, then closes it gracefully, and terminates it if that fails or takes too long.
 * Every connection of the package ends here.
 *
 * @param connection The connection.
 * @param options How it is ended.
 * @returns Fulfilled when the connection is closed; `undefined` if that is so already. Never rejected.
 */
export function closeConnection<C>(
  connection: HookedConnection<C>,
  options: CloseOptions<C>,
): Promise<void> | undefined {
  const { adapter, how, reason, onClose } = options;
  if (onClose?.hooks.invalidate || onClose?.hooks.close) {
    return closeWithHooks(connection, options, onClose);
  }
  if (how === "close" && adapter.close) return closeGracefully(connection.client, adapter);
  const isRunning = options.cancelMs !== undefined && mayBeRunning(connection.client, adapter);
  terminate(connection.client, adapter, reason);
  if (how !== "terminate" || !isRunning) return undefined;
  // Not before: a COMMIT that waits for a replica is acknowledged by its cancel, and the holder would believe that.
  return cancel(connection.client, adapter, { limitMs: options.cancelMs, terminated: true })
    ?.then(() => {});
}

/**
 * Cancels the statement that is running on a connection, on the server.
 *
 * @param client The client.
 * @param adapter Its adapter.
 * @param limitMs Maximum duration.
 * @returns Fulfilled with whether the cancel is done and can no longer reach a later statement; `undefined` if no
 *   statement is running, or if the adapter cannot cancel any. Never rejected.
 */
export function cancelStatement<C>(
  client: C,
  adapter: Adapter<C>,
  limitMs: number,
): Promise<boolean> | undefined {
  return mayBeRunning(client, adapter)
    ? cancel(client, adapter, { limitMs, terminated: false })
    : undefined;
}

function cancel<C>(
  client: C,
  adapter: Adapter<C>,
  { limitMs, terminated }: { readonly limitMs: number; readonly terminated: boolean },
): Promise<boolean> | undefined {
  if (!adapter.cancel) return undefined;
  const work = (signal: AbortSignal) => adapter.cancel!(client, { signal, terminated });
  return deadline(limitMs, work, { what: "no cancel", start: awakeTimer }).then(
    () => true,
    () => false,
  );
}

/** Returns whether a statement may be running: meanwhile, no adapter knows the status of the transaction. */
function mayBeRunning<C>(client: C, adapter: Adapter<C>): boolean {
  try {
    return adapter.transactionStatus?.(client) === undefined;
  } catch {
    return true;
  }
}

async function closeWithHooks<C>(
  connection: HookedConnection<C>,
  options: CloseOptions<C>,
  onClose: CloseHooks<C>,
): Promise<void> {
  const { reason } = options;
  if (reason !== undefined) await callCloseHook("invalidate", connection, onClose, reason);
  await callCloseHook("close", connection, onClose);
  await closeConnection(connection, { ...options, onClose: undefined });
}

/** Calls a hook of a connection that leaves its pool. What the hook throws is logged: no caller waits for it. */
export async function callCloseHook<C>(
  name: "invalidate" | "close" | "detach",
  connection: HookedConnection<C>,
  { hooks, log }: CloseHooks<C>,
  error?: unknown,
): Promise<void> {
  try {
    await deadline(MAX_CLOSE_MS, () => hooks[name]?.(connection, error), {
      what: "it did not end",
    });
  } catch (failure) {
    log.warn(`The hook "${name}" failed: ${messageOf(failure)}`);
  }
}

async function closeGracefully<C>(client: C, adapter: Adapter<C>): Promise<void> {
  try {
    await deadline(MAX_CLOSE_MS, () => adapter.close!(client), {
      what: "not closed",
      start: awakeTimer,
    });
  } catch {
    terminate(client, adapter, undefined);
  }
}

function terminate<C>(client: C, adapter: Adapter<C>, reason: unknown): void {
  try {
    if (adapter.terminate) adapter.terminate(client, asError(reason));
    else adapter.close?.(client).catch(() => {});
  } catch {
    // The socket was to be destroyed: there is nothing else to try.
  }
}

/**
 * Creates the error for work on a connection that was terminated or closed.
 *
 * @param address The address that the connection was open to.
 * @param why Why it was terminated.
 * @param cause The error that says so, if there is one.
 */
export function connectionLost(
  address: string,
  why: string,
  cause?: unknown,
): ConnectionLostError {
  return new ConnectionLostError(
    `Lost the connection to ${address}: ${why}; work under way may or may not have been done`,
    { address, ...(cause !== undefined && { cause }) },
  );
}

/**
 * Creates the error for the holder of a lease that took longer than `leaseTimeout`.
 *
 * @param lease The address, how long it took, and where it was taken.
 */
export function leaseTimeoutError(
  lease: {
    readonly address: string;
    readonly seconds: number;
    readonly takenAt: string | undefined;
  },
): LeaseTimeoutError {
  const { address, seconds, takenAt } = lease;
  const why = `its lease took ${Math.round(seconds * 10) / 10} seconds, longer than "leaseTimeout"`;
  const text = connectionLost(address, why).message;
  return new LeaseTimeoutError(`${text}; it was taken here:\n${takenAt}`, lease);
}
