/**
 * A server that does what MariaDB 11.4 does at a login over TLS without a trusted certificate: it proves by a hash that
 * it knows the password's hash and that it is the one that showed the certificate.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Certificate } from "../../lab/certificates.ts";
import { packet } from "./mysql_subject.ts";

const SCRAMBLE = "abcdefghijklmnopqrst";
/** Length of the packet that asks for TLS: its header, and the 32 bytes of the protocol. */
const TLS_REQUEST_LENGTH = 36;

/**
 * Runs a server that accepts any login while `body` runs.
 *
 * @param certificate The server's certificate.
 * @param password The password that the server claims to know.
 * @param body Takes the server's port.
 */
export async function withSelfSigned(
  certificate: Certificate,
  password: string,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.write(greeting());
    socket.once("data", (first: Buffer) => {
      socket.pause();
      // The same chunk may contain the first TLS bytes.
      if (first.length > TLS_REQUEST_LENGTH) socket.unshift(first.subarray(TLS_REQUEST_LENGTH));
      const secure = new TLSSocket(socket, { isServer: true, ...certificate });
      secure.on("error", () => {});
      secure.once("data", (login: Buffer) => {
        secure.write(ok(login[3]! + 1, proof(certificate, password)));
        secure.on("data", () => secure.write(ok(1)));
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    server.close();
    for (const socket of sockets) {
      const closed = socket.closed || once(socket, "close");
      socket.destroy();
      await closed;
    }
  }
}

function greeting(): Uint8Array {
  return packet(
    0,
    [10],
    "11.8.2-MariaDB\0",
    [1, 0, 0, 0],
    `${SCRAMBLE.slice(0, 8)}\0`,
    [0x0e, 0xaa, 45, 2, 0, 0x08, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    `${SCRAMBLE.slice(8)}\0mysql_native_password\0`,
  );
}

/** Encodes an OK packet with a text. */
function ok(number: number, text: string = ""): Uint8Array {
  return packet(number, [0, 0, 0, 2, 0, 0, 0], [text.length], text);
}

function proof({ cert }: Certificate, password: string): string {
  const sha1 = (data: string | Buffer) => createHash("sha1").update(data).digest();
  const hash = createHash("sha256")
    .update(sha1(sha1(password)))
    .update(SCRAMBLE)
    .update(new X509Certificate(cert).fingerprint256.replaceAll(":", "").toLowerCase(), "hex");
  return `\x01${hash.digest("hex")}`;
}
