/**
 * A socket to a given address, for drivers that take one.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import type { Target } from "./adapter.ts";

/** Milliseconds before the first keepalive probe. */
export const KEEPALIVE_MS = 30_000;

/**
 * Dials, whatever name the target has.
 *
 * @param ip The address.
 * @param target The port, whether to keep alive, and what ends the attempt.
 * @returns The socket, once it is open. From then on it is the caller's to close.
 * @throws What the socket says; or the signal's reason.
 */
export function dialSocket(
  ip: string,
  { port, keepAlive, signal }: Pick<Target, "port" | "keepAlive" | "signal">,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const options = { host: ip, port, noDelay: true };
    const socket = connect(
      keepAlive ? { ...options, keepAlive, keepAliveInitialDelay: KEEPALIVE_MS } : options,
    );
    const settle = (end: () => void) => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      socket.off("connect", onConnect);
      end();
    };
    const onConnect = () => settle(() => resolve(socket));
    const onError = (error: Error) => settle(() => reject(error));
    const onAbort = () =>
      settle(() => {
        socket.on("error", () => {});
        socket.destroy();
        reject(signal.reason);
      });
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", onConnect);
    socket.once("error", onError);
  });
}
