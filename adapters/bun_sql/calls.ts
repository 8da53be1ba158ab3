/**
 * Follows the calls of a client of `Bun.SQL`, which shows neither the server's errors nor whether a transaction is open,
 * other than to the caller of each statement.
 *
 * @module
 */

import type { Activity } from "../adapter.ts";
import { StatementLog } from "../shared/postgres_statements.ts";
import type { BunSqlClient, BunSqlResult } from "./driver.ts";

type Call = (...args: unknown[]) => unknown;

/** Methods that run a function in a transaction of the driver's own. */
const TRANSACTIONS = ["begin", "transaction", "distributed", "beginDistributed", "savepoint"];
/** Methods that give the connection back, or close it. */
const ENDS = ["release", "close", "end", Symbol.dispose, Symbol.asyncDispose];

/** A promise that is followed once the driver sends its query: when there is a listener, or it is told to. */
interface Query {
  then: Call;
  execute: Call;
}

/** The calls of one client. */
export class BunSqlCalls {
  /** Takes each error of a statement. */
  onError: ((error: unknown) => void) | undefined;
  /** The client, whose calls are followed. */
  readonly client: BunSqlClient;
  readonly #statements: StatementLog = new StatementLog();
  readonly #unsafe: BunSqlClient["unsafe"];
  /** Number of statements that are not answered. */
  #running = 0;
  /** Number of the driver's own transactions that have not ended. */
  #transactions = 0;
  #ended = false;

  /** @param client A reserved connection; only `this.client` may be used from now on. */
  constructor(client: BunSqlClient) {
    this.#unsafe = client.unsafe.bind(client);
    this.client = this.#follow(client);
    const members = client as unknown as Record<string | symbol, Call | undefined>;
    for (const name of ENDS) {
      const original = members[name];
      if (original) {
        members[name] = (...args) => {
          this.#ended = true;
          return original.apply(client, args);
        };
      }
    }
  }

  /** What the connection has still to do. */
  get activity(): Activity {
    if (this.#ended) return "ended";
    if (this.#transactions > 0) return "stuck";
    return this.#running > 0 ? "running" : "none";
  }

  /** The status of a transaction of PostgreSQL; `undefined` if there may be one, or if a statement is running. */
  get transactionStatus(): "idle" | undefined {
    const mayBeOpen = this.#running > 0 || this.#transactions > 0 || this.#statements.mayBeOpen;
    return mayBeOpen ? undefined : "idle";
  }

  /**
   * Runs a statement.
   *
   * @param text The statement.
   * @param values The bind values.
   * @param how `"quiet"` if its error is not to be reported.
   */
  async run(
    text: string,
    values: unknown[] | undefined,
    how?: "quiet",
  ): Promise<BunSqlResult> {
    const number = this.#statements.add(text);
    this.#running++;
    try {
      const result = await (values ? this.#unsafe(text, values) : this.#unsafe(text));
      this.#statements.succeeded(number, text);
      return result;
    } catch (error) {
      if (how !== "quiet") this.onError?.(error);
      throw error;
    } finally {
      this.#running--;
    }
  }

  /** Follows the calls of a client, or of the one that a function gets for its transaction. */
  #follow(client: BunSqlClient): BunSqlClient {
    const members = client as unknown as Record<string, Call | undefined>;
    for (const name of ["unsafe", "file"]) {
      const original = members[name];
      if (!original) continue;
      members[name] = (...args) => {
        const query = original.apply(client, args);
        return this.#followQuery(query, name === "unsafe" ? String(args[0]) : undefined);
      };
    }
    for (const name of TRANSACTIONS) {
      const original = members[name];
      if (original) members[name] = (...args) => this.#followTransaction(client, original, args);
    }
    return new Proxy(client, {
      apply: (_, self, args: unknown[]) => {
        const result = Reflect.apply(client as unknown as Call, self, args);
        const { raw } = (args[0] ?? {}) as { raw?: unknown };
        return raw ? this.#followQuery(result, (args[0] as string[]).join("?")) : result;
      },
    });
  }

  /** @param text The statement; `undefined` if it is in a file. */
  #followQuery(query: unknown, text: string | undefined): unknown {
    const followed = query as Query;
    const { then } = followed;
    if (typeof then !== "function") return query;
    const number = this.#statements.add(text ?? true);
    let isSent = false;
    const send = () => {
      if (isSent) return;
      isSent = true;
      this.#running++;
      // Before the caller's own listener, which may send the next statement.
      then.call(query, () => {
        this.#running--;
        this.#statements.succeeded(number, text ?? false);
      }, (error: unknown) => {
        this.#running--;
        this.onError?.(error);
      });
    };
    for (const name of ["then", "execute"] as const) {
      const original = followed[name];
      followed[name] = (...args) => {
        send();
        return original.apply(query, args);
      };
    }
    return query;
  }

  #followTransaction(client: BunSqlClient, original: Call, args: unknown[]): unknown {
    const work = args.at(-1);
    if (typeof work === "function") {
      const followed = (inner: BunSqlClient) => (work as Call)(this.#follow(inner));
      args = [...args.slice(0, -1), followed];
    }
    const result = original.apply(client, args); // throws for wrong arguments, or rejects
    const ended = () => void this.#transactions--;
    this.#transactions++;
    Promise.resolve(result).then(ended, ended);
    return result;
  }
}
