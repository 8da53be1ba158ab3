/**
 * LISTEN that goes on at the new server after a switchover or a crash: a queue in a table, and notifications that wake
 * its reader. The table and its trigger:
 *
 *     CREATE TABLE orders (id bigserial PRIMARY KEY, customer text NOT NULL, taken boolean NOT NULL DEFAULT false);
 *     CREATE FUNCTION tell_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY orders; RETURN NULL; END $$;
 *     CREATE TRIGGER tell_orders AFTER INSERT ON orders EXECUTE FUNCTION tell_orders();
 */

import type { Engine } from "@dnspool/dnspool";

/** A row of the queue. */
export interface Order {
  readonly id: string;
  readonly customer: string;
}

const TAKE = `
  UPDATE orders SET taken = true
  WHERE id IN (SELECT id FROM orders WHERE NOT taken ORDER BY id FOR UPDATE SKIP LOCKED)
  RETURNING id, customer`;

/**
 * Takes each order once, soon after it was committed.
 *
 * @param engine An engine for PostgreSQL, with any driver that listens.
 * @param onOrders Called with the orders that are new.
 * @param signal Ends it.
 * @returns Fulfilled when it listens, and what was there before is taken.
 */
export async function takeOrders(
  engine: Engine<unknown>,
  onOrders: (orders: readonly Order[]) => void,
  signal: AbortSignal,
): Promise<void> {
  let reading: Promise<void> | undefined;
  let again = false;
  const read = async () => {
    while (again && !signal.aborted) {
      again = false;
      try {
        const orders = await engine.query<Order>(TAKE);
        if (orders.length > 0) onOrders(orders);
      } catch (error) {
        console.warn("Cannot take orders, trying again:", error);
        again = true;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  };
  // A notification says that there is something to read, and so does a gap: then one may have been lost.
  const wake = () => {
    again = true;
    return reading ??= read().finally(() => reading = undefined);
  };
  await engine.listen("orders", wake, {
    onGap: ({ reason, seconds }) => {
      console.warn(`Did not listen for ${seconds} seconds: ${reason}`);
      return wake();
    },
    keepProcessAlive: true, // a worker has nothing else to do
    signal,
  });
  await wake();
}
