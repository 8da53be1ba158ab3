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
  /** The user's notes about the connection, if there may be any. */
  readonly info: Record<string, unknown> | undefined;
}

/** What most connections never have: apart, because a pool may have thousands of connections. */
class RareState {
  lostUnder: Holder | undefined = undefined;
  evictedByOutage = false;
  endedAlone = false;
  retiredAtMs: number = Infinity;
  leasedAtMs = 0;
  checkedSinceMs: number = Infinity;
  takenAt: string | undefined = undefined;
  reported = false;
  isolationLevel: string | undefined = undefined;
  borrowed = false;
  serverError: unknown = undefined;
  onClosed: (() => void) | undefined = undefined;
}

/** The state of each connection that has nothing rare. */
const NOTHING_RARE: RareState = new RareState();

/** One connection and what the pool knows of it, from the connect to the close. */
export class Slot<C> implements Linked<Slot<C>> {
  readonly client: C;
  readonly address: string;
  readonly role: WantedRole;
  readonly endpoint: Endpoint;
  readonly expiresAtMs: number;
  before: Slot<C> | undefined = undefined;
  after: Slot<C> | undefined = undefined;
  /** The current lease, if any. */
  holder: Holder | undefined = undefined;
  state: "idle" | "inUse" | "detached" | "closed" = "inUse";
  /** Not to be handed out again: closed at its next checkin or checkout. */
  evicted = false;
  /** The connection died by itself: there is nothing left to reset. */
  broken = false;
  /** Why the role of its server is to be asked when it comes back: an error may mean that the server has changed it. */
  doubt: InvalidConnection | undefined = undefined;
  /** In use on an address that departed: closed at its checkin, and not counted against the limit meanwhile. */
  retired = false;
  /** Number of checkouts. */
  uses = 0;
  /** When it last became idle. */
  idleSinceMs: number;
  /** A cancel that is under way on the server: until its end, the connection is not handed on. */
  cancel: Promise<void> | undefined = undefined;

  #info: Record<string, unknown> | undefined;
  #rare: RareState = NOTHING_RARE;

  /** @param init What is known of the connection. */
  constructor(
    { client, address, endpoint, role, openedAtMs, expiresAtMs, info }: SlotInit<C>,
  ) {
    this.client = client;
    this.address = address;
    this.endpoint = endpoint;
    this.role = role;
    this.expiresAtMs = expiresAtMs;
    this.#info = info;
    this.idleSinceMs = openedAtMs;
  }

  /** The user's notes about the connection. */
  get info(): Record<string, unknown> {
    return this.#info ??= {};
  }

  set info(info: Record<string, unknown>) {
    this.#info = info;
  }

  /** The lease under which the server or the network closed the connection. */
  get lostUnder(): Holder | undefined {
    return this.#rare.lostUnder;
  }

  set lostUnder(value: Holder | undefined) {
    this.#setRare("lostUnder", value);
  }

  /** Already evicted because another connection to the same server broke. */
  get evictedByOutage(): boolean {
    return this.#rare.evictedByOutage;
  }

  set evictedByOutage(value: boolean) {
    this.#setRare("evictedByOutage", value);
  }

  /** Ended by the server alone: what follows on it says nothing about the others. */
  get endedAlone(): boolean {
    return this.#rare.endedAlone;
  }

  set endedAlone(value: boolean) {
    this.#setRare("endedAlone", value);
  }

  /** When it was retired; `Infinity` if it never was. */
  get retiredAtMs(): number {
    return this.#rare.retiredAtMs;
  }

  set retiredAtMs(value: number) {
    this.#setRare("retiredAtMs", value);
  }

  /** When it was last checked out; only recorded if an option needs it. */
  get leasedAtMs(): number {
    return this.#rare.leasedAtMs;
  }

  set leasedAtMs(value: number) {
    this.#setRare("leasedAtMs", value);
  }

  /** When the check or the reset that is under way began; `Infinity` if there is none. */
  get checkedSinceMs(): number {
    return this.#rare.checkedSinceMs;
  }

  set checkedSinceMs(value: number) {
    this.#setRare("checkedSinceMs", value);
  }

  /** Stack of its last checkout; only recorded if an option needs it. */
  get takenAt(): string | undefined {
    return this.#rare.takenAt;
  }

  set takenAt(value: string | undefined) {
    this.#setRare("takenAt", value);
  }

  /** Whether its current lease was reported as a long one. */
  get reported(): boolean {
    return this.#rare.reported;
  }

  set reported(value: boolean) {
    this.#setRare("reported", value);
  }

  /** The isolation level that the current lease has set, to be taken back at checkin. */
  get isolationLevel(): string | undefined {
    return this.#rare.isolationLevel;
  }

  set isolationLevel(value: string | undefined) {
    this.#setRare("isolationLevel", value);
  }

  /** Whether the session has settings of a transaction that are still to be put back: if it comes back so, it is closed. */
  get borrowed(): boolean {
    return this.#rare.borrowed;
  }

  set borrowed(value: boolean) {
    this.#setRare("borrowed", value);
  }

  /** The last error that the server reported, for a transaction that turns out to have failed. */
  get serverError(): unknown {
    return this.#rare.serverError;
  }

  set serverError(value: unknown) {
    this.#setRare("serverError", value);
  }

  /** Called when the connection is closed: a driver may leave a check or a reset pending. */
  get onClosed(): (() => void) | undefined {
    return this.#rare.onClosed;
  }

  set onClosed(value: (() => void) | undefined) {
    this.#setRare("onClosed", value);
  }

  #setRare<K extends keyof RareState>(key: K, value: RareState[K]): void {
    if (this.#rare[key] === value) return;
    if (this.#rare === NOTHING_RARE) this.#rare = new RareState();
    this.#rare[key] = value;
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
