/**
 * Which addresses connections may be open to, and what happens to connections whose address departed.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";
import { isListed } from "../../internal/listed.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";
import { connectionLost, type TerminateOptions } from "./close.ts";

/** A change of the answer. */
export interface AnswerChange {
  /** Addresses that are new in the answer. */
  readonly added: readonly string[];
  /** Addresses that left the answer. */
  readonly removed: readonly string[];
}

/**
 * Number of departures in a row between which no waiting caller was served: from then on, the addresses change faster
 * than connections can be opened, and without a linger time no caller would ever be served.
 */
const MAX_UNSERVED = 3;
/** Linger time in that case at least. */
const MIN_LINGER_MS = 250;

/** What {@linkcode CurrentAddresses} needs to see that addresses change too fast. */
export interface Progress {
  /** Returns whether callers wait for a connection. */
  isWaitedFor(): boolean;
  /** Returns the number of connections handed out so far. */
  handedOut(): number;
  /** Returns how long a connect to an address usually takes, or may take at most if that is not known. */
  connectMs(address: string): number;
}

/** The addresses that a host has now: those in the answer, and for a while those that left it. */
export class CurrentAddresses {
  readonly #answer: Pick<AnswerSource, "addresses">;
  readonly #lingerMs: number;
  readonly #onDeparted: (address: string) => void;
  readonly #progress: Progress | undefined;
  /** Number of departures since a connection was handed out, while callers waited. */
  #unserved = 0;
  /** Number of connections that had been handed out at the last departure. */
  #handedOut = 0;
  /** Addresses that left the answer and still count as current. */
  #lingering: Map<string, { readonly untilMs: number; readonly timer: Timer }> | undefined;

  /**
   * @param answer The answer.
   * @param lingerMs How long an address that left the answer stays current.
   * @param onDeparted Called when an address is no longer current.
   * @param progress Shows whether callers are served. Without it, addresses that change too fast do not linger longer.
   */
  constructor(
    answer: Pick<AnswerSource, "addresses">,
    lingerMs: number,
    onDeparted: (address: string) => void,
    progress?: Progress,
  ) {
    this.#answer = answer;
    this.#lingerMs = lingerMs;
    this.#onDeparted = onDeparted;
    this.#progress = progress;
  }

  /** Returns whether connections to an address may be used: by the clock, however late a timer is. */
  isCurrent(address: string): boolean {
    const { addresses } = this.#answer;
    if (addresses[0] === address || isListed(addresses, address)) return true;
    const lingering = this.#lingering?.get(address);
    return lingering !== undefined && now() < lingering.untilMs;
  }

  /** Is told of a change of the answer. */
  update({ added, removed }: AnswerChange): void {
    for (const address of added) {
      this.#lingering?.get(address)?.timer.clear();
      this.#lingering?.delete(address);
    }
    if (removed.length > 0) this.#noteDeparture();
    for (const address of removed) {
      const lingerMs = this.#lingerMsOf(address);
      if (lingerMs === 0) this.#onDeparted(address);
      else this.#linger(address, lingerMs);
    }
  }

  #noteDeparture(): void {
    if (this.#progress === undefined) return;
    const handedOut = this.#progress.handedOut();
    const isStarving = handedOut === this.#handedOut && this.#progress.isWaitedFor();
    this.#unserved = isStarving ? this.#unserved + 1 : 0;
    this.#handedOut = handedOut;
  }

  /** Returns the linger time of an address that departs: long enough to be connected to, if callers starve. */
  #lingerMsOf(address: string): number {
    if (this.#unserved < MAX_UNSERVED) return this.#lingerMs;
    const usefulMs = Math.max(MIN_LINGER_MS, 2 * this.#progress!.connectMs(address));
    return Math.max(this.#lingerMs, usefulMs);
  }

  /** Forgets the addresses that left the answer, without a call of `onDeparted`. */
  clear(): void {
    for (const { timer } of this.#lingering?.values() ?? []) timer.clear();
    this.#lingering = undefined;
  }

  #linger(address: string, lingerMs: number): void {
    const lingering = this.#lingering ??= new Map();
    const timer = maintenanceTimer(lingerMs, () => {
      lingering.delete(address);
      this.#onDeparted(address);
    });
    lingering.set(address, { untilMs: now() + lingerMs, timer });
  }
}

/** An open connection whose address departed. */
export interface RetiredConnection {
  /** When the address departed, or departed again. */
  readonly retiredAtMs: number;
  /** Whether a caller uses the connection. */
  readonly busy: boolean;
  /** Terminates the connection; pending work on it rejects with the reason. */
  terminate(reason: Error, options?: TerminateOptions): void;
}

/** The connections that a {@linkcode DepartureWatch} watches. */
export interface DepartedConnections {
  /** Returns when the first of those in use was retired; `undefined` if none is in use. */
  oldestMs(address: string): number | undefined;
  /** Terminates those in use that were retired until a moment. */
  terminate(address: string, retiredByMs: number, why: string, options?: TerminateOptions): void;
  /** Finds out whether the server answers a new connection attempt. */
  probe(address: string, signal: AbortSignal): Promise<boolean>;
}

/** What {@linkcode RetiredConnections} needs. */
export interface RetiredConnectionsOptions {
  /** Lists the open connections to a departed address. */
  list(address: string): readonly RetiredConnection[];
  /** Finds out whether the server answers a new connection attempt. */
  probe(address: string, signal: AbortSignal): Promise<boolean>;
  /** Called when connections were terminated. */
  onTerminated?(address: string, why: string): void;
}

/** The connections of an engine, or of a pool of another library, whose address departed. */
export class RetiredConnections implements DepartedConnections {
  readonly #options: RetiredConnectionsOptions;

  /** @param options Lists the connections, probes their server, and hears of those that were terminated. */
  constructor(options: RetiredConnectionsOptions) {
    this.#options = options;
  }

  oldestMs(address: string): number | undefined {
    const moments = this.#busy(address).map(({ retiredAtMs }) => retiredAtMs);
    return moments.length > 0 ? Math.min(...moments) : undefined;
  }

  terminate(address: string, retiredByMs: number, why: string, options?: TerminateOptions): void {
    const due = this.#busy(address).filter(({ retiredAtMs }) => retiredAtMs <= retiredByMs);
    for (const connection of due) connection.terminate(connectionLost(address, why), options);
    if (due.length > 0) this.#options.onTerminated?.(address, why);
  }

  probe(address: string, signal: AbortSignal): Promise<boolean> {
    return this.#options.probe(address, signal);
  }

  #busy(address: string): RetiredConnection[] {
    return this.#options.list(address).filter(({ busy }) => busy);
  }
}

/** Interval of the probes of a server while connections to it are retired and in use. */
const PROBE_INTERVAL_MS = 5000;

/** A departed address that is watched. */
interface WatchedAddress {
  readonly end: AbortController;
  /** The timer of the next probe; `undefined` while one is under way. */
  nextProbe: Timer | undefined;
  /** The timer of the end of the oldest connection's grace. */
  grace: Timer | undefined;
}

/**
 * Watches connections in use whose address departed: each may be used while the server is alive, until its
 * `retireGrace` is over; if the server no longer answers, they are terminated at once.
 */
export class DepartureWatch {
  readonly #graceMs: number;
  readonly #connections: DepartedConnections;
  readonly #watched: Map<string, WatchedAddress> = new Map();

  /**
   * @param graceMs How long a connection may still be used.
   * @param connections The connections.
   */
  constructor(graceMs: number, connections: DepartedConnections) {
    this.#graceMs = graceMs;
    this.#connections = connections;
  }

  /** Watches an address that departed, perhaps again, while connections to it are in use. */
  watch(address: string): void {
    const known = this.#watched.get(address);
    const watched = known ?? { end: new AbortController(), nextProbe: undefined, grace: undefined };
    if (!known) this.#watched.set(address, watched);
    this.#scheduleGrace(address, watched);
    const isProbing = known !== undefined && known.nextProbe === undefined;
    if (isProbing) return;
    watched.nextProbe?.clear();
    this.#probe(address, watched);
  }

  /** Stops watching, and ends the probes under way. */
  clear(): void {
    for (const [address, watched] of [...this.#watched]) this.#unwatch(address, watched);
  }

  async #probe(address: string, watched: WatchedAddress): Promise<void> {
    const { signal } = watched.end;
    watched.nextProbe = undefined;
    if (this.#connections.oldestMs(address) === undefined) return this.#unwatch(address, watched);
    const alive = await this.#connections.probe(address, signal);
    if (signal.aborted) return;
    if (alive) {
      const probe = () => this.#probe(address, watched);
      watched.nextProbe = maintenanceTimer(PROBE_INTERVAL_MS, probe);
    } else {
      this.#unwatch(address, watched);
      const why = "its address departed, and the server no longer answers";
      this.#connections.terminate(address, Infinity, why);
    }
  }

  /** Sets the timer for the oldest connection. An address may come back and depart again: each has its own grace. */
  #scheduleGrace(address: string, watched: WatchedAddress): void {
    const oldestMs = this.#connections.oldestMs(address);
    watched.grace?.clear();
    watched.grace = undefined;
    if (this.#graceMs === Infinity || oldestMs === undefined) return;
    watched.grace = maintenanceTimer(oldestMs + this.#graceMs - now(), () => {
      const retiredByMs = now() - this.#graceMs;
      if (oldestMs <= retiredByMs) {
        const why = `its address departed ${this.#graceMs / 1000} seconds ago`;
        this.#connections.terminate(address, retiredByMs, why, { cancel: true });
      }
      if (!watched.end.signal.aborted) this.#scheduleGrace(address, watched);
    });
  }

  #unwatch(address: string, watched: WatchedAddress): void {
    watched.end.abort();
    watched.nextProbe?.clear();
    watched.grace?.clear();
    this.#watched.delete(address);
  }
}
