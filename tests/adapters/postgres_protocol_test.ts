import { assertEquals, assertLess } from "@std/assert";
import { ProtocolState } from "../../adapters/shared/postgres_protocol.ts";

const encoder = new TextEncoder();

/** Encodes a message: its letter, its length, its body (PostgreSQL, chapter "Message Formats"). */
function message(letter: string, body: string): Uint8Array {
  const bytes = encoder.encode(`${letter}    ${body}`);
  new DataView(bytes.buffer).setUint32(1, bytes.length - 1);
  return bytes;
}

function concat(...messages: Uint8Array[]): Uint8Array {
  return new Uint8Array(messages.flatMap((bytes) => [...bytes]));
}

const READY = (status: "I" | "T" | "E") => message("Z", status);
const QUERY = message("Q", "SELECT 1\0");
const SYNC = message("S", "");
const ERROR = message("E", "SERROR\0VERROR\0C25006\0Mcannot do that\0Xunknown\0\0");
const FATAL = message("E", "VFATAL\0C57P01\0Mterminating\0\0");

/** Returns a state after the start-up. */
function started(): ProtocolState {
  const state = new ProtocolState();
  state.sent(encoder.encode("\0\0\0\x08no type, and a Q and an S in it"));
  state.received(concat(message("R", "\0\0\0\0"), message("K", "12345678"), READY("I")));
  return state;
}

Deno.test("ProtocolState.transactionStatus: is undefined until the start-up is done, then follows ReadyForQuery", () => {
  assertEquals(new ProtocolState().transactionStatus, undefined);
  const state = started();
  assertEquals(state.transactionStatus, "idle");
  for (const [status, expected] of [["T", "open"], ["E", "failed"], ["I", "idle"]] as const) {
    state.sent(QUERY);
    assertEquals(state.transactionStatus, undefined);
    state.received(concat(message("C", "SELECT 1\0"), READY(status)));
    assertEquals(state.transactionStatus, expected, status);
  }
});

Deno.test("ProtocolState.transactionStatus: is undefined until the last of several queries is answered", () => {
  const state = started();
  const parse = message("P", "\0SELECT 1\0\0\0");
  state.sent(concat(QUERY, parse, SYNC));
  state.received(READY("T"));
  assertEquals(state.transactionStatus, undefined);
  state.received(READY("T"));
  assertEquals(state.transactionStatus, "open");
});

Deno.test("ProtocolState.transactionStatus: is undefined while the client has a Sync to send", () => {
  const state = started();
  state.sent(concat(message("P", "\0SELECT $1\0\0\0"), message("D", "S\0"), message("H", "")));
  assertEquals(state.transactionStatus, undefined);
  state.received(message("1", ""));
  assertEquals(state.transactionStatus, undefined);
  state.sent(concat(message("B", "\0\0\0\0\0\0\0\0"), message("E", "\0\0\0\0\0"), SYNC));
  assertEquals(state.transactionStatus, undefined);
  state.received(READY("T"));
  assertEquals(state.transactionStatus, "open");
});

Deno.test("ProtocolState.received(): returns errors with named fields, however the bytes are cut", () => {
  const row = message("D", "Z".repeat(300)); // its body looks like messages
  const answer = concat(row, ERROR, READY("E"), row, FATAL);
  const expected = [
    { severity_local: "ERROR", severity: "ERROR", code: "25006", message: "cannot do that" },
    { severity: "FATAL", code: "57P01", message: "terminating" },
  ];
  for (let size = 1; size < answer.length; size++) {
    const state = started();
    state.sent(QUERY);
    const errors = [];
    for (let at = 0; at < answer.length; at += size) {
      errors.push(...state.received(answer.subarray(at, at + size)));
    }
    assertEquals(errors, expected, `in chunks of ${size} bytes`);
    assertEquals(state.transactionStatus, "failed", `in chunks of ${size} bytes`);
  }
});

Deno.test("ProtocolState.received(): the parts of a long error are joined once, in whatever lengths they come", () => {
  const text = "x".repeat(1 << 20);
  const answer = concat(message("E", `SERROR\0C22000\0M${text}\0\0`), READY("E"), READY("I"));
  const state = started();
  state.sent(concat(QUERY, QUERY));
  let copied = 0;
  const { set } = Uint8Array.prototype;
  Uint8Array.prototype.set = function (source, offset) {
    copied += source.length;
    set.call(this, source, offset);
  };
  try {
    const messages: (string | undefined)[] = [];
    for (let at = 0, part = 1; at < answer.length; at += part, part = part % 997 + 1) {
      const errors = state.received(answer.subarray(at, at + part));
      messages.push(...errors.map(({ message }) => message));
    }
    assertEquals(messages, [text]);
    assertEquals(state.transactionStatus, "idle");
    assertLess(copied, 1.01 * answer.length);
  } finally {
    Uint8Array.prototype.set = set;
  }
});

Deno.test("ProtocolState.received(): reads reports about the role, and the one notice that counts, however the bytes are cut", () => {
  const answer = concat(
    message("N", "SNOTICE\0C00000\0Mhello\0RExecRaise\0\0"),
    message("N", "SWARNUNG\0VWARNING\0C01000\0Mcanceling\0RSyncRepWaitForLSN\0\0"),
    message("S", "in_hot_standby\0off\0"),
    READY("I"),
  );
  for (let size = 1; size < answer.length; size++) {
    const state = started();
    let changes = 0;
    state.role.note("in_hot_standby", "on");
    state.role.onChange(() => changes++);
    state.sent(QUERY);
    const errors = [];
    for (let at = 0; at < answer.length; at += size) {
      errors.push(...state.received(answer.subarray(at, at + size)));
    }
    assertEquals(errors.map(({ routine }) => routine), ["SyncRepWaitForLSN"], `${size}`);
    assertEquals([changes, state.transactionStatus], [1, "idle"], `${size}`);
  }
});

Deno.test("ProtocolState.received(): copies what it keeps of a chunk, which the socket may overwrite", () => {
  const state = started();
  const chunk = ERROR.slice(0, 20);
  assertEquals(state.received(chunk), []);
  chunk.fill(0);
  assertEquals(state.received(ERROR.slice(20))[0]?.code, "25006");
});

Deno.test("ProtocolState.received(): goes on after a message with an invalid length", () => {
  const state = started();
  const short = new Uint8Array([..."D"].map((c) => c.charCodeAt(0)).concat(0, 0, 0, 0));
  state.sent(QUERY);
  state.received(concat(short, READY("I")));
  assertEquals(state.transactionStatus, "idle");
});
