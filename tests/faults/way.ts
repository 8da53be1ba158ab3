/**
 * A way to a server that is slow to log in, loses packets, or has statements refused.
 *
 * The kernel's own simulation of loss (netem) needs privileges and a module that many machines lack. So loss is what TCP
 * makes of it: nothing is missing, but what was lost comes late, after the retransmission timeout and the doubles of it,
 * and holds up all that follows (RFC 6298).
 *
 * @module
 */

import net from "node:net";
import { seededRandom } from "../../testing/dns/random.ts";
import { delayConnects } from "../support/late_connects.ts";

/** Decides for one connection which messages of its client reach the server. */
export interface Refuser {
  /** Takes bytes of the client: `pass` goes to the server, `answer` back to the client. */
  take(
    bytes: Uint8Array,
    isOn: boolean,
  ): { readonly pass: Uint8Array; readonly answer: Uint8Array };
}

/** The faults of a way, which a test changes as it goes on. */
export interface WayFaults {
  /** Milliseconds by which the server's second message on a new connection is late: it answered, and is slow to log in. */
  loginDelayMs: number;
  /** The share of the packets that are lost, 0 to 1. */
  loss: number;
  /** Whether statements are refused. */
  refuses: boolean;
}

/** What is open on one or several ways, and the most at a time so far. */
export class Gauge {
  open = 0;
  most = 0;

  add(): void {
    this.most = Math.max(this.most, ++this.open);
  }

  remove(): void {
    this.open--;
  }
}

/** Retransmission timeout of a connection request, and minimum of that of a packet (Linux). */
const CONNECT_RTO_MS = 1000;
const RTO_MS = 200;
/** Bytes in a packet. */
const SEGMENT = 1460;

/** Where a way is opened, where it leads, and what it needs. */
export interface WayOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
  readonly faults: WayFaults;
  readonly gauge: Gauge;
  /** Makes the refuser of a connection. */
  readonly refuser: () => Refuser;
  /** The seed of the losses. */
  readonly seed: number;
}

/** A way, open until it is disposed of. */
export class Way implements AsyncDisposable {
  readonly #options: WayOptions;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #random: () => number;
  readonly #lateConnects: Disposable;

  private constructor(options: WayOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    // The kernel of this machine answers a connection request of a client at once: so it is sent late.
    this.#lateConnects = delayConnects(
      options.listen,
      () => this.#lateness(1, CONNECT_RTO_MS),
    );
    this.#server = net.createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  /** Opens a way. */
  static async open(options: WayOptions): Promise<Way> {
    const way = new Way(options);
    const { host, port } = options.listen;
    await new Promise<void>((resolve, reject) => {
      way.#server.once("error", reject);
      way.#server.listen(port, host, resolve);
    });
    return way;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lateConnects[Symbol.dispose]();
    for (const timer of this.#timers) clearTimeout(timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(near: net.Socket): void {
    const { to, faults, gauge, refuser } = this.#options;
    gauge.add();
    let isOpen = true;
    // Open for the client: a server that is slow notices the end of a client later.
    for (const event of ["end", "close"] as const) {
      near.once(event, () => {
        if (isOpen) gauge.remove();
        isOpen = false;
      });
    }
    const far = net.connect({ ...to, allowHalfOpen: true });
    const refusing = refuser();
    const toServer = this.#pipe(far);
    const toClient = this.#pipe(near);
    let answers = 0;
    near.on("data", (bytes: Uint8Array) => {
      const { pass, answer } = refusing.take(bytes, faults.refuses);
      toServer(pass, 0);
      toClient(answer, 0);
    });
    far.on(
      "data",
      (bytes: Uint8Array) => toClient(bytes, ++answers === 2 ? faults.loginDelayMs : 0),
    );
    near.on("end", () => toServer(undefined, 0));
    far.on("end", () => toClient(undefined, 0));
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => other.destroy());
      socket.on("close", (hadError) => {
        this.#sockets.delete(socket);
        // One that is destroyed sends no end.
        if (hadError || !socket.readableEnded) other.destroy();
      });
    }
  }

  /** Returns a function that writes to a socket, in order and as late as losses make it; `undefined` is the end. */
  #pipe(to: net.Socket) {
    let lastMs = 0;
    let waiting = 0;
    const write = (bytes: Uint8Array | undefined) => {
      if (!to.writable) return;
      if (bytes === undefined) to.end();
      else to.write(bytes);
    };
    return (bytes: Uint8Array | undefined, delayMs: number) => {
      if (bytes?.length === 0) return;
      const packets = Math.ceil((bytes?.length ?? 1) / SEGMENT);
      const nowMs = performance.now();
      const dueMs = Math.max(nowMs + delayMs + this.#lateness(packets, RTO_MS), lastMs);
      lastMs = dueMs;
      if (dueMs <= nowMs && waiting === 0) return write(bytes);
      waiting++;
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        waiting--;
        write(bytes);
      }, dueMs - nowMs);
      this.#timers.add(timer);
    };
  }

  /** Draws by how much packets are late. A connection request and its answer are two packets, and have one timeout. */
  #lateness(packets: number, rtoMs: number): number {
    const { loss } = this.#options.faults;
    if (loss === 0) return 0;
    const share = rtoMs === CONNECT_RTO_MS ? 1 - (1 - loss) ** 2 : loss;
    let lateMs = 0;
    for (let packet = 0; packet < packets; packet++) {
      for (let waitMs = rtoMs; this.#random() < share; waitMs *= 2) lateMs += waitMs;
    }
    return lateMs;
  }
}

const NOTHING = new Uint8Array();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What a server that refuses statements still runs: what asks for its state or ends a transaction. */
const STILL_RUN = /^\s*(SHOW|SET|COMMIT|ROLLBACK|SELECT 1\b|SELECT pg_is_in_recovery|DISCARD)/i;

/** COM_QUERY, and COM_STMT_PREPARE. */
const MYSQL_STATEMENTS: readonly (number | undefined)[] = [0x03, 0x16];
/** What a Galera node says that has left its primary component: error 1047. */
const NOT_READY = "#08S01WSREP has not yet prepared node for application use";

/** Refuses statements as a Galera node that has left its cluster: pings are answered, and SHOW and SET are run. */
export function mysqlRefuser(): Refuser {
  let rest = NOTHING;
  return {
    take(bytes, isOn) {
      const all = joined(rest, bytes);
      const pass: Uint8Array[] = [];
      const answer: Uint8Array[] = [];
      let at = 0;
      while (all.length - at >= 4) {
        const length = all[at]! | all[at + 1]! << 8 | all[at + 2]! << 16;
        if (all.length - at < 4 + length) break;
        const packet = all.subarray(at, at + 4 + length);
        at += 4 + length;
        const isStatement = packet[3] === 0 && MYSQL_STATEMENTS.includes(packet[4]);
        if (!isOn || !isStatement || STILL_RUN.test(text(packet.subarray(5)))) pass.push(packet);
        else answer.push(mysqlError());
      }
      rest = all.slice(at);
      return { pass: joined(...pass), answer: joined(...answer) };
    },
  };
}

function mysqlError(): Uint8Array {
  const body = [0xff, 1047 & 255, 1047 >> 8, ...new TextEncoder().encode(NOT_READY)];
  return new Uint8Array([body.length, 0, 0, 1, ...body]);
}

/** Refuses statements with 08006, as a proxy or a node that has lost the servers behind it; the session stays open. */
export function postgresRefuser(): Refuser {
  let rest = NOTHING;
  let isStarted = false;
  let skipsToSync = false;
  const letters = (type: string) => type.charCodeAt(0);
  return {
    take(bytes, isOn) {
      const all = joined(rest, bytes);
      const pass: Uint8Array[] = [];
      const answer: Uint8Array[] = [];
      let at = 0;
      for (;;) {
        const head = isStarted ? 1 : 0;
        if (all.length - at < head + 4) break;
        const length = head + new DataView(all.buffer, all.byteOffset + at + head).getUint32(0);
        if (all.length - at < length) break;
        const message = all.subarray(at, at + length);
        at += length;
        if (!isStarted) {
          // A request for TLS or a cancel has a number in place of the version of the protocol.
          isStarted = message[4] === 0 && message[5] === 3;
          pass.push(message);
          continue;
        }
        const type = message[0];
        const isStatement = type === letters("Q") || type === letters("P") && !skipsToSync;
        const statement = text(message.subarray(5)).replace(
          type === letters("P") ? /^[^\0]*\0/ : "",
          "",
        );
        if (isOn && isStatement && !STILL_RUN.test(statement) && !/pg_catalog/.test(statement)) {
          if (type === letters("Q")) answer.push(postgresError());
          else skipsToSync = true;
        } else if (!skipsToSync) {
          pass.push(message);
        } else if (type === letters("S")) {
          skipsToSync = false;
          answer.push(postgresError());
        }
      }
      rest = all.slice(at);
      return { pass: joined(...pass), answer: joined(...answer) };
    },
  };
}

function postgresError(): Uint8Array {
  const fields = "SERROR\0VERROR\0C08006\0Mthe server behind this one is not connected\0\0";
  const error = new TextEncoder().encode(
    `E\0\0\0${String.fromCharCode(4 + fields.length)}${fields}`,
  );
  return joined(error, new TextEncoder().encode("Z\0\0\0\x05I"));
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
