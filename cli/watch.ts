/**
 * `dnspool watch`: writes a line each time the addresses of a name change.
 *
 * @module
 */

import { delay } from "../internal/async.ts";
import { MAX_TIMER_MS, now } from "../internal/clock.ts";
import { messageOf } from "../internal/thrown.ts";
import type { DnsSettings } from "../resolver/options.ts";
import { type View, viewOf } from "../resolver.ts";
import type { CommandContext } from "./context.ts";
import { printable, rounded, span, type Tone } from "./format.ts";

/** An event of a watched name. Times are seconds. */
interface WatchEvent {
  /** `"answer"` is the first answer; `"recovery"` the same answer as before a failure, or the first after one. */
  readonly event: "answer" | "change" | "failure" | "recovery";
  /** The addresses in use: those of a stale answer while resolution fails. */
  readonly addresses: readonly string[];
  readonly ttl: number | undefined;
  /** The time since the query for the answer; `undefined` without an answer. */
  readonly age: number | undefined;
  /** The addresses before a change, and the time for which they lasted. */
  readonly former?: { readonly addresses: readonly string[]; readonly lasted: number };
  /** The time for which resolution failed. */
  readonly failed?: number;
  /** The failure. */
  readonly error?: { readonly message: string };
}

/**
 * Watches a host until the signal is aborted.
 *
 * @param host A name that `hostOf` returned.
 * @param options The settings of the resolution, and whether the lines are JSON.
 * @param context The outputs and the signal.
 * @returns The exit status, 0.
 */
export async function watch(
  host: string,
  { settings, json }: { readonly settings: DnsSettings; readonly json: boolean },
  context: CommandContext,
): Promise<number> {
  const view = viewOf(host, settings);
  const history = new History(view);
  const show = (event: WatchEvent | undefined) => {
    if (!event) return;
    const time = new Date().toISOString();
    context.out(json ? jsonLine(time, host, event) : textLine(time, event, context));
  };
  const unwatch = view.watch({
    onAnswer: () => show(history.answered()),
    onError: (error) => show(history.failed(error)),
  });
  const stopRefreshing = view.keepFresh();
  try {
    view.waitUntilFresh(context.signal).catch(() => {}); // the watcher is told
    for (;;) await delay(MAX_TIMER_MS, context.signal);
  } catch {
    return 0;
  } finally {
    stopRefreshing();
    unwatch();
  }
}

/** The state that was shown last, to detect changes. */
class History {
  readonly #view: View;
  #addresses: readonly string[] = [];
  #sinceMs = 0;
  #failing: { readonly message: string; readonly sinceMs: number } | undefined;

  constructor(view: View) {
    this.#view = view;
  }

  /** Returns the event of a new answer; `undefined` if it is the same as before. */
  answered(): WatchEvent | undefined {
    const { addresses } = this.#view;
    const known = this.#addresses;
    const failing = this.#failing;
    const same = addresses.length === known.length && addresses.every((ip) => known.includes(ip));
    if (same && !failing) return undefined;
    const nowMs = now();
    this.#failing = undefined;
    const state = {
      ...this.#state(nowMs),
      ...(failing && { failed: (nowMs - failing.sinceMs) / 1000 }),
    };
    if (same) return { event: "recovery", ...state };
    const lasted = (nowMs - this.#sinceMs) / 1000;
    this.#addresses = addresses;
    this.#sinceMs = nowMs;
    if (known.length > 0) {
      return { event: "change", ...state, former: { addresses: known, lasted } };
    }
    return { event: failing ? "recovery" : "answer", ...state };
  }

  /** Returns the event of a failure; `undefined` if it was shown before. */
  failed(error: unknown): WatchEvent | undefined {
    const nowMs = now();
    const message = printable(messageOf(error));
    const known = this.#failing;
    if (known?.message === message) return undefined;
    this.#failing = { message, sinceMs: known?.sinceMs ?? nowMs };
    return { event: "failure", ...this.#state(nowMs), error: { message } };
  }

  #state(nowMs: number): Pick<WatchEvent, "addresses" | "ttl" | "age"> {
    const { addresses, entry: { newest: answer } } = this.#view;
    return { addresses, ttl: answer?.ttl, age: answer && (nowMs - answer.askedAtMs) / 1000 };
  }
}

function jsonLine(time: string, host: string, watched: WatchEvent): string {
  const { event, addresses, ttl, age, former, failed, error } = watched;
  return JSON.stringify({
    time,
    host,
    event,
    addresses,
    ttl: ttl ?? null,
    age: age === undefined ? null : rounded(age),
    ...(former && { former: { ...former, lasted: rounded(former.lasted) } }),
    ...(failed !== undefined && { failed: rounded(failed) }),
    ...(error && { error }),
  });
}

function textLine(time: string, watched: WatchEvent, { paint }: CommandContext): string {
  const { event, addresses, ttl, age, former, failed, error } = watched;
  const list = addresses.join(", ");
  const aged = age === undefined ? "" : `age ${span(age)}`;
  const parts: [string, Tone | undefined][] = [[time, "dim"]];
  if (error) {
    parts.push([`failed: ${error.message};`, "bad"]);
    parts.push([list ? `${list} stays in use, ${aged}` : "no address is known", undefined]);
  } else {
    parts.push([list, event === "change" ? "warning" : "good"]);
    parts.push([`TTL ${ttl === undefined ? "unknown" : `${ttl} s`}, ${aged}`, undefined]);
    if (former) {
      parts.push([`after ${span(former.lasted)} of ${former.addresses.join(", ")}`, "dim"]);
    }
    if (failed !== undefined) parts.push([`recovered after ${span(failed)}`, "good"]);
  }
  return parts.map(([text, tone]) => paint(text, tone)).join("  ");
}
