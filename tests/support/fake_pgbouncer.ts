/**
 * A PgBouncer that a test plays: it counts logins, and refuses single clients as an overloaded one does.
 *
 * @module
 */

import { once } from "node:events";
import net from "node:net";
import { message } from "./postgres_subject.ts";

/** The server. */
export interface FakePgBouncer extends AsyncDisposable {
  readonly port: number;
  /** Number of logins, refused ones included. */
  logins: number;
  /** Number of statements and logins that were refused. */
  refusals: number;
  /** Returns whether the next statement is refused, with `query_wait_timeout`, and its client disconnected. */
  refusesStatement: () => boolean;
  /** Returns whether the next login is refused, with `no more connections allowed`, or the text of the refusal. */
  refusesLogin: () => boolean | string;
}

const SSL_REQUEST = 80877103;
const LOGGED_IN = [
  ...message("R", "\0\0\0\0"),
  ...message("K", "\0\0\0\x01\0\0\0\x02"),
  ...message("Z", "I"),
];
const DONE = [...message("C", "SELECT 0\0"), ...message("Z", "I")];

/** Encodes the error with which PgBouncer disconnects one client: its code is 08P01 whatever the reason. */
function fatal(text: string): Uint8Array {
  return message("E", `SFATAL\0VFATAL\0C08P01\0M${text}\0\0`);
}

/** Starts the server on a free port of 127.0.0.1. It answers simple queries without rows, each after a turn. */
export async function startFakePgBouncer(): Promise<FakePgBouncer> {
  const sockets: Set<net.Socket> = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    serve(socket, bouncer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bouncer: FakePgBouncer = {
    port: (server.address() as net.AddressInfo).port,
    logins: 0,
    refusals: 0,
    refusesStatement: () => false,
    refusesLogin: () => false,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return bouncer;
}

function serve(socket: net.Socket, bouncer: FakePgBouncer): void {
  let loggedIn = false;
  let pending = new Uint8Array();
  const refuse = (text: string) => {
    bouncer.refusals++;
    socket.end(fatal(text));
  };
  const onMessage = (letter: string, body: Uint8Array) => {
    if (letter === "X") return void socket.end();
    if (letter !== "Q") return;
    if (bouncer.refusesStatement()) return refuse("query_wait_timeout");
    const text = new TextDecoder().decode(body);
    setTimeout(
      () => socket.destroyed || socket.write(new Uint8Array(DONE)),
      /sleep/.test(text) ? 5 : 0,
    );
  };
  const onStartup = (code: number) => {
    if (code === SSL_REQUEST) return void socket.write("N");
    bouncer.logins++;
    loggedIn = true;
    const refusal = bouncer.refusesLogin();
    if (typeof refusal === "string") return refuse(refusal);
    if (refusal) return refuse("no more connections allowed (max_client_conn)");
    socket.write(new Uint8Array(LOGGED_IN));
  };
  socket.on("data", (chunk) => {
    pending = new Uint8Array([...pending, ...new Uint8Array(chunk as unknown as Uint8Array)]);
    for (;;) {
      const head = loggedIn ? 1 : 0;
      if (pending.length < head + 4) return;
      const length = new DataView(pending.buffer).getUint32(head);
      if (pending.length < head + length) return;
      const body = pending.slice(head + 4, head + length);
      const letter = String.fromCharCode(pending[0]!);
      pending = pending.slice(head + length);
      if (head === 1) onMessage(letter, body);
      else onStartup(new DataView(body.buffer).getUint32(0));
    }
  });
}
