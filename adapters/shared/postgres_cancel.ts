/**
 * Cancels a running statement of PostgreSQL: by a request on a socket of its own, with the process and the secret key
 * that the server told its session (PostgreSQL, chapter "Message Flow", "Canceling Requests in Progress").
 *
 * @module
 */

import type { Socket } from "node:net";
import { dialPostgres, type PostgresDial } from "./postgres_socket.ts";

/** The beginning of the request after its length: the code of a CancelRequest. */
const CODE = 80877102;

/** What the server told a session about itself, in the message BackendKeyData. */
export interface BackendKey {
  /** The process that runs the session's statements. */
  readonly processId: number;
  /** The secret key: 4 bytes, and up to 256 from protocol 3.2 on. */
  readonly secret: Uint8Array;
}

/** Returns a secret key of 4 bytes, as drivers keep it: a number with a sign. */
export function secretOf(key: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, key);
  return bytes;
}

/**
 * Cancels the statement that is running in a session, if there is one. The request is encrypted as the session is:
 * servers of every version accept that.
 *
 * @param ip The address that the session is connected to.
 * @param dial How to reach the server; its signal ends the attempt.
 * @param key The session's key.
 * @returns Fulfilled when the server has closed the socket: by then the signal is with the session's process, which
 *   takes it before it reads another statement.
 * @throws The socket's error, or the signal's reason: the cancel may still reach a later statement of the session.
 */
export async function cancelPostgres(
  ip: string,
  dial: PostgresDial,
  { processId, secret }: BackendKey,
): Promise<void> {
  const request = new Uint8Array(12 + secret.length);
  const view = new DataView(request.buffer);
  view.setInt32(0, request.length);
  view.setInt32(4, CODE);
  view.setInt32(8, processId);
  request.set(secret, 12);
  const socket = await dialPostgres(ip, dial);
  try {
    await sendAndAwaitClose(socket, request, dial.signal);
  } finally {
    socket.destroy();
  }
}

/**
 * Sends a cancel request; the server answers by closing the socket.
 *
 * @param socket The socket.
 * @param request The request.
 * @param signal Ends the wait.
 * @throws The signal's reason.
 */
export function sendAndAwaitClose(
  socket: Socket,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    const onClose = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("close", onClose);
    // A server that closes without having read all resets the socket.
    socket.on("error", onClose);
    socket.resume(); // otherwise its end is not noticed
    socket.write(request);
  });
}
