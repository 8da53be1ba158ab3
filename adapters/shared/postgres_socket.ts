/**
 * Opens a socket to a PostgreSQL server, with TLS where that is asked for, and nothing said yet but that.
 *
 * @module
 */

import type { Socket } from "node:net";
import process from "node:process";
import { abortable } from "../../internal/async.ts";
import { dialSocket } from "./socket.ts";
import { checkSecured, type TlsOptions } from "./tls.ts";
import type { Target } from "../adapter.ts";

/** A message that asks for TLS; the answer is one byte (PostgreSQL, chapter "Message Flow", "SSL Session Encryption"). */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const YES = "S".charCodeAt(0);
const NO = "N".charCodeAt(0);

/** Where to, and how. */
export interface PostgresDial extends Pick<Target, "port" | "keepAlive" | "signal"> {
  /** TLS options; `false` or `undefined`: none. */
  readonly tls: TlsOptions | false | undefined;
  /** Whether TLS begins at once, without asking (PostgreSQL 17, `sslnegotiation=direct`). */
  readonly direct?: boolean;
}

/**
 * Dials, and agrees on TLS.
 *
 * @param ip The address.
 * @param dial Where to, and how.
 * @returns The socket, open and verified as far as the TLS options say. From then on it is the caller's to close.
 * @throws {Error} where the server has no TLS, or another certificate; what the socket says; or the signal's reason.
 */
export async function dialPostgres(ip: string, dial: PostgresDial): Promise<Socket> {
  const socket = await dialSocket(ip, dial);
  if (!dial.tls) return socket;
  hush(socket);
  return await guarded(socket, dial.signal, async () => {
    if (!dial.direct && !await asksForTls(socket)) {
      throw new Error("The server does not support TLS");
    }
    return await encrypt(socket, dial.tls as TlsOptions, dial.direct ?? false);
  });
}

/**
 * Asks a server whether it has TLS, on a connection that is closed again: so it is known that it answers at all.
 *
 * @param ip The address.
 * @param target Where to, and what ends the attempt.
 * @returns Whether it has.
 * @throws What the socket says; or the signal's reason.
 */
export async function knock(
  ip: string,
  target: Pick<Target, "port" | "keepAlive" | "signal">,
): Promise<boolean> {
  const socket = await dialSocket(ip, target);
  hush(socket);
  try {
    return await guarded(socket, target.signal, () => asksForTls(socket));
  } finally {
    socket.destroy();
  }
}

/** Does something with a new socket: it is closed where that fails, and where the attempt is ended. */
async function guarded<T>(
  socket: Socket,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  try {
    signal.throwIfAborted();
    return await abortable(run(), signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Without a listener, an `error` that comes when nobody waits any more ends the process. */
function hush(socket: Socket): void {
  socket.on("error", () => {});
}

async function asksForTls(socket: Socket): Promise<boolean> {
  const answer = next<Uint8Array>(socket, "data");
  socket.write(SSL_REQUEST);
  const bytes = await answer;
  // More than one byte would be plain text that somebody put in front of the encrypted one (CVE-2021-23222).
  if (bytes.length === 1 && (bytes[0] === YES || bytes[0] === NO)) return bytes[0] === YES;
  throw new Error("The server does not answer as PostgreSQL does");
}

async function encrypt(plain: Socket, options: TlsOptions, direct: boolean): Promise<Socket> {
  // Imported at the top, it would be loaded with the package, and take longer than all the rest.
  const { connect } = process.getBuiltinModule("node:tls");
  const socket = connect({
    ...options,
    socket: plain,
    ...(direct && { ALPNProtocols: ["postgresql"] }),
  });
  hush(socket);
  await next(socket, "secureConnect");
  checkSecured(socket, options);
  return socket;
}

/** Waits for an event; rejects where the socket fails or closes before it. */
function next<T>(socket: Socket, event: "data" | "secureConnect"): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      socket.off(event, onEvent);
      socket.off("error", onError);
      socket.off("close", onClose);
      end();
    };
    const onEvent = (value: T) => settle(() => resolve(value));
    const onError = (error: Error) => settle(() => reject(error));
    const onClose = () =>
      onError(
        Object.assign(new Error("The server closed the connection"), { code: "ECONNRESET" }),
      );
    socket.once(event, onEvent);
    socket.once("error", onError);
    socket.once("close", onClose);
  });
}
