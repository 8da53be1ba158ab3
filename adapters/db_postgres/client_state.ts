/**
 * Follows what is done with a client of `@db/postgres`, which tells nothing by itself: not that its connection is gone,
 * nor whether a transaction may be open. After the end of its connection, queries that waited for their turn would wait
 * for ever.
 *
 * @module
 */

import { verdictOf } from "../shared/postgres.ts";

type Method = (...args: unknown[]) => Promise<unknown>;

/** What the driver's transactions have. */
interface Transaction {
  commit(...args: unknown[]): Promise<unknown>;
  rollback(...args: unknown[]): Promise<unknown>;
  queryArray: Method;
  queryObject: Method;
}

/** What the driver's clients have, for us to follow. */
export interface Followed {
  /** Its transaction, where one of the driver's own kind is open. */
  readonly session: { readonly current_transaction: string | null };
  /** Runs a statement. */
  queryArray: Method;
  /** Runs a statement. */
  queryObject: Method;
  /** Makes a transaction of the driver's own kind. */
  createTransaction(name: string, ...args: unknown[]): unknown;
  /** Opens the connection, again where it is closed. */
  connect: () => Promise<void>;
}

/** A statement that may begin a transaction: there is no other way to begin one. */
const BEGINS = /\b(begin|start)\b/i;
/** A statement that ends one for sure. */
const ENDS = /^\s*(commit|rollback|end|abort)(\s+(work|transaction))?\s*;?\s*$/i;
/** What the driver says of a connection that is gone. */
const DRIVER_SAYS =
  /^Connection to the database has been terminated|^The client has been disconnected/;
/** Names of Deno's errors for a socket that is gone. */
const GONE =
  /^(ConnectionError|ConnectionReset|ConnectionAborted|ConnectionRefused|BrokenPipe|BadResource|Interrupted|NotConnected|TimedOut|UnexpectedEof|HostUnreachable|NetworkUnreachable)$/;

/** One client's life. */
export class Watch {
  /** Called once, when the connection turns out to be gone. */
  readonly onClose: ((error?: unknown) => void)[] = [];
  /** Called for each error. */
  readonly onError: ((error: unknown) => void)[] = [];

  readonly #client: Followed;
  #turns = 0;
  /** The turn of the last statement that may have begun a transaction which is not known to have ended. */
  #begun: number | undefined;
  /** Those of the driver's own kind that are not known to have ended, by name. */
  readonly #transactions: Map<string, Transaction> = new Map();
  #lost: Error | undefined;
  /** Reject what is under way. */
  readonly #pending: Set<(reason: unknown) => void> = new Set();

  /** @param client The client; its methods are followed from now on. */
  constructor(client: Followed) {
    this.#client = client;
    // Another dial would lead to wherever the name leads by then.
    client.connect = () => this.#lost ? Promise.reject(this.#gone()) : Promise.resolve();
    this.#followStatements(client);
    const { createTransaction } = client;
    client.createTransaction = (name, ...args) => {
      const transaction = createTransaction.call(client, name, ...args);
      this.#followTransaction(name, transaction as Transaction);
      return transaction;
    };
  }

  /** `false`: no transaction is open. `undefined`: there may be one. */
  get inTransaction(): boolean | undefined {
    if (this.#client.session.current_transaction !== null) return true;
    return this.#begun === undefined ? false : undefined;
  }

  /** Ends whatever transaction there may be. */
  async reset(how: "rollback" | "commit"): Promise<void> {
    const { current_transaction } = this.#client.session;
    if (current_transaction !== null) await this.#transactions.get(current_transaction)![how]();
    else await this.#client.queryArray(how === "commit" ? "COMMIT" : "ROLLBACK");
  }

  /** The connection is gone: what is under way rejects, and what comes after does not begin. */
  lose(reason: Error): void {
    if (this.#lost) return;
    this.#lost = reason;
    for (const reject of this.#pending) reject(reason);
    for (const listener of this.onClose) listener(reason);
  }

  #followTransaction(name: string, transaction: Transaction): void {
    this.#transactions.set(name, transaction);
    this.#followStatements(transaction);
    const ends = () => this.#client.session.current_transaction === null;
    for (const method of ["commit", "rollback"] as const) {
      const original = transaction[method];
      transaction[method] = async (...args) => {
        const call = () => original.apply(transaction, args);
        await this.#follow(call, { begins: false, ends });
        if (ends()) this.#transactions.delete(name);
      };
    }
  }

  #followStatements(target: { queryArray: Method; queryObject: Method }): void {
    for (const method of ["queryArray", "queryObject"] as const) {
      const original = target[method];
      target[method] = (...args) => {
        const text = textOf(args[0]);
        const ends = () => ENDS.test(text);
        return this.#follow(() => original.apply(target, args), {
          begins: BEGINS.test(text),
          ends,
        });
      };
    }
  }

  /** Statements are run in the order of the calls. */
  async #follow<T>(
    call: () => Promise<T>,
    { begins, ends }: { readonly begins: boolean; readonly ends: () => boolean },
  ): Promise<T> {
    const turn = ++this.#turns;
    if (begins) this.#begun = turn;
    try {
      const result = await this.#unlessLost(call);
      if (ends() && this.#begun !== undefined && this.#begun < turn) this.#begun = undefined;
      return result;
    } catch (error) {
      if (error !== this.#lost) this.#failed(error);
      throw error;
    }
  }

  #unlessLost<T>(call: () => Promise<T>): Promise<T> {
    if (this.#lost) return Promise.reject(this.#gone());
    return new Promise((resolve, reject) => {
      this.#pending.add(reject);
      call().then(resolve, reject).finally(() => this.#pending.delete(reject));
    });
  }

  #gone(): Error {
    return new Error("Connection to the database has been terminated", { cause: this.#lost });
  }

  #failed(error: unknown): void {
    for (const listener of this.onError) listener(error);
    if (classify(error) === "disconnect") this.lose(error as Error);
  }
}

/** The text of a statement: as it is, as a template, or in an object. */
function textOf(statement: unknown): string {
  if (typeof statement === "string") return statement;
  if (Array.isArray(statement)) return statement.join("?");
  return String((statement as { text?: unknown } | null)?.text);
}

/** What an error of the driver means for the connection. */
export function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { name, message, fields, code, cause } = (error ?? {}) as {
    name?: unknown;
    message?: unknown;
    fields?: { code?: unknown };
    code?: unknown;
    cause?: unknown;
  };
  if (name === "TransactionError") return classify(cause);
  if (typeof name === "string" && GONE.test(name)) return "disconnect";
  if (typeof message === "string" && DRIVER_SAYS.test(message)) return "disconnect";
  return verdictOf(fields?.code ?? code);
}
