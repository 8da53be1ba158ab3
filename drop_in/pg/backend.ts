/**
 * The engine behind a {@linkcode DnsPgPool}, with the events, errors and bookkeeping of `pg.Pool`.
 *
 * @module
 */

import { keptAlive } from "../../internal/async.ts";
import { ageClock } from "../../internal/clock.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { type DriverMessages, toDriverError } from "../shared/driver_errors.ts";
import {
  type Deliver,
  type DropInClient,
  MESSAGES,
  type PgPool,
  type PgTarget,
  pinningAdapter,
  type Release,
} from "./module.ts";
import type { Neighbors } from "./client_class.ts";
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
  /** Whether the client is being closed. */
  closing: boolean;
  /** Whether the client's socket is closed. */
  closed: boolean;
  /** Whether the server refused a write. */
  readOnly: boolean;
}

/** The engine behind a pool. */
export class PgBackend implements Neighbors {
  /** The engine. */
  readonly engine: Engine<DropInClient>;

  readonly #pool: PgPool;
  readonly #settings: PgPoolSettings;
  readonly #states: WeakMap<DropInClient, ClientState> = new WeakMap();
  /** States of the clients that were announced and are not being closed. */
  readonly #open: Set<ClientState> = new Set();
  /** Number of callers that wait for a client. */
  #waiting = 0;
  /** Called when there is none any more, if the pool is to close then. */
  #onServed: (() => void) | undefined;

  /**
   * @param pool The pool.
   * @param target What its clients connect to.
   */
  constructor(pool: PgPool, target: PgTarget) {
    const { host, port, user, database, password } = target;
    this.#pool = pool;
    this.#settings = readPoolSettings(pool.options);
    const url = new DatabaseUrl({
      dialect: "postgresql",
      driver: "pg",
      host,
      port,
      user,
      database,
      password,
    });
    this.engine = getDnsEngine<DropInClient>(url, {
      ...this.#settings.engine,
      adapter: this.#adapter(),
      hooks: { connect: ({ client }) => this.#onConnect(client) },
    });
    // As with `pg.Pool`, a caller whose client is being opened waits no longer than the others.
    DnsEngine.changeLimits(this.engine, { maxOpenMs: 0 });
    followLimits(pool.options, this.engine, { max: (max) => ({ poolSize: readMax({ max }) }) });
  }

  /** The pool's counters. */
  get counts(): DriverCounts {
    return driverCounts(this.engine.pool.counts);
  }

  preferredAddress(): string | undefined {
    const inUse = [...this.#open].filter(({ lease }) => lease !== undefined);
    const [address, other] = new Set(inUse.map(({ client }) => client.host));
    return other === undefined ? address : undefined;
  }

  serversOf(sessionId: number): string[] {
    const clients = [...this.#open].map(({ client }) => client);
    return [
      ...new Set(
        clients.filter(({ processID }) => processID === sessionId).map(({ host }) => host),
      ),
    ];
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
    this.engine.connect().then(
      (lease) => callUserCode(() => this.#handOut(lease, deliver)),
      (error) =>
        callUserCode(() => deliver(toDriverError(error, messages), undefined, RELEASE_NOTHING)),
    ).then(() => {
      if (--this.#waiting === 0) this.#onServed?.();
    });
  }

  /** Waits until all callers are served and all clients released, and closes them. */
  async close(): Promise<void> {
    if (this.#waiting > 0) {
      await keptAlive(new Promise<void>((resolve) => this.#onServed = resolve));
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
      client._poolUseCount = (client._poolUseCount ?? 0) + 1;
      this.#pool.emit("release", error, client);
      const mustClose = error || state.readOnly || client._queryable === false ||
        client._ending || ageClock() - state.sinceMs >= this.#settings.lifetimeMs;
      if (mustClose) lease.invalidate(undefined, { soft: true });
      lease.release(asError(error));
    };
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
      closed: false,
      readOnly: false,
    };
    this.#states.set(client, state);
    client.on("error", (error) => this.#onError(client, state, error));
    client.once("end", () => {
      state.closed = true;
      // Frees the slot at once: some libraries never release a client that died.
      state.lease?.invalidate();
      this.#emitRemove(client, state);
    });
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
  #onError(client: DropInClient, state: ClientState, error: unknown): void {
    const { lease, announced, closing } = state;
    if (lease || !announced || closing) return;
    state.closing = true;
    if (asError(error)) Object.assign(error as Error, { client });
    if (this.#pool.listenerCount("error") > 0) this.#pool.emit("error", error, client);
  }

  /** Emits `remove` once the client has left the pool and its socket is closed. */
  #emitRemove(client: DropInClient, state: ClientState): void {
    if (!state.announced || !state.closing || !state.closed) return;
    state.announced = false;
    this.#pool.emit("remove", client);
  }

  #beforeClose(client: DropInClient): void {
    const state = this.#states.get(client);
    if (!state) return;
    state.closing = true;
    this.#open.delete(state);
    this.#emitRemove(client, state);
  }

  /** Creates the adapter that opens the pool's clients and reports their end. */
  #adapter(): Adapter<DropInClient> {
    const { Client, options } = this.#pool;
    const adapter = pinningAdapter(Client, () => options);
    const { ref, unref, ...rest } = adapter;
    return {
      ...rest,
      ...(this.#settings.mayExitOnIdle && { ref, unref }),
      connect: async (ip, target) => {
        const client = await adapter.connect(ip, target);
        this.#track(client);
        return client;
      },
      close: (client) => {
        this.#beforeClose(client);
        return adapter.close!(client);
      },
      terminate: (client, reason) => {
        this.#beforeClose(client);
        adapter.terminate!(client, reason);
      },
      onError: (client, listener) =>
        adapter.onError!(client, (error) => {
          const state = this.#states.get(client);
          if (state && adapter.classify!(error) === "read-only") state.readOnly = true;
          listener(error);
        }),
    };
  }
}
