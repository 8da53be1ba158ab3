/**
 * A PostgreSQL primary and its hot standby, on one port, that change places again and again. The standby confirms every
 * commit before the client is told (synchronous replication) whenever they are about to change places, so that no
 * acknowledged commit can be lost with the primary.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "./free_port.ts";
import { type PostgresOptions, type PostgresServer, startPostgres } from "./postgres.ts";
import { pause } from "./processes.ts";

/** How the primary is lost. One that is left running goes on as a primary of its own, as without its supervisor. */
export type Loss = "stopped" | "killed" | "frozen" | "frozen and thawed" | "left running";

/** The time in which one server was the primary. */
export interface Term {
  /** Its address. */
  readonly address: string;
  /** PostgreSQL's number for it, as the name of a WAL segment has it. */
  readonly timeline: string;
  /** When it was promoted, in milliseconds of the monotonic clock. */
  readonly fromMs: number;
  /** When it was lost, on the same clock. */
  untilMs: number;
}

const WHO = { user: "app", password: "s3cret", database: "orders" };
const SETTINGS = { synchronous_commit: "on", wal_retrieve_retry_interval: "50ms" };
/** Milliseconds after which something that hangs is reported. */
const LIMIT_MS = 30_000;

/** Two servers that change places. */
export class ReplicatedPair implements AsyncDisposable {
  /** The primaries so far; the last one is the present one. */
  readonly terms: Term[] = [];
  #primary: PostgresServer;
  #standby: PostgresServer | undefined;
  readonly #settings: PostgresOptions["settings"];

  private constructor(primary: PostgresServer, settings: PostgresOptions["settings"]) {
    this.#primary = primary;
    this.#settings = settings;
  }

  /**
   * Starts a pair.
   *
   * @param setup Statements to run before there is a standby.
   * @param settings More settings for both servers.
   */
  static async start(
    setup: string,
    settings: PostgresOptions["settings"] = {},
  ): Promise<ReplicatedPair> {
    const hosts = await loopbackPair();
    const where = { host: hosts[0], port: await freePort(hosts) };
    const pair = new ReplicatedPair(
      await startPostgres({ ...WHO, settings: { ...SETTINGS, ...settings }, ...where }),
      settings,
    );
    try {
      await pair.ask(setup);
      await pair.#begin();
      await pair.addStandby(hosts[1]);
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
    return pair;
  }

  /** The primary. */
  get primary(): PostgresServer {
    return this.#primary;
  }

  /** The standby; `undefined` if there is none. */
  get standby(): PostgresServer | undefined {
    return this.#standby;
  }

  /** The standby's address; `undefined` if there is none. */
  get standbyAddress(): string | undefined {
    return this.#standby?.host;
  }

  /** Runs statements on the primary. */
  async ask(text: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.#primary.url() });
    client.on("error", () => {}); // an error fails the query as well
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }

  /**
   * Ends the primary and promotes the standby. DNS is left to the caller.
   *
   * @param loss How the primary is lost, or what ends it.
   * @returns Removes what is left of the old primary.
   */
  async failOver(
    loss: Loss | ((old: PostgresServer) => Promise<void>),
  ): Promise<() => Promise<void>> {
    const [old, next] = [this.#primary, this.#standby];
    if (!next) throw new Error("Cannot fail over: there is no standby");
    if (typeof loss === "function") await loss(old);
    else if (loss === "stopped") await old.stop({ keep: true });
    else if (loss === "killed") await old.kill();
    else if (loss !== "left running") await old.freeze();
    this.terms.at(-1)!.untilMs = performance.now();
    this.#primary = next;
    this.#standby = undefined;
    await this.ask("SELECT pg_promote()");
    await this.#begin();
    return async () => {
      if (loss === "frozen and thawed") {
        await old.thaw();
        await pause(500);
      }
      await old.stop({ mode: "immediate" });
    };
  }

  /** Restarts the primary, with a new standby made from its data meanwhile; resolves when commits wait for it. */
  async addStandby(host: string): Promise<void> {
    const primary = this.#primary;
    await primary.stop({ keep: true });
    const { port } = primary;
    this.#standby = await startPostgres({
      ...WHO,
      settings: { ...SETTINGS, ...this.#settings },
      host,
      port,
      standbyOf: primary,
    });
    await primary.start();
    await this.ask("ALTER SYSTEM SET synchronous_standby_names = '*'");
    await this.ask("SELECT pg_reload_conf()");
    await this.#caughtUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#primary[Symbol.asyncDispose]();
    await this.#standby?.[Symbol.asyncDispose]();
  }

  /** Begins a term: a primary without a standby waits for none. */
  async #begin(): Promise<void> {
    await this.ask("ALTER SYSTEM RESET synchronous_standby_names");
    await this.ask("SELECT pg_reload_conf()");
    const [row] = await this.ask("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS now");
    const timeline = (row as { now: string }).now;
    const { host: address } = this.#primary;
    this.terms.push({ address, timeline, fromMs: performance.now(), untilMs: Infinity });
  }

  /** Waits until everything that was committed so far, with or without waiting, is on the standby as well. */
  async #caughtUp(): Promise<void> {
    const endMs = performance.now() + LIMIT_MS;
    const [row] = await this.ask("SELECT pg_current_wal_lsn()::text AS lsn");
    const { lsn } = row as { lsn: string };
    const done =
      `SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= '${lsn}'`;
    while ((await this.ask(done)).length === 0) {
      if (performance.now() > endMs) throw new Error("The standby did not catch up in 30 seconds");
      await pause(50);
    }
  }
}
