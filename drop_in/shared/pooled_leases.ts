/**
 * The leases behind the connections of a pool that replaces a driver's, and what keeps a connection from being handed out
 * again.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Adapter } from "../../adapters/adapter.ts";
import { keepListener } from "../../adapters/shared/socket.ts";
import { maintenanceTimer } from "../../internal/clock.ts";
import { MAX_CLOSE_MS } from "../../pool/connection/close.ts";
import { isWriterRole, type WantedRole } from "../../pool/connection/server_role.ts";
import type { Lease } from "../../pool/lease.ts";

/** How to get from the client of a lease to the driver's object. */
export interface ClientParts<K extends object, C> {
  /** The adapter that opens the connections. */
  readonly adapter: Adapter<C>;
  /** The role that servers must have. */
  readonly targetSessionAttrs: WantedRole | undefined;
  /** Returns the driver's object for a connection. */
  connectionOf(client: C): K;
  /** Returns its socket, if it still has one. */
  socketOf(connection: K): Socket | undefined;
}

/** Leases by the driver's object for a connection. */
export class PooledLeases<K extends object, C> {
  /** The adapter that opens the connections, with what the leases must hear. */
  readonly adapter: Adapter<C>;
  readonly #parts: ClientParts<K, C>;
  readonly #held: Map<K, Lease<C>> = new Map();
  /** Connections that have left the pool: the driver itself is closing them. */
  readonly #removed: WeakSet<K> = new WeakSet();
  /** Connections on which the server refused a write. */
  readonly #readOnly: WeakSet<K> = new WeakSet();

  /** @param parts The adapter, and how to get from its clients to the driver's objects. */
  constructor(parts: ClientParts<K, C>) {
    this.#parts = parts;
    // Without `unref`: as with a driver's own pool, idle connections keep the process alive.
    const { ref: _ref, unref: _unref, ...adapter } = parts.adapter;
    this.adapter = {
      ...adapter,
      terminate: (client, reason) => this.#terminate(client, reason),
      onError: (client, listener) =>
        adapter.onError!(client, (error) => {
          if (adapter.classify!(error) === "read-only") {
            this.#readOnly.add(parts.connectionOf(client));
          }
          listener(error);
        }),
    };
  }

  /** The connections that are in use. */
  get inUse(): K[] {
    return [...this.#held.keys()];
  }

  /** Returns whether a connection is in use. */
  has(connection: K): boolean {
    return this.#held.has(connection);
  }

  /** Notes that a connection is in use. */
  add(connection: K, lease: Lease<C>): void {
    this.#held.set(connection, lease);
  }

  /** Takes the lease of a connection that comes back, or that its holder ended; `undefined` if it is not in use. */
  take(connection: K): Lease<C> | undefined {
    const lease = this.#held.get(connection);
    this.#held.delete(connection);
    return lease;
  }

  /** Frees the slot of a connection that the driver itself is closing. */
  remove(connection: K): void {
    this.#removed.add(connection);
    this.take(connection)?.invalidate();
  }

  /**
   * Frees the slot of a connection when its socket has closed.
   *
   * @param connection The connection, which the driver is about to close.
   * @returns Frees the slot at once.
   */
  releaseOnClose(connection: K): () => void {
    const lease = this.take(connection);
    const onClosed = () => {
      if (lease && !lease.released) lease.invalidate();
    };
    const socket = this.#parts.socketOf(connection);
    if (!socket || socket.destroyed) onClosed();
    else keepListener(socket, "close", onClosed);
    return onClosed;
  }

  /**
   * Gives a connection back to the engine.
   *
   * @param connection The connection.
   * @param lease Its lease.
   */
  giveBack(connection: K, lease: Lease<C>): void {
    // If a writable server is wanted, the engine itself asks for the role.
    const asksRole = !isWriterRole(this.#parts.targetSessionAttrs);
    if (asksRole && this.#readOnly.has(connection)) this.#giveBackIfWritable(connection, lease);
    else lease.release();
  }

  /** Gives back a connection that had a write refused. In a transaction that is read-only by itself, that is no fault of the server. */
  async #giveBackIfWritable(connection: K, lease: Lease<C>): Promise<void> {
    try {
      const { readOnly } = await this.adapter.role!(lease.client);
      if (readOnly) lease.invalidate(undefined, { soft: true });
      else this.#readOnly.delete(connection);
    } catch {
      lease.invalidate(undefined, { soft: true });
    }
    lease.release();
  }

  #terminate(client: C, reason?: Error): void {
    const { adapter, connectionOf, socketOf } = this.#parts;
    const connection = connectionOf(client);
    if (!this.#removed.has(connection)) return adapter.terminate!(client, reason);
    // The error that the driver reports is its own. A server that is silent must not keep the socket open.
    const limit = maintenanceTimer(MAX_CLOSE_MS, () => adapter.terminate!(client));
    const socket = socketOf(connection);
    if (!socket || socket.destroyed) limit.clear();
    else keepListener(socket, "close", () => limit.clear());
  }
}
