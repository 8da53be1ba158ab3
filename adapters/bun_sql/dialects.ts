/**
 * What differs between the servers of `Bun.SQL`.
 *
 * @module
 */

import type { Adapter, Target, Verdict } from "../adapter.ts";
import * as mysql from "../shared/mysql.ts";
import { killQuery } from "../shared/mysql_cancel.ts";
import { planMysqlTransaction } from "../shared/mysql_transaction.ts";
import * as postgres from "../shared/postgres.ts";
import { postgresRoleMethods } from "../shared/postgres_role.ts";
import { planPostgresTransaction } from "../shared/postgres_transaction.ts";
import { probeSocket } from "../shared/socket.ts";
import { endStatement } from "../shared/sql.ts";
import { checkValueCount } from "../shared/values.ts";
import type { BunSqlCalls } from "./calls.ts";
import type { BunSqlClient, BunSqlResult } from "./driver.ts";
import type { SavepointTransaction } from "./mysql_transaction.ts";
import { probeByLogin } from "./probe.ts";

/** What the adapter keeps about a connection, as far as the server's kind matters. */
export interface Session {
  readonly calls: BunSqlCalls;
  /** For MySQL. */
  readonly transaction: SavepointTransaction;
}

/** What the methods of one kind of server need. */
export interface DialectContext {
  readonly ask: Ask;
  sessionOf(client: BunSqlClient): Session;
  /** Runs one statement. */
  send(client: BunSqlClient, text: string): Promise<BunSqlResult>;
  /** Opens a client. */
  open(ip: string, target: Target): Promise<BunSqlClient>;
  /** Closes a client. */
  close(client: BunSqlClient): Promise<void>;
  /** Whether an error says that the connection was refused or lost. */
  isLost(error: unknown): boolean;
}

/** Runs one statement and returns its rows. */
export type Ask = (client: BunSqlClient, text: string) => Promise<readonly unknown[]>;

/** Opens and closes the second connection of a cancel. */
export interface CancelParts {
  readonly client: BunSqlClient;
  /** What `identify` returned for the session. */
  readonly identity: SessionIdentity;
  readonly terminated: boolean;
  readonly signal: AbortSignal;
  open(): Promise<{ client: BunSqlClient; identity: SessionIdentity }>;
  close(client: BunSqlClient): Promise<void>;
  terminate(client: BunSqlClient): void;
}

/** What tells a session from those of other servers. */
export interface SessionIdentity {
  readonly id: number;
  /** When it began, or the socket that the server sees. */
  readonly mark: string;
}

/** One kind of server. */
export interface DialectParts {
  /** What `Bun.SQL` calls it. */
  readonly adapter: "postgres" | "mysql";
  readonly defaultPort: number;
  readonly methods: (
    context: DialectContext,
  ) => Pick<
    Adapter<BunSqlClient>,
    | "begin"
    | "commit"
    | "ping"
    | "planTransaction"
    | "probe"
    | "reset"
    | "resetSession"
    | "role"
    | "setIsolationLevel"
    | "transactionStatus"
  >;
  /** Refuses values that the driver would leave out. */
  checkValues?(text: string, values: readonly unknown[]): void;
  /** Whether an error only says that an earlier one ended the transaction. */
  isConsequence?(error: unknown): boolean;
  /** Asks a new session who it is. */
  identify(ask: Ask, client: BunSqlClient): Promise<SessionIdentity>;
  cancel(ask: Ask, parts: CancelParts): Promise<void>;
  classify(error: unknown): Verdict;
  refusesLogin(error: unknown): boolean;
  /** Default: no error means that. */
  refusesClients?(error: unknown): boolean;
}

/** A placeholder of PostgreSQL, or what looks like one: the server itself refuses too few values. */
const PLACEHOLDER = /\$(\d{1,5})/g;

const POSTGRESQL: DialectParts = {
  adapter: "postgres",
  defaultPort: postgres.DEFAULT_PORT,
  methods({ ask, send, sessionOf }) {
    const transactionStatus = (client: BunSqlClient) => sessionOf(client).calls.transactionStatus;
    return {
      probe: (ip, target) => probeSocket(ip, target),
      ...postgres.postgresSessionMethods(ask),
      ...postgresRoleMethods<BunSqlClient>({ run: ask }),
      planTransaction: planPostgresTransaction,
      transactionStatus,
      commit: postgres.postgresCommit<BunSqlClient>({
        transactionStatus,
        send: async (client) => (await send(client, "COMMIT")).command ?? undefined,
      }),
    };
  },
  checkValues(text, values) {
    const numbers = Array.from(text.matchAll(PLACEHOLDER), ([, number]) => Number(number));
    const highest = Math.max(0, ...numbers);
    if (values.length > highest) checkValueCount(values, highest);
  },
  isConsequence: (error) => postgres.isInFailedTransaction((error as { errno?: unknown })?.errno),
  async identify(ask, client) {
    const [row] = await ask(
      client,
      "SELECT pid::int AS id, backend_start::text AS mark FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    ) as [SessionIdentity];
    return { id: Number(row.id), mark: row.mark };
  },
  async cancel(
    ask,
    { client, identity: { id, mark }, terminated, open, close, terminate, signal },
  ) {
    const { client: other } = await open();
    const onAbort = () => terminate(other);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      // Behind a balancer, the second connection may be open to another server.
      const verb = terminated ? "pg_terminate_backend" : "pg_cancel_backend";
      const rows = await ask(
        other,
        `SELECT ${verb}(pid) FROM pg_stat_activity WHERE pid = ${id} AND backend_start = '${mark}'`,
      );
      if (rows.length === 0) {
        throw new Error("Cannot cancel a statement: the second connection has no such session");
      }
      // The signal may reach the next statement: an empty one takes it.
      if (!terminated) await ask(client, "SELECT 1").catch(() => {});
    } finally {
      signal.removeEventListener("abort", onAbort);
      await close(other);
    }
  },
  classify: postgres.classifyPostgres,
  refusesLogin: postgres.refusesPostgresLogin,
  refusesClients: postgres.refusesPostgresClients,
};

const MYSQL: DialectParts = {
  adapter: "mysql",
  defaultPort: mysql.DEFAULT_PORT,
  methods({ ask, sessionOf, open, close, isLost }) {
    return {
      ...mysql.mysqlSessionMethods<BunSqlClient>(ask),
      probe: (ip, target) => probeByLogin(ip, target, { open, close, isLost }),
      async reset(client, how) {
        sessionOf(client).transaction.forget();
        await ask(client, endStatement(how));
        await ask(client, "SET autocommit = DEFAULT");
      },
      planTransaction: planMysqlTransaction,
      begin: (client, statement) => sessionOf(client).transaction.begin(statement),
      commit: (client) => sessionOf(client).transaction.commit(),
    };
  },
  async identify(ask, client) {
    const [row] = await ask(
      client,
      "SELECT id AS id, host AS mark FROM information_schema.processlist WHERE id = CONNECTION_ID()",
    ) as [SessionIdentity];
    return { id: Number(row.id), mark: String(row.mark) };
  },
  async cancel(ask, { client, identity, terminated, open, close, terminate, signal }) {
    const portOf = ({ mark }: SessionIdentity) => Number(/\d+$/.exec(mark)?.[0]);
    await killQuery<BunSqlClient>({
      client,
      sessionId: identity.id,
      localPort: portOf(identity),
      terminated,
      async open() {
        const other = await open();
        return { client: other.client, localPort: portOf(other.identity) };
      },
      ask,
      close,
      terminate,
    }, signal);
  },
  classify: mysql.classifyMysql,
  refusesLogin: mysql.refusesMysqlLogin,
};

/** The servers, by dialect. */
export const DIALECTS: Readonly<Record<string, DialectParts>> = {
  postgresql: POSTGRESQL,
  mysql: MYSQL,
};
