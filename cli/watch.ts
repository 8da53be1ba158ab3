/**
 * `dnspool watch`: a line each time that a name's addresses change.
 *
 * @module
 */

import { delay } from "../internal/async.ts";
import { MAX_TIMER_MS, now } from "../internal/clock.ts";
import type { DnsSettings } from "../resolver/options.ts";
import { type View, viewOf } from "../resolver.ts";
import { printable, rounded, span, type Tone } from "./format.ts";
import type { Io } from "./io.ts";

/** What happened. Times are seconds. */
interface Happening {
  /** `"answer"`: the first; `"recovery"`: the same as before the failure, or the first after one. */
  readonly event: "answer" | "change" | "failure" | "recovery";
  /** The addresses in force; those of a stale answer while resolution fails. */
  readonly addresses: readonly string[];
  readonly ttl: number | undefined;
  /** Since the answer was asked for; `undefined` without one. */
  readonly age: number | undefined;
  /** What there was before a change, and for how long. */
  readonly former?: { readonly addresses: readonly string[]; readonly lasted: number };
  /** How long resolution failed. */
  readonly failed?: number;
  /** Why it fails. */
  readonly error?: { readonly message: string };
}

/**
 * Follows a host until the signal.
 *
 * @param host A name, as it is looked up.
 * @param how How to resolve it, and whether the lines are to be JSON.
 * @param io Where to show it.
 * @returns The exit status: to be stopped is how it ends.
 */
export async function watch(
  host: string,
  { settings, json }: { readonly settings: DnsSettings; readonly json: boolean },
  io: Io,
): Promise<number> {
  const view = viewOf(host, settings);
  const history = new History(view);
  const show = (happening: Happening | undefined) => {
    if (!happening) return;
    const time = new Date().toISOString();
    io.out(json ? lineOfJson(time, host, happening) : lineOfText(time, happening, io));
  };
  const unwatch = view.watch({
    onAnswer: () => show(history.answered()),
    onError: (error) => show(history.failed(error)),
  });
  const stopKeeping = view.keepFresh();
  try {
    view.waitUntilFresh(io.signal).catch(() => {}); // the watcher hears of it
    for (;;) await delay(MAX_TIMER_MS, io.signal);
  } catch {
    return 0;
  } finally {
    stopKeeping();
    unwatch();
  }
}

/** What was shown last, to tell what is new. */
class History {
  readonly #view: View;
  #addresses: readonly string[] = [];
  #sinceMs = 0;
  #failing: { readonly message: string; readonly sinceMs: number } | undefined;

  constructor(view: View) {
    this.#view = view;
  }

  /** An answer came; `undefined` where it is the same as before. */
  answered(): Happening | undefined {
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

  /** Resolution failed; `undefined` where that was said before. */
  failed(error: unknown): Happening | undefined {
    const nowMs = now();
    const message = printable(error instanceof Error ? error.message : String(error));
    const known = this.#failing;
    if (known?.message === message) return undefined;
    this.#failing = { message, sinceMs: known?.sinceMs ?? nowMs };
    return { event: "failure", ...this.#state(nowMs), error: { message } };
  }

  #state(nowMs: number): Pick<Happening, "addresses" | "ttl" | "age"> {
    const { addresses, entry: { answer } } = this.#view;
    return { addresses, ttl: answer?.ttl, age: answer && (nowMs - answer.askedAtMs) / 1000 };
  }
}

function lineOfJson(time: string, host: string, happening: Happening): string {
  const { event, addresses, ttl, age, former, failed, error } = happening;
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

function lineOfText(time: string, happening: Happening, { paint }: Io): string {
  const { event, addresses, ttl, age, former, failed, error } = happening;
  const list = addresses.join(", ");
  const aged = age === undefined ? "" : `age ${span(age)}`;
  const said: [string, Tone | undefined][] = [[time, "dim"]];
  if (error) {
    said.push([`failed: ${error.message};`, "bad"]);
    said.push([list ? `${list} serves on, ${aged}` : "no address is known", undefined]);
  } else {
    said.push([list, event === "change" ? "warning" : "good"]);
    said.push([`TTL ${ttl === undefined ? "not told" : `${ttl} s`}, ${aged}`, undefined]);
    if (former) {
      said.push([`after ${span(former.lasted)} of ${former.addresses.join(", ")}`, "dim"]);
    }
    if (failed !== undefined) said.push([`recovered after ${span(failed)}`, "good"]);
  }
  return said.map(([text, tone]) => paint(text, tone)).join("  ");
}
