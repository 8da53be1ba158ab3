/**
 * What is remembered about one name: facts, the resolution under way, and each caller's view of them.
 *
 * @module
 */

import { now, type Timer, timer, upkeepTimer } from "./_clock.ts";
import { type Fact, type Family, kindOf, resolveName } from "./_resolution.ts";
import { ResolveError } from "./errors.ts";
import type { Lookup, NameServer } from "./lookups/lookup.ts";

/** RFC 2181 section 8: a TTL with the top bit set counts as 0. */
const TOP_BIT = 2 ** 31;
/** Seconds that an answer of unknown TTL counts for. */
const UNKNOWN_TTL = 5;
/** Two questions about one name are at least so far apart. */
const QUESTION_GAP_MS = 250;
/** A question ahead of expiry leaves at least so early. */
const LEAD_MS = 50;
/** From this TTL on, questions are spread, so that a fleet does not ask in step. */
const JITTER_FROM_MS = 5000;
/** TTLs are whole seconds: a cache in between may be off by one. */
const ROUNDING_MS = 1000;
/** After a failure the next try comes so much later, doubling up to the most. */
const RETRY = { firstMs: 500, mostMs: 5000 };
/** An answer of the operating system's resolver is asked of DNS again, but not for longer than this. */
const DNS_BEFORE_OS_MS = 2000;
/** A waiting caller leaves the resolution's own deadline so much time to explain itself. */
const SLACK_MS = 50;
/** A question that somebody's failure asks for comes at most once in this time. */
const FORCED_GAP_MS = 1000;
/** Seconds that a negative answer is remembered: where the server does not say, and at most. */
const NEGATIVE_TTL = { unknown: 1, most: 5 };
/** Grace doubles so often at most, and up to so many milliseconds. */
const GRACE = { doublings: 4, mostMs: 300_000 };
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

/** Hears what happens to a name while it is watched. */
export interface Watcher {
  /** The set of addresses changed. Called before anybody is given the new answer. */
  onChange?(change: AddressChange): void;
  /** A resolution failed; a stale answer may be serving all the same. */
  onError?(error: unknown): void;
}

/** How one caller wants a name resolved; the durations are milliseconds. */
export interface ViewSettings {
  /** For one resolution, all tries together. */
  readonly timeoutMs: number;
  /** How long a stale answer may be used when resolution fails. */
  readonly graceMs: number;
  /** Whether grace doubles each time it runs out. */
  readonly extendGrace: boolean;
  /** After so long past its end, an answer is not used at all. */
  readonly maxStaleMs: number;
  /** Rounds over all servers. */
  readonly maxRetries: number;
  /** Clamps on the TTL. */
  readonly minTtlMs: number;
  /** Clamps on the TTL. */
  readonly maxTtlMs: number;
  /** Asked when DNS has nothing to say and nothing stale is left. */
  readonly fallback: Lookup | undefined;
}

/** What identifies an entry: everything that an answer depends on. */
export interface Subject {
  /** Lower case, no trailing dot. */
  readonly name: string;
  readonly family: Family;
  readonly lookup: Lookup;
  readonly servers: readonly NameServer[];
}

/** What is known about one name, by one lookup and one list of servers: raw facts, nobody's clamps. */
export class Entry {
  /** The last answer. */
  fact: Fact | undefined;
  /** The resolution under way: never more than one. */
  flight: Flight | undefined;
  /** When the last resolution began. */
  askedAtMs = -Infinity;
  /** Failed resolutions since the last answer. */
  failures = 0;
  /** What the last one failed with. */
  failure: unknown;
  /** Until then a negative answer is repeated without asking. */
  negativeUntilMs = -Infinity;
  readonly #views: Map<string, View> = new Map();

  /** @param subject What the entry is about. */
  constructor(readonly subject: Subject) {}

  /** Whether nobody would miss the entry. */
  get disposable(): boolean {
    return !this.flight && [...this.#views.values()].every((view) => !view.watched);
  }

  /** The view with these settings, shared by all who have the same. */
  view(settings: ViewSettings): View {
    const { fallback, ...plain } = settings;
    const key = JSON.stringify([plain, fallback !== undefined]);
    let view = this.#views.get(key);
    if (!view) {
      if (this.#views.size >= MOST_VIEWS) this.#dropViews();
      view = new View(this, settings);
      this.#views.set(key, view);
    }
    return view;
  }

  /** The resolution under way, or a new one with this view's patience. */
  fly(view: View): Flight {
    return this.flight ??= new Flight(this, view);
  }

  /** Takes the outcome of a resolution; of one that was given up, nothing. */
  settle(flight: Flight, fact: Fact | undefined, error: unknown): boolean {
    if (this.flight !== flight) return false;
    this.flight = undefined;
    if (fact) {
      this.fact = fact;
      this.failures = 0;
      this.failure = undefined;
      this.negativeUntilMs = -Infinity;
      for (const view of this.#views.values()) view.learn(fact);
      return true;
    }
    const nowMs = now();
    this.failures++;
    this.failure = error;
    if (kindOf(error) === "negative") {
      const given = (error as { negativeTtl?: number }).negativeTtl ?? NEGATIVE_TTL.unknown;
      this.negativeUntilMs = nowMs + Math.min(given, NEGATIVE_TTL.most) * 1000;
    }
    for (const view of this.#views.values()) view.miss(nowMs, error);
    return true;
  }

  /** Forgets everything; a resolution under way is given up, and whoever waits for it asks again. */
  forget(): void {
    this.flight?.giveUp();
    this.fact = this.failure = undefined;
    this.failures = 0;
    this.negativeUntilMs = this.askedAtMs = -Infinity;
    for (const view of this.#views.values()) view.forget();
  }

  #dropViews(): void {
    for (const [key, view] of this.#views) if (!view.watched) this.#views.delete(key);
  }
}

/** How a resolution ended for those who waited: `kept` says whether the entry learned from it. */
interface Landing {
  readonly kept: boolean;
  readonly error: unknown;
}

/** One resolution under way, and how many hold on to it. */
class Flight {
  readonly landed: Promise<Landing>;
  readonly #controller = new AbortController();
  readonly #entry: Entry;
  #holders = 0;

  constructor(entry: Entry, readonly view: View) {
    this.#entry = entry;
    const { settings } = view;
    const nowMs = now();
    entry.askedAtMs = nowMs;
    const fromOs = entry.fact?.source === "os";
    const helpless = !entry.fact || fromOs || nowMs >= view.staleUntilMs;
    this.landed = resolveName({
      ...entry.subject,
      rounds: fromOs ? 1 : settings.maxRetries,
      timeoutMs: settings.timeoutMs,
      dnsTimeoutMs: fromOs ? DNS_BEFORE_OS_MS : Infinity,
      previous: entry.fact,
      fallback: helpless ? settings.fallback : undefined,
      signal: this.#controller.signal,
    }).then(
      (fact) => ({ kept: entry.settle(this, fact, undefined), error: undefined }),
      (error) => ({ kept: entry.settle(this, undefined, error), error }),
    );
  }

  /** Somebody wants the outcome. */
  hold(): void {
    this.#holders++;
  }

  /** Somebody does not want it any more; the last one ends the query. */
  drop(): void {
    if (--this.#holders === 0) this.giveUp();
  }

  /** Ends the query; its outcome, should it still come, is not kept. */
  giveUp(): void {
    if (this.#entry.flight !== this) return;
    this.#entry.flight = undefined;
    this.#controller.abort(new DOMException("The resolution was given up", "AbortError"));
  }
}

/**
 * A name as one set of options sees it: the entry's facts with this caller's clamps, grace and deadline. One
 * view serves everybody with the same options.
 */
export class View {
  /** The addresses in force, in the server's order; empty before the first answer. */
  addresses: readonly string[] = [];
  /** Until then the answer is fresh, in milliseconds of the monotonic clock. */
  freshUntilMs = -Infinity;
  /** Until then a stale answer may serve without waiting for a resolution. */
  graceUntilMs = -Infinity;
  /** After that a stale answer is not used at all. */
  staleUntilMs = -Infinity;

  /** How often grace began since the last answer. */
  #graces = 0;
  /** When a cache in between must have let go of the record that we know. */
  #horizonMs = -Infinity;
  #nextQuestionMs = Infinity;
  readonly #watchers: Set<Watcher> = new Set();
  #keepers = 0;
  #timer: Timer | undefined;
  /** The resolution that this view holds on to for upkeep's sake. */
  #upkeep: Flight | undefined;

  /**
   * @param entry What is known about the name.
   * @param settings This caller's clamps, grace and deadline.
   */
  constructor(readonly entry: Entry, readonly settings: ViewSettings) {
    if (entry.fact) this.learn(entry.fact);
  }

  /** Whether somebody watches, or wants the answer kept fresh. */
  get watched(): boolean {
    return this.#keepers > 0 || this.#watchers.size > 0;
  }

  /**
   * Whether the answer in force may be used now, because it is fresh or because grace lasts. No I/O, no wait.
   *
   * @param nowMs The time.
   */
  usable(nowMs: number): boolean {
    if (nowMs < this.freshUntilMs) return true;
    if (nowMs >= this.graceUntilMs) return false;
    if (nowMs >= this.#nextQuestionMs) this.#fly();
    return true;
  }

  /**
   * Waits until there is an answer to use, in the one resolution under way.
   *
   * @param signal Ends the wait; others that wait for the same answer go on.
   * @throws {ResolveError} where there is none.
   */
  async wait(signal?: AbortSignal): Promise<void> {
    const { entry, settings } = this;
    const endMs = now() + settings.timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      if (!entry.fact && now() < entry.negativeUntilMs) throw this.#explain(entry.failure);
      const flight = entry.fly(this);
      const landing = await this.#join(flight, endMs, signal);
      // One that found an answer is good for whoever waited for it, however short its TTL.
      if (landing?.kept && landing.error === undefined) return;
      if (!landing) this.miss(now(), entry.failure);
      if (now() < this.graceUntilMs) return;
      const patient = landing &&
        (!landing.kept || flight.view.settings.timeoutMs < settings.timeoutMs);
      if (!patient || now() >= endMs) throw this.#explain(landing?.error);
    }
  }

  /**
   * Asks again now, whatever the TTL says; at most once a second per name.
   *
   * @returns A promise that is fulfilled when the question is settled, well or badly; at once, where it has to
   *   wait for its second.
   */
  async refresh(): Promise<void> {
    const earliestMs = this.entry.askedAtMs + FORCED_GAP_MS;
    if (this.entry.flight || now() >= earliestMs) {
      await this.#fly();
    } else {
      this.#nextQuestionMs = Math.min(this.#nextQuestionMs, earliestMs);
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
    return () => void this.#watchers.delete(watcher);
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
      if (this.#keepers === 0) this.#land();
    };
  }

  /** Takes over a new fact. */
  learn(fact: Fact): void {
    const { minTtlMs, maxTtlMs, maxStaleMs } = this.settings;
    const said = fact.ttl ?? UNKNOWN_TTL;
    const ttlMs = Math.min(Math.max((said >= TOP_BIT ? 0 : said) * 1000, minTtlMs), maxTtlMs);
    const endMs = fact.askedAtMs + ttlMs;
    const added = fact.addresses.filter((address) => !this.addresses.includes(address));
    const removed = this.addresses.filter((address) => !fact.addresses.includes(address));
    const changed = added.length > 0 || removed.length > 0;

    this.#planNextQuestion(fact, ttlMs, changed);
    this.addresses = fact.addresses;
    this.freshUntilMs = endMs;
    this.staleUntilMs = endMs + maxStaleMs;
    this.graceUntilMs = -Infinity;
    this.#graces = 0;
    this.#schedule();
    if (!changed) return;
    const { addresses, source } = fact;
    const change = { added, removed, addresses, ttl: ttlMs / 1000, source };
    for (const watcher of [...this.#watchers]) watcher.onChange?.(change);
  }

  /** Takes note of a resolution that failed: the stale answer serves from now, or from its end if that is later. */
  miss(nowMs: number, error: unknown): void {
    const { graceMs, extendGrace } = this.settings;
    if (this.entry.fact && nowMs >= this.graceUntilMs) {
      const factor = extendGrace ? 2 ** Math.min(this.#graces, GRACE.doublings) : 1;
      const lengthMs = Math.min(graceMs * factor, Math.max(GRACE.mostMs, graceMs));
      this.graceUntilMs = Math.min(
        Math.max(nowMs, this.freshUntilMs) + lengthMs,
        this.staleUntilMs,
      );
      this.#graces++;
    }
    const pauseMs = Math.min(RETRY.firstMs * 2 ** (this.entry.failures - 1), RETRY.mostMs);
    this.#nextQuestionMs = nowMs + pauseMs * (0.8 + Math.random() / 5);
    this.#schedule();
    for (const watcher of [...this.#watchers]) watcher.onError?.(error);
  }

  /** The cache was cleared: the next caller asks. The addresses stay known, so that a change is seen as one. */
  forget(): void {
    this.freshUntilMs =
      this.graceUntilMs =
      this.staleUntilMs =
      this.#horizonMs =
        -Infinity;
    this.#graces = 0;
    this.#upkeep = undefined;
  }

  /**
   * A cache in between answers an early question from the record that it still has, with what is left of its
   * TTL. So the question ahead of expiry need not be the last: another follows when the old record must be
   * gone, and none comes closer than the gap after the one before.
   */
  #planNextQuestion(fact: Fact, ttlMs: number, changed: boolean): void {
    const endMs = fact.askedAtMs + ttlMs;
    const sameRecord = !changed && fact.askedAtMs < this.#horizonMs &&
      endMs <= this.#horizonMs + ROUNDING_MS;
    if (!sameRecord) this.#horizonMs = endMs;
    const jitterMs = ttlMs >= JITTER_FROM_MS ? Math.random() * ttlMs / 10 : 0;
    const leadMs = Math.min(Math.max(LEAD_MS, fact.tookMs), ttlMs / 2) + jitterMs;
    const wantedMs = sameRecord ? Math.min(this.#horizonMs, endMs) : endMs - leadMs;
    this.#nextQuestionMs = Math.max(fact.askedAtMs + QUESTION_GAP_MS, wantedMs);
  }

  /** A resolution that no caller waits for. */
  async #fly(): Promise<void> {
    const flight = this.entry.fly(this);
    if (this.#upkeep !== flight) {
      this.#upkeep = flight;
      flight.hold();
    }
    await flight.landed;
    if (this.#upkeep === flight) this.#upkeep = undefined;
  }

  /** Nobody needs the answer kept fresh any more: a question under way is not worth waiting for. */
  #land(): void {
    const flight = this.#upkeep;
    this.#upkeep = undefined;
    flight?.drop();
  }

  #schedule(): void {
    this.#timer?.clear();
    this.#timer = undefined;
    if (this.#keepers === 0 || this.#nextQuestionMs === Infinity) return;
    this.#timer = upkeepTimer(this.#nextQuestionMs - now(), () => {
      if (now() >= this.#nextQuestionMs) this.#fly();
      else this.#schedule();
    });
  }

  /** Waits for a flight; `undefined` once the caller's own time is up. */
  #join(
    flight: Flight,
    endMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Landing | undefined> {
    flight.hold();
    return new Promise<Landing | undefined>((resolve, reject) => {
      const onAbort = () => leave(() => reject(signal!.reason));
      const limit = timer(endMs + SLACK_MS - now(), () => leave(() => resolve(undefined)));
      const leave = (settle: () => void) => {
        limit.clear();
        signal?.removeEventListener("abort", onAbort);
        settle();
        flight.drop();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      flight.landed.then((landing) => leave(() => resolve(landing)));
    });
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
