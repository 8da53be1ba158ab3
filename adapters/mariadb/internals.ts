/**
 * What the adapter for mariadb uses of the driver besides its clients: how it gets its socket and tells of errors, and
 * the connection beneath a client.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Destination } from "../adapter.ts";
import type { MariadbClient, MariadbConfig, MariadbLogger } from "./driver.ts";

/** The connection beneath, which is the driver's own affair. */
export interface MariadbCore {
  /** What was dialled, or what makes TLS of it. */
  readonly socket?: Socket;
  /** Commands that wait for an answer. */
  readonly receiveQueue?: {
    readonly length: number;
    peekFront(): { readonly onPacketReceive: unknown } | undefined;
  };
  /** Ends the connection, and all that waits for it. */
  fatalError?(error: Error, silently: boolean): void;
}

/** Where the errors of one connection go. */
export interface ErrorTap {
  listener?: (error: unknown) => void;
}

/** What a client is besides. */
export interface Emitter {
  on(event: string, listener: (error?: unknown) => void): unknown;
  once(event: string, listener: (this: MariadbCore) => void): unknown;
}

/** Gives the driver its socket. It asks again when its user has it kill a session: that goes to the same server. */
export function streamOf(
  socket: Socket,
  dial: (signal: AbortSignal) => Promise<Socket>,
): MariadbConfig["stream"] {
  let first = true;
  return (callback) => {
    const take = (socket: Socket) => {
      callback!(undefined, socket);
      // It sets its time-outs when it hears that.
      socket.emit("connect");
    };
    if (!first) return void dial(new AbortController().signal).then(take, callback);
    first = false;
    take(socket);
  };
}

/** The user's logger, and a tap on its errors. */
export function loggerOf(
  { connectArgs }: Pick<Destination, "connectArgs">,
  tap: ErrorTap,
): MariadbLogger {
  const { logger, debug, debugCompress } = connectArgs;
  const own: MariadbLogger = typeof logger === "function"
    ? { network: logger, query: logger, warning: logger, error: logger } as MariadbLogger
    : { ...(logger as MariadbLogger | undefined) };
  if (logger === undefined && (debug || debugCompress)) own.network = console.log;
  return {
    ...own,
    error(error: Error): void {
      tap.listener?.(error);
      own.error?.(error);
    },
  };
}

/** The driver shows the connection beneath to nobody but its listeners, as `this`. */
export function coreOf(client: MariadbClient): MariadbCore {
  let core: MariadbCore | undefined;
  emitterOf(client).once("newListener", function (this: MariadbCore) {
    core = this;
  });
  // Without a listener, the `error` of an idle connection ends the process.
  emitterOf(client).on("error", () => {});
  return core ?? {};
}

/** Whether a command waits for an answer; `undefined` where that cannot be seen. */
export function isBusy({ receiveQueue }: MariadbCore): boolean | undefined {
  if (!receiveQueue) return undefined;
  // The last one may stay there although it has its answer.
  return receiveQueue.length > 1 ||
    receiveQueue.length === 1 && receiveQueue.peekFront()?.onPacketReceive !== null;
}

/** The client, as what one listens to. */
export function emitterOf(client: MariadbClient): Emitter {
  return client as unknown as Emitter;
}
