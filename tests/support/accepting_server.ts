/**
 * A server that accepts one connection and sends nothing, for drivers that a test replaces.
 *
 * @module
 */

import { hungUp } from "./bad_servers.ts";
import { listen } from "./peers.ts";

/** Runs the server while `body` runs, and checks that its connection was closed then. */
export async function withAcceptingServer(body: (port: number) => Promise<void>): Promise<void> {
  await using listener = await listen();
  const accepting = listener.accept();
  await body(listener.port);
  await hungUp(await accepting);
}
