/**
 * A TCP proxy with faults, for rehearsing a bad network in a test: it stands in front of a server and delays, drops or
 * cuts the bytes, stays silent or refuses connections, as the test says while it runs.
 *
 * It listens on a loopback address, on Deno, Node and Bun.
 *
 * @module
 */

import { connect, createServer, type Server, type Socket } from "node:net";
import { hostPort, ipFamily } from "../internal/ip.ts";
import { checkNumber, OptionReader } from "../internal/option_reader.ts";
import { messageOf } from "../internal/thrown.ts";
import { checkAddress, MAX_SECONDS, PORT } from "./shared/arguments.ts";
import { type ConnectionFault, ProxiedConnection } from "./tcp/connection.ts";

/** The address of a server. */
export interface TcpEndpoint {
  /** An IP address, IPv4 or IPv6. */
  readonly host: string;
  /** The port, 1 to 65535. */
  readonly port: number;
}

/** The options of {@linkcode TcpProxy.start}. */
export interface TcpProxyOptions {
  /** The address to listen on. Default: `127.0.0.1`, and a port that is free (0). */
  readonly listen?: { readonly host?: string | undefined; readonly port?: number | undefined };
  /** The server behind the proxy. */
  readonly to: TcpEndpoint;
}

/** Faults to inject; omitted ones are off. */
export interface TcpFault {
  /** Seconds by which all bytes are late, in both directions, 0 to 2147483. */
  readonly delay?: number | undefined;
  /**
   * Drops bytes and ends of connections: `"both"`, or only those `"to-server"` or `"to-client"`. Connections stay open,
   * as with a peer that vanished. When the fault is over, each connection that lost something is reset, as by a peer
   * that came back and does not know it.
   */
  readonly drop?: "both" | "to-server" | "to-client" | undefined;
  /** Resets a connection after this number of bytes to the client, from 1, counted from when the fault is set. */
  readonly cutAfter?: number | undefined;
  /**
   * Accepts new connections and sends nothing on them; no connection to the server is opened for them. They are reset
   * when the fault is over.
   */
  readonly silent?: boolean | undefined;
  /** Refuses new connections. Open ones stay. */
  readonly refuse?: boolean | undefined;
}

/** The counters of a {@linkcode TcpProxy}. */
export interface TcpProxyCounts {
  /** Connections that were accepted. */
  readonly accepted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Bytes that were passed on to the server. */
  readonly toServer: number;
  /** Bytes that were passed on to clients. */
  readonly toClient: number;
  /** Bytes that were dropped. */
  readonly dropped: number;
  /** Connections that were cut, by `cutAfter` or `cut()`. */
  readonly cut: number;
}

/**
 * A TCP proxy whose faults a test sets while it runs. A fault applies to open connections and to new ones.
 *
 * @example A server that vanishes without a word, and comes back
 * ```ts
 * import { TcpProxy } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 * import { once } from "node:events";
 * import { connect, createServer } from "node:net";
 *
 * const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
 * server.listen(0, "127.0.0.1");
 * await once(server, "listening");
 * const { port } = server.address() as { port: number };
 *
 * const proxy = await TcpProxy.start({ to: { host: "127.0.0.1", port } });
 * const client = connect(proxy.port, proxy.host);
 * client.write("hello");
 * assertEquals(String((await once(client, "data"))[0]), "hello");
 *
 * await proxy.fault({ drop: "both" });
 * const closed = once(client, "close").catch((error) => error);
 * client.write("are you there?"); // no answer, and no end
 * while (proxy.counts.dropped < 14) await new Promise((resolve) => setTimeout(resolve, 1));
 *
 * await proxy.clearFaults(); // resets the connection that lost something
 * assertEquals((await closed).code, "ECONNRESET");
 * await proxy.close();
 * server.close();
 * ```
 */
export class TcpProxy implements AsyncDisposable {
  /** The IP address that the proxy listens on. */
  readonly host: string;
  /** The port that the proxy listens on. */
  readonly port: number;
  /** Host and port, `"127.0.0.1:5432"` or `"[::1]:5432"`. */
  readonly address: string;

  readonly #to: TcpEndpoint;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #counts = { accepted: 0, toServer: 0, toClient: 0, dropped: 0, cut: 0 };
  readonly #closings = new Set<Promise<void>>();
  #server: Server | undefined;
  #fault: TcpFault = {};
  #closed: Promise<void> | undefined;

  private constructor(host: string, server: Server, to: TcpEndpoint) {
    this.host = host;
    this.port = (server.address() as { port: number }).port;
    this.address = hostPort(host, this.port);
    this.#to = to;
    this.#serve(server);
  }

  /**
   * Starts a proxy. It listens when the promise resolves, and keeps the process alive until it is closed.
   *
   * @param options The address to listen on, and the server behind it.
   * @returns The proxy; `await using` closes it at the end of the block.
   * @throws {TypeError} if an option is of the wrong type or unknown.
   * @throws {RangeError} if a port is out of range.
   * @throws {Error} if it cannot listen there, with the runtime's own error as `cause`.
   */
  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const { host, port, to } = readOptions(options);
    return new TcpProxy(host, await listen(host, port), to);
  }

  /** The counters so far, and the number of open connections: a snapshot. */
  get counts(): TcpProxyCounts {
    return { ...this.#counts, open: this.#connections.size };
  }

  /**
   * Sets the faults, in place of all previous ones.
   *
   * @param fault The faults.
   * @returns When they apply: new connections are refused, or accepted again.
   * @throws {TypeError} if a part of the fault is unknown or of the wrong type.
   * @throws {RangeError} if a number is out of range.
   * @throws {Error} if another process took the port while the proxy refused connections.
   */
  async fault(fault: TcpFault): Promise<void> {
    this.#fault = readFault(fault);
    for (const connection of this.#connections) connection.set(connectionFault(this.#fault));
    if (this.#closed) return;
    if (this.#fault.refuse) this.#stopListening();
    else if (!this.#server) this.#serve(await listen(this.host, this.port));
  }

  /** Ends all faults. Connections that lost something, or have no connection to the server, are reset. */
  async clearFaults(): Promise<void> {
    await this.fault({});
  }

  /** Resets all open connections. */
  cut(): void {
    for (const connection of this.#connections) {
      this.#counts.cut++;
      connection.reset();
    }
  }

  /**
   * Closes the proxy and its connections at once. Closing twice is harmless.
   *
   * @returns When the port is free again.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Closes the proxy, as {@linkcode TcpProxy.close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const connections = [...this.#connections];
    for (const connection of connections) connection.terminate();
    this.#stopListening();
    await Promise.all([...connections.map(({ closed }) => closed), ...this.#closings]);
  }

  /** Refuses connections from now on. Open ones stay, and the server is closed when they are. */
  #stopListening(): void {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closing = new Promise<void>((resolve) => server.close(() => resolve()));
    this.#closings.add(closing);
    closing.then(() => this.#closings.delete(closing));
  }

  #serve(server: Server): void {
    this.#server = server;
    // A failed accept does not stop the proxy.
    server.on("error", () => {});
    server.on("connection", (client: Socket) => this.#accept(client));
  }

  #accept(client: Socket): void {
    if (this.#closed) return void client.destroy();
    this.#counts.accepted++;
    const { host, port } = this.#to;
    const server = this.#fault.silent ? undefined : connect({ host, port, allowHalfOpen: true });
    const fault = connectionFault(this.#fault);
    const connection = new ProxiedConnection(client, server, { fault, counts: this.#counts });
    this.#connections.add(connection);
    connection.closed.then(() => this.#connections.delete(connection));
  }
}

function connectionFault(
  { delay = 0, drop, cutAfter = Infinity, silent = false }: TcpFault,
): ConnectionFault {
  const drops = {
    toServer: drop === "both" || drop === "to-server",
    toClient: drop === "both" || drop === "to-client",
  };
  return { delayMs: delay * 1000, drops, cutAfter, silent };
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, ipv6Only: ipFamily(host) === 6 }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const address = hostPort(host, port);
    throw new Error(`Cannot start a TCP proxy on "${address}": ${messageOf(cause)}`, { cause });
  }
  return server;
}

function readOptions(options: unknown): { host: string; port: number; to: TcpEndpoint } {
  const reader = new OptionReader(options, "TcpProxy.start");
  const listen = new OptionReader(reader.object("listen", {}), "TcpProxy.start", "listen");
  const to = new OptionReader(
    reader.required("to", (value) => value),
    "TcpProxy.start",
    "to",
  );
  const result = {
    host: listen.value("host", "127.0.0.1", checkAddress),
    port: listen.number("port", 0, PORT),
    to: {
      host: to.required("host", checkAddress),
      port: to.required("port", (value, name) => checkNumber(name, value, { ...PORT, min: 1 })),
    },
  };
  for (const each of [reader, listen, to]) each.done();
  return result;
}

function readFault(fault: unknown): TcpFault {
  const reader = new OptionReader(fault, "TcpProxy.fault", "fault");
  const result: TcpFault = {
    delay: reader.number("delay", 0, { min: 0, max: MAX_SECONDS, unit: "seconds" }),
    drop: reader.oneOf<TcpFault["drop"]>("drop", undefined, ["both", "to-server", "to-client"]),
    cutAfter: reader.value<number | undefined>("cutAfter", undefined, checkByteCount),
    silent: reader.boolean("silent", false),
    refuse: reader.boolean("refuse", false),
  };
  reader.done();
  return result;
}

function checkByteCount(value: unknown, argument: string): number {
  const bounds = { min: 1, max: Number.MAX_SAFE_INTEGER, whole: true, unit: "bytes" };
  return checkNumber(argument, value, bounds);
}
