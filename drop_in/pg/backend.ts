/**
 * What stands behind a {@linkcode DnsPgPool}: an engine, and what `pg.Pool` would say and do.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { inDriversWords, type PoolWords } from "../shared/driver_errors.ts";
import {
  type Deliver,
  type DropInClient,
  type PgParameters,
  type PgPool,
  pinningAdapter,
  type Release,
} from "./module.ts";
import { callUserCode } from "../../internal/thrown.ts";
import { type PgPoolSettings, readPoolSettings } from "./pool_settings.ts";
import { type DriverCounts, driverCounts } from "../shared/pool_counts.ts";

/** What `pg.Pool` says. */
const WORDS: PoolWords = {
  timeout: "timeout exceeded when trying to connect",
  connectTimeout: "Connection terminated due to connection timeout",
  closed: "Cannot use a pool after calling end on the pool",
};
const RELEASED_TWICE = "Release called on client which has already been released to the pool.";
/**
 * The engine's own end of a wait comes first: it knows more about the reason. It lets those wait on for whom a connection
 * is being opened; for them the wait ends here.
 */
const SLACK_MS = 5;

const NOTHING: Release = () => {};

/** What is known of a client. */
interface Standing {
  /** Since when it is open. */
  readonly sinceMs: number;
  /** Of whoever has it. */
  lease: Lease<DropInClient> | undefined;
  /** Whether it was handed out before. */
  seasoned: boolean;
  /** The pool was told of it, and will be told of its end. */
  told: boolean;
  /** It is being closed. */
  leaving: boolean;
  /** Its socket is closed. */
  ended: boolean;
  /** The server refused a write. */
  readOnly: boolean;
}

/** An engine that does a pool's work. */
export class PgBackend {
  /** The engine. */
  readonly engine: Engine<DropInClient>;

  readonly #pool: PgPool;
  readonly #settings: PgPoolSettings;
  readonly #standings: WeakMap<DropInClient, Standing> = new WeakMap();
  /** Of clients that the pool was told of and that are not being closed. */
  readonly #open: Set<Standing> = new Set();

  /**
   * @param pool Whose work it does.
   * @param parameters Where to.
   */
  constructor(pool: PgPool, parameters: PgParameters) {
    const { host, port, user, database, password } = parameters;
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
      hooks: { connect: ({ client }) => this.#welcome(client) },
    });
  }

  /** How many clients there are, and callers that wait. */
  get counts(): DriverCounts {
    return driverCounts(this.engine.pool.counts);
  }

  /** Clients that are out and past their lifetime. */
  get expired(): number {
    const nowMs = now();
    const { lifetimeMs } = this.#settings;
    return [...this.#open].filter(({ sinceMs }) => nowMs - sinceMs >= lifetimeMs).length;
  }

  /**
   * Asks for a client.
   *
   * @param deliver Is given it, or the error; whatever it throws is nobody's but the process's, as with `pg.Pool`.
   */
  checkout(deliver: Deliver): void {
    const { timeoutMs } = this.#settings;
    let late = false;
    let limit: Timer | undefined;
    if (timeoutMs < Infinity) {
      limit = maintenanceTimer(timeoutMs + SLACK_MS, () => {
        late = true;
        deliver(new Error(WORDS.connectTimeout), undefined, NOTHING);
      });
    }
    this.engine.connect().then((lease) => {
      limit?.clear();
      if (late) lease.release();
      else callUserCode(() => this.#handOver(lease, deliver));
    }, (error) => {
      limit?.clear();
      if (!late) callUserCode(() => deliver(inDriversWords(error, WORDS), undefined, NOTHING));
    });
  }

  /** Waits for all clients to come back, and closes them. */
  close(): Promise<void> {
    return this.engine.close({ drain: Infinity });
  }

  #handOver(lease: Lease<DropInClient>, deliver: Deliver): void {
    const { client } = lease;
    const standing = this.#standings.get(client)!;
    const { verify } = this.#settings;
    const isNew = !standing.seasoned;
    standing.lease = lease;
    standing.seasoned = true;
    this.#pool.emit("acquire", client);
    const release = this.#releaser(lease, client, standing);
    client.release = release;
    if (!isNew || !verify) return deliver(undefined, client, release);
    verify(client, (error) => {
      if (!error) return deliver(undefined, client, release);
      release(error);
      deliver(error as Error, undefined, NOTHING);
    });
  }

  #releaser(lease: Lease<DropInClient>, client: DropInClient, standing: Standing): Release {
    let released = false;
    return (error) => {
      if (released) throw new Error(RELEASED_TWICE);
      released = true;
      if (standing.lease === lease) standing.lease = undefined;
      client._poolUseCount = (client._poolUseCount ?? 0) + 1;
      this.#pool.emit("release", error, client);
      const unfit = error || standing.readOnly || client._queryable === false ||
        client._ending || now() - standing.sinceMs >= this.#settings.lifetimeMs;
      if (unfit) lease.invalidate(undefined, { soft: true });
      lease.release(error instanceof Error ? error : undefined);
    };
  }

  /** Hears of a new client's end before the engine does. */
  #attend(client: DropInClient): void {
    const standing: Standing = {
      sinceMs: now(),
      lease: undefined,
      seasoned: false,
      told: false,
      leaving: false,
      ended: false,
      readOnly: false,
    };
    this.#standings.set(client, standing);
    client.on("error", (error) => this.#onError(client, standing, error));
    client.once("end", () => {
      standing.ended = true;
      // Its place is free at once: not everybody releases a client that died on them.
      standing.lease?.invalidate();
      this.#farewell(client, standing);
    });
  }

  /** A new client, before anybody has it. */
  async #welcome(client: DropInClient): Promise<void> {
    await this.#settings.onConnect?.(client);
    const standing = this.#standings.get(client)!;
    standing.told = true;
    this.#open.add(standing);
    this.#pool.emit("connect", client);
  }

  /** An idle client died. Unlike `pg.Pool`, this never ends the process: without a listener it goes unheard. */
  #onError(client: DropInClient, standing: Standing, error: unknown): void {
    const { lease, told, leaving } = standing;
    if (lease || !told || leaving) return;
    standing.leaving = true;
    if (error instanceof Error) Object.assign(error, { client });
    if (this.#pool.listenerCount("error") > 0) this.#pool.emit("error", error, client);
  }

  /** The pool hears of a client's end once it has left and its socket is closed. */
  #farewell(client: DropInClient, standing: Standing): void {
    if (!standing.told || !standing.leaving || !standing.ended) return;
    standing.told = false;
    this.#pool.emit("remove", client);
  }

  #leave(client: DropInClient): void {
    const standing = this.#standings.get(client);
    if (!standing) return;
    standing.leaving = true;
    this.#open.delete(standing);
    this.#farewell(client, standing);
  }

  /** Opens the pool's clients, and hears of their end. */
  #adapter(): Adapter<DropInClient> {
    const adapter = pinningAdapter(this.#pool.Client, () => this.#pool.options);
    const { ref, unref, ...rest } = adapter;
    return {
      ...rest,
      ...(this.#settings.mayExitOnIdle && { ref, unref }),
      connect: async (ip, target) => {
        const client = await adapter.connect(ip, target);
        this.#attend(client);
        return client;
      },
      close: (client) => {
        this.#leave(client);
        return adapter.close!(client);
      },
      terminate: (client, reason) => {
        this.#leave(client);
        adapter.terminate!(client, reason);
      },
      onError: (client, listener) =>
        adapter.onError!(client, (error) => {
          const standing = this.#standings.get(client);
          if (standing && adapter.classify!(error) === "read-only") standing.readOnly = true;
          listener(error);
        }),
    };
  }
}
