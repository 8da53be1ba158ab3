/**
 * Gives statements connections, in the order in which they come. As with the driver's own pool, several statements
 * share a connection when all connections are in use: each is sent before the one before it is answered.
 *
 * @module
 */

import { DnsEngine } from "../../engine/dns_engine.ts";
import type { Engine } from "../../engine.ts";
import { PoolClosedError } from "../../errors.ts";
import { isOf } from "../../internal/thrown.ts";
import type { Lease } from "../../pool/lease.ts";
import { toDriverError } from "../shared/driver_errors.ts";
import { driverCounts, isFull } from "../shared/pool_counts.ts";
import type { Client, ClientParts, Clients } from "./clients.ts";
import type { DriverQuery } from "./module.ts";
import type { PostgresjsSettings } from "./settings.ts";

/** A call that has a connection for itself: a transaction, or a reservation. */
interface Exclusive {
  readonly exclusive: true;
  serve(lease: Lease<Client>): void;
  reject(error: unknown): void;
}

type Entry = DriverQuery | Exclusive;

const isExclusive = (entry: Entry): entry is Exclusive => "exclusive" in entry;

/** A connection on which statements are running. */
interface Shared {
  readonly lease: Lease<Client>;
  readonly parts: ClientParts;
  /** The queries whose statements were begun on it. */
  readonly begun: DriverQuery[];
  /** Whether another statement may be sent before the last one is answered. */
  takesMore: boolean;
  /** Whether the last one is a COPY. */
  streams: boolean;
  /** Whether the driver waits for an answer that will never come. */
  outOfStep: boolean;
}

/** A queue. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #begin = 0;

  get size(): number {
    return this.#items.length - this.#begin;
  }

  get first(): T | undefined {
    return this.#items[this.#begin];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#begin];
    this.#items[this.#begin++] = undefined;
    if (this.#begin >= this.#items.length) {
      this.#items = [];
      this.#begin = 0;
    }
    return item;
  }
}

/** The statements of one pool. */
export class Statements {
  readonly #engine: Engine<Client>;
  readonly #clients: Clients;
  readonly #settings: PostgresjsSettings;
  /** Whether statements may be sent before the last one is answered. */
  readonly #pipelines: boolean;
  readonly #queue: Fifo<Entry> = new Fifo();
  readonly #shared: Set<Shared> = new Set();
  /** Number of checkouts under way. */
  #checkouts = 0;
  /** Leases that calls have for themselves. */
  readonly #exclusive: Set<Lease<Client>> = new Set();
  #onDone: (() => void) | undefined;

  /**
   * @param engine Gives the connections.
   * @param clients The clients.
   * @param settings The settings of the pool.
   * @param pipelines Whether statements may be sent before the last one is answered.
   */
  constructor(
    engine: Engine<Client>,
    clients: Clients,
    settings: PostgresjsSettings,
    pipelines: boolean,
  ) {
    this.#engine = engine;
    this.#clients = clients;
    this.#settings = settings;
    this.#pipelines = pipelines;
  }

  /** Begins a statement as soon as there is a connection for it. */
  run(query: DriverQuery): void {
    this.#queue.push(query);
    this.#serve();
  }

  /**
   * Calls a function with a connection that no other call has.
   *
   * @param work Uses the connection; `ended` waits until what runs on it has ended.
   * @returns What the function returns. The connection is given back when that is settled, and what runs on it has ended.
   */
  runAlone<T>(
    work: (client: Client, lease: Lease<Client>, ended: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const serve = (lease: Lease<Client>) => {
        this.#exclusive.add(lease);
        const { socket } = this.#clients.partsOf(lease.client);
        const ended = () => untilEnded(socket);
        const done = () =>
          ended().then(() => {
            this.#exclusive.delete(lease);
            lease.release();
            this.#checkDone();
          });
        // The driver would tell that its ROLLBACK failed, and not why.
        lease.untilLost(work(lease.client, lease, ended)).finally(() => void done())
          .then(resolve, reject);
      };
      this.#queue.push({ exclusive: true, serve, reject });
      this.#serve();
    });
  }

  /** Keeps statements that begin from now on off the connections that are open now. */
  leaveOpen(): void {
    for (const shared of this.#shared) shared.takesMore = false;
  }

  /** Waits until all statements and calls have ended. */
  async untilDone(): Promise<void> {
    if (this.#isDone) return;
    await new Promise<void>((resolve) => this.#onDone = resolve);
  }

  /** Ends all: rejects what waits, and terminates the connections. */
  destroy(error: Error): void {
    while (this.#queue.size > 0) this.#queue.shift()!.reject(error);
    const alone = [...this.#exclusive].filter(({ released }) => !released);
    const all = [
      ...[...this.#shared].map(({ parts }) => parts),
      ...alone.map(({ client }) => this.#clients.partsOf(client)),
    ];
    for (const { socket } of all) socket.terminate(error);
  }

  get #isDone(): boolean {
    return this.#queue.size === 0 && this.#shared.size === 0 && this.#exclusive.size === 0;
  }

  #checkDone(): void {
    if (this.#onDone !== undefined && this.#isDone) this.#onDone();
  }

  /** Begins what can begin now, and takes connections for the rest. */
  #serve(): void {
    for (;;) {
      const first = this.#queue.first;
      if (first === undefined || isExclusive(first)) break;
      const shared = this.#findShared();
      if (shared === undefined) break;
      this.#queue.shift();
      this.#begin(shared, first);
    }
    const { max } = this.#settings;
    while (this.#checkouts < Math.min(this.#queue.size, max)) {
      const lease = this.#engine.tryConnect();
      if (lease === undefined) this.#checkout();
      else this.#use(lease);
    }
  }

  #checkout(): void {
    this.#checkouts++;
    this.#engine.connect().then((lease) => {
      this.#checkouts--;
      this.#use(lease);
      this.#serve();
    }, (error) => {
      this.#checkouts--;
      this.#onFailed(error);
    });
  }

  /** Begins statements on a connection, or a call that has it for itself. */
  #use(lease: Lease<Client>): void {
    const first = this.#queue.first;
    if (first === undefined) return void lease.release();
    if (isExclusive(first)) {
      this.#queue.shift();
      first.serve(lease);
    } else {
      const parts = this.#clients.partsOf(lease.client);
      const shared: Shared = {
        lease,
        parts,
        begun: [],
        takesMore: true,
        streams: false,
        outOfStep: false,
      };
      this.#shared.add(shared);
      parts.socket.onProgress = () => {
        if (parts.socket.isQuiet) this.#onIdle(shared);
      };
      // The rest is for the other connections that are being taken.
      let share = this.#pipelines ? Math.ceil(this.#queue.size / (this.#checkouts + 1)) : 1;
      for (; share > 0 && shared.takesMore; share--) {
        const next = this.#queue.first;
        if (next === undefined || isExclusive(next)) break;
        this.#queue.shift();
        this.#begin(shared, next);
      }
      if (shared.begun.length === 0) this.#release(shared);
    }
  }

  #onFailed(error: unknown): void {
    // The pool was replaced by another one. After `end()` none waits.
    if (!isOf(error, PoolClosedError)) {
      this.#queue.shift()?.reject(toDriverError(error, this.#settings.messages));
    }
    this.#serve();
    this.#checkDone();
  }

  /**
   * Returns a connection in use on which another statement may begin, if none is free and none can be opened. What waits
   * for connections that are being opened is left to them.
   */
  #findShared(): Shared | undefined {
    if (this.#shared.size === 0) return undefined;
    let best: Shared | undefined;
    const { max } = this.#settings;
    for (const shared of this.#shared) {
      const { parts } = shared;
      if (shared.lease.released) this.#shared.delete(shared);
      else if (isInTransaction(shared)) return shared.takesMore ? shared : undefined;
      // The driver refuses a statement during a COPY, which would wait for it forever.
      else if (max === 1 && shared.streams && parts.socket.activity === "stuck") return shared;
      else if (this.#pipelines && shared.takesMore) {
        if (best === undefined || shared.begun.length < best.begun.length) best = shared;
      }
    }
    if (best === undefined) return undefined;
    const { counts } = this.#engine.pool;
    if (!isFull(counts)) return undefined;
    // Checkouts under way that need no release.
    const opening = this.#checkouts - driverCounts(counts).waiting;
    const isLeft = this.#queue.size <= opening || best.begun.length >= this.#fairShare;
    if (opening > 0 && isLeft) return undefined;
    return DnsEngine.mayShare(this.#engine, best.lease) ? best : undefined;
  }

  /** Number of statements for each connection, if all connections of the pool were open. */
  get #fairShare(): number {
    let begun = 0;
    for (const shared of this.#shared) begun += shared.begun.length;
    return Math.ceil((begun + this.#queue.size) / this.#settings.max);
  }

  #begin(shared: Shared, query: DriverQuery): void {
    if (query.cancelled) return;
    const { begun, parts } = shared;
    const { connection, canceller } = parts;
    if (query.canceller !== null) query.canceller = canceller;
    if (shared.streams) return void connection.execute(query); // is refused
    const running = begun.find(({ active }) => active);
    let more: unknown;
    if (running === undefined) {
      const isSent = parts.socket.beginOne(() => {
        more = connection.execute(query);
        return true;
      });
      more &&= isSent;
    } else more = this.#beginBehind(running, shared, query);
    begun.push(query);
    shared.streams = query.streaming === true;
    shared.takesMore &&= Boolean(more) && !shared.streams;
  }

  /**
   * Begins a statement behind others. If the driver cannot send it, it rejects the one that is running, and waits for
   * one answer too many: the statement is rejected instead, and the connection is closed after the others.
   */
  #beginBehind(running: DriverQuery, shared: Shared, query: DriverQuery): unknown {
    const { lease, parts } = shared;
    const { reject } = running;
    let failure: { readonly error: unknown } | undefined;
    let more: unknown;
    running.reject = (error) => void (failure = { error });
    parts.socket.beginOne(() => {
      more = parts.connection.execute(query);
      return failure === undefined;
    });
    running.reject = reject;
    if (failure === undefined) return more;
    query.reject((failure as { readonly error: unknown }).error);
    shared.outOfStep = true;
    lease.invalidate(undefined, { soft: true });
    return false;
  }

  /** Is told that the statements of a connection are answered. */
  #onIdle(shared: Shared): void {
    shared.begun.length = 0;
    if (isInTransaction(shared) && this.#settings.max === 1) {
      // As with the driver's own pool, the only connection may be in a transaction between two statements.
      shared.takesMore = true;
      return this.#serve();
    }
    this.#release(shared);
  }

  #release(shared: Shared): void {
    const { lease, parts, outOfStep } = shared;
    parts.socket.onProgress = undefined;
    this.#shared.delete(shared);
    if (outOfStep) lease.invalidate(new Error("the driver has lost track of its statements"));
    else lease.release();
    this.#checkDone();
  }
}

/** Waits until what runs on a connection has ended, or needs its holder to go on. */
async function untilEnded(socket: ClientParts["socket"]): Promise<void> {
  await socket.settle();
  while (!socket.isQuiet && socket.activity === "running") {
    await new Promise<void>((resolve) => socket.onProgress = resolve);
  }
  socket.onProgress = undefined;
}

/** Returns whether statements have left a transaction open. */
function isInTransaction({ begun, parts }: Shared): boolean {
  if (begun.length > 0) return false;
  const status = parts.socket.transactionStatus;
  return status === "open" || status === "failed";
}
