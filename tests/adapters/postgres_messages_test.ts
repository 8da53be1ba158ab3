import { assertEquals } from "@std/assert";
import { Conversation } from "../../adapters/shared/postgres_protocol.ts";

const encoder = new TextEncoder();

/** A message: its letter, its length, what it says (PostgreSQL, chapter "Message Formats"). */
function message(letter: string, body: string): Uint8Array {
  const bytes = encoder.encode(`${letter}    ${body}`);
  new DataView(bytes.buffer).setUint32(1, bytes.length - 1);
  return bytes;
}

function flow(...messages: Uint8Array[]): Uint8Array {
  return new Uint8Array(messages.flatMap((bytes) => [...bytes]));
}

const READY = (status: "I" | "T" | "E") => message("Z", status);
const QUERY = message("Q", "SELECT 1\0");
const SYNC = message("S", "");
const ERROR = message("E", "SERROR\0VERROR\0C25006\0Mcannot do that\0Xunknown\0\0");
const FATAL = message("E", "VFATAL\0C57P01\0Mterminating\0\0");

/** After the start-up. */
function started(): Conversation {
  const conversation = new Conversation();
  conversation.sent(encoder.encode("\0\0\0\x08no type, and a Q and an S in it"));
  conversation.received(flow(message("R", "\0\0\0\0"), message("K", "12345678"), READY("I")));
  return conversation;
}

Deno.test("Conversation.inTransaction is unknown until the start-up is done, then follows ReadyForQuery", () => {
  assertEquals(new Conversation().inTransaction, undefined);
  const conversation = started();
  assertEquals(conversation.inTransaction, false);
  for (const [status, open] of [["T", true], ["E", true], ["I", false]] as const) {
    conversation.sent(QUERY);
    assertEquals(conversation.inTransaction, undefined);
    conversation.received(flow(message("C", "SELECT 1\0"), READY(status)));
    assertEquals(conversation.inTransaction, open, status);
  }
});

Deno.test("Conversation.inTransaction is unknown until the last of several queries is answered", () => {
  const conversation = started();
  const parse = message("P", "\0SELECT 1\0\0\0");
  conversation.sent(flow(QUERY, parse, SYNC));
  conversation.sent(parse); // is answered after a Sync only
  conversation.received(READY("T"));
  assertEquals(conversation.inTransaction, undefined);
  conversation.received(READY("T"));
  assertEquals(conversation.inTransaction, true);
});

Deno.test("Conversation.received() gives the errors, their fields named, however the bytes are cut", () => {
  const row = message("D", "Z".repeat(300)); // whatever looks like a message in it is none
  const answer = flow(row, ERROR, READY("E"), row, FATAL);
  const expected = [
    { severity_local: "ERROR", severity: "ERROR", code: "25006", message: "cannot do that" },
    { severity: "FATAL", code: "57P01", message: "terminating" },
  ];
  for (let size = 1; size < answer.length; size++) {
    const conversation = started();
    conversation.sent(QUERY);
    const errors = [];
    for (let at = 0; at < answer.length; at += size) {
      errors.push(...conversation.received(answer.subarray(at, at + size)));
    }
    assertEquals(errors, expected, `in chunks of ${size} bytes`);
    assertEquals(conversation.inTransaction, true, `in chunks of ${size} bytes`);
  }
});

Deno.test("Conversation.received() keeps nothing of a chunk that the socket may write over", () => {
  const conversation = started();
  const chunk = ERROR.slice(0, 20);
  assertEquals(conversation.received(chunk), []);
  chunk.fill(0);
  assertEquals(conversation.received(ERROR.slice(20))[0]?.code, "25006");
});

Deno.test("Conversation is not held up by a length that counts less than itself", () => {
  const conversation = started();
  const short = new Uint8Array([..."D"].map((c) => c.charCodeAt(0)).concat(0, 0, 0, 0));
  conversation.sent(QUERY);
  conversation.received(flow(short, READY("I")));
  assertEquals(conversation.inTransaction, false);
});
