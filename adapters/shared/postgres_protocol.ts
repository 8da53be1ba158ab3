/**
 * Listens in on PostgreSQL's protocol, for drivers that do not tell what the server said: its errors, and whether a
 * transaction is open. See PostgreSQL, chapters "Message Flow" and "Message Formats".
 *
 * @module
 */

/** A type byte, and a length that counts itself. */
const HEADER = 5;
const EMPTY = new Uint8Array();

const ERROR_RESPONSE = code("E");
const READY_FOR_QUERY = code("Z");
/** Messages of the client that the server ends its answer to with ReadyForQuery: Query, Sync, FunctionCall. */
const ANSWERED = [code("Q"), code("S"), code("F")];

/** The fields of an error, in the words that drivers have for them. */
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

/** What the server says of an error. */
export type ErrorFields = Readonly<Record<string, string>>;

/** What was said on one connection. */
export class Conversation {
  /** Messages under way that will be answered; the start-up counts as one. */
  #owed = 1;
  #started = false;
  /** What the last ReadyForQuery said: `I` idle, `T` in a transaction, `E` in one that failed. */
  #status: string | undefined;
  /** The beginning of a message whose rest is still to come. */
  #held: Uint8Array = EMPTY;
  /** Bytes still to come of a message that does not matter. */
  #skip = 0;

  /** Whether a transaction is open; `undefined` while the server has something left to answer. */
  get inTransaction(): boolean | undefined {
    return this.#owed > 0 || this.#status === undefined ? undefined : this.#status !== "I";
  }

  /**
   * The client said something.
   *
   * @param bytes Whole messages.
   */
  sent(bytes: Uint8Array): void {
    if (!this.#started) return; // the start-up message has no type, and passwords have no answer of their own
    for (let at = 0; at + HEADER <= bytes.length; at += 1 + lengthAt(bytes, at + 1)) {
      if (ANSWERED.includes(bytes[at]!)) this.#owed++;
    }
  }

  /**
   * The server said something.
   *
   * @param chunk What came, cut anywhere.
   * @returns The errors in it.
   */
  received(chunk: Uint8Array): ErrorFields[] {
    const errors: ErrorFields[] = [];
    const bytes = this.#held.length > 0 ? joined(this.#held, chunk) : chunk;
    let at = this.#skip;
    while (at + HEADER <= bytes.length) {
      const type = bytes[at];
      const end = at + 1 + lengthAt(bytes, at + 1);
      if (type === ERROR_RESPONSE || type === READY_FOR_QUERY) {
        if (end > bytes.length) break;
        const body = bytes.subarray(at + HEADER, end);
        if (type === ERROR_RESPONSE) errors.push(fieldsOf(body));
        else this.#ready(String.fromCharCode(body[0]!));
      }
      at = end;
    }
    this.#skip = Math.max(0, at - bytes.length);
    this.#held = at < bytes.length ? bytes.slice(at) : EMPTY;
    return errors;
  }

  #ready(status: string): void {
    this.#started = true;
    this.#owed = Math.max(0, this.#owed - 1);
    this.#status = status;
  }
}

function code(letter: string): number {
  return letter.charCodeAt(0);
}

/** At least 4, for it counts itself: whoever says less shall not hold us up. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const length = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) |
    bytes[at + 3]!) >>> 0;
  return Math.max(4, length);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function fieldsOf(body: Uint8Array): ErrorFields {
  const fields: Record<string, string> = {};
  for (const part of new TextDecoder().decode(body).split("\0")) {
    const name = FIELDS[part.charAt(0)];
    if (name !== undefined) fields[name] = part.slice(1);
  }
  return fields;
}
