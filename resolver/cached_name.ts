/**
 * A name in the cache: its entry, and a view of the entry for each set of options.
 *
 * @module
 */

import { CacheEntry, type CacheKey, type EntryEvents, type KnownAnswer } from "./cache_entry.ts";
import type { InFlightQuery } from "./in_flight_query.ts";
import { View, type ViewSettings } from "./view.ts";

/** Maximum number of views; beyond it, those that are not in use are removed. */
const MAX_VIEWS = 50;

/** The settings of the newest view. */
let newest: ViewSettings | undefined;

/** Hands what each query brings to all views. */
export class CachedName implements EntryEvents {
  /** The views, each with settings of its own. */
  views: readonly View[] = [];
  readonly #entry: CacheEntry;

  /** @param key What an answer depends on. */
  constructor(key: CacheKey) {
    this.#entry = new CacheEntry(key, this);
  }

  /** Whether the name may be removed from the cache: no view is in use, and no query is under way. */
  get isDisposable(): boolean {
    return !this.#entry.query && this.views.every((view) => !view.isInUse);
  }

  /** Returns whether a view was used since the last call. */
  takeUse(): boolean {
    let wasUsed = false;
    for (const view of this.views) {
      wasUsed ||= view.wasUsed;
      view.wasUsed = false;
    }
    return wasUsed;
  }

  /** Returns the view with these settings, the same for all callers that have the same settings. */
  viewWith(settings: ViewSettings): View {
    const known = this.views.find((view) => isSame(view.settings, settings));
    if (known) return known;
    if (this.views.length >= MAX_VIEWS) this.#removeUnused();
    // Thousands of names have the same settings.
    if (!newest || !isSame(newest, settings)) newest = settings;
    const view = new View(this.#entry, newest);
    this.views = [...this.views, view];
    return view;
  }

  /** Forgets answers and failures. A query is cancelled, and the callers that wait for it start another one. */
  clear(): void {
    this.#entry.clear();
    for (const view of this.views) view.clear();
  }

  /** Updates all views before the first watcher is called. */
  onAnswer(query: InFlightQuery | undefined, answer: KnownAnswer): void {
    const views = this.views;
    const updates = views.map((view) => ({ view, change: view.apply(answer) }));
    if (query && answer.rest) { for (const view of views) view.retainRest(query); }
    for (const { view, change } of updates) view.notifyAnswer(change);
  }

  onFailure(query: InFlightQuery, error: unknown): void {
    const views = this.views;
    for (const view of views) view.applyFailure(query, error);
    for (const view of views) view.notifyFailure(error);
  }

  onHalfFailure(error: unknown): void {
    for (const view of this.views) view.notifyFailure(error);
  }

  onDoubt(): void {
    for (const view of this.views) view.askSoon();
  }

  /** Lets each view choose between a substitute and what it has; returns whether a view has something better. */
  onSubstitute(query: InFlightQuery, answer: KnownAnswer): boolean {
    const views = this.views;
    const takers = views.filter((view) => answer.source === "os" && view.takesFallback);
    const others = views.filter((view) => !takers.includes(view));
    const updates = takers.map((view) => ({ view, change: view.apply(answer) }));
    const changes = answer.source === "os"
      ? []
      : others.map((view) => ({ view, change: view.applyExpired(answer) }));
    for (const view of others) view.applyFailure(query, answer.failure);
    for (const { view, change } of updates) view.notifyAnswer(change);
    for (const { view, change } of changes) view.notifyChange(change);
    for (const view of others) view.notifyFailure(answer.failure);
    return others.length > 0;
  }

  /** Removes views. They are cleared, because a caller may still have one that is not in use. */
  #removeUnused(): void {
    const removed = this.views.filter((view) => !view.isInUse);
    this.views = this.views.filter((view) => view.isInUse);
    for (const view of removed) view.clear();
  }
}

/** Returns whether two views have the same settings. */
function isSame(one: ViewSettings, other: ViewSettings): boolean {
  return one.timeoutMs === other.timeoutMs && one.maxRetries === other.maxRetries &&
    one.graceMs === other.graceMs && one.extendGrace === other.extendGrace &&
    one.maxStaleMs === other.maxStaleMs && one.minTtlMs === other.minTtlMs &&
    one.maxTtlMs === other.maxTtlMs;
}
