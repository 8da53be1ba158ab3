/**
 * A name in the cache: its entry, and a view of the entry for each set of options.
 *
 * @module
 */

import { CacheEntry, type CacheKey, type KnownAnswer } from "./cache_entry.ts";
import type { InFlightQuery } from "./in_flight_query.ts";
import { View, type ViewSettings } from "./view.ts";

/** Maximum number of views; beyond it, those that are not in use are removed. */
const MAX_VIEWS = 50;

/** Hands what each query brings to all views. */
export class CachedName {
  /** The views by their settings. */
  readonly views: Map<string, View> = new Map();
  readonly #entry: CacheEntry;

  /** @param key What an answer depends on. */
  constructor(key: CacheKey) {
    this.#entry = new CacheEntry(key, {
      onAnswer: (query, answer) => this.#onAnswer(query, answer),
      onFailure: (query, error) => this.#onFailure([...this.views.values()], query, error),
      onSubstitute: (query, answer) => this.#onSubstitute(query, answer),
      onHalfFailure: (error) => {
        for (const view of [...this.views.values()]) view.notifyFailure(error);
      },
    });
  }

  /** Whether the name may be removed from the cache: no view is in use, and no query is under way. */
  get isDisposable(): boolean {
    return !this.#entry.query && [...this.views.values()].every((view) => !view.isInUse);
  }

  /** Returns whether a view was used since the last call. */
  takeUse(): boolean {
    let wasUsed = false;
    for (const view of this.views.values()) {
      wasUsed ||= view.wasUsed;
      view.wasUsed = false;
    }
    return wasUsed;
  }

  /** Returns the view with these settings, the same for all callers that have the same settings. */
  viewWith(settings: ViewSettings): View {
    const key = JSON.stringify(settings);
    let view = this.views.get(key);
    if (!view) {
      if (this.views.size >= MAX_VIEWS) this.#removeUnused();
      view = new View(this.#entry, settings);
      this.views.set(key, view);
    }
    return view;
  }

  /** Forgets answers and failures. A query is cancelled, and the callers that wait for it start another one. */
  clear(): void {
    this.#entry.clear();
    for (const view of this.views.values()) view.clear();
  }

  /** Updates all views before the first watcher is called. */
  #onAnswer(query: InFlightQuery | undefined, answer: KnownAnswer): void {
    const views = [...this.views.values()];
    const updates = views.map((view) => ({ view, change: view.apply(answer) }));
    if (query && answer.rest) { for (const view of views) view.retainRest(query); }
    for (const { view, change } of updates) view.notifyAnswer(change);
  }

  #onFailure(views: readonly View[], query: InFlightQuery, error: unknown): void {
    for (const view of views) view.applyFailure(query, error);
    for (const view of views) view.notifyFailure(error);
  }

  /** Lets each view choose between a substitute and what it has; returns whether a view has something better. */
  #onSubstitute(query: InFlightQuery, answer: KnownAnswer): boolean {
    const views = [...this.views.values()];
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
    for (const [key, view] of this.views) {
      if (view.isInUse) continue;
      this.views.delete(key);
      view.clear();
    }
  }
}
