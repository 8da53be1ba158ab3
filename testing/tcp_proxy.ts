/**
 * A TCP proxy that does harm, for rehearsing a bad network in a test: it stands in front of a server and delays,
 * loses or cuts what is said, falls silent or refuses, as it is told while it runs.
 *
 * It listens on a loopback address, on Deno, Node and Bun alike.
 *
 * @module
 */

import { connect, createServer, isIP, type Server, type Socket } from "node:net";
import {
  checkAddress,
  checkKeys,
  checkNumber,
  LONGEST_SECONDS,
  type Subject,
  wrongType,
} from "./dns/validate.ts";
import { joinHostPort } from "./dns/sockets.ts";
import { Link, type LinkFault } from "./tcp/link.ts";

/** Where something listens. */
export interface TcpEndpoint {
  /** An IP address, IPv4 or IPv6. */
  readonly host: string;
  /** The port, 1 to 65535. */
  readonly port: number;
}

/** How a {@linkcode TcpProxy} is started. */
export interface TcpProxyOptions {
  /** Where it listens. Default: `127.0.0.1`, and a port that is free (0). */
  readonly listen?: { readonly host?: string | undefined; readonly port?: number | undefined };
  /** The server behind it. */
  readonly to: TcpEndpoint;
}

/** What goes wrong. What is left out goes well. */
export interface TcpFault {
  /** Seconds by which everything that is said is late, in either direction, 0 to 2147483. */
  readonly delay?: number | undefined;
  /**
   * Bytes get lost on their way: `"both"`, or those `"to-server"` or `"to-client"` only. Connections stay open, and
   * their end gets lost as well: a peer that vanished. One that lost something is reset when the fault is over, as
   * by a peer that came back and does not know it.
   */
  readonly drop?: "both" | "to-server" | "to-client" | undefined;
  /** The connection is reset after so many bytes to the client, whole, from 1, counted from when the fault is set. */
  readonly cutAfter?: number | undefined;
  /**
   * New connections are accepted, and nothing is ever said on them; the server is not told. They are reset when the
   * fault is over.
   */
  readonly silent?: boolean | undefined;
  /** New connections are refused. Those that are open stay. */
  readonly refuse?: boolean | undefined;
}

/** What a {@linkcode TcpProxy} has counted. */
export interface TcpProxyCounts {
  /** Connections that were accepted. */
  readonly accepted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Bytes that were passed on to the server. */
  readonly toServer: number;
  /** Bytes that were passed on to clients. */
  readonly toClient: number;
  /** Bytes that got lost. */
  readonly dropped: number;
  /** Connections that were cut, by `cutAfter` or `cut()`. */
  readonly cut: number;
}

/**
 * A TCP proxy whose faults a test sets while it runs. A fault holds for the connections that are open, and for new ones.
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
 * const over = once(client, "close").catch((error) => error);
 * client.write("are you there?"); // no answer, and no end
 * while (proxy.counts.dropped < 14) await new Promise((resolve) => setTimeout(resolve, 1));
 *
 * await proxy.heal(); // what lost something is reset
 * assertEquals((await over).code, "ECONNRESET");
 * await proxy.close();
 * server.close();
 * ```
 */
export class TcpProxy implements AsyncDisposable {
  /** The IP address that the proxy listens on. */
  readonly host: string;
  /** The port that the proxy listens on. */
  readonly port: number;
  /** Host and port in one, `"127.0.0.1:5432"` or `"[::1]:5432"`. */
  readonly address: string;

  readonly #to: TcpEndpoint;
  readonly #links = new Set<Link>();
  readonly #counts = { accepted: 0, toServer: 0, toClient: 0, dropped: 0, cut: 0 };
  readonly #closings = new Set<Promise<void>>();
  #server: Server | undefined;
  #fault: TcpFault = {};
  #closed: Promise<void> | undefined;

  private constructor(host: string, server: Server, to: TcpEndpoint) {
    this.host = host;
    this.port = (server.address() as { port: number }).port;
    this.address = joinHostPort(host, this.port);
    this.#to = to;
    this.#adopt(server);
  }

  /**
   * Starts a proxy. It listens when the promise resolves, and keeps the process alive until it is closed.
   *
   * @param options Where it listens, and what is behind it.
   * @returns The proxy; `await using` closes it at the end of the block.
   * @throws {TypeError} when an option is of the wrong type or unknown.
   * @throws {RangeError} when a port is out of range.
   * @throws {Error} when it cannot listen there, with the runtime's own error as `cause`.
   */
  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const { host, port, to } = checkOptions(options);
    return new TcpProxy(host, await listen(host, port), to);
  }

  /** What was counted so far, and how many connections are open: a snapshot. */
  get counts(): TcpProxyCounts {
    return { ...this.#counts, open: this.#links.size };
  }

  /**
   * Sets what goes wrong, in place of all that went wrong before.
   *
   * @param fault What goes wrong.
   * @returns When it is so: new connections are refused, or accepted again.
   * @throws {TypeError} when a part of the fault is unknown or of the wrong type.
   * @throws {RangeError} when a number is out of range.
   * @throws {Error} when the port was taken by another while it refused.
   */
  async fault(fault: TcpFault): Promise<void> {
    checkFault(fault);
    this.#fault = { ...fault };
    for (const link of this.#links) link.set(linkFault(this.#fault));
    if (this.#closed) return;
    if (fault.refuse) this.#stopListening();
    else if (!this.#server) this.#adopt(await listen(this.host, this.port));
  }

  /** Ends the fault. Connections that lost something, or that were never told to the server, are reset. */
  async heal(): Promise<void> {
    await this.fault({});
  }

  /** Resets all connections that are open now. */
  cut(): void {
    for (const link of this.#links) {
      this.#counts.cut++;
      link.reset();
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
    const gone = [...this.#links].map((link) => link.gone);
    for (const link of this.#links) link.destroy();
    this.#stopListening();
    await Promise.all([...gone, ...this.#closings]);
  }

  /** Refuses from now on. Connections that are open stay, and the server is closed when they are. */
  #stopListening(): void {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closing = new Promise<void>((resolve) => server.close(() => resolve()));
    this.#closings.add(closing);
    closing.then(() => this.#closings.delete(closing));
  }

  #adopt(server: Server): void {
    this.#server = server;
    // A failed accept is the client's trouble.
    server.on("error", () => {});
    server.on("connection", (client: Socket) => this.#accept(client));
  }

  #accept(client: Socket): void {
    if (this.#closed) return void client.destroy();
    this.#counts.accepted++;
    const { host, port } = this.#to;
    const server = this.#fault.silent ? undefined : connect({ host, port, allowHalfOpen: true });
    const fault = linkFault(this.#fault);
    const link = new Link(client, server, { fault, counts: this.#counts });
    this.#links.add(link);
    link.gone.then(() => this.#links.delete(link));
  }
}

function linkFault({ delay = 0, drop, cutAfter = Infinity, silent = false }: TcpFault): LinkFault {
  const lost = {
    toServer: drop === "both" || drop === "to-server",
    toClient: drop === "both" || drop === "to-client",
  };
  return { delayMs: delay * 1000, lost, cutAfter, silent };
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, ipv6Only: isIP(host) === 6 }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const at = joinHostPort(host, port);
    throw new Error(`Cannot start a TCP proxy on "${at}": ${reason}`, { cause });
  }
  return server;
}

function checkOptions(options: unknown): { host: string; port: number; to: TcpEndpoint } {
  const action = "Cannot start a TCP proxy";
  const at = (argument: string): Subject => ({ action, argument });
  const { listen = {}, to } = checkKeys(at("options"), options, ["listen", "to"]);
  const own = checkKeys(at("listen"), listen, ["host", "port"]);
  const { host = "127.0.0.1", port = 0 } = own;
  const other = checkKeys(at("to"), to, ["host", "port"]);
  const range = { most: 65535, whole: true };
  return {
    host: checkAddress(at("listen.host"), host),
    port: checkNumber(at("listen.port"), port, { least: 0, ...range }),
    to: {
      host: checkAddress(at("to.host"), other.host),
      port: checkNumber(at("to.port"), other.port, { least: 1, ...range }),
    },
  };
}

function checkFault(fault: unknown): void {
  const action = "Cannot set a TCP fault";
  const at = (argument: string): Subject => ({ action, argument });
  const keys = ["delay", "drop", "cutAfter", "silent", "refuse"];
  const { delay, drop, cutAfter, silent, refuse } = checkKeys(at("fault"), fault, keys);
  if (delay !== undefined) {
    checkNumber(at("delay"), delay, { least: 0, most: LONGEST_SECONDS, unit: "seconds" });
  }
  if (cutAfter !== undefined) {
    checkNumber(at("cutAfter"), cutAfter, {
      least: 1,
      most: Number.MAX_SAFE_INTEGER,
      whole: true,
      unit: "bytes",
    });
  }
  if (drop !== undefined && drop !== "both" && drop !== "to-server" && drop !== "to-client") {
    throw wrongType(at("drop"), '"both", "to-server" or "to-client"', drop);
  }
  for (const [name, value] of Object.entries({ silent, refuse })) {
    if (value !== undefined && typeof value !== "boolean") {
      throw wrongType(at(name), "true or false", value);
    }
  }
}
