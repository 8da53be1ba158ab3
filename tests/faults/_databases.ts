/**
 * The databases of the fault matrix: how each is started, and how harm is done to it from within.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { getDnsEngine } from "../../mod.ts";
import { type PostgresServer, startPostgres } from "../../scripts/lab/postgres.ts";
import type { LabServer, TlsOptions } from "../../scripts/lab/server.ts";

type Register = (name: string, body: () => Promise<void>) => void;

/** Where a server of the matrix listens, and what it shows. */
export interface Where {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
}

/** One running database. */
export interface Database {
  readonly server: LabServer;
  // deno-lint-ignore no-explicit-any -- whatever the client is, the engine only hands it back
  readonly adapter: Adapter<any>;
  /** A write of one value that takes 30 ms, so that something is always in flight. */
  readonly statement: string;
  /** A statement with one value that fails, for the value is no number. */
  readonly wrong: string;
  /** The URL of a user who is no administrator. */
  url(host: string, port: number): string;
  /** Ends all sessions of that user. */
  cutAll(): Promise<void>;
  /** Makes the server say "too many clients" to that user, until the returned function is called. */
  fill(): Promise<() => Promise<void>>;
  /** Makes it read-only, or writable again. */
  setReadOnly(on: boolean): Promise<void>;
  /** Makes it read its certificate again. */
  reloadTls(): Promise<void>;
}

/** A kind of database. */
export interface DatabaseKind {
  readonly name: string;
  /** `Deno.test`, for what needs it. */
  readonly test: Register;
  start(where: Where): Promise<Database>;
}

const ADMIN = { user: "admin", password: "s3cret-admin", database: "faults" };
const WORKER = { user: "worker", password: "s3cret/w:rker" };

/** What nobody may come to see: the password, and the value that is written. */
export const SECRETS = { password: WORKER.password, value: "b1nd-v@lue" };

/** PostgreSQL, by `npm:pg`. */
export const POSTGRES: DatabaseKind = {
  name: "PostgreSQL",
  test: (name, body) => Deno.test(name, body),
  async start(where) {
    const server = await startPostgres({ ...ADMIN, ...where });
    const ask = (...texts: string[]) => askPostgres(server, texts);
    await ask(
      "CREATE TABLE faults (n text)",
      `CREATE ROLE ${WORKER.user} LOGIN PASSWORD '${WORKER.password}'`,
      `GRANT ALL ON faults TO ${WORKER.user}`,
    );
    return {
      server,
      adapter: pgAdapter(pg),
      statement: "INSERT INTO faults SELECT $1 FROM pg_sleep(0.03)",
      wrong: "SELECT $1::int",
      url: (host, port) =>
        `postgresql://${WORKER.user}:${
          encodeURIComponent(WORKER.password)
        }@${host}:${port}/${ADMIN.database}`,
      cutAll: () =>
        ask(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${WORKER.user}'`,
        ),
      async fill() {
        await ask(`ALTER ROLE ${WORKER.user} CONNECTION LIMIT 0`);
        return () => ask(`ALTER ROLE ${WORKER.user} CONNECTION LIMIT -1`);
      },
      setReadOnly: (on) =>
        ask(
          `ALTER SYSTEM ${on ? "SET default_transaction_read_only = on" : "RESET ALL"}`,
          "SELECT pg_reload_conf()",
        ),
      reloadTls: () => ask("SELECT pg_reload_conf()"),
    };
  },
};

async function askPostgres(server: PostgresServer, texts: readonly string[]): Promise<void> {
  const options = "-c default_transaction_read_only=off";
  await using engine = getDnsEngine(server.url(), {
    adapter: pgAdapter(pg),
    connectArgs: { options },
  });
  // ALTER SYSTEM runs in no transaction.
  for (const text of texts) await engine.query(text);
}

/** Every kind that this machine has. */
export const KINDS: readonly DatabaseKind[] = [POSTGRES];
