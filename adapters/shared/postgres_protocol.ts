/**
 * Follows PostgreSQL's protocol for drivers that do not pass on what the server said: its errors, and whether a
 * transaction is open. See PostgreSQL, chapters "Message Flow" and "Message Formats".
 *
 * @module
 */

import type { BackendKey } from "./postgres_cancel.ts";
import { endsSession, isUnconfirmed } from "./postgres.ts";
import { ReportedRole } from "./postgres_role.ts";
import type { Activity, TransactionStatus } from "../adapter.ts";

/** A message begins with a type byte and a length that counts itself. */
const HEADER_LENGTH = 5;

/** Messages of the server. */
const DATA_ROW = charCode("D");
const ERROR_RESPONSE = charCode("E");
const READY_FOR_QUERY = charCode("Z");
const BACKEND_KEY_DATA = charCode("K");
const PARAMETER_STATUS = charCode("S");
const NOTICE_RESPONSE = charCode("N");
/** Those that are read as a whole. */
const READ = new Set([ERROR_RESPONSE, READY_FOR_QUERY, PARAMETER_STATUS, NOTICE_RESPONSE]);
const COMMAND_COMPLETE = charCode("C");
const PORTAL_SUSPENDED = charCode("s");
const COPY_IN = charCode("G");
const COPY_OUT = charCode("H");
const COPY_BOTH = charCode("W");

/** Messages of the client. */
const QUERY = charCode("Q");
const SYNC = charCode("S");
const FUNCTION_CALL = charCode("F");
const PARSE = charCode("P");
const DESCRIBE = charCode("D");
const BIND = charCode("B");
const EXECUTE = charCode("E");
const CLOSE = charCode("C");
/** CopyDone, which the server sends as well. */
const COPY_DONE = charCode("c");
const COPY_FAIL = charCode("f");

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
  /** What the server reported about its role. */
  readonly role: ReportedRole = new ReportedRole();

  /** Number of messages that the server has still to answer; the start-up counts as one. */
  #unanswered = 1;
  #started = false;
  /**
   * What the client sent since the last Sync, without which the server does not end its answer: a statement that is
   * described, after which a driver goes on by itself; or a portal, as for a cursor, whose rows the holder asks for.
   */
  #unsynced: "statement" | "portal" | undefined;
  /** Whether rows arrived whose statement has not ended with success. */
  #rows = false;
  /** The COPY that is under way. */
  #copy: "in" | "out" | undefined;
  /** Letter in the last ReadyForQuery. */
  #status: string | undefined;
  /** Number of answers that the server has ended; the start-up counts as one. */
  answers = 0;
  /** Copies of the parts of a message whose rest has not arrived: they are joined once, however many there are. */
  #parts: Uint8Array[] = [];
  #partsLength = 0;
  /** The length that the parts must have at least before there is something to read. */
  #neededLength = 0;
  /** Number of bytes to skip: the rest of a message that does not matter. */
  #skip = 0;

  /** The status of the transaction; `undefined` while the server has an answer to finish. */
  get transactionStatus(): TransactionStatus | undefined {
    return this.#unanswered > 0 || this.#unsynced !== undefined
      ? undefined
      : statusOf(this.#status);
  }

  /** Whether the last statement failed after some of its rows had arrived. */
  get failedAfterRows(): boolean {
    return this.#rows && this.#unanswered === 0;
  }

  /** Number of the client's statements that the server has still to answer. */
  get unanswered(): number {
    return this.#unanswered + (this.#unsynced === undefined ? 0 : 1);
  }

  /** Whether a statement was sent to be described, and the driver has not gone on with it. */
  get isDescribed(): boolean {
    return this.#unsynced === "statement";
  }

  /** What the connection has still to do, as far as the messages on it tell. */
  get activity(): Activity {
    if (this.#unsynced === "portal" || this.#copy !== undefined) return "stuck";
    return this.#unanswered > 0 || this.#unsynced !== undefined ? "running" : "none";
  }

  /**
   * Records messages of the client.
   *
   * @param bytes Whole messages.
   */
  sent(bytes: Uint8Array): void {
    if (!this.#started) return; // the start-up message has no type, and a password has no answer of its own
    for (let at = 0; at + HEADER_LENGTH <= bytes.length; at += 1 + lengthAt(bytes, at + 1)) {
      this.#onSent(bytes[at]!);
    }
  }

  #onSent(type: number): void {
    switch (type) {
      case SYNC:
        this.#unsynced = undefined;
        this.#unanswered++;
        break;
      case QUERY:
      case FUNCTION_CALL:
        this.#unanswered++;
        break;
      case PARSE:
      case DESCRIBE:
      case CLOSE:
        this.#unsynced ??= "statement";
        break;
      case BIND:
      case EXECUTE:
        this.#unsynced = "portal";
        break;
      case COPY_DONE:
      case COPY_FAIL:
        this.#copy = undefined;
    }
  }

  /**
   * Records bytes of the server.
   *
   * @param chunk The bytes, cut anywhere.
   * @returns The errors that are complete with them, and a notice that takes back what an acknowledgment says.
   */
  received(chunk: Uint8Array): ErrorFields[] {
    const errors: ErrorFields[] = [];
    const bytes = this.#parts.length > 0 ? this.#addPart(chunk) : chunk;
    if (bytes === undefined) return errors;
    let at = this.#skip;
    let neededLength = HEADER_LENGTH;
    while (at + HEADER_LENGTH <= bytes.length) {
      const type = bytes[at];
      const end = at + 1 + lengthAt(bytes, at + 1);
      const isKey = type === BACKEND_KEY_DATA && !this.#started;
      // Most messages are rows.
      if (type === DATA_ROW) {
        this.#rows = true;
      } else {
        if (isKey || READ.has(type!)) {
          if (end > bytes.length) {
            neededLength = end - at;
            break;
          }
          const body = bytes.subarray(at + HEADER_LENGTH, end);
          if (type === ERROR_RESPONSE) errors.push(readFields(body));
          else if (isKey) this.backendKey = readKey(body);
          else if (type === PARAMETER_STATUS) this.role.note(...readReport(body));
          else if (type === NOTICE_RESPONSE) {
            const notice = readFields(body);
            if (isUnconfirmed(notice) || endsSession(notice)) errors.push(notice);
          } else this.onReady(String.fromCharCode(body[0]!));
        }
        if (type === COMMAND_COMPLETE || type === PORTAL_SUSPENDED) this.#rows = false;
        this.onCopy(type!);
      }
      at = end;
    }
    this.#skip = Math.max(0, at - bytes.length);
    if (at < bytes.length) {
      this.#parts = [new Uint8Array(bytes.subarray(at))];
      this.#partsLength = bytes.length - at;
      this.#neededLength = neededLength;
    }
    return errors;
  }

  /** Adds to a message whose beginning has arrived; returns what there is to read, if that is enough. */
  #addPart(chunk: Uint8Array): Uint8Array | undefined {
    const parts = this.#parts;
    parts.push(new Uint8Array(chunk));
    this.#partsLength += chunk.length;
    if (this.#partsLength < this.#neededLength) return undefined;
    this.#parts = [];
    return join(parts, this.#partsLength);
  }

  /**
   * Records a message of the server that begins or ends a COPY; any other one is ignored.
   *
   * @param type Its letter, as a character code.
   */
  onCopy(type: number): void {
    if (type === COPY_IN || type === COPY_BOTH) this.#copy = "in";
    else if (type === COPY_OUT) this.#copy = "out";
    else if (type === COPY_DONE && this.#copy === "out") this.#copy = undefined;
    else if (type === ERROR_RESPONSE) this.#copy = undefined;
  }

  /**
   * Records that the server has ended an answer, the start-up included.
   *
   * @param status The letter in ReadyForQuery.
   */
  onReady(status: string): void {
    this.answers++;
    this.#started = true;
    this.#copy = undefined;
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

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function readKey(body: Uint8Array): BackendKey {
  const processId = new DataView(body.buffer, body.byteOffset, body.length).getInt32(0);
  return { processId, secret: body.slice(4) };
}

function readReport(body: Uint8Array): [name: string, value: string] {
  const [name = "", value = ""] = new TextDecoder().decode(body).split("\0");
  return [name, value];
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
