/**
 * Tells libraries that pool connections by themselves which connections they must not hand out again.
 *
 * @module
 */

import type { Verdict } from "../../adapters/adapter.ts";
import type { Registration } from "./tracked_host.ts";

/** A property in which a library looks before it hands out a connection. */
export interface DepartureFlag {
  readonly property: string;
  /** Makes the value that keeps the library from handing out the connection. */
  value(reason: string): unknown;
}

/** The properties of a driver's connections in which libraries look, by library. */
export type DepartureFlags = Readonly<Partial<Record<"knex" | "sequelize", DepartureFlag>>>;

/** Whether one connection may be handed out again. */
export class DepartureState {
  /** The connection's registration; `undefined` until it has an address. */
  registration: Registration | undefined;
  /** Whether the server refused a write. */
  readOnly = false;
  /** Whether the server was promoted, and a standby is wanted. */
  promoted = false;
  /** Whether the session can no longer run one of its prepared statements. */
  stale = false;

  /** The reason why the connection must not be handed out again, if there is one. */
  get why(): string | undefined {
    if (this.readOnly) return "the server is read-only";
    if (this.promoted) return "the server is no standby any more";
    if (this.stale) return "one of its prepared statements is out of date";
    const { departed, address } = this.registration ?? {};
    return departed ? `the address ${address} departed` : undefined;
  }

  /**
   * Notes an error that the server reported, even if the library catches it.
   *
   * @param kind What the adapter's `classify` says of it.
   */
  noteError(kind: Verdict): void {
    if (kind === undefined || kind === "closed" || !this.registration) return;
    if (kind === "stale") return void (this.stale = true);
    if (kind === "read-only") this.readOnly = true;
    else this.registration.noteFailure();
    this.registration.refresh();
  }

  /**
   * Shows the state on a connection: in `departed`, and in the properties in which libraries look. A value that the
   * library itself sets there takes precedence.
   *
   * @param connection The connection.
   * @param flags The properties.
   */
  showOn(connection: object, flags: DepartureFlags): void {
    Object.defineProperty(connection, "departed", {
      configurable: true,
      get: () => this.why !== undefined,
    });
    for (const flag of Object.values(flags)) this.#define(connection, flag);
  }

  #define(connection: object, { property, value }: DepartureFlag): void {
    let own = (connection as Record<string, unknown>)[property];
    Object.defineProperty(connection, property, {
      configurable: true,
      enumerable: false,
      get: () => own || (this.why === undefined ? own : value(this.why)),
      set: (next: unknown) => void (own = next),
    });
  }
}
