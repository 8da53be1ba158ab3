/**
 * Opens a TCP socket to a given address, or a Unix socket, for drivers that take one.
 *
 * @module
 */

import type { Socket } from "node:net";
import { maintenanceTimer, type Timer } from "../../internal/clock.ts";
import { isSocketPath } from "../../internal/host_name.ts";
import type { Target } from "../adapter.ts";

/** Milliseconds before the first keepalive probe. */
export const KEEPALIVE_MS = 30_000;

/**
 * Opens a socket to an address, whatever the target's host.
 *
 * @param ip The address, or the path of a Unix socket.
 * @param target The port, whether to enable keepalive, the signal that ends the attempt, and whether the socket may still
 *   receive when it has ended its own side.
 * @returns The socket, connected. The caller must close it.
 * @throws The socket's error, or the signal's reason.
 */
export async function dialSocket(
  ip: string,
  { port, keepAlive, signal, allowHalfOpen = false }:
    & Pick<Target, "port" | "keepAlive" | "signal">
    & { readonly allowHalfOpen?: boolean },
): Promise<Socket> {
  // Imported here and not at the top: on Bun, the module takes longer to load than the whole package.
  const { connect } = await import("node:net");
  return await new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const options = { host: ip, port, noDelay: true, allowHalfOpen };
    const socket = connect(
      isSocketPath(ip)
        ? { path: ip, allowHalfOpen }
        : keepAlive
        ? { ...options, keepAlive, keepAliveInitialDelay: KEEPALIVE_MS }
        : options,
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
        ignoreErrors(socket);
        socket.destroy();
        reject(signal.reason);
      });
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", onConnect);
    socket.once("error", onError);
  });
}

/** Milliseconds after which a connection request counts as lost; the time doubles with each. */
const LOST_REQUEST_MS = 250;

/**
 * Opens a socket as {@linkcode dialSocket} does, and does not rely on one connection request: the kernel repeats a lost
 * one only after a second, then after two more, in which a whole probe is over. While none is answered, another socket is
 * opened, ever more rarely; the first that is connected wins, and the others are closed.
 *
 * @param ip The address.
 * @param target As for {@linkcode dialSocket}.
 * @returns The socket, connected. The caller must close it.
 * @throws The first socket's error, or the signal's reason.
 */
export async function dialThroughLoss(
  ip: string,
  target: Parameters<typeof dialSocket>[1],
): Promise<Socket> {
  const others = new AbortController();
  const signal = AbortSignal.any([target.signal, others.signal]);
  let next: Timer | undefined;
  try {
    return await new Promise((resolve, reject) => {
      let isOver = false;
      const settle = (end: () => void) => {
        isOver = true;
        end();
      };
      const dial = (patienceMs: number) => {
        dialSocket(ip, { ...target, signal }).then((socket) => {
          if (isOver) socket.destroy();
          else settle(() => resolve(socket));
        }, (error) => settle(() => reject(error)));
        next = maintenanceTimer(patienceMs, () => dial(patienceMs * 2));
      };
      dial(LOST_REQUEST_MS);
    });
  } finally {
    next?.clear();
    others.abort(new Error("another socket was connected first"));
  }
}

/**
 * Waits for any answer of a server that takes the end of a connection without a word for what it is: sends nothing but
 * that end, and waits for a byte, or for the end of the other side. A process that hangs sends neither, although the
 * kernel completes the TCP handshake for it. No server writes a line in its log for this: PostgreSQL takes it for the
 * check of a load balancer.
 *
 * @param ip The address.
 * @param target The port, and the signal that ends the attempt.
 * @throws The socket's error, or the signal's reason.
 */
export async function probeSocket(
  ip: string,
  { port, signal }: Pick<Target, "port" | "signal">,
): Promise<void> {
  const dial = { port, keepAlive: false, signal, allowHalfOpen: true };
  const socket = await dialThroughLoss(ip, dial);
  try {
    await completeHandshake(socket, {
      signal,
      run: () =>
        new Promise<void>((resolve, reject) => {
          for (const event of ["data", "end", "close"]) socket.once(event, () => resolve());
          socket.once("error", reject);
          socket.end();
        }),
    });
  } finally {
    socket.destroy();
  }
}

/**
 * Calls a listener at the first byte that a driver receives from a socket. The driver must not have begun to read.
 *
 * @param socket The socket, connected.
 * @param listener Called once, before the driver reads the byte.
 */
export function onFirstByte(socket: Socket, listener: () => void): void {
  // A reader of its own would take the byte away from the driver, which comes later.
  const onListener = (event: string | symbol) => {
    if (event !== "data") return;
    socket.off("newListener", onListener);
    socket.once("data", listener);
  };
  socket.on("newListener", onListener);
}

/** A handshake on a connected socket. */
export interface Handshake<T> {
  /** Ends the attempt. */
  readonly signal: AbortSignal;
  /** Runs the handshake. If it rejects, the socket is closed. */
  run(): Promise<T>;
  /** Closes the socket when the attempt is ended by the signal. Default: without an error. */
  abandon?(): void;
}

/**
 * Completes a handshake on a socket, and closes the socket if that fails.
 *
 * @param socket The socket, connected.
 * @param handshake The handshake.
 * @returns What `run` returned.
 * @throws What `run` threw, or the signal's reason. The socket is closed then.
 */
export function completeHandshake<T>(
  socket: Socket,
  { signal, run, abandon = () => socket.destroy() }: Handshake<T>,
): Promise<T> {
  // Some drivers remove their listeners before they are done with the socket.
  ignoreErrors(socket);
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      abandon();
      reject(signal.reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    run().then(resolve, (error) => {
      socket.destroy();
      reject(error);
    }).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Adds a listener for `error`: without one, an error that comes after the last reader left ends the process. */
export function ignoreErrors(socket: Socket): void {
  socket.on("error", () => {});
}

/**
 * Adds a listener to a socket for its whole life: mariadb removes all listeners of a socket that it destroys.
 *
 * @param socket The socket.
 * @param event The event.
 * @param listener The listener.
 */
export function keepListener(socket: Socket, event: string, listener: () => void): void {
  const { removeAllListeners } = socket;
  socket.on(event, listener);
  socket.removeAllListeners = (...events: [event?: string | symbol]) => {
    removeAllListeners.apply(socket, events);
    if (events.length === 0 || events[0] === event) socket.on(event, listener);
    return socket;
  };
}

/** Waits until a socket is closed. */
export function socketClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
}

/** Wraps a listener so that it runs once, although several events call it. */
export function onlyOnce(listener: (error?: unknown) => void): (error?: unknown) => void {
  let called = false;
  return (error) => {
    if (called) return;
    called = true;
    listener(error);
  };
}
