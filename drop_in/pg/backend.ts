/**
 * The engine behind a {@linkcode DnsPgPool}, with the events, errors and bookkeeping of `pg.Pool`.
 *
 * @module
 */

import { keptAlive } from "../../internal/async.ts";
import { ageClock, maintenanceTimer } from "../../internal/clock.ts";
import { MAX_CLOSE_MS } from "../../pool/connection/close.ts";
import { isWriterRole } from "../../pool/connection/server_role.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { type DriverMessages, toDriverError } from "../shared/driver_errors.ts";
import { type Deliver, type DropInClient, MESSAGES, type PgPool, type Release } from "./module.ts";
import { serverOf } from "./client_link.ts";
import type { Neighbors } from "./client_class.ts";
import { pinningAdapter } from "./pinning_adapter.ts";
import type { PgTarget } from "./target.ts";
import type { Endpoint } from "../../internal/endpoint.ts";
import { distinctServers } from "../shared/tracked_host.ts";
import { asError, callUserCode } from "../../internal/thrown.ts";
import { type PgPoolSettings, readMax, readPoolSettings } from "./pool_settings.ts";
import { type DriverCounts, driverCounts, followLimits, isFull } from "../shared/pool_counts.ts";

const RELEASED_TWICE = "Release called on client which has already been released to the pool.";

/** Messages for a caller whose client is being opened. */
const MESSAGES_OF_NEW: DriverMessages = { ...MESSAGES, timeout: MESSAGES.connectTimeout };

const RELEASE_NOTHING: Release = () => {};

/** State of a client. */
interface ClientState {
  readonly client: DropInClient;
  /** When the client was opened. */
  readonly sinceMs: number;
  /** The current lease; `undefined` while the client is idle. */
  lease: Lease<DropInClient> | undefined;
  /** Whether the client was handed out before. */
  handedOutBefore: boolean;
  /** Whether the pool emitted `connect` for the client, and has not yet emitted `remove`. */
  announced: boolean;
  /** Whether the pool has ended the client. */
  closing: boolean;
  /** Whether an `error` of the client is being reported. */
  failing: boolean;
  /** Whether the server reported that it ends the session. */
  endedByServer: boolean;
  /** Whether the server refused a write. */
  readOnly: boolean;
  /** Fulfilled when the socket is closed. */
  readonly closed: Promise<void>;
  /** Hears errors while the client is idle. */
  readonly idleListener: (error: unknown) => void;
}

/** The engine behind a pool. */
export class PgBackend implements Neighbors {
  /** The engine. */
  readonly engine: Engine<DropInClient>;

  readonly #pool: PgPool;
  readonly #settings: PgPoolSettings;
  /** Opens and operates the clients, without the pool's bookkeeping. */
  readonly #adapter: Adapter<DropInClient>;
  readonly #states: WeakMap<DropInClient, ClientState> = new WeakMap();
  /** States of the clients that were announced and are not being closed. */
  readonly #open: Set<ClientState> = new Set();
  /** States of the clients that died in use: they count until they are released, or until a caller needs the slot. */
  readonly #lost: Set<ClientState> = new Set();
  /** Number of callers that wait for a client. */
  #waiting = 0;
  /** Called when there is none any more, if the pool is to close then. */
  #onServed: (() => void) | undefined;

  /**
   * @param pool The pool.
   * @param target What its clients connect to.
   */
  constructor(pool: PgPool, target: PgTarget) {
    const { host, port, list, user, database, password } = target;
    this.#pool = pool;
    const { Client, options } = pool;
    this.#adapter = pinningAdapter(Client, () => options, { hasSeveral: list !== undefined });
    this.#settings = readPoolSettings(pool.options);
    const url = new DatabaseUrl({
      dialect: "postgresql",
      driver: "pg",
      ...(list ?? { host, port }),
      user,
      database,
      password,
    });
    this.engine = getDnsEngine<DropInClient>(url, {
      ...this.#settings.engine,
      adapter: this.#createAdapter(),
      hooks: { connect: ({ client }) => this.#onConnect(client) },
    });
    // As with `pg.Pool`, a caller whose client is being opened waits no longer than the others.
    DnsEngine.changeLimits(this.engine, { maxOpenMs: 0 });
    followLimits(pool.options, this.engine, { max: (max) => ({ poolSize: readMax({ max }) }) });
  }

  /** The pool's counters. */
  get counts(): DriverCounts {
    const counts = driverCounts(this.engine.pool.counts);
    return { ...counts, total: counts.total + this.#lost.size };
  }

  /** The clients, in use or idle. */
  get clients(): DropInClient[] {
    return [...this.#open, ...this.#lost].map(({ client }) => client);
  }

  preferredServer(): Endpoint | undefined {
    const inUse = [...this.#open].filter(({ lease }) => lease !== undefined);
    const [server, other] = distinctServers(inUse.map(({ client }) => serverOf(client)));
    return other === undefined ? server : undefined;
  }

  serversOf(sessionId: number): Endpoint[] {
    const clients = [...this.#open].map(({ client }) => client)
      .filter(({ processID }) => processID === sessionId);
    return distinctServers(clients.map(serverOf));
  }

  /** Number of clients that are in use and past their lifetime. */
  get expired(): number {
    const nowMs = ageClock();
    const { lifetimeMs } = this.#settings;
    return [...this.#open].filter(({ sinceMs }) => nowMs - sinceMs >= lifetimeMs).length;
  }

  /**
   * Checks out a client.
   *
   * @param deliver Receives the client or the error. What it throws becomes an uncaught error, as with `pg.Pool`.
   */
  checkout(deliver: Deliver): void {
    const waits = this.#settings.timeoutMs < Infinity && isFull(this.engine.pool.counts);
    const messages = waits ? MESSAGES : MESSAGES_OF_NEW;
    this.#waiting++;
    const serve = (call: () => void) => {
      callUserCode(call);
      if (--this.#waiting === 0) this.#onServed?.();
    };
    DnsEngine.connectThen(
      this.engine,
      (lease) => serve(() => this.#handOut(lease, deliver)),
      (error) => {
        serve(() => deliver(toDriverError(error, messages), undefined, RELEASE_NOTHING));
      },
    );
    this.#takeLostSlots();
  }

  /** Waits until all callers are served and all clients released, and closes them. */
  async close(): Promise<void> {
    if (this.#waiting > 0) {
      await keptAlive(new Promise<void>((resolve) => this.#onServed = resolve));
    }
    // What runs on a client that was released is not waited for.
    for (const state of this.#open) {
      const { client, lease } = state;
      if (lease === undefined && this.#adapter.activity!(client) !== "none") this.#end(state);
    }
    await this.engine.close({ drain: Infinity });
  }

  #handOut(lease: Lease<DropInClient>, deliver: Deliver): void {
    const { client } = lease;
    const state = this.#states.get(client)!;
    const { verify } = this.#settings;
    const isNew = !state.handedOutBefore;
    state.lease = lease;
    state.handedOutBefore = true;
    client.off("error", state.idleListener);
    this.#pool.emit("acquire", client);
    const release = this.#releaseFunction(lease, client, state);
    client.release = release;
    if (!isNew || !verify) return deliver(undefined, client, release);
    verify(client, (error) => {
      if (!error) return deliver(undefined, client, release);
      release(error);
      deliver(error as Error, undefined, RELEASE_NOTHING);
    });
  }

  #releaseFunction(
    lease: Lease<DropInClient>,
    client: DropInClient,
    state: ClientState,
  ): Release {
    let released = false;
    return (error) => {
      if (released) throw new Error(RELEASED_TWICE);
      released = true;
      if (state.lease === lease) state.lease = undefined;
      const isLost = this.#lost.delete(state);
      client.on("error", state.idleListener);
      client._poolUseCount = (client._poolUseCount ?? 0) + 1;
      this.#pool.emit("release", error, client);
      const mustClose = error || client._queryable === false ||
        client._ending || ageClock() - state.sinceMs >= this.#settings.lifetimeMs;
      // If the pool has closed it already, no second error follows.
      if (client._queryable === false || isLost) this.#end(state);
      if (mustClose) lease.invalidate(undefined, { soft: true });
      else if (state.readOnly && !this.#wantsWriter) {
        return void this.#releaseIfWritable(lease, client, state);
      }
      lease.release(asError(error));
    };
  }

  /** Whether the engine itself asks a server for its role after a refused write. */
  get #wantsWriter(): boolean {
    return isWriterRole(this.#settings.engine.targetSessionAttrs);
  }

  /** Releases a client that had a write refused. In a transaction that is read-only by itself, that is no fault of the server. */
  async #releaseIfWritable(
    lease: Lease<DropInClient>,
    client: DropInClient,
    state: ClientState,
  ): Promise<void> {
    try {
      const { readOnly } = await this.#adapter.role!(client);
      if (readOnly) lease.invalidate(undefined, { soft: true });
      state.readOnly = readOnly;
    } catch {
      lease.invalidate(undefined, { soft: true });
    }
    lease.release();
  }

  /** Tracks a new client: listens for its end before the engine does. */
  #track(client: DropInClient): void {
    const state: ClientState = {
      client,
      sinceMs: ageClock(),
      lease: undefined,
      handedOutBefore: false,
      announced: false,
      closing: false,
      failing: false,
      endedByServer: false,
      readOnly: false,
      closed: new Promise((resolve) => {
        client.once("end", () => {
          resolve();
          if (!state.lease) return this.#emitRemove(state);
          state.lease.invalidate();
          this.#countAsLost(state);
        });
      }),
      idleListener: (error) => this.#onIdleError(state, error),
    };
    this.#states.set(client, state);
    client.on("error", state.idleListener);
  }

  /** Counts a client that died in use until it is released. */
  #countAsLost(state: ClientState): void {
    this.#open.delete(state);
    if (state.announced) this.#lost.add(state);
    this.#takeLostSlots();
  }

  /** Lets the clients that died first leave the pool if others need their slots: some libraries never release them. */
  #takeLostSlots(): void {
    for (const state of this.#lost) {
      const { retired, poolSize } = this.engine.pool.counts;
      if (this.counts.total - retired <= poolSize) return;
      this.#lost.delete(state);
      this.#emitRemove(state);
    }
  }

  /** Prepares and announces a new client, before it is handed out. One whose session was reset is prepared again. */
  async #onConnect(client: DropInClient): Promise<void> {
    await this.#settings.onConnect?.(client);
    const state = this.#states.get(client)!;
    if (state.announced) return;
    state.announced = true;
    this.#open.add(state);
    this.#pool.emit("connect", client);
  }

  /** Reports an idle client that died. Unlike in `pg.Pool`, an `error` without a listener does not end the process. */
  #onIdleError(state: ClientState, error: unknown): void {
    const { client, announced, closing } = state;
    if (!announced || closing) return;
    if (asError(error)) Object.assign(error as Error, { client });
    this.#end(state);
    if (this.#pool.listenerCount("error") > 0) this.#pool.emit("error", error, client);
  }

  /** Ends a client as `pg.Pool` does: it emits no error any more. */
  #end(state: ClientState): void {
    const { client } = state;
    if (state.closing) return;
    state.closing = true;
    this.#open.delete(state);
    const end = client.end as unknown as (callback: () => void) => void;
    end.call(client, () => this.#emitRemove(state));
  }

  /** Emits `remove` once: the client has left the pool, and its socket is closed. */
  #emitRemove(state: ClientState): void {
    this.#open.delete(state);
    if (!state.announced) return;
    state.announced = false;
    this.#pool.emit("remove", state.client);
  }

  /** Closes a client. One whose session the server ended is left to that end, so that its error is heard. */
  async #close(client: DropInClient): Promise<void> {
    const state = this.#states.get(client)!;
    const { endedByServer, closed } = state;
    if (!endedByServer || client._queryable === false) this.#end(state);
    await closed;
  }

  /** Terminates a client. Its holder hears why, and what is running on it rejects with that. */
  #terminate(client: DropInClient, reason: Error | undefined): void {
    const state = this.#states.get(client);
    const { terminate, activity } = this.#adapter;
    if (state?.failing && state.lease === undefined) {
      // The idle listener, which hears the error next, ends the client.
      const limit = maintenanceTimer(MAX_CLOSE_MS, () => terminate!(client));
      return void state.closed.then(() => limit.clear());
    }
    if (state?.lease) this.#countAsLost(state);
    // An error of the client itself goes on to the holder.
    if (!state || client._queryable === false) return terminate!(client);
    const isBusy = !state.endedByServer && ["running", "stuck"].includes(activity!(client)!);
    const isHeard = state.lease !== undefined || isBusy;
    if (!isHeard) this.#end(state);
    else if (!state.lease) state.closing = true;
    terminate!(client, isHeard ? reason : undefined);
  }

  /** Creates the adapter that opens the pool's clients and reports their end. */
  #createAdapter(): Adapter<DropInClient> {
    const adapter = this.#adapter;
    const { ref, unref, ...rest } = adapter;
    return {
      ...rest,
      ...(this.#settings.mayExitOnIdle && { ref, unref }),
      connect: async (ip, target) => {
        const client = await adapter.connect(ip, target);
        this.#track(client);
        return client;
      },
      close: (client) => this.#close(client),
      terminate: (client, reason) => this.#terminate(client, reason),
      onClose: (client, listener) =>
        adapter.onClose!(client, (error) => {
          const state = this.#states.get(client)!;
          state.failing = error !== undefined;
          listener(error);
          state.failing = false;
        }),
      onError: (client, listener) =>
        adapter.onError!(client, (error) => {
          const state = this.#states.get(client);
          const verdict = adapter.classify!(error);
          if (state && verdict === "read-only") state.readOnly = true;
          if (state && (verdict === "disconnect" || verdict === "closed")) {
            state.endedByServer = true;
          }
          listener(error);
        }),
    };
  }
}
