/**
 * Like `types.ts`, with an adapter, which needs Node's types as its driver does.
 *
 * @module
 */

import type { Adapter } from "@dnspool/dnspool";
import { pgAdapter, type PgClient } from "@dnspool/dnspool/adapters/pg";

declare class Client implements PgClient {
  connect(): Promise<unknown>;
  end(): Promise<void>;
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  on(event: "error" | "end", listener: (error?: Error) => void): this;
}

/** An adapter has the type of its driver's client. */
export const adapter: Adapter<Client> = pgAdapter({ Client });
