/**
 * Sessions with which drills watch servers of MySQL's family.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import { pause } from "../../lab/processes.ts";

/** Milliseconds that a server has to answer. */
const LIMIT_MS = 1000;
/** Milliseconds between two questions. */
const EVERY_MS = 25;

/** Runs a statement. */
export type AskMysql = (text: string) => Promise<Record<string, unknown>[]>;

/** What is done in the sessions of a server. */
export interface SessionWork {
  /** Is done again and again in a session, until it fails. */
  work(ask: AskMysql): Promise<void>;
  /** Is called when it failed, or the connect. */
  onFailed?(): void;
  /** Whether it is over. */
  isStopped(): boolean;
}

/** Works with one session after another on a server, until it is stopped. */
export async function inSessions(
  uri: string,
  { work, onFailed, isStopped }: SessionWork,
): Promise<void> {
  while (!isStopped()) {
    let client: mysql.Connection | undefined;
    try {
      client = await mysql.createConnection({ uri, connectTimeout: LIMIT_MS });
      client.on("error", () => {}); // it fails the statement as well
      const ask: AskMysql = async (sql) =>
        (await client!.query({ sql, timeout: LIMIT_MS }))[0] as Record<string, unknown>[];
      while (!isStopped()) {
        await work(ask);
        await pause(EVERY_MS);
      }
    } catch {
      onFailed?.();
      await pause(EVERY_MS);
    }
    client?.destroy();
  }
}
