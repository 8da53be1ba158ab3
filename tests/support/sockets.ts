/**
 * Waits for what a test leaves running: sockets of libraries that close a connection without waiting for it, sockets of
 * probe connections, and logins that were interrupted.
 *
 * @module
 */

import net from "node:net";
import { pause, until } from "./waiting.ts";

/** A port on which no server listens. One that was listened on to find it may not refuse yet. */
export const REFUSING_PORT = 1;

// deno-lint-ignore no-explicit-any -- any method: the arguments are passed on
type Method = (this: any, ...args: any[]) => any;

/** Asynchronous steps of a login of `pg`, which does not stop it when the socket is closed. */
const LOGIN_STEPS = ["digest", "importKey", "sign", "deriveBits"] as const;

/**
 * Runs a function, and waits until all sockets that were connected meanwhile are closed.
 *
 * @param run The function.
 */
export async function untilSocketsClosed(run: () => Promise<void>): Promise<void> {
  const pending = new Set<unknown>();
  const restores = [
    override(net.Socket.prototype, "connect", (connect) =>
      function (...args) {
        pending.add(this);
        this.once("close", () => pending.delete(this));
        return connect.apply(this, args);
      }),
    ...LOGIN_STEPS.map((name) =>
      override(SubtleCrypto.prototype, name, (step) =>
        function (...args) {
          const result: Promise<unknown> = step.apply(this, args);
          pending.add(result);
          const done = () => pending.delete(result);
          result.then(done, done);
          return result;
        })
    ),
  ];
  try {
    await run();
    // mariadb removes all listeners of a socket that it destroys.
    const isClosed = (each: unknown) => each instanceof net.Socket && each.closed;
    await until(() => [...pending].every(isClosed), "the end of every socket");
    await pause(1); // a driver handles the end of a socket one tick later
  } finally {
    for (const restore of restores) restore();
  }
}

/** Overrides a method; returns the function that restores it. */
function override(prototype: object, name: string, make: (original: Method) => Method): () => void {
  const methods = prototype as Record<string, Method>;
  const original = methods[name]!;
  methods[name] = make(original);
  return () => void (methods[name] = original);
}
