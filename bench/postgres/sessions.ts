/**
 * Which lanes have sessions on a server that lets no client in any more: seen by a session that was there before.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pause } from "../../lab/processes.ts";

/** Milliseconds between two looks. */
const EVERY_MS = 25;

/** Watches the sessions of users on one server. */
export class Sessions {
  /** The times at which a user had a session last. */
  readonly lastMs: Map<string, number> = new Map();
  readonly #client: pg.Client;
  readonly #users: readonly string[];

  private constructor(client: pg.Client, users: readonly string[]) {
    this.#client = client;
    this.#users = users;
  }

  /**
   * Opens the session that watches.
   *
   * @param url That of the server, as a superuser.
   * @param users The users that are watched.
   */
  static async open(url: string, users: readonly string[]): Promise<Sessions> {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {}); // an error fails the statement as well
    await client.connect();
    return new Sessions(client, users);
  }

  /** Ends the superuser's own other sessions, and waits until no user has one, for a limited time; then it leaves. */
  async left(limitMs: number): Promise<void> {
    await this.#client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    );
    const endMs = Date.now() + limitMs;
    while (Date.now() < endMs) {
      const { rows } = await this.#client.query(
        "SELECT DISTINCT usename AS name FROM pg_stat_activity WHERE usename = ANY($1)",
        [this.#users],
      );
      for (const { name } of rows) this.lastMs.set(name, Date.now());
      if (rows.length === 0) break;
      await pause(EVERY_MS);
    }
    await this.#client.end();
  }
}
