/**
 * Follows PostgreSQL's protocol for drivers that do not pass on what the server said: its errors, and whether a
 * transaction is open. See PostgreSQL, chapters "Message Flow" and "Message Formats".
 *
 * @module
 */

import type { BackendKey } from "./postgres_cancel.ts";
import type { TransactionStatus } from "../adapter.ts";

/** A message begins with a type byte and a length that counts itself. */
const HEADER_LENGTH = 5;
const EMPTY = new Uint8Array();

const ERROR_RESPONSE = charCode("E");
const READY_FOR_QUERY = charCode("Z");
const BACKEND_KEY_DATA = charCode("K");
const SYNC = charCode("S");
/** Messages of the client whose answer ends with ReadyForQuery: Query, Sync, FunctionCall. */
const ANSWERED = [charCode("Q"), charCode("S"), charCode("F")];
/** Messages of the client that a Sync must follow: Parse, Bind, Describe, Execute, Close. */
const UNSYNCED = [charCode("P"), charCode("B"), charCode("D"), charCode("E"), charCode("C")];

/** The fields of an error, with the names that drivers give them. */
const FIELDS: Readonly<Record<string, string>> = {
  S: "severity_local",
  V: "severity",
  C: "code",
  M: "message",
  D: "detail",
  H: "hint",
  P: "position",
  p: "internal_position",
  q: "internal_query",
  W: "where",
  s: "schema_name",
  t: "table_name",
  c: "column_name",
  d: "data_type_name",
  n: "constraint_name",
  F: "file",
  L: "line",
  R: "routine",
};

/** The letters of ReadyForQuery. */
const STATUSES: Readonly<Record<string, TransactionStatus>> = {
  I: "idle",
  T: "open",
  E: "failed",
};

/**
 * Returns the status of a transaction.
 *
 * @param letter The letter in ReadyForQuery.
 */
export function statusOf(letter: string | null | undefined): TransactionStatus | undefined {
  return letter ? STATUSES[letter] : undefined;
}

/** The fields of an error that the server reported. */
export type ErrorFields = Readonly<Record<string, string>>;

/** The protocol's state on one connection. */
export class ProtocolState {
  /** What the server said about the session during the start-up; `undefined` if it cannot cancel statements. */
  backendKey: BackendKey | undefined;

  /** Number of messages that the server has still to answer; the start-up counts as one. */
  #unanswered = 1;
  /** Whether the client has a Sync to send. */
  #unsynced = false;
  #started = false;
  /** Letter in the last ReadyForQuery. */
  #status: string | undefined;
  /** The beginning of a message whose rest has not arrived. */
  #incomplete: Uint8Array = EMPTY;
  /** Number of bytes to skip: the rest of a message that does not matter. */
  #skip = 0;

  /** The status of the transaction; `undefined` while the server has an answer to finish. */
  get transactionStatus(): TransactionStatus | undefined {
    return this.#unanswered > 0 || this.#unsynced ? undefined : statusOf(this.#status);
  }

  /**
   * Records messages of the client.
   *
   * @param bytes Whole messages.
   */
  sent(bytes: Uint8Array): void {
    if (!this.#started) return; // the start-up message has no type, and a password has no answer of its own
    for (let at = 0; at + HEADER_LENGTH <= bytes.length; at += 1 + lengthAt(bytes, at + 1)) {
      const type = bytes[at]!;
      if (ANSWERED.includes(type)) this.#unanswered++;
      if (type === SYNC) this.#unsynced = false;
      else if (UNSYNCED.includes(type)) this.#unsynced = true;
    }
  }

  /**
   * Records bytes of the server.
   *
   * @param chunk The bytes, cut anywhere.
   * @returns The errors that are complete with them.
   */
  received(chunk: Uint8Array): ErrorFields[] {
    const errors: ErrorFields[] = [];
    const bytes = this.#incomplete.length > 0 ? concat(this.#incomplete, chunk) : chunk;
    let at = this.#skip;
    while (at + HEADER_LENGTH <= bytes.length) {
      const type = bytes[at];
      const end = at + 1 + lengthAt(bytes, at + 1);
      const isKey = type === BACKEND_KEY_DATA && !this.#started;
      if (type === ERROR_RESPONSE || type === READY_FOR_QUERY || isKey) {
        if (end > bytes.length) break;
        const body = bytes.subarray(at + HEADER_LENGTH, end);
        if (type === ERROR_RESPONSE) errors.push(readFields(body));
        else if (isKey) this.backendKey = readKey(body);
        else this.#onReady(String.fromCharCode(body[0]!));
      }
      at = end;
    }
    this.#skip = Math.max(0, at - bytes.length);
    this.#incomplete = at < bytes.length ? bytes.slice(at) : EMPTY;
    return errors;
  }

  #onReady(status: string): void {
    this.#started = true;
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    this.#status = status;
  }
}

function charCode(letter: string): number {
  return letter.charCodeAt(0);
}

/** Reads a message's length. Below 4 it is invalid, for it counts itself; 4 is the least with which parsing advances. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const length = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) |
    bytes[at + 3]!) >>> 0;
  return Math.max(4, length);
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function readKey(body: Uint8Array): BackendKey {
  const processId = new DataView(body.buffer, body.byteOffset, body.length).getInt32(0);
  return { processId, secret: body.slice(4) };
}

function readFields(body: Uint8Array): ErrorFields {
  const fields: Record<string, string> = {};
  for (const part of new TextDecoder().decode(body).split("\0")) {
    const name = FIELDS[part.charAt(0)];
    if (name !== undefined) fields[name] = part.slice(1);
  }
  // PgBouncer sends one severity alone, in English.
  const { severity_local } = fields;
  return severity_local === undefined ? fields : { severity: severity_local, ...fields };
}
