/**
 * A connection's place in the pool.
 *
 * @module
 */

import type { Endpoint } from "../internal/endpoint.ts";
import type { WantedRole } from "./connection/server_role.ts";
import type { Linked } from "./linked_list.ts";

/** A connection that was not handed out yet counts as just opened for this long. */
const JUST_OPENED_MS = 1000;

/** A connection that must not be handed out again. */
export interface InvalidConnection {
  /** What is wrong with it. */
  readonly error: Error;
  /** Whether the other connections to the same server are no better. */
  readonly sameServer: boolean;
  /**
   * Whether the server's role decides if it is invalid: the error is also that of a good server in a transaction that
   * its caller made read-only.
   */
  readonly doubtful?: boolean;
}

/** What a connection is handed out to: a lease. */
export interface Holder {
  /** Whether the connection was given back. */
  readonly released: boolean;
}

/** What is known of a connection when it is opened. */
export interface SlotInit<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that the connection is open to; with several hosts, the name of the endpoint. */
  readonly address: string;
  /** The role that its server must have. */
  readonly role: WantedRole;
  /** Where the connection is open to. */
  readonly endpoint: Endpoint;
  /** When the connect began. */
  readonly openedAtMs: number;
  /** When the connection becomes too old to be handed out. */
  readonly expiresAtMs: number;
  /** The user's notes about the connection. */
  readonly info: Record<string, unknown>;
}

/** One connection and what the pool knows of it, from the connect to the close. */
export class Slot<C> implements Linked<Slot<C>> {
  readonly client: C;
  readonly address: string;
  readonly role: WantedRole;
  readonly endpoint: Endpoint;
  readonly expiresAtMs: number;
  info: Record<string, unknown>;
  before: Slot<C> | undefined = undefined;
  after: Slot<C> | undefined = undefined;
  /** The current lease, if any. */
  holder: Holder | undefined = undefined;
  /** The lease under which the server or the network closed the connection. */
  lostUnder: Holder | undefined = undefined;
  state: "idle" | "inUse" | "detached" | "closed" = "inUse";
  /** Not to be handed out again: closed at its next checkin or checkout. */
  evicted = false;
  /** Already evicted because another connection to the same server broke. */
  evictedByOutage = false;
  /** Ended by the server alone: what follows on it says nothing about the others. */
  endedAlone = false;
  /** The connection died by itself: there is nothing left to reset. */
  broken = false;
  /** Why the role of its server is to be asked when it comes back: an error may mean that the server has changed it. */
  doubt: InvalidConnection | undefined = undefined;
  /** In use on an address that departed: closed at its checkin, and not counted against the limit meanwhile. */
  retired = false;
  /** When it was retired; `Infinity` if it never was. */
  retiredAtMs: number = Infinity;
  /** Number of checkouts. */
  uses = 0;
  /** When it last became idle. */
  idleSinceMs: number;
  /** When it was last checked out; only recorded if an option needs it. */
  leasedAtMs = 0;
  /** When the check or the reset that is under way began; `Infinity` if there is none. */
  checkedSinceMs: number = Infinity;
  /** Stack of its last checkout; only recorded if an option needs it. */
  takenAt: string | undefined = undefined;
  /** Whether its current lease was reported as a long one. */
  reported = false;
  /** The isolation level that the current lease has set, to be taken back at checkin. */
  isolationLevel: string | undefined = undefined;
  /** Whether the session has settings of a transaction that are still to be put back: if it comes back so, it is closed. */
  borrowed = false;
  /** A cancel that is under way on the server: until its end, the connection is not handed on. */
  cancel: Promise<void> | undefined = undefined;
  /** The last error that the server reported, for a transaction that turns out to have failed. */
  serverError: unknown = undefined;
  /** Called when the connection is closed: a driver may leave a check or a reset pending. */
  onClosed: (() => void) | undefined = undefined;

  /** @param init What is known of the connection. */
  constructor(
    { client, address, endpoint, role, openedAtMs, expiresAtMs, info }: SlotInit<C>,
  ) {
    this.client = client;
    this.address = address;
    this.endpoint = endpoint;
    this.role = role;
    this.expiresAtMs = expiresAtMs;
    this.info = info;
    this.idleSinceMs = openedAtMs;
  }

  /** Whether the pool has the connection: it was neither closed nor detached. */
  get isOpen(): boolean {
    return this.state === "idle" || this.state === "inUse";
  }

  /** Returns whether the connection was just opened and never handed out. */
  isJustOpened(nowMs: number): boolean {
    return this.uses === 0 && nowMs - this.idleSinceMs < JUST_OPENED_MS;
  }

  /** Waits for work on the connection, at most until it is closed; then there is no result. */
  whileOpen<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.onClosed = () => resolve(undefined);
      work.then(resolve, reject);
    });
  }
}
