/**
 * Asks a DNS server over UDP, and over TCP where UDP does not bring the response: it is too large, UDP fails, or the
 * server is silent.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../../internal/clock.ts";
import { hostPort } from "../../internal/ip.ts";
import { codeOf, messageOf } from "../../internal/thrown.ts";
import type { Response } from "./message.ts";
import { type ExchangeOptions, overTcp, overUdp } from "./transport.ts";

/** Interval in milliseconds in which silent servers are noticed. */
const TICK_MS = 50;
/** Number of ticks without a response over UDP after which TCP is tried as well: ticks of a loop that turns. */
const MAX_SILENT_TICKS = 10;
/** Time in milliseconds that TCP has where UDP has failed: a closed port is not worth a long wait for the other. */
const MAX_TCP_MS = 500;
/** The reason that ends the exchange that was not first. */
const NOT_FIRST = new Error("the other transport was first");

/** A query, which has an id of its own. */
export interface WrittenQuery {
  readonly message: Uint8Array;
  /** Reads a message that came back; throws if it is not the response. */
  read(message: Uint8Array): Response;
}

/** The server of a question, its end, and what is told of it. */
export interface AnyTransportOptions extends ExchangeOptions {
  /** Called with what is waited for, instead of `"the server did not answer"`. */
  readonly onWait?: ((what: string) => void) | undefined;
}

/** The servers that were silent over UDP and answered over TCP the last time. They are asked over both at once. */
const silentOverUdp = new Set<string>();

/**
 * Asks a server that is asked over TCP only over TCP; any other over UDP, and as soon as that is truncated, has failed
 * or has been silent for half a second, over TCP as well. The first whole response counts.
 *
 * @param write Writes a query with an id of its own; called once for each transport.
 * @param options The server and the signal.
 * @returns A response that is not truncated.
 * @throws {Error} of UDP if both fail; of TCP if the response over UDP was truncated; or the signal's reason.
 */
export function overAnyTransport(
  write: () => WrittenQuery,
  options: AnyTransportOptions,
): Promise<Response> {
  return options.server.tcp === true
    ? askOverTcp(write(), options, options.signal)
    : new Promise((resolve, reject) => {
      new Race(write, options, { resolve, reject }).start();
    });
}

interface Settle {
  resolve(response: Response): void;
  reject(reason: unknown): void;
}

/** The questions that are asked over UDP only so far. One timer is cheaper than one for each. */
const silent = new Set<Race>();
let ticking: Timer | undefined;

function watchSilence(race: Race): void {
  silent.add(race);
  ticking ??= maintenanceTimer(TICK_MS, tick);
}

function forgetSilence(race: Race): void {
  if (!silent.delete(race) || silent.size > 0) return;
  ticking?.clear();
  ticking = undefined;
}

function tick(): void {
  ticking = maintenanceTimer(TICK_MS, tick);
  for (const race of [...silent]) race.onTick();
}

/** A question that is asked over both. */
class Race {
  readonly #write: () => WrittenQuery;
  readonly #options: AnyTransportOptions;
  readonly #settle: Settle;
  readonly #key: string;
  #isOver = false;
  #endUdp: () => void = () => {};
  #endTcp: AbortController | undefined;
  readonly #onAbort = () => this.#reject(this.#options.signal.reason);
  #silentTicks = 0;
  #limit: Timer | undefined;
  #triesTcp = false;
  /** What UDP has brought: nothing yet, a truncated response, or an error. */
  #udp: { kind: "silent" } | { kind: "truncated" } | { kind: "failed"; error: unknown } = {
    kind: "silent",
  };

  constructor(write: () => WrittenQuery, options: AnyTransportOptions, settle: Settle) {
    this.#write = write;
    this.#options = options;
    this.#settle = settle;
    this.#key = hostPort(options.server.host, options.server.port);
  }

  start(): void {
    this.#options.signal.addEventListener("abort", this.#onAbort, { once: true });
    if (silentOverUdp.has(this.#key)) this.#tryTcp();
    else watchSilence(this);
    const { message, read } = this.#write();
    this.#endUdp = overUdp(message, this.#options, {
      onMessage: (bytes) => this.#onUdp(read(bytes)),
      onError: (error) => this.#onUdpError(error),
    });
  }

  onTick(): void {
    if (++this.#silentTicks === MAX_SILENT_TICKS) this.#tryTcp();
  }

  #onUdp(response: Response): void {
    silentOverUdp.delete(this.#key);
    if (!response.truncated) return this.#resolve(response);
    this.#udp = { kind: "truncated" };
    const what = "the response is truncated, and the server did not answer over TCP";
    this.#options.onWait?.(what);
    this.#tryTcp();
  }

  #onUdpError(error: unknown): void {
    this.#udp = { kind: "failed", error };
    this.#tryTcp();
    this.#limit = maintenanceTimer(MAX_TCP_MS, () => this.#reject(error));
  }

  #tryTcp(): void {
    if (this.#triesTcp) return;
    this.#triesTcp = true;
    forgetSilence(this);
    this.#endTcp = new AbortController();
    askOverTcp(this.#write(), this.#options, this.#endTcp.signal).then(
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
        this.#options.onWait?.(`TCP failed (${why}), and the server did not answer over UDP`);
    }
  }

  #resolve(response: Response): void {
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
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#endUdp();
    this.#endTcp?.abort(NOT_FIRST);
  }
}

async function askOverTcp(
  { message, read }: WrittenQuery,
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Response> {
  const response = read(await overTcp(message, { ...options, signal }));
  if (response.truncated) throw new Error("the response is truncated over TCP as well");
  return response;
}
