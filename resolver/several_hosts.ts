/**
 * The answer for several hosts: each has its own resolution, TTL, grace and refresh.
 *
 * @module
 */

import { delay } from "../internal/async.ts";
import { type Endpoint, endpointName } from "../internal/endpoint.ts";
import { messageOf } from "../internal/thrown.ts";
import { ResolveError } from "../errors.ts";
import type { AddressChange, AnswerSource, AnswerStatus, Watcher } from "./answer_source.ts";
import { kindOf } from "./resolution.ts";

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
}

const NONE: readonly string[] = Object.freeze([]);

/**
 * The endpoints of several hosts, by name, in the order of the hosts. An endpoint is in the list while its own host's
 * answer has it and may be used; a host that does not resolve keeps none of the others from being used.
 */
export class SeveralHosts implements AnswerSource {
  readonly #hosts: readonly HostState[];
  readonly #end: AbortController = new AbortController();
  #listed: (readonly string[])[] = [];
  #addresses: readonly string[] = NONE;

  /** @param hosts The hosts, in order of preference. */
  constructor(hosts: readonly HostAnswer[]) {
    this.#hosts = hosts.map((host) => ({
      ...host,
      addresses: undefined,
      names: NONE,
      late: false,
      reported: false,
    }));
  }

  get addresses(): readonly string[] {
    const listed = this.#hosts.map((host) => isDead(host) ? NONE : namesOf(host));
    if (listed.some((names, index) => names !== this.#listed[index])) {
      this.#listed = listed;
      this.#addresses = Object.freeze([...new Set(listed.flat())]);
    }
    return this.#addresses;
  }

  isFresh(): boolean {
    let isUsable = false;
    for (const host of this.#hosts) {
      if (host.answer.isFresh()) isUsable = true;
      else if (isAwaited(host)) return false;
    }
    return isUsable;
  }

  /**
   * Waits until the endpoints of at least one host may be used, and those of the others as far as they are about to be.
   *
   * @param signal Ends the wait.
   * @throws {ResolveError} if no host has an answer.
   */
  async waitUntilFresh(signal?: AbortSignal): Promise<void> {
    const over = signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal;
    const errors = new Map<HostState, unknown>();
    const waits = new Map<HostState, Promise<void>>();
    let delayed: Promise<void> | undefined;
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
            errors.set(host, error);
            host.late = true;
          })
          .finally(() => waits.delete(host));
        waits.set(host, wait);
      }
      const next: Promise<void>[] = [...waits.values()];
      if (isOneUsable) {
        delayed ??= delay(RESOLUTION_DELAY_MS, over).catch(() => {}).then(() => {
          for (const host of this.#hosts) if (host.answer.addresses.length === 0) host.late = true;
        });
        next.push(delayed);
      }
      await Promise.race(next);
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
    const ends = this.#hosts.map(({ answer }) => answer.keepFresh());
    return () => {
      for (const end of ends) end();
    };
  }

  /** Calls a watcher: for each answer, for each change of endpoints, and once for each outage of a host. */
  watch(watcher: Watcher): () => void {
    const ends = this.#hosts.map((host) =>
      host.answer.watch({
        onChange: (change, isFirst) => watcher.onChange?.(this.#changeOf(host, change), isFirst),
        onAnswer: (askedAtMs) => {
          host.late = host.reported = false;
          watcher.onAnswer?.(askedAtMs);
        },
        onError: (error, askedAtMs) => {
          if (host.reported) return;
          host.reported = true;
          watcher.onError?.(error, askedAtMs);
        },
      })
    );
    return () => {
      for (const end of ends) end();
      this.#end.abort(new Error("the answer is needed no more"));
    };
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
    const name = (address: string) => nameOf(host, address);
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

/** Whether callers wait for a host whose answer is stale: it is not known to fail. */
function isAwaited({ answer, late }: HostState): boolean {
  return !late && answer.status().failures === 0;
}

/** Whether the answer of a host may not be used, and callers do not wait for a new one. */
function isDead(host: HostState): boolean {
  return !host.answer.isFresh() && !isAwaited(host);
}

function namesOf(host: HostState): readonly string[] {
  const { addresses } = host.answer;
  if (addresses !== host.addresses) {
    host.addresses = addresses;
    host.names = addresses.map((address) => nameOf(host, address));
  }
  return host.names;
}

function nameOf({ host, port }: HostAnswer, address: string): string {
  const endpoint: Endpoint = { address, port, host };
  return endpointName(endpoint);
}
