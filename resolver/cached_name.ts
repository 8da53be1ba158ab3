/**
 * A name in the cache: its entry, and a view of the entry for each set of options.
 *
 * @module
 */

import { CacheEntry, type CacheKey } from "./cache_entry.ts";
import type { InFlightQuery, QueryResult } from "./in_flight_query.ts";
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
    this.#entry = new CacheEntry(key, (query, result) => this.#publish(query, result));
  }

  /** Whether the name may be removed from the cache: no view is in use, and no query is under way. */
  get isDisposable(): boolean {
    return !this.#entry.query && [...this.views.values()].every((view) => !view.isInUse);
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
  #publish(query: InFlightQuery, result: QueryResult): void {
    const views = [...this.views.values()];
    if (result.kind === "answered") {
      const updates = views.map((view) => ({ view, change: view.apply(result.answer) }));
      for (const { view, change } of updates) view.notifyAnswer(change);
    } else {
      for (const view of views) view.applyFailure(query, result.error);
      for (const view of views) view.notifyFailure(result.error);
    }
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
