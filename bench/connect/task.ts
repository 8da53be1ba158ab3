/**
 * The messages between `bench/connect.ts` and the process of a contender.
 *
 * @module
 */

/** What a contender connects to: one line of JSON on its standard input. */
export interface ConnectTask {
  /** The hosts, in order; for a contender that takes one name, the name that has all their addresses. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly role: "any" | "read-write";
  /** The same as a URL. */
  readonly url: string;
  /** Whether an engine is kept for the next task with the same hosts, and opens its next connection then. */
  readonly keep: boolean;
}

/** The answer to a task: milliseconds from the call to the first row, or what failed. */
export interface ConnectResult {
  readonly ms?: number;
  readonly error?: string;
}

/** Marks the line with the answer. */
export const ANSWER = "RESULT ";

/** The login of all contenders. */
export const LOGIN = { user: "bench", password: "bench", database: "bench" };
