/**
 * Servers that let no client in any more and wait for those that they have to leave, as PostgreSQL does after
 * `pg_ctl stop -m smart`: they end when the pools have left them.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../../internal/clock.ts";

/**
 * Time after which a server is asked once more. A proxy in front of several servers may have led to one that is just
 * starting, which says the same.
 */
const CONFIRM_MS = 1000;

/** What {@linkcode ClosingServers} asks and reports. */
export interface ClosingServersParts {
  /** Returns whether connections to an address are open that may be used again. */
  isInUse(address: string): boolean;
  /** Finds out, by a connect of its own, whether a server lets no client in. */
  refusesClients(address: string, signal: AbortSignal): Promise<boolean>;
  /** A server lets no client in any more: the connections to it are to be closed. */
  onClosing(address: string): void;
}

/** Notices servers that refuse new connections while old ones go on. */
export class ClosingServers {
  readonly #parts: ClosingServersParts;
  /** The addresses that are asked once more. */
  readonly #suspects: Map<string, Timer> = new Map();
  readonly #end = new AbortController();

  /** @param parts What it asks and reports. */
  constructor(parts: ClosingServersParts) {
    this.#parts = parts;
  }

  /** Is told that a server let no client in. */
  noteRefusal(address: string): void {
    if (this.#end.signal.aborted || this.#suspects.has(address)) return;
    if (!this.#parts.isInUse(address)) return;
    this.#suspects.set(address, maintenanceTimer(CONFIRM_MS, () => this.#confirm(address)));
  }

  /** Asks no more. */
  clear(): void {
    this.#end.abort();
    for (const timer of this.#suspects.values()) timer.clear();
    this.#suspects.clear();
  }

  async #confirm(address: string): Promise<void> {
    const { signal } = this.#end;
    const refuses = this.#parts.isInUse(address) &&
      await this.#parts.refusesClients(address, signal);
    this.#suspects.delete(address);
    if (refuses && !signal.aborted) this.#parts.onClosing(address);
  }
}
