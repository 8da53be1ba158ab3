/**
 * Finds out whether a server answers at all. Any answer is one: a refusal, a reset, a single byte. Silence counts only
 * while this process could have heard an answer.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";
import { isSilence } from "../../internal/socket_errors.ts";

/** A server, and how to ask it. */
export interface ProbedServer {
  /** Probes with the same key are one. */
  readonly key: string;
  /** Fulfilled at the first answer; rejected if the connection fails. */
  ask(signal: AbortSignal): Promise<unknown>;
}

/** How silence is measured. */
export interface ProbeOptions {
  /** How long the server may be silent, in milliseconds. */
  readonly limitMs: number;
  /** Ends the wait; the result then says nothing about the server. */
  readonly signal?: AbortSignal | undefined;
}

/** Silence is counted in steps of this length: a step counts as one, however long the event loop was blocked in it. */
const STEP_MS = 50;

/** A step that ends later than this was blocked: an answer may have arrived that was not read yet. */
const LATE_MS = 25;

/** One attempt to get an answer, for all callers that wait for it. */
interface SharedProbe {
  readonly answer: Promise<boolean>;
  readonly controller: AbortController;
  waiting: number;
}

/** The attempts under way in this process, by the key of the server. */
const probes: Map<string, SharedProbe> = new Map();

/**
 * Finds out whether a server answers. Callers that ask while an attempt is under way in this process wait for the same
 * one, each for its own time.
 *
 * @param server The server.
 * @param options For how long silence is no verdict, and what ends the wait.
 * @returns `false` if there was no answer in time, or the network reports that the server cannot be reached.
 */
export async function answers(server: ProbedServer, options: ProbeOptions): Promise<boolean> {
  const { limitMs, signal } = options;
  if (signal?.aborted) return false;
  const probe = join(server);
  let silence: Silence | undefined;
  let onAbort = () => {};
  const given = new Promise<boolean>((resolve) => {
    onAbort = () => resolve(false);
    silence = new Silence(limitMs, () => {
      // The next caller begins anew: the packets of this attempt may be lost, and are sent again ever more rarely.
      forget(server.key, probe.controller);
      resolve(false);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([probe.answer, given]);
  } finally {
    silence?.clear();
    signal?.removeEventListener("abort", onAbort);
    leave(server.key, probe);
  }
}

function join(server: ProbedServer): SharedProbe {
  const { key } = server;
  let probe = probes.get(key);
  if (probe === undefined) {
    const controller = new AbortController();
    const answer = ask(server, controller.signal).finally(() => forget(key, controller));
    probe = { answer, controller, waiting: 0 };
    probes.set(key, probe);
  }
  probe.waiting++;
  return probe;
}

async function ask(server: ProbedServer, signal: AbortSignal): Promise<boolean> {
  try {
    await server.ask(signal);
    return true;
  } catch (error) {
    return !isSilence(error);
  }
}

/** Ends the attempt when the last caller has left it. */
function leave(key: string, probe: SharedProbe): void {
  if (--probe.waiting > 0) return;
  forget(key, probe.controller);
  probe.controller.abort(new Error("the probe is over"));
}

function forget(key: string, controller: AbortController): void {
  if (probes.get(key)?.controller === controller) probes.delete(key);
}

/** Calls back when a span has passed in which the event loop ran: the time in which it was blocked does not count. */
class Silence {
  readonly #limitMs: number;
  readonly #onOver: () => void;
  #countedMs = 0;
  #timer: Timer | undefined;
  /** Whether the span is over, but for one more turn of the event loop, because the last step was late. */
  #extended = false;

  constructor(limitMs: number, onOver: () => void) {
    this.#limitMs = limitMs;
    this.#onOver = onOver;
    this.#step();
  }

  clear(): void {
    this.#timer?.clear();
  }

  #step(): void {
    const leftMs = this.#limitMs - this.#countedMs;
    const stepMs = leftMs > 0 ? Math.min(STEP_MS, leftMs) : STEP_MS;
    const beganMs = now();
    this.#timer = maintenanceTimer(stepMs, () => {
      const late = now() - beganMs - stepMs > LATE_MS;
      this.#countedMs += stepMs;
      if (this.#countedMs < this.#limitMs || late && !this.#extended) {
        this.#extended = this.#countedMs >= this.#limitMs;
        this.#step();
      } else {
        this.#onOver();
      }
    });
  }
}
