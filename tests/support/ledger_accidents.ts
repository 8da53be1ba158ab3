/**
 * Workers that write numbered pairs of rows while they and other holders make every kind of mistake with their
 * connections; and the comparison of what they were told with what is in the database.
 *
 * @module
 */

import { ACCIDENTS, type AccidentSubject, WORKERS } from "./ledger_kinds.ts";

/** The tables: `ledger` has two rows for each number, `accounts` is what deadlocks are about. */
export const ACCIDENT_TABLES: readonly string[] = [
  "CREATE TABLE ledger (id bigint NOT NULL, part int NOT NULL, PRIMARY KEY (id, part))",
  "CREATE TABLE accounts (id int PRIMARY KEY, n int NOT NULL)",
  "INSERT INTO accounts VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)",
];

/** One piece of work, as its worker saw it. */
export interface Work {
  readonly kind: string;
  /** Number of rows that are there if it was acknowledged; none is there otherwise. */
  readonly parts: number;
  /** It is unknown if the work was cut off, and the engine says that its connection was lost. */
  outcome: "under way" | "acknowledged" | "reported" | "unknown";
  /** What was reported. */
  error?: unknown;
}

/** Codes and numbers of an error that says that a statement was cancelled: of PostgreSQL, MySQL and MariaDB. */
const CANCELLED: ReadonlySet<unknown> = new Set(["57014", 1317]);

/** Workers, and what they were told. */
export class AccidentLedger<C> {
  readonly works: Work[] = [];
  /** How often each kind of accident was caused. */
  readonly accidents: Record<string, number> = {};
  readonly #subjects: readonly AccidentSubject<C>[];
  readonly #random: () => number;
  #causes = 0;

  /**
   * @param subjects The driver, with engines whose options differ: each piece of work is done with one of them.
   * @param random Returns random numbers.
   */
  constructor(subjects: readonly AccidentSubject<C>[], random: () => number) {
    this.#subjects = subjects;
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
    const [kind, { parts, work, isCut }] = this.#choose(WORKERS);
    const entry: Work = { kind, parts, outcome: "under way" };
    const id = this.works.push(entry);
    const subject = this.#chooseSubject();
    try {
      await work(subject, id, this.#random);
      entry.outcome = "acknowledged";
    } catch (error) {
      entry.outcome = isCut && subject.engine.isDisconnect(error) ? "unknown" : "reported";
      entry.error = error;
    }
  }

  async #cause(): Promise<void> {
    const [kind, cause] = this.#choose(ACCIDENTS);
    this.accidents[kind] = (this.accidents[kind] ?? 0) + 1;
    // Its number is that of no work.
    await cause(this.#chooseSubject(), -(++this.#causes), this.#random).catch(() => {});
  }

  #chooseSubject(): AccidentSubject<C> {
    return this.#subjects[Math.floor(this.#random() * this.#subjects.length)]!;
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
    const wrong = this.works.flatMap(({ kind, parts, outcome, error }, index) => {
      const actual = there.get(index + 1) ?? 0;
      there.delete(index + 1);
      const allowed = {
        acknowledged: [parts],
        reported: [0],
        unknown: [0, parts],
        "under way": [],
      };
      const isRight = (allowed[outcome] as number[]).includes(actual) &&
        (WORKERS[kind]!.isCancelled || !isCancelled(error));
      const said = error === undefined ? "" : `: ${error}`;
      return isRight ? [] : [`${index + 1}: ${kind}, ${outcome}, ${actual} rows${said}`];
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

/** Returns whether a server's error says that a statement was cancelled, also if it is a cause. */
function isCancelled(error: unknown): boolean {
  for (let each = error; typeof each === "object" && each !== null;) {
    const { code, errno, cause } = each as { code?: unknown; errno?: unknown; cause?: unknown };
    if (CANCELLED.has(code) || CANCELLED.has(errno)) return true;
    each = cause;
  }
  return false;
}
