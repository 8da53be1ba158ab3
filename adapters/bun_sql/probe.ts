/**
 * Probes a server that speaks first with `Bun.SQL`, which takes no socket and does not show the first byte.
 *
 * @module
 */

import type { Target } from "../adapter.ts";
import { dialThroughLoss } from "../shared/socket.ts";
import type { BunSqlClient } from "./driver.ts";

/** How a probe opens a client, and closes it. */
export interface Opener {
  open(ip: string, target: Target): Promise<BunSqlClient>;
  close(client: BunSqlClient): Promise<void>;
  /** Whether an error says that the connection was refused or lost, and not only the login. */
  isLost(error: unknown): boolean;
}

/**
 * Waits for a login, or for the server's refusal of it: a client that leaves before its login counts as an attack.
 *
 * @param ip The address.
 * @param target What to connect to, and the signal that ends the wait.
 * @param opener How to open a client and close it.
 * @throws The socket's error, or the signal's reason.
 */
export async function probeByLogin(
  ip: string,
  target: Target,
  { open, close, isLost }: Opener,
): Promise<void> {
  try {
    await close(await open(ip, target));
  } catch (error) {
    const { port, signal } = target;
    signal.throwIfAborted();
    if (!isLost(error)) return;
    // The driver has one code for a refusal, a reset and a host that cannot be reached: the socket's own error tells.
    (await dialThroughLoss(ip, { port, keepAlive: false, signal })).destroy();
  }
}
