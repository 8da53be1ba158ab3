/**
 * How connections leave: the hooks are told, and the server is said goodbye to, or the socket is dropped.
 *
 * @module
 */

import { ConnectionLostError } from "../../errors.ts";
import { deadline } from "../../internal/async.ts";
import type { PoolHooks } from "./hooks.ts";
import type { Slot } from "../slot.ts";
import type { Log } from "../../internal/log.ts";
import { asError, callAdapter, messageOf } from "../../internal/thrown.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import type { Dialer } from "./dialer.ts";

/** A polite goodbye may take so long; after that the socket is dropped. */
const GOODBYE_MS = 2000;

/** What takes part in it. */
export interface GoodbyeParts<C> {
  readonly adapter: Adapter<C>;
  readonly dialer: Dialer<C>;
  readonly log: Log;
}

/** Closes connections. Nothing here throws or rejects: whoever closes has nobody to tell. */
export class Goodbyes<C> {
  readonly #adapter: Adapter<C>;
  readonly #dialer: Dialer<C>;
  readonly #log: Log;
  readonly #hooks: PoolHooks<C>;

  /**
   * @param parts What the engine's pools share.
   * @param hooks Who is told.
   */
  constructor({ adapter, dialer, log }: GoodbyeParts<C>, hooks: PoolHooks<C>) {
    this.#adapter = adapter;
    this.#dialer = dialer;
    this.#log = log;
    this.#hooks = hooks;
  }

  /**
   * Closes a connection.
   *
   * @param slot The connection.
   * @param reason What is wrong with it: it is dropped. Without, it is closed politely.
   * @returns Fulfilled when the goodbye is said; `undefined` where there is none.
   */
  close(slot: Slot<C>, reason: unknown): Promise<void> | undefined {
    const why = reason === undefined ? "" : `: ${messageOf(reason)}`;
    this.#log.info(`Closing a connection to ${slot.address}${why}`);
    const { invalidate, close } = this.#hooks;
    if (invalidate || close) return this.#closeWithHooks(slot, reason);
    return this.#hangUp(slot.client, reason);
  }

  /** A connection is its holder's from now on. */
  detach(slot: Slot<C>): void {
    this.#log.info(`Detached a connection to ${slot.address}`);
    this.#tell("detach", slot);
  }

  /** Drops a connection. */
  drop(client: C, reason?: unknown): void {
    callAdapter(this.#log, () => this.#dialer.discard(client, asError(reason)));
  }

  async #closeWithHooks(slot: Slot<C>, reason: unknown): Promise<void> {
    if (reason !== undefined) await this.#tell("invalidate", slot, reason);
    await this.#tell("close", slot);
    await this.#hangUp(slot.client, reason);
  }

  /** A hook that nobody can be told about when it throws: it is logged. */
  async #tell(
    name: "invalidate" | "close" | "detach",
    slot: Slot<C>,
    error?: unknown,
  ): Promise<void> {
    try {
      const run = () => this.#hooks[name]?.(slot, error);
      await deadline(GOODBYE_MS, run, { what: "it did not end" });
    } catch (failure) {
      this.#log.warn(`The hook "${name}" failed: ${messageOf(failure)}`);
    }
  }

  #hangUp(client: C, reason: unknown): Promise<void> | undefined {
    if (reason === undefined && this.#adapter.close) return this.#sayGoodbye(client);
    this.drop(client, reason);
    return undefined;
  }

  async #sayGoodbye(client: C): Promise<void> {
    try {
      const goodbye = () => this.#adapter.close!(client);
      await deadline(GOODBYE_MS, goodbye, { what: "no goodbye" });
    } catch {
      this.drop(client);
    }
  }
}

/**
 * The error.
 *
 * @param address Where the connection was open to.
 * @param why What became of it.
 */
export function connectionLost(address: string, why: string): ConnectionLostError {
  return new ConnectionLostError(
    `Lost the connection to ${address}: ${why}; work under way may or may not have been done`,
    { address },
  );
}
