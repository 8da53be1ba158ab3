/**
 * Makes connection requests to a server late, as when they are lost and the kernel repeats them.
 *
 * @module
 */

import net from "node:net";

type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;

const delays: Map<string, () => number> = new Map();
let original: Connect | undefined;

/**
 * Makes connection requests to a server late, until the result is disposed of.
 *
 * @param at The server.
 * @param delayMs Returns the milliseconds for the next request.
 */
export function delayConnects(
  at: { readonly host: string; readonly port: number },
  delayMs: () => number,
): Disposable {
  patch();
  const key = JSON.stringify([at.host, at.port]);
  delays.set(key, delayMs);
  return { [Symbol.dispose]: () => void delays.delete(key) };
}

function patch(): void {
  if (original) return;
  const prototype = net.Socket.prototype as unknown as { connect: Connect };
  const connect = original = prototype.connect;
  prototype.connect = function (...args) {
    // `net.connect()` passes its own arguments on as an array.
    const [options] = args.flat() as { host?: string; port?: number }[];
    const delayMs = delays.get(JSON.stringify([options?.host, options?.port]))?.() ?? 0;
    if (delayMs === 0) return connect.apply(this, args);
    const timer = setTimeout(() => this.destroyed || connect.apply(this, args), delayMs);
    this.once("close", () => clearTimeout(timer));
    return this;
  };
}
