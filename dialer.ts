/**
 * Opens a connection to one of the current addresses: in which order, for how long each, and what to say when
 * none answers.
 *
 * @module
 */

import { now, upkeepTimer } from "./_clock.ts";
import { hostPort } from "./_ip.ts";
import type { Adapter, Target } from "./adapters/adapter.ts";
import { type ConnectAttempt, ConnectError } from "./errors.ts";

/** A connection that was dialled. */
export interface Dialled<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that was dialled. */
  readonly address: string;
}

/** An address that failed is tried after the others for so long. */
const LAST_CHOICE_MS = 5000;

/** Error codes of sockets that say nothing about whether the next try will fare better. */
const PASSING_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
]);

/** Dials the addresses of one target. */
export class Dialer<C> {
  readonly #adapter: Adapter<C>;
  readonly #target: Omit<Target, "signal">;
  readonly #timeoutMs: number;
  /** Addresses that failed, and until when they are the last choice. */
  readonly #failed: Map<string, number> = new Map();

  /**
   * @param adapter Opens the connections.
   * @param target What to connect to, but for the address.
   * @param timeoutMs For all addresses together.
   */
  constructor(adapter: Adapter<C>, target: Omit<Target, "signal">, timeoutMs: number) {
    this.#adapter = adapter;
    this.#target = target;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Opens a connection to the first address that lets it.
   *
   * @param addresses The current ones, in order of preference.
   * @param signal Ends the attempt: no socket is left.
   * @returns The client, and the address it was dialled to.
   * @throws {ConnectError} when no address answered well; or the signal's reason.
   */
  async dial(addresses: readonly string[], signal: AbortSignal): Promise<Dialled<C>> {
    const endMs = now() + this.#timeoutMs;
    const attempts: ConnectAttempt[] = [];
    const order = this.#order(addresses);
    for (const [index, address] of order.entries()) {
      const limitMs = (endMs - now()) / (order.length - index);
      try {
        const client = await this.#attempt(address, limitMs, signal);
        this.#failed.delete(address);
        return { client, address };
      } catch (error) {
        signal.throwIfAborted();
        attempts.push({ address, error });
        this.#failed.set(address, now() + LAST_CHOICE_MS);
      }
    }
    throw this.#explain(attempts);
  }

  /**
   * Whether a failure may pass by itself: the server is down, starting or out of reach. A wrong password will
   * not.
   *
   * @param error What `dial` threw.
   */
  mayPass(error: unknown): boolean {
    if (!(error instanceof ConnectError)) return false;
    return error.attempts.some(({ error }) =>
      isTimeout(error) || PASSING_CODES.has(codeOf(error)) ||
      this.#adapter.classify?.(error) === "disconnect"
    );
  }

  /**
   * The error for waiters whose connects kept failing until their time was up.
   *
   * @param last What the last dial failed with.
   * @param waited In seconds.
   */
  giveUp(last: unknown, waited: number): ConnectError {
    const { host } = this.#target;
    const text = last instanceof Error ? last.message : String(last);
    const attempts = last instanceof ConnectError ? last.attempts : [];
    return new ConnectError(
      `Cannot connect to "${host}" within ${Number(waited.toFixed(3))} seconds: ${text}`,
      { host, attempts, cause: last instanceof ConnectError ? last.cause : last },
    );
  }

  #order(addresses: readonly string[]): readonly string[] {
    const nowMs = now();
    for (const [address, untilMs] of this.#failed) {
      if (untilMs <= nowMs || !addresses.includes(address)) this.#failed.delete(address);
    }
    if (this.#failed.size === 0) return addresses;
    const failed = (address: string) => this.#failed.has(address);
    return [...addresses.filter((a) => !failed(a)), ...addresses.filter(failed)];
  }

  async #attempt(address: string, limitMs: number, signal: AbortSignal): Promise<C> {
    signal.throwIfAborted();
    const controller = new AbortController();
    let stop!: (reason: unknown) => void;
    const stopped = new Promise<never>((_, reject) => stop = reject);
    stopped.catch(() => {});
    const end = (reason: unknown) => {
      controller.abort(reason);
      stop(reason);
    };
    const onAbort = () => end(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const limit = upkeepTimer(limitMs, () => {
      const seconds = Number((limitMs / 1000).toFixed(3));
      end(new DOMException(`no connection within ${seconds} seconds`, "TimeoutError"));
    });
    const target = { ...this.#target, signal: controller.signal };
    const dialling = Promise.resolve().then(() => this.#adapter.connect(address, target));
    try {
      return await Promise.race([dialling, stopped]);
    } catch (error) {
      // A driver that cannot be stopped may still bring a connection, which nobody wants any more.
      dialling.then((client) => this.discard(client), () => {});
      throw error;
    } finally {
      limit.clear();
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Drops a connection that never came into the pool. */
  discard(client: C, reason?: Error): void {
    const { terminate, close } = this.#adapter;
    if (terminate) terminate.call(this.#adapter, client, reason);
    else close?.call(this.#adapter, client).catch(() => {});
  }

  #explain(attempts: readonly ConnectAttempt[]): ConnectError {
    const { host, port, password } = this.#target;
    const said = attempts.map(({ address, error }) => {
      const text = error instanceof Error ? error.message || codeOf(error) : String(error);
      return `${hostPort(address, port)} said: ${
        password ? text.replaceAll(password, "***") : text
      }`;
    });
    return new ConnectError(`Cannot connect to "${host}": ${said.join("; ")}`, {
      host,
      attempts,
      cause: attempts.at(-1)?.error,
    });
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}
