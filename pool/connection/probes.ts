/**
 * Finds out whether a server answers at all. Any answer is one: a refusal, a reset, a single byte. Silence counts only
 * while this process could have heard an answer.
 *
 * @module
 */

import { awakeTimer, type Timer } from "../../internal/clock.ts";
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
  let silence: Timer | undefined;
  let onAbort = () => {};
  const given = new Promise<boolean>((resolve) => {
    onAbort = () => resolve(false);
    silence = awakeTimer(limitMs, () => {
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
