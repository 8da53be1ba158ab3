/**
 * The answer for several hosts: each has its own resolution, TTL, grace and refresh.
 *
 * @module
 */

import { delay } from "../internal/async.ts";
import { endpointName } from "../internal/endpoint.ts";
import { messageOf } from "../internal/thrown.ts";
import { ResolveError } from "../errors.ts";
import type { AddressChange, AnswerSource, AnswerStatus, Watcher } from "./answer_source.ts";
import { kindOf } from "./question.ts";

/** One of several hosts. */
export interface HostAnswer {
  /** The host in its canonical form. */
  readonly host: string;
  /** TCP port of its endpoints. */
  readonly port: number;
  /** The answer for the host. */
  readonly answer: AnswerSource;
}

/**
 * How long a host that has no answer yet keeps the callers from the others (RFC 8305 section 3, "Resolution Delay"), so
 * that the hosts are tried in the order of the URL.
 */
const RESOLUTION_DELAY_MS = 50;

/** How long a host whose answer expired does: that it is late says less, for it is the one that was preferred so far. */
const EXPIRED_DELAY_MS = 250;

/** A host, and what became of its resolution. */
interface HostState extends HostAnswer {
  /** The addresses that `names` is of. */
  addresses: readonly string[] | undefined;
  /** The names of its endpoints. */
  names: readonly string[];
  /** Whether callers no longer wait for its next answer. */
  late: boolean;
  /** Whether its failure was reported since its last answer. */
  reported: boolean;
  /** Ends the watch. */
  unwatch: (() => void) | undefined;
  /** Ends the refresh ahead of expiry. */
  unkeep: (() => void) | undefined;
}

const NONE: readonly string[] = Object.freeze([]);

/**
 * The endpoints of several hosts, by name, in the order of the hosts. An endpoint is in the list while its own host's
 * answer has it and may be used; a host that does not resolve keeps none of the others from being used.
 */
export class SeveralHosts implements AnswerSource {
  #hosts: readonly HostState[] = [];
  /** Ends the waits that begin while the answer is watched; it is replaced then. */
  #end: AbortController = new AbortController();
  readonly #watchers: Set<Watcher> = new Set();
  /** Number of callers of `keepFresh()`. */
  #refCount = 0;
  #listed: (readonly string[])[] = [];
  #addresses: readonly string[] = NONE;

  /** @param hosts The hosts, in order of preference. */
  constructor(hosts: readonly HostAnswer[]) {
    this.update(hosts);
  }

  /**
   * Replaces the hosts. Watchers are told of the endpoints that come and go with them.
   *
   * @param hosts The hosts, in order of preference.
   */
  update(hosts: readonly HostAnswer[]): void {
    const former = this.#hosts;
    const before = former.flatMap(namesOf);
    this.#hosts = hosts.map((host) => {
      const known = former.filter((one) => one.host === host.host);
      // Another port is the same outage.
      const { late = false, reported = false } = known[0] ?? {};
      const same = known.find((one) => one.port === host.port);
      return same ?? createState(host, late, reported);
    });
    for (const host of this.#hosts) this.#follow(host);
    for (const host of former) if (!this.#hosts.includes(host)) unfollow(host);
    this.#tellChange(before);
  }

  /** Tells what came and went with the hosts, also of those that cannot be used for now: watchers know their endpoints. */
  #tellChange(before: readonly string[]): void {
    const after = this.#hosts.flatMap(namesOf);
    const added = Object.freeze(after.filter((name) => !before.includes(name)));
    const removed = Object.freeze(before.filter((name) => !after.includes(name)));
    if (added.length + removed.length === 0) return;
    const { addresses } = this;
    const ttl = Math.max(0, this.status().freshFor);
    const change: AddressChange = { added, removed, addresses, ttl, source: "dns" };
    for (const watcher of this.#watchers) watcher.onChange?.(change, before.length === 0);
  }

  get addresses(): readonly string[] {
    const listed = this.#hosts.map((host) => isDead(host) ? NONE : namesOf(host));
    const { length } = this.#listed;
    if (listed.length !== length || listed.some((names, index) => names !== this.#listed[index])) {
      this.#listed = listed;
      this.#addresses = Object.freeze([...new Set(listed.flat())]);
    }
    return this.#addresses;
  }

  isFresh(): boolean {
    let isUsable = false;
    for (const host of this.#hosts) {
      if (host.answer.isFresh()) {
        isUsable = true;
        host.late = false;
      } else if (isAwaited(host)) return false;
    }
    return isUsable;
  }

  /**
   * Waits until the endpoints of at least one host may be used, and those of the others as far as they are about to be:
   * beside one that may be used, a host is waited for 50 milliseconds, and 250 if it had an answer.
   *
   * @param signal Ends the wait.
   * @throws {ResolveError} if no host has an answer.
   */
  async waitUntilFresh(signal?: AbortSignal): Promise<void> {
    const over = signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal;
    const done = new AbortController();
    try {
      await this.#waitUntilFresh(over, AbortSignal.any([over, done.signal]));
    } finally {
      done.abort();
    }
  }

  /**
   * Waits for the hosts.
   *
   * @param over Ends the wait.
   * @param done Aborted when the wait is over, however that ended.
   */
  async #waitUntilFresh(over: AbortSignal, done: AbortSignal): Promise<void> {
    const errors = new Map<HostState, unknown>();
    const waits = new Map<HostState, Promise<void>>();
    const delays = new Set<Promise<unknown>>();
    const giveUp = (afterMs: number, isLate: (host: HostState) => boolean) => {
      const given: Promise<unknown> = delay(afterMs, done).then(() => {
        for (const host of this.#hosts) {
          if (!host.answer.isFresh() && isLate(host)) this.#leave(host);
        }
      }, () => {}).finally(() => delays.delete(given));
      delays.add(given);
    };
    let isHurried = false;
    for (;;) {
      over.throwIfAborted();
      if (this.isFresh()) return;
      const stale = this.#hosts.filter(({ answer }) => !answer.isFresh());
      const isOneUsable = stale.length < this.#hosts.length;
      // With none to be used, those that failed before are asked again.
      const awaited = isOneUsable ? stale.filter(isAwaited) : stale;
      const isOpen = (host: HostState) => !errors.has(host);
      const open = awaited.filter(isOpen);
      if (open.length === 0) {
        if (isOneUsable) return;
        throw this.#errorFor(errors);
      }
      for (const host of open) {
        if (waits.has(host)) continue;
        const wait = host.answer.waitUntilFresh(over)
          .catch((error) => {
            if (over.aborted) return;
            errors.set(host, error);
            this.#leave(host);
          })
          .finally(() => waits.delete(host));
        waits.set(host, wait);
      }
      if (isOneUsable && !isHurried) {
        isHurried = true;
        giveUp(RESOLUTION_DELAY_MS, ({ answer }) => answer.addresses.length === 0);
        giveUp(EXPIRED_DELAY_MS, () => true);
      } else if (isOneUsable && delays.size === 0) {
        for (const host of open) this.#leave(host);
        continue;
      }
      await Promise.race([...waits.values(), ...delays]);
    }
  }

  async refresh(): Promise<void> {
    await Promise.all(this.#hosts.map(({ answer }) => answer.refresh()));
  }

  async switchFamily(family: 4 | 6, certain: boolean, signal: AbortSignal): Promise<boolean> {
    const switched = await Promise.all(
      this.#hosts.map(({ answer }) => answer.switchFamily?.(family, certain, signal)),
    );
    return switched.includes(true);
  }

  keepFresh(): () => void {
    let isKept = true;
    this.#refCount++;
    for (const host of this.#hosts) this.#setKept(host);
    return () => {
      if (!isKept) return;
      isKept = false;
      this.#refCount--;
      for (const host of this.#hosts) this.#setKept(host);
    };
  }

  /** Calls a watcher: for each answer, for each change of endpoints, and once for each outage of a host. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    for (const host of this.#hosts) this.#follow(host);
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      for (const host of this.#hosts) unfollow(host);
      const end = this.#end;
      this.#end = new AbortController();
      end.abort(new Error("the answer is needed no more"));
    };
  }

  /** Watches a host as long as this answer is watched, and keeps it fresh as long as this answer is. */
  #follow(host: HostState): void {
    this.#setKept(host);
    if (this.#watchers.size === 0) return;
    host.unwatch ??= host.answer.watch({
      onChange: (change, isFirst) => {
        const own = this.#changeOf(host, change);
        for (const watcher of this.#watchers) watcher.onChange?.(own, isFirst);
      },
      onAnswer: (askedAtMs) => {
        host.late = host.reported = false;
        this.#setKept(host);
        for (const watcher of this.#watchers) watcher.onAnswer?.(askedAtMs);
      },
      onError: (error, askedAtMs) => {
        this.#setKept(host);
        // A host with several ports has one outage.
        const wasReported = this.#hosts.some((one) => one.host === host.host && one.reported);
        host.reported = true;
        if (wasReported) return;
        for (const watcher of this.#watchers) watcher.onError?.(error, askedAtMs);
      },
    });
  }

  /** Lets callers go on without a host. */
  #leave(host: HostState): void {
    host.late = true;
    this.#setKept(host);
    // Nothing may be due, before the first answer and after the cache was cleared.
    if (host.unkeep) host.answer.refresh().catch(() => {});
  }

  /** Keeps a host fresh that is to be; or that is not answered: while the others can be used, no caller asks for it. */
  #setKept(host: HostState): void {
    const isSought = this.#watchers.size > 0 &&
      (host.late || host.answer.status().failures > 0);
    // A wait for a host that was removed may end later.
    if (this.#hosts.includes(host) && (this.#refCount > 0 || isSought)) {
      host.unkeep ??= host.answer.keepFresh();
    } else {
      host.unkeep?.();
      host.unkeep = undefined;
    }
  }

  status(): AnswerStatus {
    const hosts = this.#hosts.map(({ host, port, answer }) => ({ host, port, ...answer.status() }));
    const ages = hosts.flatMap(({ age }) => age ?? []);
    return {
      addresses: this.addresses,
      age: ages.length > 0 ? Math.max(...ages) : undefined,
      freshFor: Math.min(...hosts.map(({ freshFor }) => freshFor)),
      inGrace: hosts.some(({ inGrace }) => inGrace),
      failures: Math.max(...hosts.map(({ failures }) => failures)),
      hosts,
    };
  }

  #changeOf(host: HostState, change: AddressChange): AddressChange {
    const name = (address: string) => endpointName({ address, port: host.port, host: host.host });
    return {
      ...change,
      added: Object.freeze(change.added.map(name)),
      removed: Object.freeze(change.removed.map(name)),
      addresses: this.addresses,
      host: host.host,
    };
  }

  #errorFor(errors: ReadonlyMap<HostState, unknown>): ResolveError {
    const hosts = this.#hosts.map(({ host }) => host).join(",");
    const causes = [...errors.values()];
    const said = [...new Set(causes.map(messageOf))].join("; ");
    const [first] = causes;
    return new ResolveError(`Cannot resolve any of the hosts "${hosts}": ${said}`, {
      host: hosts,
      kind: kindOf(first),
      cause: first,
    });
  }
}

function createState(host: HostAnswer, late: boolean, reported: boolean): HostState {
  return {
    ...host,
    addresses: undefined,
    names: NONE,
    late,
    reported,
    unwatch: undefined,
    unkeep: undefined,
  };
}

function unfollow(host: HostState): void {
  host.unwatch?.();
  host.unkeep?.();
  host.unwatch = host.unkeep = undefined;
}

/** Whether callers wait for a host whose answer is stale: it is not known to fail. */
function isAwaited({ answer, late }: HostState): boolean {
  return !late && answer.status().failures === 0;
}

/** Whether the answer of a host may not be used, and callers do not wait for a new one. */
function isDead(host: HostState): boolean {
  return !host.answer.isFresh() && !isAwaited(host);
}

/** Returns the names of the endpoints of a host. */
export function endpointNames({ host, port, answer }: HostAnswer): readonly string[] {
  return answer.addresses.map((address) => endpointName({ address, port, host }));
}

function namesOf(host: HostState): readonly string[] {
  const { addresses } = host.answer;
  if (addresses !== host.addresses) {
    host.addresses = addresses;
    host.names = endpointNames(host);
  }
  return host.names;
}
