/**
 * Follows the calls of a client of `@db/postgres`. The driver reports neither that its connection is lost nor whether a
 * transaction may be open, and after a loss it leaves waiting queries pending for ever.
 *
 * @module
 */

import type { Activity, TransactionStatus, Verdict } from "../adapter.ts";
import { asDriverError, matches } from "../shared/driver_error.ts";
import { classifyPostgres, isInFailedTransaction } from "../shared/postgres.ts";
import { StatementLog } from "../shared/postgres_statements.ts";
import { endStatement } from "../shared/sql.ts";

type Method = (...args: unknown[]) => Promise<unknown>;

/** What the driver's transactions have. */
interface Transaction {
  commit(...args: unknown[]): Promise<unknown>;
  rollback(...args: unknown[]): Promise<unknown>;
  queryArray: Method;
  queryObject: Method;
}

/** The members of a client that are followed. */
export interface ObservableClient {
  /** The session; `current_transaction` is the name of the driver's transaction that is open. */
  readonly session: { readonly current_transaction: string | null };
  /** Runs a statement. */
  queryArray: Method;
  /** Runs a statement. */
  queryObject: Method;
  /** Makes one of the driver's transactions. */
  createTransaction(name: string, ...args: unknown[]): unknown;
  /** Opens the connection, also after it was closed. */
  connect: () => Promise<void>;
  /** Closes the connection. */
  end: () => Promise<void>;
}

/** The driver's messages for a connection that is lost, or whose answers are out of step. */
const DISCONNECTED =
  /^Connection to the database has been terminated|^The client has been disconnected|^Unexpected \w.* message/;
/** Names of the errors of the driver and of Deno for a lost socket. */
const DISCONNECTED_NAMES =
  /^(ConnectionError|ConnectionReset|ConnectionAborted|ConnectionRefused|BrokenPipe|BadResource|Interrupted|NotConnected|TimedOut|UnexpectedEof|HostUnreachable|NetworkUnreachable)$/;

/** Replaces the methods of one client, so that its calls are followed. */
export class ClientObserver {
  /** Called once, when the connection turns out to be lost. */
  readonly closeListeners: ((error?: unknown) => void)[] = [];
  /** Called for each error. */
  readonly errorListeners: ((error: unknown) => void)[] = [];

  readonly #client: ObservableClient;
  readonly #statements: StatementLog = new StatementLog();
  /** The driver's transactions that are not known to have ended, by name. */
  readonly #transactions: Map<string, Transaction> = new Map();
  #lost: Error | undefined;
  /** Whether the holder has closed the client. */
  #ended = false;
  /** Functions that reject the pending calls. */
  readonly #pending: Set<(reason: unknown) => void> = new Set();

  /** @param client The client; its calls are followed from now on. */
  constructor(client: ObservableClient) {
    this.#client = client;
    // The driver would connect to the name's present address, which may be another one.
    client.connect = () => this.#lost ? Promise.reject(this.#terminated()) : Promise.resolve();
    this.#followStatements(client);
    const { createTransaction, end } = client;
    client.end = () => {
      this.#ended = true;
      return end.call(client);
    };
    client.createTransaction = (name, ...args) => {
      const transaction = createTransaction.call(client, name, ...args);
      this.#followTransaction(name, transaction as Transaction);
      return transaction;
    };
  }

  /** What the connection has still to do. */
  get activity(): Activity {
    if (this.#lost || this.#ended) return "ended";
    return this.#pending.size > 0 ? "running" : "none";
  }

  /** The status of the transaction; `undefined` if there may be one. */
  get transactionStatus(): TransactionStatus | undefined {
    if (this.#client.session.current_transaction !== null) return "open";
    return this.#statements.mayBeOpen ? undefined : "idle";
  }

  /** Ends the transaction that may be open, one of the driver's or a plain one. */
  async reset(how: "rollback" | "commit"): Promise<void> {
    const { current_transaction } = this.#client.session;
    if (current_transaction !== null) await this.#transactions.get(current_transaction)![how]();
    else await this.#client.queryArray(endStatement(how));
  }

  /** Records that the connection is lost: pending calls reject with the reason, and later ones are not sent. */
  connectionLost(reason: Error): void {
    if (this.#lost) return;
    this.#lost = reason;
    for (const reject of this.#pending) reject(reason);
    for (const listener of this.closeListeners) listener(reason);
  }

  #followTransaction(name: string, transaction: Transaction): void {
    this.#transactions.set(name, transaction);
    this.#followStatements(transaction);
    const hasEnded = () => this.#client.session.current_transaction === null;
    for (const method of ["commit", "rollback"] as const) {
      const original = transaction[method];
      transaction[method] = async (...args) => {
        const call = () => original.apply(transaction, args);
        await this.#follow(call, { begins: false, ends: hasEnded });
        if (hasEnded()) this.#transactions.delete(name);
      };
    }
  }

  #followStatements(target: { queryArray: Method; queryObject: Method }): void {
    for (const method of ["queryArray", "queryObject"] as const) {
      const original = target[method];
      target[method] = (...args) => {
        const text = textOf(args[0]);
        return this.#follow(() => original.apply(target, args), {
          begins: text,
          ends: () => text,
        });
      };
    }
  }

  /** Makes a call and records what it does to the transaction. The driver runs calls in their order. */
  async #follow<T>(
    call: () => Promise<T>,
    { begins, ends }: {
      readonly begins: string | boolean;
      readonly ends: () => string | boolean;
    },
  ): Promise<T> {
    const number = this.#statements.add(begins);
    try {
      const result = await this.#callUnlessLost(call);
      this.#statements.succeeded(number, ends());
      return result;
    } catch (error) {
      if (error !== this.#lost) this.#onError(error);
      throw error;
    }
  }

  #callUnlessLost<T>(call: () => Promise<T>): Promise<T> {
    if (this.#lost) return Promise.reject(this.#terminated());
    return new Promise((resolve, reject) => {
      this.#pending.add(reject);
      call().then(resolve, reject).finally(() => this.#pending.delete(reject));
    });
  }

  #terminated(): Error {
    return new Error("Connection to the database has been terminated", { cause: this.#lost });
  }

  #onError(error: unknown): void {
    const { fields } = (error ?? {}) as { fields?: { code?: unknown } };
    if (!isInFailedTransaction(fields?.code)) {
      for (const listener of this.errorListeners) listener(error);
    }
    const verdict = classify(error);
    if (verdict === "disconnect" || verdict === "closed" || !isFromServer(error)) {
      this.connectionLost(error as Error);
    }
  }
}

/** Returns the text of a statement, which is a string, a template or an object. */
function textOf(statement: unknown): string {
  if (typeof statement === "string") return statement;
  if (Array.isArray(statement)) return statement.join("?");
  return String((statement as { text?: unknown } | null)?.text);
}

/**
 * Returns whether the server has answered with an error, to its end. Any other error may have left a part of the answer
 * unread, and each statement would then be given the answer of the one before it.
 */
function isFromServer(error: unknown): boolean {
  const { fields, name } = (error ?? {}) as { fields?: unknown; name?: unknown };
  return fields !== undefined || name === "TransactionError";
}

/** Tells what an error of the driver means for the connection. */
export function classify(error: unknown): Verdict {
  const { name, message, cause } = asDriverError(error);
  if (name === "TransactionError") return classify(cause);
  if (matches(DISCONNECTED_NAMES, name) || matches(DISCONNECTED, message)) return "disconnect";
  return classifyPostgres(fieldsOf(error));
}

/** Returns the fields of an error of the server; any other error is returned as it is. */
export function fieldsOf(error: unknown): unknown {
  return ((error ?? {}) as { fields?: unknown }).fields ?? error;
}
