/**
 * A name as one set of options sees it: the facts of its entry with this caller's clamps, grace and deadline.
 *
 * @module
 */

import type { Effort, Entry, Flight, Reader } from "./cache_entry.ts";
import { maintenanceTimer, now, type Timer, WallDeadline } from "../internal/clock.ts";
import { Freshness, type FreshnessSettings } from "./freshness.ts";
import { RefreshPlan } from "./refresh_schedule.ts";
import { type Fact, kindOf } from "./resolution.ts";
import { ResolveError } from "../errors.ts";

/** Who has a stale answer waits no longer for a fresh one: the client response timer of RFC 8767, section 5. */
const RESPONSE_MS = 1800;
/** A waiting caller leaves the resolution's own deadline so much time to explain itself. */
const SLACK_MS = 50;
/** A question that somebody's failure asks for comes at most once in this time. */
const FORCED_GAP_MS = 1000;
/** So many sets of options are remembered for a name. */
const MOST_VIEWS = 50;

/** What changed in the answer. */
export interface AddressChange {
  /** Addresses that came in. */
  readonly added: readonly string[];
  /** Addresses that left. */
  readonly removed: readonly string[];
  /** All that are in the answer now, in the server's order. */
  readonly addresses: readonly string[];
  /** Seconds that the new answer counts for. */
  readonly ttl: number;
  /** `"dns"`, or `"os"` where the operating system's resolver had to help out. */
  readonly source: "dns" | "os";
}

/** Hears what happens to a name while it is watched. What it throws is reported as an uncaught error. */
export interface Watcher {
  /** The set of addresses changed. Called before anybody is given the new answer. */
  onChange?(change: AddressChange): void;
  /** A resolution brought an answer, the same or another one. Called after `onChange`. */
  onAnswer?(): void;
  /** A resolution failed; a stale answer may be serving all the same. */
  onError?(error: unknown): void;
}

/** How one caller wants a name resolved; the durations are milliseconds. */
export interface ViewSettings extends Effort, FreshnessSettings {}

/** One view serves everybody with the same options. */
export class View implements Reader {
  /** The addresses in force, in the server's order; empty before the first answer. */
  addresses: readonly string[] = [];

  readonly #life: Freshness;
  /** The end of the fresh answer, while it is kept fresh: what a checkout looks at. */
  readonly #freshUntil: WallDeadline = new WallDeadline();
  readonly #plan: RefreshPlan = new RefreshPlan();
  readonly #watchers: Set<Watcher> = new Set();
  #keepers = 0;
  #waiting = 0;
  #timer: Timer | undefined;
  /** The resolution that this view holds on to for upkeep's sake. */
  #upkeep: Flight | undefined;
  /** When a question may be asked that had to wait for its second. */
  #forcedMs = Infinity;

  /** Views come from {@linkcode View.of}. */
  private constructor(readonly entry: Entry, readonly settings: ViewSettings) {
    this.#life = new Freshness(settings);
    if (entry.fact) this.learn(entry.fact);
  }

  /**
   * The view of an entry with these settings, shared by all who have the same.
   *
   * @param entry What is known about the name.
   * @param settings This caller's clamps, grace and deadline.
   */
  static of(entry: Entry, settings: ViewSettings): View {
    const { readers } = entry;
    const key = JSON.stringify(settings);
    // Nothing but views reads an entry.
    let view = readers.get(key) as View | undefined;
    if (!view) {
      if (readers.size >= MOST_VIEWS) {
        for (const [key, reader] of readers) if (!reader.busy) readers.delete(key);
      }
      view = new View(entry, settings);
      readers.set(key, view);
    }
    return view;
  }

  /** Until then the answer is fresh, in milliseconds of the monotonic clock. */
  get freshUntilMs(): number {
    return this.#life.freshUntilMs;
  }

  /** Until then, past that, it may be used without waiting, because resolution failed. */
  get graceUntilMs(): number {
    return this.#life.graceUntilMs;
  }

  /**
   * For how many milliseconds the answer may be used without waiting: the rest of its TTL, or of grace.
   *
   * @param nowMs The time.
   */
  leftMs(nowMs: number): number {
    const { freshUntilMs, graceUntilMs } = this.#life;
    return Math.max(0, (nowMs < freshUntilMs ? freshUntilMs : graceUntilMs) - nowMs);
  }

  get busy(): boolean {
    return this.#watched || this.#waiting > 0 || this.#upkeep !== undefined;
  }

  get #watched(): boolean {
    return this.#keepers > 0 || this.#watchers.size > 0;
  }

  /**
   * Whether the answer in force may be used now, because it is fresh or because grace lasts. No I/O, no wait; in
   * grace it sees to it that DNS is asked in the background.
   *
   * @param nowMs The time, where it is known already.
   */
  isFresh(nowMs?: number): boolean {
    if (nowMs === undefined) {
      if (this.#freshUntil.isAhead) return true;
      nowMs = now();
    }
    if (nowMs < this.#life.freshUntilMs) return true;
    if (nowMs >= this.#life.graceUntilMs) return false;
    if (nowMs >= this.#plan.dueMs) this.#fly();
    return true;
  }

  /**
   * Waits until there is an answer to use, in the one resolution under way. Where that takes long, grace begins and
   * a stale answer is one to use; the resolution goes on.
   *
   * @param signal Ends the wait; others that wait for the same answer go on.
   * @throws {ResolveError} where there is none.
   */
  async waitUntilFresh(signal?: AbortSignal): Promise<void> {
    const { entry, settings } = this;
    const startMs = now();
    const endMs = startMs + settings.timeoutMs;
    this.#waiting++;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const nowMs = now();
        if (this.isFresh(nowMs)) return;
        const helpless = this.#life.spent(nowMs);
        if (helpless && nowMs < entry.negativeUntilMs) throw this.#explain(entry.failure);
        const flight = entry.fly(settings, helpless);
        const landing = helpless || settings.timeoutMs < RESPONSE_MS
          ? await flight.join(endMs + SLACK_MS, signal)
          : await flight.join(startMs + RESPONSE_MS, signal, () => this.#fly());
        // One that found an answer is good for whoever waited for it, however short its TTL.
        if (landing?.kept && landing.found) return;
        const conclusive = landing?.kept && this.#isLastWord(flight, now(), landing.error);
        // Given up when the cache was cleared, or less hard a try than this caller wants: there is time for another.
        if (landing && !conclusive && now() < endMs) continue;
        // For this caller, whose time is up, resolution has failed, whatever becomes of the query.
        if (!conclusive) this.#life.miss(now());
        if (this.isFresh(now())) return;
        // The stale answer came to its end meanwhile.
        if (!conclusive && now() < endMs) continue;
        throw this.#explain(landing?.kept ? landing.error : undefined);
      }
    } finally {
      this.#waiting--;
    }
  }

  /**
   * Asks again now, whatever the TTL says; at most once a second per name. What comes too early is asked when
   * the second is over; where nobody keeps the answer fresh, the answer expires then, so that the next caller
   * asks.
   *
   * @returns Fulfilled when the question is settled, well or badly; at once, where it has to wait for its second.
   */
  async refresh(): Promise<void> {
    const earliestMs = this.entry.askedAtMs + FORCED_GAP_MS;
    if (this.entry.flight || now() >= earliestMs) {
      await this.#fly().landed;
    } else {
      this.#forcedMs = earliestMs;
      this.#plan.dueMs = Math.min(this.#plan.dueMs, earliestMs);
      this.#schedule();
    }
  }

  /**
   * Hears of changes and failures until the returned function is called.
   *
   * @param watcher Who hears.
   * @returns Ends it; calling it twice is harmless.
   */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher)) this.#land();
    };
  }

  /**
   * Keeps the answer fresh ahead of its expiry until the returned function is called.
   *
   * @returns Ends it; calling it twice is harmless.
   */
  keepFresh(): () => void {
    let kept = true;
    this.#keepers++;
    this.#schedule();
    return () => {
      if (!kept) return;
      kept = false;
      this.#keepers--;
      this.#schedule();
      this.#land();
    };
  }

  learn(fact: Fact): () => void {
    const { ttl, askedAtMs, answeredAtMs, tookMs, kept, source } = fact;
    const stillKept = kept && askedAtMs < kept.sinceMs + this.settings.maxStaleMs;
    const addresses = stillKept ? [...fact.addresses, ...kept.addresses] : fact.addresses;
    const added = addresses.filter((address) => !this.addresses.includes(address));
    const removed = this.addresses.filter((address) => !addresses.includes(address));
    const changed = added.length > 0 || removed.length > 0;

    const ttlMs = this.#life.learn(askedAtMs, ttl);
    const givenTtlMs = ttl === undefined ? undefined : ttl * 1000;
    this.#plan.learn({ askedAtMs, answeredAtMs, tookMs, givenTtlMs, ttlMs, changed });
    this.addresses = addresses;
    this.#forcedMs = Infinity;
    this.#schedule();
    const change = { added, removed, addresses, ttl: ttlMs / 1000, source };
    return () => {
      if (changed) this.#tell((watcher) => watcher.onChange?.(change));
      this.#tell((watcher) => watcher.onAnswer?.());
    };
  }

  miss(flight: Flight, nowMs: number, error: unknown): () => void {
    const { freshUntilMs } = this.#life;
    // A fresh answer that nobody keeps fresh expires as ever, and whoever comes then asks.
    const begins = this.#keepers > 0 || nowMs >= freshUntilMs;
    if (begins && this.#isLastWord(flight, nowMs, error)) this.#life.miss(nowMs);
    this.#plan.miss(nowMs, this.entry.failures);
    this.#schedule();
    return () => this.#tell((watcher) => watcher.onError?.(error));
  }

  /** The addresses stay known, so that a change is seen as one; but nobody is given them without asking. */
  forget(): void {
    this.#life.forget();
    this.#plan.forget(this.#keepers > 0 ? now() : Infinity);
    this.#forcedMs = Infinity;
    this.#schedule();
  }

  #isLastWord(flight: Flight, nowMs: number, error: unknown): boolean {
    return flight.speaksFor(this.settings, this.#life.spent(nowMs), error);
  }

  /** A resolution that no caller waits for. */
  #fly(): Flight {
    const flight = this.entry.fly(this.settings, this.#life.spent(now()));
    if (this.#upkeep === flight) return flight;
    this.#upkeep = flight;
    flight.hold();
    flight.landed.then(() => {
      if (this.#upkeep === flight) this.#upkeep = undefined;
    });
    return flight;
  }

  /** When nobody is interested any more, a question under way is not worth waiting for. */
  #land(): void {
    if (this.#watched) return;
    const flight = this.#upkeep;
    this.#upkeep = undefined;
    flight?.drop();
  }

  #schedule(): void {
    this.#timer?.clear();
    this.#timer = undefined;
    this.#freshUntil.set(this.#keepers > 0 ? this.#life.freshUntilMs : -Infinity);
    if (this.#keepers === 0) return this.#life.endAt(this.#forcedMs);
    if (this.#plan.dueMs === Infinity) return;
    this.#timer = maintenanceTimer(this.#plan.dueMs - now(), () => {
      if (now() >= this.#plan.dueMs) this.#fly();
      else this.#schedule();
    });
  }

  /** A watcher's failure is its own: the others hear all the same, and the resolution goes on. */
  #tell(call: (watcher: Watcher) => void): void {
    for (const watcher of [...this.#watchers]) {
      try {
        call(watcher);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #explain(error: unknown): ResolveError {
    const { name } = this.entry.subject;
    const seconds = this.settings.timeoutMs / 1000;
    const said = error === undefined
      ? `no answer within ${seconds} seconds`
      : error instanceof Error
      ? error.message
      : String(error);
    return new ResolveError(`Cannot resolve "${name}": ${said}`, {
      host: name,
      kind: kindOf(error),
      cause: error,
    });
  }
}
