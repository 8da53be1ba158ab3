/**
 * LISTEN with npm:pg that goes on at the new server after a switchover.
 */

import type { Engine } from "@dnspool/dnspool";
// @ts-types="npm:@types/pg@^8"
import type pg from "npm:pg@^8.23";

/** What a listener calls. */
export interface Listener {
  /** Called for each notification. */
  onNotification(payload: string | undefined): void;
  /** Called each time that it begins to listen: what was sent before is lost, so read what is new from a table. */
  onListening(): void;
}

/** Listens on a channel until the signal is aborted. Takes one connection of the pool for all that time. */
export async function listen(
  engine: Engine<pg.Client>,
  channel: string,
  { onNotification, onListening }: Listener,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const over = new AbortController();
    try {
      const lease = await engine.connect({ signal });
      const { client, address } = lease;
      const mustMove = new Promise<void>((resolve) => {
        const until = { signal: over.signal };
        signal.addEventListener("abort", () => resolve(), until);
        // Terminated: the server no longer answers. Ended: it closed the connection.
        lease.signal.addEventListener("abort", () => resolve(), until);
        client.once("end", resolve);
        // Departed: the old server may live on, and would be listened to for ever.
        engine.addEventListener("retire", ({ detail }) => {
          if (detail.address === address) resolve();
        }, until);
      });
      try {
        client.on("notification", ({ payload }) => onNotification(payload));
        await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
        onListening();
        await mustMove;
      } finally {
        lease.invalidate(); // closes the connection, and ends the LISTEN with it
      }
    } catch (error) {
      if (signal.aborted) return;
      console.warn(`Cannot listen on ${channel}, trying again:`, error);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } finally {
      over.abort();
    }
  }
}
