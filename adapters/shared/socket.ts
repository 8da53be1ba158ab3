/**
 * A socket to a given address, for drivers that take one, and what becomes of it.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Target } from "../adapter.ts";

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
export async function dialSocket(
  ip: string,
  { port, keepAlive, signal }: Pick<Target, "port" | "keepAlive" | "signal">,
): Promise<Socket> {
  // Not before it is needed: on Bun it takes longer to load than the whole package.
  const { connect } = await import("node:net");
  return await new Promise((resolve, reject) => {
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

/** How a driver takes up a socket. */
export interface Handshake<C> {
  /** Ends the attempt. */
  readonly signal: AbortSignal;
  /** Gives the socket to the driver, which finishes the handshake. */
  connect(): Promise<C>;
  /** Drops the socket when the attempt is ended. Default: without an error. */
  abandon?(): void;
}

/**
 * Waits for a driver that takes up a socket.
 *
 * @param socket The socket, open.
 * @param handshake How it is taken up.
 * @returns The driver's client.
 * @throws What the driver says, or the signal's reason; no socket is left then.
 */
export function handshakeOn<C>(
  socket: Socket,
  { signal, connect, abandon = () => socket.destroy() }: Handshake<C>,
): Promise<C> {
  // Some drivers take their listeners off before they are done with it.
  socket.on("error", () => {});
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      abandon();
      reject(signal.reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    connect().then(resolve, (error) => {
      socket.destroy();
      reject(error);
    }).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Fulfilled when a socket is closed; at once, when it was already. */
export function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
}

/** A listener that hears of the first of several signs, and of no other. */
export function onlyOnce(
  listener: (error?: unknown) => void,
): (error?: unknown) => void {
  let told = false;
  return (error) => {
    if (told) return;
    told = true;
    listener(error);
  };
}
