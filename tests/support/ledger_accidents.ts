/**
 * Workers that write numbered pairs of rows while they and other holders make every kind of mistake with their
 * connections; and the comparison of what they were told with what is in the database.
 *
 * @module
 */

import type { Engine, Lease } from "../../mod.ts";
import type { Adapter } from "../../adapters/adapter.ts";

/** What the workers need to know about a driver. */
export interface AccidentSubject<C> {
  readonly engine: Engine<C>;
  readonly adapter: Adapter<C>;
  /** Hands a statement to the driver as the driver's own users do; the caller awaits the answer, or does not. */
  send(client: C, text: string): Promise<unknown>;
  /** Statements that leave a setting of the session behind. */
  readonly leftovers: readonly string[];
}

/** The tables: `ledger` has two rows for each number, `accounts` is what deadlocks are about. */
export const ACCIDENT_TABLES: readonly string[] = [
  "CREATE TABLE ledger (id bigint NOT NULL, part int NOT NULL, PRIMARY KEY (id, part))",
  "CREATE TABLE accounts (id int PRIMARY KEY, n int NOT NULL)",
  "INSERT INTO accounts VALUES (1, 0), (2, 0)",
];

/** One piece of work, as its worker saw it. */
export interface Work {
  readonly kind: string;
  /** Number of rows that are there if it was acknowledged; none is there otherwise. */
  readonly parts: number;
  outcome: "under way" | "acknowledged" | "reported";
}

/** Functions that do one piece of work, by what may go wrong in it. Each has a number of its own. */
type Worker<C> = (subject: AccidentSubject<C>, id: number, random: () => number) => Promise<void>;

const insert = (id: number, part: number) => `INSERT INTO ledger VALUES (${id}, ${part})`;

/** Writes both rows of a number on a lease. */
async function both<C>({ send }: AccidentSubject<C>, { client }: Lease<C>, id: number) {
  await send(client, insert(id, 1));
  await send(client, insert(id, 2));
}

/** The kinds of work. */
// deno-lint-ignore no-explicit-any -- for every driver
const WORKERS: Readonly<Record<string, { parts: number; work: Worker<any> }>> = {
  "transaction": {
    parts: 2,
    work: (subject, id) => subject.engine.begin((lease) => both(subject, lease, id)),
  },
  "one statement": {
    parts: 1,
    work: async ({ engine }, id) => void await engine.query(insert(id, 1)),
  },
  "function that throws": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        throw new Error("changed its mind");
      }),
  },
  "handled error, last": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        await subject.send(lease.client, insert(id, 1)).catch(() => {});
      }),
  },
  "handled error, first": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await subject.send(lease.client, "SELECT no_such_column FROM ledger").catch(() => {});
        for (const part of [1, 2]) {
          await subject.send(lease.client, insert(id, part)).catch(() => {});
        }
      }),
  },
  "savepoint that fails": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        const inner = subject.engine.begin(async ({ client }) => {
          await subject.send(client, insert(id, 3));
          await subject.send(client, insert(id, 3)).catch(() => {});
          throw new Error("changed its mind");
        }, { within: lease });
        await inner.catch(() => {});
        await both(subject, lease, id);
      }),
  },
  "savepoint with a handled error": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        const inner = subject.engine.begin(
          ({ client }) => subject.send(client, insert(id, 1)).catch(() => {}),
          { within: lease },
        );
        await inner.catch(() => {});
      }),
  },
  "deadlock": {
    parts: 2,
    work: (subject, id, random) =>
      subject.engine.begin(async (lease) => {
        await subject.send(lease.client, insert(id, 1));
        const order = random() < 0.5 ? [1, 2] : [2, 1];
        for (const account of order) {
          await subject.send(lease.client, `UPDATE accounts SET n = n + 1 WHERE id = ${account}`)
            .catch(() => {});
          await subject.send(lease.client, "SELECT 1").catch(() => {}); // time for another one
        }
        await subject.send(lease.client, insert(id, 2)).catch(() => {});
      }),
  },
  "one value too many": {
    parts: 1,
    work: async ({ engine }, id) =>
      void await engine.query(`INSERT INTO ledger VALUES (${id}, 1)`, [id]),
  },
};

/** What other holders do, who write nothing that may stay. */
// deno-lint-ignore no-explicit-any -- for every driver
const ACCIDENTS: Readonly<Record<string, Worker<any>>> = {
  "BEGIN that is not awaited": ({ engine, send }) =>
    engine.use(({ client }) => void send(client, "BEGIN").catch(() => {})),
  "work that is not committed": ({ engine, send }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      void send(client, insert(id, 2)).catch(() => {});
    }),
  "failed transaction": ({ engine, send }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      await send(client, "SELECT no_such_column FROM ledger").catch(() => {});
    }),
  "setting left behind": ({ engine, send, leftovers }, _, random) =>
    engine.use(async ({ client }) => {
      await send(client, leftovers[Math.floor(random() * leftovers.length)]!).catch(() => {});
    }),
};

/** Workers, and what they were told. */
export class AccidentLedger<C> {
  readonly works: Work[] = [];
  /** How often each kind of accident was caused. */
  readonly accidents: Record<string, number> = {};
  readonly #subject: AccidentSubject<C>;
  readonly #random: () => number;

  /**
   * @param subject The driver.
   * @param random Returns random numbers.
   */
  constructor(subject: AccidentSubject<C>, random: () => number) {
    this.#subject = subject;
    this.#random = random;
  }

  /** Does a number of pieces of work, some at a time, with accidents between them. */
  async run(count: number, { workers }: { readonly workers: number }): Promise<void> {
    const work = async () => {
      while (this.works.length < count) await (this.#random() < 0.3 ? this.#cause() : this.#work());
    };
    await Promise.all(Array.from({ length: workers }, work));
  }

  async #work(): Promise<void> {
    const [kind, { parts, work }] = this.#choose(WORKERS);
    const entry: Work = { kind, parts, outcome: "under way" };
    const id = this.works.push(entry);
    try {
      await work(this.#subject, id, this.#random);
      entry.outcome = "acknowledged";
    } catch {
      entry.outcome = "reported";
    }
  }

  async #cause(): Promise<void> {
    const [kind, cause] = this.#choose(ACCIDENTS);
    this.accidents[kind] = (this.accidents[kind] ?? 0) + 1;
    // Its number is that of no work.
    await cause(this.#subject, -this.works.length - 1, this.#random).catch(() => {});
  }

  #choose<T>(from: Readonly<Record<string, T>>): [string, T] {
    const entries = Object.entries(from);
    return entries[Math.floor(this.#random() * entries.length)]!;
  }

  /**
   * Compares the works with the database.
   *
   * @param found The number of rows of each number.
   * @returns What is wrong, by number; empty if all is as it was told.
   */
  wrong(found: readonly { readonly id: number; readonly parts: number }[]): string[] {
    const there = new Map(found.map(({ id, parts }) => [Number(id), Number(parts)]));
    const wrong = this.works.flatMap(({ kind, parts, outcome }, index) => {
      const actual = there.get(index + 1) ?? 0;
      there.delete(index + 1);
      const expected = outcome === "acknowledged" ? parts : 0;
      return actual === expected ? [] : [`${index + 1}: ${kind}, ${outcome}, ${actual} rows`];
    });
    for (const [id, parts] of there) wrong.push(`${id}: written by an accident, ${parts} rows`);
    return wrong;
  }

  /** How often each kind of work had which outcome. */
  get outcomes(): Record<string, Record<string, number>> {
    const counts: Record<string, Record<string, number>> = {};
    for (const { kind, outcome } of this.works) {
      const count = counts[kind] ??= {};
      count[outcome] = (count[outcome] ?? 0) + 1;
    }
    return counts;
  }
}
