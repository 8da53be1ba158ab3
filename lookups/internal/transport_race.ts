/**
 * Asks a server over UDP, and over TCP as well where UDP does not bring the response: it is too large, UDP fails, or the
 * server is silent. The first whole response counts.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../../internal/clock.ts";
import { hostPort } from "../../internal/ip.ts";
import { codeOf, messageOf } from "../../internal/thrown.ts";
import type { NameServer } from "../lookup.ts";

/** Interval in milliseconds in which silent servers are noticed. */
const TICK_MS = 50;
/** Number of ticks without a response over UDP after which TCP is tried as well: ticks of a loop that turns. */
const MAX_SILENT_TICKS = 10;
/** Time in milliseconds that TCP has where UDP has failed: a closed port is not worth a long wait for the other. */
const MAX_TCP_MS = 500;
/** The reason that ends the exchange that was not first. */
const NOT_FIRST = new Error("the other transport was first");

/** How a question is asked over each transport. */
export interface Transports<T> {
  /** The server: whether it is silent over UDP is remembered. */
  readonly server: NameServer;
  /** Ends the question: it is rejected with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called with what is waited for, instead of `"the server did not answer"`. */
  readonly onWait?: ((what: string) => void) | undefined;
  /** Asks over UDP, and tells the listener; returns what ends the question. */
  overUdp(listener: UdpOutcome<T>): () => void;
  /** Asks over TCP. */
  overTcp(signal: AbortSignal): Promise<T>;
}

/** What UDP brought. Once the question is over, it is ignored. */
export interface UdpOutcome<T> {
  /** A whole response. */
  onResponse(response: T): void;
  /** A response of which only a part has come. */
  onTruncated(): void;
  /** No response, because UDP failed. */
  onError(error: unknown): void;
}

/** The servers that were silent over UDP and answered over TCP the last time. They are asked over both at once. */
const silentOverUdp = new Set<string>();

/**
 * Asks over UDP, and as soon as that is truncated, has failed or has been silent for half a second, over TCP as well.
 *
 * @param transports How to ask.
 * @returns The first whole response.
 * @throws {Error} of UDP if both fail; of TCP if the response over UDP was truncated; or the signal's reason.
 */
export function overFirstTransport<T>(transports: Transports<T>): Promise<T> {
  return new Promise((resolve, reject) => new Race(transports, { resolve, reject }).start());
}

interface Settle<T> {
  resolve(response: T): void;
  reject(reason: unknown): void;
}

/** The questions that are asked over UDP only so far. One timer is cheaper than one for each. */
const silent = new Set<{ onTick(): void }>();
let ticking: Timer | undefined;

function watchSilence(race: { onTick(): void }): void {
  silent.add(race);
  ticking ??= maintenanceTimer(TICK_MS, tick);
}

function forgetSilence(race: { onTick(): void }): void {
  if (!silent.delete(race) || silent.size > 0) return;
  ticking?.clear();
  ticking = undefined;
}

function tick(): void {
  ticking = maintenanceTimer(TICK_MS, tick);
  for (const race of [...silent]) race.onTick();
}

/** A question that is asked over both. */
class Race<T> implements UdpOutcome<T> {
  readonly #transports: Transports<T>;
  readonly #settle: Settle<T>;
  readonly #key: string;
  #isOver = false;
  #endUdp: () => void = () => {};
  #endTcp: AbortController | undefined;
  readonly #onAbort = () => this.#reject(this.#transports.signal.reason);
  #silentTicks = 0;
  #limit: Timer | undefined;
  #triesTcp = false;
  /** What UDP has brought: nothing yet, a truncated response, or an error. */
  #udp: { kind: "silent" } | { kind: "truncated" } | { kind: "failed"; error: unknown } = {
    kind: "silent",
  };

  constructor(transports: Transports<T>, settle: Settle<T>) {
    this.#transports = transports;
    this.#settle = settle;
    this.#key = hostPort(transports.server.host, transports.server.port);
  }

  start(): void {
    this.#transports.signal.addEventListener("abort", this.#onAbort, { once: true });
    if (silentOverUdp.has(this.#key)) this.#tryTcp();
    else watchSilence(this);
    this.#endUdp = this.#transports.overUdp(this);
  }

  onTick(): void {
    if (++this.#silentTicks === MAX_SILENT_TICKS) this.#tryTcp();
  }

  onResponse(response: T): void {
    if (this.#isOver) return;
    silentOverUdp.delete(this.#key);
    this.#resolve(response);
  }

  onTruncated(): void {
    if (this.#isOver) return;
    silentOverUdp.delete(this.#key);
    this.#udp = { kind: "truncated" };
    const what = "the response is truncated, and the server did not answer over TCP";
    this.#transports.onWait?.(what);
    this.#tryTcp();
  }

  onError(error: unknown): void {
    if (this.#isOver) return;
    this.#udp = { kind: "failed", error };
    this.#tryTcp();
    this.#limit = maintenanceTimer(MAX_TCP_MS, () => this.#reject(error));
  }

  #tryTcp(): void {
    if (this.#triesTcp) return;
    this.#triesTcp = true;
    forgetSilence(this);
    this.#endTcp = new AbortController();
    this.#transports.overTcp(this.#endTcp.signal).then(
      (response) => {
        if (this.#isOver) return;
        if (this.#udp.kind !== "truncated") silentOverUdp.add(this.#key);
        this.#resolve(response);
      },
      (error) => this.#onTcpError(error),
    );
  }

  #onTcpError(error: unknown): void {
    if (this.#isOver) return;
    const why = messageOf(error);
    switch (this.#udp.kind) {
      case "failed":
        return this.#reject(this.#udp.error);
      case "truncated": {
        const message = `the response is truncated, and TCP failed: ${why}`;
        const code = codeOf(error) || undefined;
        return this.#reject(Object.assign(new Error(message, { cause: error }), code && { code }));
      }
      case "silent":
        silentOverUdp.delete(this.#key);
        this.#transports.onWait?.(`TCP failed (${why}), and the server did not answer over UDP`);
    }
  }

  #resolve(response: T): void {
    this.#finish();
    this.#settle.resolve(response);
  }

  #reject(reason: unknown): void {
    this.#finish();
    this.#settle.reject(reason);
  }

  #finish(): void {
    this.#isOver = true;
    this.#limit?.clear();
    forgetSilence(this);
    this.#transports.signal.removeEventListener("abort", this.#onAbort);
    this.#endUdp();
    this.#endTcp?.abort(NOT_FIRST);
  }
}
