/**
 * Dynamic updates of a zone (RFC 2136) in one message, over UDP or, where it is too long, TCP.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { connect } from "node:net";

/** An update of one name. */
export interface Update {
  /** The primary server of the zone. */
  readonly server: { readonly host: string; readonly port: number };
  /** The zone. */
  readonly zone: string;
  /** The name, in the zone. */
  readonly name: string;
  /** The IPv4 addresses that it has afterwards; none: the name is deleted. */
  readonly addresses: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

const [A, SOA, ANY_TYPE] = [1, 6, 255];
const [IN, ANY_CLASS] = [1, 255];
/** The opcode of updates, in its place in the header. */
const UPDATE = 5 << 11;
/** Milliseconds that the server has to answer. */
const LIMIT_MS = 10_000;
/** Milliseconds after which the update, which may be lost, is sent again over UDP. */
const REPEAT_MS = 250;
/** Maximum number of bytes that are sent over UDP. */
const MAX_UDP_BYTES = 512;
/** Names of the response codes that servers give to updates. */
const RCODES: Readonly<Record<number, string>> = {
  1: "FORMERR",
  2: "SERVFAIL",
  3: "NXDOMAIN",
  5: "REFUSED",
  9: "NOTAUTH",
  10: "NOTZONE",
};

/**
 * Replaces the A records of a name.
 *
 * @throws {Error} if the server refuses it, or does not answer within 10 seconds.
 */
export async function sendUpdate(update: Update): Promise<void> {
  const id = Math.floor(Math.random() * 65536);
  const message = messageOf(update, id);
  const send = message.length > MAX_UDP_BYTES ? overTcp : overUdp;
  const answer = await send(message, update.server);
  const rcode = answer.readUInt16BE(2) & 15;
  if (rcode === 0) return;
  throw new Error(`Cannot update ${update.name}: ${RCODES[rcode] ?? `response code ${rcode}`}`);
}

function messageOf({ zone, name, addresses, ttl }: Update, id: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(UPDATE, 2);
  header.writeUInt16BE(1, 4); // one zone
  header.writeUInt16BE(1 + addresses.length, 8); // the updates
  const owner = nameBytes(name);
  return Buffer.concat([
    header,
    nameBytes(zone),
    numbers(SOA, IN),
    // All records of the name go, or all of its A records.
    record(owner, addresses.length === 0 ? ANY_TYPE : A, ANY_CLASS, 0, Buffer.alloc(0)),
    ...addresses.map((ip) => record(owner, A, IN, ttl, Buffer.from(ip.split(".").map(Number)))),
  ]);
}

function nameBytes(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.from(label, "latin1"));
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), label]);
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function record(owner: Buffer, type: number, cls: number, ttl: number, data: Buffer): Buffer {
  const rest = Buffer.alloc(6);
  rest.writeUInt32BE(ttl, 0);
  rest.writeUInt16BE(data.length, 4);
  return Buffer.concat([owner, numbers(type, cls), rest, data]);
}

function numbers(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));
}

function overUdp(message: Buffer, { host, port }: Update["server"]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const send = () => socket.send(message, port, host);
    const repeat = setInterval(send, REPEAT_MS);
    const limit = setTimeout(() => end(reject, silence()), LIMIT_MS);
    const end = <T>(settle: (value: T) => void, value: T) => {
      clearInterval(repeat);
      clearTimeout(limit);
      socket.close();
      settle(value);
    };
    socket.once("error", (error) => end(reject, error));
    socket.on("message", (answer) => {
      // The port may be one that had the answers to an earlier update.
      if (answer[0] === message[0] && answer[1] === message[1]) end(resolve, Buffer.from(answer));
    });
    send();
  });
}

function overTcp(message: Buffer, { host, port }: Update["server"]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => {
      socket.write(Buffer.concat([numbers(message.length), message]));
    });
    let received = Buffer.alloc(0);
    socket.setTimeout(LIMIT_MS, () => socket.destroy(silence()));
    socket.once("error", reject);
    socket.once("close", () => reject(silence()));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, Buffer.from(chunk)]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      resolve(received.subarray(2));
      socket.destroy();
    });
  });
}

function silence(): Error {
  return new Error("Cannot update the zone: the server does not answer");
}
