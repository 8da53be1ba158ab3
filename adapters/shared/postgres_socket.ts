/**
 * Opens a socket to a PostgreSQL server, with TLS if it is requested. No other message was sent on it.
 *
 * @module
 */

import type { Socket } from "node:net";
import { process } from "../../internal/process.ts";
import type { Target } from "../adapter.ts";
import { completeHandshake, dialSocket, ignoreErrors } from "./socket.ts";
import { type TlsOptions, verifyTls } from "./tls.ts";

/** Asks for TLS; the answer is one byte (PostgreSQL, chapter "Message Flow", "SSL Session Encryption"). */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const YES = "S".charCodeAt(0);
const NO = "N".charCodeAt(0);

/** How to reach a server. */
export interface PostgresDial extends Pick<Target, "port" | "keepAlive" | "signal"> {
  /** TLS options; `false` or `undefined` for plain text. */
  readonly tls: TlsOptions | false | undefined;
  /** Whether TLS starts at once, without the request (PostgreSQL 17, `sslnegotiation=direct`). */
  readonly direct?: boolean;
  /** Whether a server that does not support TLS is spoken to in plain text. Default: no. */
  readonly optional?: boolean | undefined;
}

/**
 * Opens a socket and negotiates TLS.
 *
 * @param ip The address.
 * @param dial How to reach the server.
 * @returns The socket, connected, with the certificate verified as the TLS options say. The caller must close it.
 * @throws {Error} if the server does not support TLS or shows the wrong certificate; the socket's error; or the
 *   signal's reason.
 */
export async function dialPostgres(ip: string, dial: PostgresDial): Promise<Socket> {
  const socket = await dialSocket(ip, dial);
  const { tls, direct = false, optional = false, signal } = dial;
  if (!tls) return socket;
  return await completeHandshake(socket, {
    signal,
    async run() {
      if (!direct && !await askForTls(socket)) {
        if (optional) return socket;
        throw new Error("The server does not support TLS");
      }
      return await encrypt(socket, tls, direct);
    },
  });
}

/**
 * Asks a server whether it supports TLS, on a socket of its own. This also shows that the server answers at all.
 *
 * @param ip The address.
 * @param target The port, and the signal that ends the attempt.
 * @returns Whether it does.
 * @throws The socket's error, or the signal's reason.
 */
export async function probeTls(
  ip: string,
  target: Pick<Target, "port" | "keepAlive" | "signal">,
): Promise<boolean> {
  const socket = await dialSocket(ip, target);
  const { signal } = target;
  try {
    return await completeHandshake(socket, { signal, run: () => askForTls(socket) });
  } finally {
    socket.destroy();
  }
}

async function askForTls(socket: Socket): Promise<boolean> {
  const answer = nextEvent<Uint8Array>(socket, "data");
  socket.write(SSL_REQUEST);
  const bytes = await answer;
  // Further bytes would be plain text that an attacker put before the encrypted text (CVE-2021-23222).
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
  ignoreErrors(socket);
  await nextEvent(socket, "secureConnect");
  verifyTls(socket, options);
  return socket;
}

/** Waits for an event; rejects if the socket fails or closes before it. */
function nextEvent<T>(socket: Socket, event: "data" | "secureConnect"): Promise<T> {
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
