/**
 * What a pool's connections come from, and what they pass on their way in and out: dial, hooks, ping, reset,
 * goodbye.
 *
 * @module
 */

import type { AnswerSource } from "../../resolver/answer_source.ts";
import type { Lingering } from "./departures.ts";
import { deadline } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import { Goodbyes } from "./close.ts";
import type { HookedConnection, PoolHooks } from "./hooks.ts";
import type { Slot } from "../slot.ts";
import type { Log } from "../../internal/log.ts";
import type { SafeObserver } from "../observer.ts";
import { asError, callAdapter, messageOf } from "../../internal/thrown.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import type { Dialer } from "./dialer.ts";
import { DisconnectionError } from "../../errors.ts";
import type { Adopter, Opened, Source, Unfit } from "../contract.ts";

/** How connections are treated; durations in milliseconds. */
export interface SourceSettings<C> {
  readonly refreshAhead: boolean;
  readonly connectRetry: boolean;
  readonly recycleMs: number;
  readonly prePing: boolean;
  readonly prePingAfterMs: number;
  readonly resetOnReturn: "rollback" | "commit" | null;
  readonly connectTimeoutMs: number;
  readonly isolationLevel: string | undefined;
  readonly hooks: PoolHooks<C>;
  readonly observer: SafeObserver | undefined;
  readonly targetSessionAttrs: string;
}

/** What the engine gives all its pools. */
export interface SourceParts<C> {
  readonly names: AnswerSource;
  readonly lingering: Lingering;
  readonly dialer: Dialer<C>;
  readonly adapter: Adapter<C>;
  readonly log: Log;
  /** Whether the engine has connected before. */
  readonly history: { connected: boolean };
  /** A connection was opened. */
  onOpened(): void;
}

/** A fleet does not recycle in step: ages end up to this share early (HikariCP has the same). */
const RECYCLE_JITTER = 0.025;

/** That a connection died by itself. */
interface End {
  come: boolean;
  error: unknown;
  tell: (() => void) | undefined;
}

/** Opens, checks, resets and closes the connections of one pool. */
export class NameSource<C> implements Source<C> {
  readonly #names: AnswerSource;
  readonly #lingering: Lingering;
  readonly #dialer: Dialer<C>;
  readonly #adapter: Adapter<C>;
  readonly #log: Log;
  readonly #goodbyes: Goodbyes<C>;
  readonly #history: { connected: boolean };
  readonly #onOpened: () => void;
  readonly #settings: SourceSettings<C>;
  readonly #looks: boolean;
  readonly #tidies: boolean;
  /** The first connection's hook: under way, done, or not begun. */
  #first: Promise<void> | undefined;
  /** Connections open, dials under way and pauses between them: the answer is kept fresh for them. */
  #interests = 0;
  #stopRefresh: (() => void) | undefined;
  /** Of connections that are not in the pool yet. */
  readonly #ends: Map<C, End> = new Map();
  /** Pings, hooks and rollbacks under way, on connections that nobody holds. */
  readonly #work: Map<Slot<C>, AbortController> = new Map();

  /**
   * @param parts What the engine's pools share.
   * @param settings How connections are treated.
   */
  constructor(parts: SourceParts<C>, settings: SourceSettings<C>) {
    this.#names = parts.names;
    this.#lingering = parts.lingering;
    this.#dialer = parts.dialer;
    this.#adapter = parts.adapter;
    this.#log = parts.log;
    this.#history = parts.history;
    this.#onOpened = parts.onOpened;
    this.#settings = settings;
    this.#goodbyes = new Goodbyes(parts, settings.hooks);
    this.#looks = settings.prePing || settings.hooks.checkout !== undefined;
    this.#tidies = settings.hooks.reset !== undefined || settings.hooks.checkin !== undefined;
  }

  isFresh(): boolean {
    return this.#names.isFresh();
  }

  waitUntilFresh(signal: AbortSignal): Promise<void> {
    return this.#names.waitUntilFresh(signal);
  }

  keepFresh(): () => void {
    let kept = true;
    this.#interest();
    return () => {
      if (kept) this.#loseInterest();
      kept = false;
    };
  }

  isCurrent(address: string): boolean {
    return this.#names.addresses.includes(address) || this.#lingering.has(address);
  }

  async open(signal: AbortSignal): Promise<Opened<C>> {
    const { observer } = this.#settings;
    if (!observer) return await this.#open(signal);
    const beganMs = now();
    const end = observer.connecting();
    try {
      const opened = await this.#open(signal);
      end({ seconds: (now() - beganMs) / 1000, address: opened.address });
      return opened;
    } catch (error) {
      end({ seconds: (now() - beganMs) / 1000, error });
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<Opened<C>> {
    const openedAtMs = now();
    const { recycleMs } = this.#settings;
    const ageMs = recycleMs * (1 - Math.random() * RECYCLE_JITTER);
    this.#interest();
    const { client, address } = await this.#dial(signal).finally(() => this.#loseInterest());
    const connection = { client, address, info: {} };
    const end = this.#watch(client);
    try {
      await this.#greet(connection, signal);
      if (end.come) throw this.#dialer.closedDuringConnect(address, end.error);
    } catch (error) {
      this.#ends.delete(client);
      if (end.come) this.#names.refresh();
      this.#dialer.uncount(address);
      this.#goodbyes.drop(client);
      throw error;
    }
    this.#history.connected = true;
    return { ...connection, openedAtMs, expiresAtMs: openedAtMs + ageMs };
  }

  async #dial(signal: AbortSignal): Promise<{ client: C; address: string }> {
    for (;;) {
      const { addresses } = this.#names;
      try {
        return await this.#dialer.dial(addresses, signal);
      } catch (error) {
        signal.throwIfAborted();
        // They all departed meanwhile: that says nothing about the new ones, which are tried at once.
        if (!addresses.some((address) => this.isCurrent(address))) continue;
        this.#names.refresh();
        throw error;
      }
    }
  }

  /** `firstConnect` is finished before any connection goes on from here. */
  async #greet(connection: HookedConnection<C>, signal: AbortSignal): Promise<void> {
    const { hooks } = this.#settings;
    while (hooks.firstConnect) {
      const begun = this.#first;
      if (begun === undefined) {
        const running = this.#first = this.#runHook("firstConnect", connection, signal);
        running.catch(() => this.#first = undefined);
        await running;
        break;
      }
      if (await begun.then(() => true, () => false)) break;
    }
    if (hooks.connect) await this.#runHook("connect", connection, signal);
  }

  /** A hook that does not end takes no connection with it. */
  #runHook(
    name: "firstConnect" | "connect",
    connection: HookedConnection<C>,
    signal: AbortSignal,
  ): Promise<void> {
    const { hooks, connectTimeoutMs } = this.#settings;
    const run = () => hooks[name]?.(connection);
    return deadline(connectTimeoutMs, run, { signal, what: noEndOf(name) });
  }

  isTransient(error: unknown): boolean {
    return this.#settings.connectRetry && this.#dialer.isTransient(error, this.#history.connected);
  }

  timeoutError(lastError: unknown, waited: number): Error {
    return this.#dialer.timeoutError(lastError, waited);
  }

  adopt(slot: Slot<C>, pool: Adopter<C>): void {
    this.#log.info(`Opened a connection to ${slot.address}`);
    this.#interest();
    this.#onOpened();
    const end = this.#ends.get(slot.client)!;
    this.#ends.delete(slot.client);
    end.tell = () => {
      if (slot.state === "closed" || slot.state === "detached") return;
      this.#names.refresh();
      pool.lost(slot, end.error);
    };
    if (end.come) end.tell();
    callAdapter(this.#log, () =>
      this.#adapter.onError?.(slot.client, (error) => {
        if (slot.state === "closed" || slot.state === "detached") return;
        const unfit = this.judge(error);
        if (unfit) pool.condemn(slot, unfit);
      }));
  }

  /** From the dial on: a connection may die while its hooks run. */
  #watch(client: C): End {
    const end: End = { come: false, error: undefined, tell: undefined };
    this.#ends.set(client, end);
    callAdapter(this.#log, () =>
      this.#adapter.onClose?.(client, (error) => {
        end.come = true;
        end.error = error;
        end.tell?.();
      }));
    return end;
  }

  part(slot: Slot<C>): void {
    this.#forget(slot);
    this.#goodbyes.detach(slot);
  }

  wake({ client, address }: Slot<C>): void {
    if (this.#adapter.ref) callAdapter(this.#log, () => this.#adapter.ref!(client));
    if (this.#log.debugEnabled) this.#log.debug(`Checked out a connection to ${address}`);
  }

  rest({ client }: Slot<C>): void {
    if (this.#adapter.unref) callAdapter(this.#log, () => this.#adapter.unref!(client));
  }

  check(slot: Slot<C>): Promise<Unfit | undefined> | undefined {
    if (!this.#looks) return undefined;
    const { prePing, prePingAfterMs, hooks } = this.#settings;
    const nowMs = now();
    const ping = prePing && !slot.isJustOpened(nowMs) && nowMs - slot.idleSinceMs >= prePingAfterMs;
    return ping || hooks.checkout ? this.#check(slot, ping) : undefined;
  }

  async #check(slot: Slot<C>, ping: boolean): Promise<Unfit | undefined> {
    if (ping) {
      try {
        const what = `no answer to a ping from ${slot.address}`;
        await this.#whileOpen(slot, () => this.#adapter.ping!(slot.client), { what });
      } catch (cause) {
        // It may have been closed meanwhile, and the engine with it: then nobody asks DNS any more.
        if (slot.state === "inUse") this.#names.refresh();
        const message = `The connection to ${slot.address} does not answer a ping`;
        return { error: new DisconnectionError(message, { cause }), siblings: true };
      }
    }
    try {
      const { hooks } = this.#settings;
      if (hooks.checkout) {
        const what = noEndOf("checkout");
        await this.#whileOpen(slot, () => hooks.checkout!(slot), { what });
      }
      return undefined;
    } catch (error) {
      if (isDisconnection(error)) return { error, siblings: false };
      throw error;
    }
  }

  reset(slot: Slot<C>): Promise<void> | undefined {
    const { client, address, isolationLevel } = slot;
    if (this.#log.debugEnabled) this.#log.debug(`Checked in a connection to ${address}`);
    const { resetOnReturn } = this.#settings;
    const adapter = this.#adapter;
    const open = resetOnReturn !== null && adapter.reset !== undefined &&
      callAdapter(this.#log, () => adapter.inTransaction?.(client)) !== false;
    if (!open && !this.#tidies && isolationLevel === undefined) return undefined;
    const what = `no reset of the connection to ${address}`;
    const reset = () => this.#reset(slot, open ? resetOnReturn : null);
    return this.#whileOpen(slot, reset, { what }).catch((error) => {
      // One that was closed meanwhile, for whatever reason, ended the reset, and not the other way round.
      if (slot.state === "inUse") {
        this.#log.warn(
          `Closing a connection to ${address} that cannot be reset: ${messageOf(error)}`,
        );
      }
      throw error;
    });
  }

  /** Does something on a connection that nobody holds: for so long as a dial may take, and as it is open. */
  async #whileOpen(
    slot: Slot<C>,
    run: () => void | Promise<void>,
    { what }: { what: string },
  ): Promise<void> {
    const controller = new AbortController();
    this.#work.set(slot, controller);
    const { signal } = controller;
    try {
      await deadline(this.#settings.connectTimeoutMs, run, { signal, what });
    } finally {
      this.#work.delete(slot);
    }
  }

  async #reset(slot: Slot<C>, how: "rollback" | "commit" | null): Promise<void> {
    const { hooks, isolationLevel } = this.#settings;
    await hooks.reset?.(slot);
    if (how !== null) await this.#adapter.reset!(slot.client, how);
    if (slot.isolationLevel !== undefined) {
      slot.isolationLevel = undefined;
      await this.#adapter.setIsolationLevel!(slot.client, isolationLevel);
    }
    await hooks.checkin?.(slot);
  }

  /** Anything may have been thrown: what the adapter stumbles over says nothing about the connection. */
  judge(error: unknown): Unfit | undefined {
    return callAdapter(this.#log, () => this.#judge(error));
  }

  #judge(error: unknown): Unfit | undefined {
    if (isDisconnection(error)) return { error, siblings: false };
    const verdict = this.#adapter.classify?.(error);
    if (verdict === undefined) return undefined;
    this.#names.refresh();
    // A read-only server is good enough for whoever did not ask for another; to dial it again would not help.
    const { targetSessionAttrs } = this.#settings;
    const needsWrites = targetSessionAttrs === "read-write" || targetSessionAttrs === "primary";
    if (verdict === "read-only" && !needsWrites) return undefined;
    return { error: error as Error, siblings: true };
  }

  close(slot: Slot<C>, reason: unknown): Promise<void> | undefined {
    this.#work.get(slot)?.abort();
    this.#forget(slot);
    return this.#goodbyes.close(slot, reason);
  }

  #forget({ address }: Slot<C>): void {
    this.#dialer.uncount(address);
    this.#loseInterest();
  }

  #interest(): void {
    if (this.#interests++ > 0 || !this.#settings.refreshAhead) return;
    this.#stopRefresh = this.#names.keepFresh();
  }

  #loseInterest(): void {
    if (--this.#interests > 0) return;
    this.#stopRefresh?.();
    this.#stopRefresh = undefined;
  }
}

function noEndOf(hook: string): string {
  return `no end of the hook "${hook}"`;
}

/** By its code, not its class: a hook may come from elsewhere. */
function isDisconnection(error: unknown): error is DisconnectionError {
  return (asError(error) as { code?: unknown } | undefined)?.code === "DISCONNECTED";
}
