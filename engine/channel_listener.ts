/**
 * One listener on one channel: what `engine.listen()` returns, and how its callbacks are called.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { keptAlive } from "../internal/async.ts";
import { type Timer, timer } from "../internal/clock.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { ChannelListener, ListenGap } from "./types.ts";

/** The arguments of `engine.listen()`, checked. */
export interface ListenRequest {
  readonly channel: string;
  readonly onNotify: (payload: string, channel: string) => unknown;
  readonly onGap: ((gap: ListenGap) => unknown) | undefined;
  readonly keepsProcess: boolean;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/**
 * Reads the arguments of `engine.listen()`.
 *
 * @param channel The channel's name.
 * @param onNotify The callback.
 * @param options The options.
 * @param defaults The default of the timeout, and the adapter's check of a channel's name.
 * @throws {TypeError} if one is not valid.
 * @throws {RangeError} if a number is outside its range.
 */
export function readListenRequest(
  channel: unknown,
  onNotify: unknown,
  options: unknown,
  { timeoutMs, checkChannel }: {
    readonly timeoutMs: number;
    checkChannel?(channel: string): void;
  },
): ListenRequest {
  if (typeof channel !== "string" || channel === "") {
    throw mustBe("channel", "a non-empty string", channel);
  }
  checkChannel?.(channel);
  if (typeof onNotify !== "function") throw mustBe("onNotify", "a function", onNotify);
  const reader = new OptionReader(options, "listen");
  const onGap = reader.value<ListenRequest["onGap"]>("onGap", undefined, (value) => {
    if (typeof value === "function") return value as ListenRequest["onGap"];
    throw mustBe("onGap", "a function", value);
  });
  const keepsProcess = reader.boolean("keepProcessAlive", false);
  const signal = reader.signal();
  const limitMs = reader.timeoutAsMs("timeout", timeoutMs / 1000, { above: 0, infinite: true });
  reader.done();
  return {
    channel,
    onNotify: onNotify as ListenRequest["onNotify"],
    onGap,
    keepsProcess,
    signal,
    timeoutMs: limitMs,
  };
}

/** What a listener asks and reports. */
export interface ListenerEvents {
  /** The listener leaves. Returns when the server no longer sends to it. */
  onLeft(listener: Listener): Promise<void>;
  /** A callback threw, or its promise was rejected. */
  onThrown(error: unknown, channel: string): void;
  /** Returns what the last connect failed with. */
  lastError(): unknown;
}

/** One listener. */
export class Listener implements ChannelListener {
  readonly channel: string;
  readonly keepsProcess: boolean;
  /** Fulfilled when the server sends to the listener, for the first time. */
  readonly started: Promise<ChannelListener>;
  /** The connection by which it listened last; `undefined` before the first time. */
  #connection: number | undefined = undefined;
  #closed = false;
  #left: Promise<void> | undefined = undefined;

  readonly #request: ListenRequest;
  readonly #events: ListenerEvents;
  readonly #limit: Timer | undefined;
  readonly #onAbort: () => void;
  #settle!: { resolve(listener: ChannelListener): void; reject(error: unknown): void };

  /**
   * @param request What `engine.listen()` was given; its signal is not aborted.
   * @param events What the listener asks and reports.
   */
  constructor(request: ListenRequest, events: ListenerEvents) {
    this.channel = request.channel;
    this.keepsProcess = request.keepsProcess;
    this.#request = request;
    this.#events = events;
    this.started = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.#onAbort = () => this.fail(request.signal!.reason);
    request.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (request.timeoutMs < Infinity) {
      this.#limit = timer(request.timeoutMs, () => this.#onLate());
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the server has ever sent to it. */
  get hasStarted(): boolean {
    return this.#connection !== undefined;
  }

  close(): Promise<void> {
    this.fail(new DOMException("The listener was closed", "AbortError"));
    return keptAlive(this.#left!);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends the listener; if it has never started, `started` is rejected with the error. */
  fail(error: unknown): void {
    this.end(error);
    this.#left ??= this.#events.onLeft(this);
  }

  /** Ends the listener without a report: the engine is closed. */
  end(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#limit?.clear();
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    this.#settle.reject(error);
  }

  /**
   * Is told that the server sends to it now.
   *
   * @param connection The number of the connection.
   * @param gap What happened since it listened before.
   */
  begin(connection: number, gap: ListenGap | undefined): void {
    if (this.#closed || this.#connection === connection) return;
    const isFirst = this.#connection === undefined;
    this.#connection = connection;
    if (isFirst) {
      this.#limit?.clear();
      this.#settle.resolve(this);
    } else if (gap) {
      this.#call(() => this.#request.onGap?.(gap));
    }
  }

  /** Passes on a notification. */
  notify(payload: string): void {
    if (!this.#closed) this.#call(() => this.#request.onNotify(payload, this.channel));
  }

  /** Calls a callback. What it throws harms no other one. */
  #call(callback: () => unknown): void {
    const onThrown = (error: unknown) => this.#events.onThrown(error, this.channel);
    try {
      const returned = callback() as Partial<Promise<unknown>> | null | undefined;
      if (typeof returned?.then === "function") Promise.resolve(returned).catch(onThrown);
    } catch (error) {
      onThrown(error);
    }
  }

  #onLate(): void {
    const seconds = Number((this.#request.timeoutMs / 1000).toFixed(3));
    const message = `Cannot listen on ${JSON.stringify(this.channel)} within ${seconds} seconds`;
    const error = new DOMException(message, "TimeoutError");
    const cause = this.#events.lastError();
    if (cause !== undefined) {
      Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
    }
    this.fail(error);
  }
}
