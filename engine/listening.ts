/**
 * The connection that listens: one for all channels of an engine, outside the pool, on an address that the host has
 * now. When it is lost, its address departs or its server has another role, another one is opened, and each listener is
 * told of the gap.
 *
 * @module
 */

import type { Adapter, Notifications } from "../adapters/adapter.ts";
import { deadline, delay, keptAlive } from "../internal/async.ts";
import {
  awakeTimer,
  maintenanceTimer,
  MAX_TIMER_MS,
  now,
  type Timer,
  timer,
} from "../internal/clock.ts";
import type { Log } from "../internal/log.ts";
import { messageOf } from "../internal/thrown.ts";
import type { ConnectionSource } from "../pool/connection/source.ts";
import { Slot } from "../pool/slot.ts";
import type { AnswerSource } from "../resolver/answer_source.ts";
import { Listener, type ListenRequest } from "./channel_listener.ts";
import type { ChannelListener, ListenGap } from "./types.ts";

/** Interval in which the server is asked whether it is there, in milliseconds. */
const PING_INTERVAL_MS = 10_000;
/** Pauses between failed attempts: the maximum doubles from one to the next, each is drawn from its upper half. */
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 5000;
/** A connection that lasts as long was a good one: the next attempt after its loss is made at once. */
const GOOD_AFTER_MS = 1000;

/** What listening needs of its engine. */
export interface ListeningParts<C> {
  readonly adapter: Adapter<C>;
  readonly notifications: Notifications<C>;
  /** Opens, checks and closes the connection. */
  readonly connections: ConnectionSource<C>;
  readonly answer: AnswerSource;
  readonly log: Log;
  /** Maximum duration of one round trip. */
  readonly roundTripMs: number;
  /** Whether the server must have a role. */
  readonly wantsRole: boolean;
  /** Is told of an outage, once, and of what callbacks throw. */
  onError(error: unknown, channel: string | undefined): void;
}

/** An open connection that listens. */
interface Connection<C> {
  readonly number: number;
  readonly slot: Slot<C>;
  readonly openedAtMs: number;
  /** The channels that the server sends. */
  readonly channels: Set<string>;
  /** The channel whose LISTEN is under way. */
  pending: string | undefined;
  /** What is done on the connection, one after the other. Never rejected. */
  work: Promise<void>;
  /** Aborted when the connection is not to be used any more. */
  readonly over: AbortController;
  /** Whether all channels were listened to at least once. */
  isComplete: boolean;
  /** Whether its address departed: no failure, so that another one is opened at once. */
  hasDeparted: boolean;
  /** Whether it is closed because no listener is left. */
  isIdle: boolean;
}

/** The time since the last connection that listened. */
interface Outage {
  readonly reason: unknown;
  readonly address: string;
  readonly sinceMs: number;
}

/** Listens for an engine and its siblings. */
export class Listening<C> {
  readonly #parts: ListeningParts<C>;
  readonly #listeners: Map<string, Set<Listener>> = new Map();
  #connection: Connection<C> | undefined;
  #connections = 0;
  #outage: Outage | undefined;
  /** Number of attempts that failed since the last good connection. */
  #failures = 0;
  #lastError: unknown;
  /** Whether the present outage was reported. */
  #isReported = false;
  #running: Promise<void> | undefined;
  /** The attempt or the connection under way, until it is closed. */
  #step: Promise<void> | undefined;
  /** Ends the attempt under way: no listener is left. */
  #attempt: AbortController = new AbortController();
  /** Ends the pause between two attempts. */
  #pause: AbortController | undefined;
  /** Keeps the process alive while a listener asks for it. */
  #hold: Timer | undefined;
  #closedBecause: Error | undefined;

  /** @param parts What listening needs of its engine. */
  constructor(parts: ListeningParts<C>) {
    this.#parts = parts;
  }

  /** Whether there are listeners. */
  get isActive(): boolean {
    return this.#listeners.size > 0;
  }

  /** Adds a listener; returns it when the server sends to it. */
  async listen(request: ListenRequest): Promise<ChannelListener> {
    if (this.#closedBecause) throw this.#closedBecause;
    request.signal?.throwIfAborted();
    const listener = new Listener(request, {
      onLeft: (listener) => this.#remove(listener),
      onThrown: (error, channel) => this.#onThrown(error, channel),
      lastError: () => this.#lastError,
    });
    const { channel } = listener;
    const others = this.#listeners.get(channel);
    if (others) others.add(listener);
    else this.#listeners.set(channel, new Set([listener]));
    this.#updateHold();
    const connection = this.#connection?.over.signal.aborted ? undefined : this.#connection;
    if (connection?.channels.has(channel)) listener.begin(connection.number, undefined);
    else if (connection) this.#enqueue(connection, () => this.#sync(connection));
    this.#run();
    return await keptAlive(listener.started);
  }

  /** Is told that an address is no longer current. */
  onDeparted(address: string): void {
    const connection = this.#connection;
    if (connection?.slot.address === address) this.#loseDeparted(connection);
  }

  /** Ends the pause between two attempts: the addresses changed. */
  retryNow(): void {
    this.#pause?.abort();
  }

  /** Ends all listeners for good; those that have never started are rejected with the error. */
  async close(error: Error): Promise<void> {
    this.#closedBecause ??= error;
    for (const listener of this.#all()) listener.end(error);
    this.#listeners.clear();
    this.#updateHold();
    this.#endIfIdle();
    await this.#running;
  }

  #all(): Listener[] {
    return [...this.#listeners.values()].flatMap((listeners) => [...listeners]);
  }

  async #remove(listener: Listener): Promise<void> {
    const { channel } = listener;
    const others = this.#listeners.get(channel);
    if (!others?.delete(listener) || others.size > 0) return this.#updateHold();
    this.#listeners.delete(channel);
    this.#updateHold();
    if (this.#endIfIdle()) return await this.#step;
    const connection = this.#connection;
    if (connection) await this.#enqueue(connection, () => this.#sync(connection));
  }

  /** Ends the connection and the attempts if there are no listeners. */
  #endIfIdle(): boolean {
    if (this.isActive) return false;
    this.#attempt.abort(new DOMException("No listener is left", "AbortError"));
    this.#pause?.abort();
    if (this.#connection) this.#end(this.#connection);
    return true;
  }

  #updateHold(): void {
    const holds = this.#all().some(({ keepsProcess }) => keepsProcess);
    if (holds) this.#hold ??= timer(MAX_TIMER_MS, () => {});
    else {
      this.#hold?.clear();
      this.#hold = undefined;
    }
  }

  /** Keeps one connection open while there are listeners. */
  #run(): void {
    this.#running ??= this.#untilIdle().finally(() => {
      this.#running = undefined;
      if (this.isActive) this.#run();
    });
  }

  async #untilIdle(): Promise<void> {
    const stopRefresh = this.#parts.answer.keepFresh();
    try {
      while (this.isActive) {
        this.#step = this.#once();
        await this.#step;
      }
    } finally {
      stopRefresh();
      this.#outage = this.#lastError = undefined;
      this.#failures = 0;
      this.#isReported = false;
    }
  }

  /** Opens a connection and listens by it, or rests if that fails. */
  async #once(): Promise<void> {
    this.#attempt = new AbortController();
    const connection = await this.#open(this.#attempt.signal);
    if (connection) await this.#use(connection);
    else await this.#rest();
  }

  /** Opens a connection to a current address; returns `undefined` if that fails. */
  async #open(signal: AbortSignal): Promise<Connection<C> | undefined> {
    const { answer, connections } = this.#parts;
    try {
      if (!answer.isFresh()) await answer.waitUntilFresh(signal);
      const opened = await connections.open(signal);
      const slot = new Slot(opened);
      const connection: Connection<C> = {
        number: ++this.#connections,
        slot,
        openedAtMs: now(),
        channels: new Set(),
        pending: undefined,
        work: Promise.resolve(),
        over: new AbortController(),
        isComplete: false,
        hasDeparted: false,
        isIdle: false,
      };
      opened.watch({
        onClosed: (error) => this.#onClosed(connection, error),
        onError: () => {},
        onDoubt: () => void this.#enqueue(connection, () => this.#checkRole(connection)),
      });
      if (!connections.isCurrent(slot.address)) this.#loseDeparted(connection);
      return connection;
    } catch (error) {
      if (!signal.aborted) this.#onFailed(error, connections.isTransient(error));
      return undefined;
    }
  }

  /** Listens by a connection until it is lost or not needed any more. */
  async #use(connection: Connection<C>): Promise<void> {
    const { adapter, connections, log, notifications } = this.#parts;
    const { slot, over } = connection;
    const { signal } = over;
    this.#connection = connection;
    const ended = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve());
      if (signal.aborted) resolve();
    });
    try {
      notifications.onNotify(slot.client, (channel, payload) => {
        this.#onNotify(connection, channel, payload);
      });
      adapter.unref?.(slot.client);
    } catch (error) {
      this.#lose(connection, error);
    }
    void this.#enqueue(connection, () => this.#sync(connection));
    const ping = this.#pingRegularly(connection);
    if (!this.isActive) this.#end(connection);
    await ended;
    ping.clear();
    this.#connection = undefined;
    const reason = connection.isIdle ? undefined : signal.reason;
    const closing = connections.close(slot, reason);
    slot.onClosed?.();
    if (connection.isIdle) return await closing;
    // Its close is not waited for: meanwhile, nothing would be heard.
    log.info(`Lost the connection that listens to ${slot.address}: ${messageOf(reason)}`);
    if (connection.channels.size > 0) {
      this.#outage ??= { reason, address: slot.address, sinceMs: now() };
    }
    if (connection.hasDeparted && connection.channels.size > 0) return;
    if (!connection.isComplete) this.#onFailed(reason, true);
    else if (now() - connection.openedAtMs >= GOOD_AFTER_MS) this.#failures = 0;
    else this.#failures++;
    // The first one that ends early is replaced at once as well.
    if (this.#failures > 1 || !connection.isComplete) await this.#rest();
  }

  /** Waits between two attempts. */
  async #rest(): Promise<void> {
    if (!this.isActive) return;
    const pause = this.#pause = new AbortController();
    const maxMs = Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** (this.#failures - 1));
    const pauseMs = maxMs * (0.5 + Math.random() / 2);
    await delay(pauseMs, pause.signal, maintenanceTimer).catch(() => {});
    this.#pause = undefined;
  }

  /** Is told that an attempt failed. The first one of an outage is reported. */
  #onFailed(error: unknown, transient: boolean): void {
    this.#failures++;
    this.#lastError = error;
    if (!transient) {
      for (const listener of this.#all()) if (!listener.hasStarted) listener.fail(error);
    }
    if (this.#isReported || !this.#all().some(({ hasStarted }) => hasStarted)) return;
    this.#isReported = true;
    this.#parts.log.warn(`Cannot listen, and goes on trying: ${messageOf(error)}`);
    this.#parts.onError(error, undefined);
  }

  #onClosed(connection: Connection<C>, error: unknown): void {
    this.#parts.answer.refresh();
    this.#lose(connection, error ?? new Error("The connection was closed by the server"));
  }

  #lose(connection: Connection<C>, reason: unknown): void {
    connection.over.abort(reason ?? new Error("The connection was lost"));
  }

  #loseDeparted(connection: Connection<C>): void {
    connection.hasDeparted = true;
    this.#lose(connection, new Error(`The address ${connection.slot.address} departed`));
  }

  /** Lets a connection be closed gracefully. */
  #end(connection: Connection<C>): void {
    if (connection.over.signal.aborted) return;
    connection.isIdle = true;
    connection.over.abort();
  }

  /** Does something on a connection, after what is under way on it. A failure is the end of the connection. */
  #enqueue(connection: Connection<C>, work: () => Promise<void>): Promise<void> {
    const { signal } = connection.over;
    return connection.work = connection.work.then(async () => {
      if (signal.aborted) return;
      try {
        await work();
      } catch (error) {
        this.#lose(connection, error);
      }
    });
  }

  /** Makes the server send what there are listeners for, and nothing else. */
  async #sync(connection: Connection<C>): Promise<void> {
    const { notifications } = this.#parts;
    const { channels, slot, over } = connection;
    while (!over.signal.aborted) {
      const wanted = [...this.#listeners.keys()].find((channel) => !channels.has(channel));
      const unwanted = [...channels].find((channel) => !this.#listeners.has(channel));
      if (wanted !== undefined) {
        connection.pending = wanted;
        try {
          await this.#roundTrip(
            connection,
            "LISTEN",
            () => notifications.listen(slot.client, wanted),
          );
        } catch (error) {
          this.#onRefused(connection, wanted, error);
          continue;
        } finally {
          connection.pending = undefined;
        }
        this.#begin(connection, wanted);
      } else if (unwanted !== undefined) {
        channels.delete(unwanted);
        await this.#roundTrip(
          connection,
          "UNLISTEN",
          () => notifications.unlisten(slot.client, unwanted),
        );
      } else break;
    }
    if (over.signal.aborted || !this.isActive) return;
    connection.isComplete = true;
    this.#outage = this.#lastError = undefined;
    this.#isReported = false;
  }

  /** Is told that a LISTEN failed: if the connection is none the worse, that is for the new listeners alone. */
  #onRefused(connection: Connection<C>, channel: string, error: unknown): void {
    const listeners = [...this.#listeners.get(channel) ?? []];
    const isNew = listeners.every(({ hasStarted }) => !hasStarted);
    if (connection.over.signal.aborted) throw error;
    if (this.#parts.connections.classifyError(error)?.sameServer === true || !isNew) throw error;
    for (const listener of listeners) listener.fail(error);
  }

  #begin(connection: Connection<C>, channel: string): void {
    connection.channels.add(channel);
    const { number, slot } = connection;
    const outage = this.#outage;
    for (const listener of [...this.#listeners.get(channel) ?? []]) {
      listener.begin(number, gapSince(outage, channel, slot.address));
    }
  }

  #onNotify(connection: Connection<C>, channel: string, payload: string): void {
    if (this.#connection !== connection || connection.over.signal.aborted) return;
    // It may come before the promise of its LISTEN is settled.
    if (connection.pending === channel) this.#begin(connection, channel);
    for (const listener of [...this.#listeners.get(channel) ?? []]) listener.notify(payload);
  }

  #onThrown(error: unknown, channel: string): void {
    this.#parts.log.warn(
      `A callback of the listener on ${JSON.stringify(channel)} failed: ${messageOf(error)}`,
    );
    this.#parts.onError(error, channel);
  }

  /** Finds out at intervals whether the server is there, and has the wanted role. */
  #pingRegularly(connection: Connection<C>): Timer {
    const { adapter } = this.#parts;
    let isOver = false;
    let current: Timer;
    const schedule = () => {
      if (isOver) return;
      current = maintenanceTimer(PING_INTERVAL_MS, () => {
        this.#enqueue(connection, async () => {
          await this.#roundTrip(
            connection,
            "ping",
            async () => await adapter.ping?.(connection.slot.client),
          );
          if (this.#parts.wantsRole) await this.#checkRole(connection);
        }).then(schedule);
      });
    };
    schedule();
    return {
      clear: () => {
        isOver = true;
        current.clear();
      },
    };
  }

  async #checkRole(connection: Connection<C>): Promise<void> {
    const { slot } = connection;
    if (await this.#parts.connections.hasWantedRole(slot)) return;
    this.#lose(
      connection,
      new Error(`The server at ${slot.address} no longer has the wanted role`),
    );
  }

  async #roundTrip(
    { over, slot }: Connection<C>,
    what: string,
    work: () => Promise<void>,
  ): Promise<void> {
    await deadline(this.#parts.roundTripMs, work, {
      signal: over.signal,
      what: `no answer of ${slot.address} to the ${what}`,
      start: awakeTimer,
    });
  }
}

function gapSince(
  outage: Outage | undefined,
  channel: string,
  address: string,
): ListenGap | undefined {
  if (!outage) return undefined;
  const { reason, address: previousAddress, sinceMs } = outage;
  return { channel, address, previousAddress, seconds: (now() - sinceMs) / 1000, reason };
}
