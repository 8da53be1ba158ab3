/**
 * A MariaDB primary and its replica, on one port, with GTIDs and semi-synchronous replication: the replica confirms each
 * commit before the client is told. DNS is left to the caller. It leaves nothing behind when it is stopped or this process
 * ends in any way.
 *
 * @example
 * ```ts
 * import { startMariadbPair } from "./mariadb_pair.ts";
 *
 * export async function test() {
 *   await using pair = await startMariadbPair({ user: "app", password: "secret" });
 *   await pair.primary.kill();
 *   await pair.promote(); // pair.primary is the other one now
 * }
 * ```
 *
 * @module
 */

import { freePort, loopbackPair } from "./free_port.ts";
import { type MariadbServer, prepareMariadb, startMariadb } from "./mariadb.ts";
import { pause } from "./processes.ts";
import type { Waiting } from "./programs.ts";
import { credentials } from "./server.ts";

/** Options of {@linkcode startMariadbPair}. */
export interface MariadbPairOptions extends Waiting {
  /** A user with all privileges but those of an administrator, on both servers: `read_only` holds for it. */
  user: string;
  /** The password of the user, and of the administrator `root`. */
  password: string;
  /** The database. Default: `"test"`. */
  database?: string;
  /** More settings of both servers. Default: none. */
  settings?: Readonly<Record<string, string | number | boolean>>;
  /** Whether a commit waits for the replica. Default: true. */
  semiSync?: boolean;
}

/** A server is read-only from its start on, until it is told that it is the primary. */
const SETTINGS = {
  gtid_strict_mode: true,
  log_bin: "binlog",
  log_slave_updates: true,
  read_only: true,
  // Default: AFTER_COMMIT, with which others see a commit before the replica has it.
  rpl_semi_sync_master_wait_point: "AFTER_SYNC",
  rpl_semi_sync_slave_enabled: true,
  // Default: 5. A promotion waits for it while the primary is frozen.
  rpl_semi_sync_slave_kill_conn_timeout: 1,
};

/** Milliseconds that a change of roles may take on a busy machine. */
const LIMIT_MS = 30_000;

/**
 * Starts a pair. Resolves when the replica replicates.
 *
 * @throws {Error} if a server does not start; nothing is left then.
 */
export async function startMariadbPair(options: MariadbPairOptions): Promise<MariadbPair> {
  await using _programs = await prepareMariadb(options); // what is prepared is kept for both
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using stack = new AsyncDisposableStack();
  const [primary, replica] = await Promise.all(hosts.map(async (host, index) => {
    const settings = { ...SETTINGS, server_id: index + 1, ...options.settings };
    return stack.use(await startMariadb({ ...options, host, port, settings }));
  })) as [MariadbServer, MariadbServer];
  const pair = new MariadbPair([primary, replica], options);
  await pair.follow(replica);
  await primary.ask("SET GLOBAL read_only = OFF");
  await pair.settled();
  stack.move();
  return pair;
}

/** A pair, made by {@linkcode startMariadbPair}. */
export class MariadbPair implements AsyncDisposable {
  /** Both servers, the first primary first. */
  readonly servers: readonly [MariadbServer, MariadbServer];
  readonly #options: MariadbPairOptions;
  #primary: MariadbServer;

  /** Not for callers: see {@linkcode startMariadbPair}. */
  constructor(servers: readonly [MariadbServer, MariadbServer], options: MariadbPairOptions) {
    this.servers = servers;
    this.#options = options;
    this.#primary = servers[0];
  }

  /** The primary. */
  get primary(): MariadbServer {
    return this.#primary;
  }

  /** The other server: the replica, or what was the primary before. */
  get other(): MariadbServer {
    return this.servers.find((each) => each !== this.#primary)!;
  }

  /** Their port. */
  get port(): number {
    return this.#primary.port;
  }

  /** Their addresses, the first primary's first. */
  get hosts(): readonly string[] {
    return this.servers.map(({ host }) => host);
  }

  /** Returns a URL with the password, of these hosts. Default: both. */
  url(...hosts: string[]): string {
    const { user, password, database = "test" } = this.#options;
    const list = (hosts.length > 0 ? hosts : this.hosts).map((host) => `${host}:${this.port}`);
    return `mysql://${credentials(user, password)}@${list.join(",")}/${database}`;
  }

  /**
   * Makes the replica the primary: it takes writes when it has everything that it got. The old primary is not asked, and
   * not told.
   */
  async promote(): Promise<void> {
    const next = this.other;
    await next.ask("STOP SLAVE IO_THREAD", LIMIT_MS);
    const [{ Gtid_IO_Pos: position } = {}] = await next.ask("SHOW SLAVE STATUS");
    await next.ask("START SLAVE SQL_THREAD", LIMIT_MS); // if it was stopped; otherwise a warning
    await this.#wait(next, String(position));
    await next.ask("STOP SLAVE", LIMIT_MS);
    await next.ask("RESET SLAVE ALL");
    await next.ask("SET GLOBAL read_only = OFF");
    this.#primary = next;
  }

  /**
   * Waits until the replica has everything that the primary has committed, and makes it the primary. The primary has to be
   * read-only, so that nothing follows.
   */
  async hand(): Promise<void> {
    const [row] = await this.#primary.ask("SELECT @@gtid_current_pos AS position");
    await this.#wait(this.other, String(row!.position));
    await this.promote();
  }

  /** Makes a server that is read-only a replica of the primary. */
  async follow(server: MariadbServer): Promise<void> {
    const { host, port } = this.#primary;
    const { password } = this.#options;
    // With it, a replica waits for a replica of its own with each change that it applies.
    await server.ask("SET GLOBAL rpl_semi_sync_master_enabled = OFF");
    // What it committed as a primary counts as replicated.
    await server.ask("SET GLOBAL gtid_slave_pos = @@gtid_current_pos");
    await server.ask(
      `CHANGE MASTER TO MASTER_HOST = '${host}', MASTER_PORT = ${port}, MASTER_USER = 'root',
       MASTER_PASSWORD = '${password.replace(/[\\']/g, "\\$&")}', MASTER_USE_GTID = slave_pos,
       MASTER_CONNECT_RETRY = 1`,
    );
    await server.ask("START SLAVE");
  }

  /** Waits until the other server replicates; then commits wait for it. */
  async settled(): Promise<void> {
    await this.#until("replica", async () => {
      const [row] = await this.other.ask("SHOW SLAVE STATUS");
      return row?.Slave_IO_Running === "Yes" && row.Slave_SQL_Running === "Yes";
    });
    const [row] = await this.#primary.ask("SELECT @@gtid_current_pos AS position");
    await this.#wait(this.other, String(row!.position));
    if (this.#options.semiSync === false) return;
    await this.#primary.ask("SET GLOBAL rpl_semi_sync_master_enabled = ON");
    await this.#until("semi-synchronous replica", async () => {
      const [row] = await this.#primary.ask("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'");
      return row?.Value === "1";
    });
  }

  /** Stops both and removes their data. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop({ mode: "immediate" })));
  }

  /** As {@linkcode MariadbPair.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #wait(server: MariadbServer, position: string): Promise<void> {
    const text = `SELECT MASTER_GTID_WAIT('${position}', ${LIMIT_MS / 1000}) AS failed`;
    const [row] = await server.ask(text, LIMIT_MS);
    if (row!.failed !== 0) throw new Error(`${server.where} did not reach ${position}`);
  }

  async #until(what: string, attempt: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + LIMIT_MS;
    while (!await attempt()) {
      if (performance.now() > endMs) {
        const states = await Promise.all(
          this.servers.map(async (server) => {
            const state = await server.ask("SHOW SLAVE STATUS").catch(String);
            return `${server.where}: ${JSON.stringify(state)}`;
          }),
        );
        throw new Error([`No ${what} within ${LIMIT_MS / 1000} seconds`, ...states].join("\n"));
      }
      await pause(20);
    }
  }
}
