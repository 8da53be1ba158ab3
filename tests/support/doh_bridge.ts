/**
 * A DNS-over-HTTP server for tests: forwards each query to a DNS server over TCP, and each response, even an invalid
 * one, to the client.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { NameServer } from "../../lookups/lookup.ts";

/** A running server. */
export interface HttpServer {
  /** The URL for queries. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts an HTTP server on the loopback interface. */
export async function serveHttp(
  handle: (request: IncomingMessage, response: ServerResponse, body: Uint8Array) => void,
): Promise<HttpServer> {
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => handle(request, response, Buffer.concat(chunks)));
    // The client must keep no connection open that a later test would notice.
    response.setHeader("connection", "close");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/dns-query`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Starts a server that asks `dns`. */
export function dohBridge(dns: NameServer): Promise<HttpServer> {
  return serveHttp((_request, response, body) => {
    const socket = connect(dns.port, dns.host);
    response.on("close", () => socket.destroy());
    const fail = () => response.writableEnded || response.writeHead(502).end();
    socket.on("error", fail);
    socket.on("close", fail);
    socket.on("connect", () => socket.write(framed(body)));
    const chunks: Uint8Array[] = [];
    socket.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      const length = (bytes[0]! << 8) + (bytes[1] ?? NaN);
      if (!(bytes.length >= 2 + length)) return;
      response.writeHead(200, { "content-type": "application/dns-message" });
      response.end(bytes.subarray(2, 2 + length));
      socket.destroy();
    });
  });
}

function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message]);
}
