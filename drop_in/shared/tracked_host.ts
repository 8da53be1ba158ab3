/**
 * Connections of a library that pools by itself, each open to one address of a name that is followed: which address
 * a new one goes to, and what becomes of it when the address departs.
 *
 * The library's own validation does what a pool of ours would do: it asks a connection whether its address departed.
 *
 * @module
 */

import { CurrentAddresses, DepartureWatch } from "../../pool/connection/departures.ts";
import { delay } from "../../internal/async.ts";
import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";
import { connectionLost } from "../../pool/connection/close.ts";
import type { Dialer } from "../../pool/connection/dialer.ts";
import type { EngineSettings } from "../../engine/options.ts";
import { type View, viewOf } from "../../resolver.ts";

/** One connection, as far as it matters here. */
export interface Follower {
  /** Whether work is under way on it, or a transaction is open. */
  readonly busy: boolean;
  /** Counts how often it was used. */
  readonly uses: number;
  /** Says goodbye. */
  end(): void;
  /** Drops the socket; work under way rejects with the reason. */
  terminate(reason: Error): void;
}

/** How an address is chosen. */
export interface Choosing<C> {
  readonly limitMs: number;
  readonly patient: boolean;
  dismiss(scout: C): Promise<void>;
}

/** A library may hold on to a departed connection that nobody uses: after so long without use, it is closed. */
const UNUSED_MS = 5000;
/** Between tries to find a server of the wanted role. */
const PAUSE_MS = 250;

/** A name, while connections to it are open or being opened. */
export class FollowedName<C> {
  readonly #view: View;
  readonly #dialer: Dialer<C>;
  readonly #settings: EngineSettings<C>;
  readonly #current: CurrentAddresses;
  readonly #departures: DepartureWatch;
  readonly #onIdle: () => void;
  readonly #members: Set<Member> = new Set();
  /** How many look for an address. */
  #choosing = 0;
  /** A connection died or could not be opened: scouts go first, until one was let in. */
  #suspect = false;
  #stop: (() => void) | undefined;
  #sweep: Timer | undefined;

  /**
   * @param host The name, as it is looked up.
   * @param settings How it is resolved, and which address is taken.
   * @param dialer Tries addresses, where there is more than one or a role is wanted; probes departed servers.
   * @param onIdle There is no connection any more, nobody wants one, and there is nothing to be remembered.
   */
  constructor(
    host: string,
    settings: EngineSettings<C>,
    dialer: Dialer<C>,
    onIdle: () => void,
  ) {
    this.#onIdle = onIdle;
    this.#view = viewOf(host, settings.dns);
    this.#settings = settings;
    this.#dialer = dialer;
    this.#current = new CurrentAddresses(
      this.#view,
      settings.lingerMs,
      (address) => this.#retire(address),
    );
    this.#departures = new DepartureWatch(settings.retireGraceMs, {
      oldestMs: (address) => this.#oldest(address),
      terminate: (address, departedByMs, why) => this.#terminate(address, departedByMs, why),
      probe: (address, signal) => dialer.probe(address, signal),
    });
  }

  /**
   * The address for a new connection. Where there are several, or a role is wanted, or the last connection died, it is
   * one that let a scout in.
   *
   * @param signal Ends the search.
   * @param options `limitMs`: how long a server is waited for. `patient`: whether one that is down is, as well as one
   *   of another role. `dismiss` closes the scout.
   * @returns The address.
   * @throws {ResolveError} without an answer.
   * @throws {ConnectError} when no address lets a scout in.
   */
  async choose(
    signal: AbortSignal,
    options: Choosing<C>,
  ): Promise<string> {
    this.#choosing++;
    try {
      const address = await this.#choose(signal, now() + options.limitMs, options);
      this.#choosing--;
      return address; // whoever asked joins
    } catch (error) {
      this.#choosing--;
      this.#rest();
      throw error;
    }
  }

  async #choose(
    signal: AbortSignal,
    endMs: number,
    { patient, dismiss }: Choosing<C>,
  ): Promise<string> {
    for (;;) {
      if (!this.#view.isFresh(now())) await this.#view.waitUntilFresh(signal);
      const { addresses } = this.#view;
      const waits = patient && this.#suspect;
      if (addresses.length === 1 && this.#settings.targetSessionAttrs === "any" && !waits) {
        return addresses[0]!;
      }
      try {
        const { client, address } = await this.#dialer.dial(addresses, signal);
        this.#dialer.uncount(address);
        this.#suspect = false;
        dismiss(client).catch(() => {});
        return address;
      } catch (error) {
        signal.throwIfAborted();
        this.#view.refresh();
        if (!this.#dialer.isTransient(error, waits) || now() + PAUSE_MS >= endMs) throw error;
        await delay(PAUSE_MS, signal);
      }
    }
  }

  /** A connection is being opened to an address. Until it leaves, the name is watched. */
  join(follower: Follower, address: string): Member {
    this.#stop ??= this.#watch();
    const member = new Member(follower, address, {
      isCurrent: () => this.#current.isCurrent(address),
      opened: () => {
        this.#suspect = false;
      },
      used: () => this.#departures.watch(address),
      leave: () => this.#leave(member),
    });
    this.#members.add(member);
    return member;
  }

  /** There is reason to ask DNS before the answer's end. */
  refresh(): void {
    this.#view.refresh();
  }

  /** A connection died, or could not be opened. */
  suspect(): void {
    this.#suspect = true;
    this.refresh();
  }

  #watch(): () => void {
    const unwatch = this.#view.watch({ onChange: (change) => this.#current.update(change) });
    const relax = this.#settings.refreshAhead ? this.#view.keepFresh() : () => {};
    return () => {
      unwatch();
      relax();
      this.#current.clear();
      this.#departures.clear();
      this.#sweep?.clear();
      this.#sweep = undefined;
    };
  }

  #leave(member: Member): void {
    if (!this.#members.delete(member) || this.#members.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
    this.#rest();
  }

  #rest(): void {
    if (this.#choosing === 0 && this.#members.size === 0 && !this.#suspect) this.#onIdle();
  }

  #at(address: string): Member[] {
    return [...this.#members].filter((member) => member.address === address);
  }

  #retire(address: string): void {
    this.#dialer.abortAttempts(address);
    for (const member of this.#at(address)) {
      member.departedAtMs = now();
      member.usesSeen = member.follower.uses;
      if (member.opening) member.follower.terminate(departedEarly(address));
    }
    if (this.#oldest(address) !== undefined) this.#departures.watch(address);
    this.#sweep ??= maintenanceTimer(UNUSED_MS, () => this.#closeUnused());
  }

  /** Since when the first of the connections that are in use is on a departed address. */
  #oldest(address: string): number | undefined {
    const busy = this.#at(address).filter(({ follower, departed }) => departed && follower.busy);
    return busy.length > 0 ? Math.min(...busy.map((member) => member.departedAtMs)) : undefined;
  }

  #terminate(address: string, departedByMs: number, why: string): void {
    for (const { follower, departed, departedAtMs } of this.#at(address)) {
      if (departed && departedAtMs <= departedByMs && follower.busy) {
        follower.terminate(connectionLost(address, why));
      }
    }
  }

  #closeUnused(): void {
    this.#sweep = undefined;
    for (const member of this.#members) {
      const { follower, departed, usesSeen } = member;
      if (!departed) continue;
      this.#sweep ??= maintenanceTimer(UNUSED_MS, () => this.#closeUnused());
      if (!follower.busy && follower.uses === usesSeen) follower.end();
      member.usesSeen = follower.uses;
    }
  }
}

/** What a member asks of its name. */
interface MemberName {
  isCurrent(): boolean;
  opened(): void;
  used(): void;
  leave(): void;
}

/** A connection's place among those of its name. */
export class Member {
  /** Whether it is still being opened. */
  opening = true;
  /** When its address departed last; `Infinity` where it never did. */
  departedAtMs = Infinity;
  /** How often it had been used when somebody looked last. */
  usesSeen = 0;
  readonly #name: MemberName;

  /**
   * @param follower The connection.
   * @param address Where it is open to.
   * @param name Its name.
   */
  constructor(readonly follower: Follower, readonly address: string, name: MemberName) {
    this.#name = name;
  }

  /** Whether the name has the address no more. By what is known now, whatever timers do. */
  get departed(): boolean {
    return !this.#name.isCurrent();
  }

  /** The connection is open. */
  open(): void {
    this.opening = false;
    this.#name.opened();
  }

  /** The connection is being used: on a departed address, its server is watched over. */
  use(): void {
    if (this.departed) this.#name.used();
  }

  /** The connection is closed. */
  leave(): void {
    this.#name.leave();
  }
}

function departedEarly(address: string): Error {
  const error = new Error(`Cannot connect to ${address}: the address departed meanwhile`);
  return Object.assign(error, { code: "ECONNRESET" });
}
