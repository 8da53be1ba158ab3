/**
 * The exact lookup: DNS messages of its own over UDP and TCP, the same on every runtime. Opt in with
 * `dnsLookup: "wire"`.
 *
 * It knows the TTL of the whole CNAME chain and for how long a negative answer holds, tells NXDOMAIN from a failing
 * server, and takes nothing but the answer to its question: each has a random id and a new socket with a random
 * port. It reads no hosts file and adds no search domains.
 *
 * On Deno it needs `--allow-net` for the server and for `0.0.0.0:0` (`[::]:0` for a server with an IPv6 address), and
 * `--allow-sys=networkInterfaces` to find out the system's servers.
 *
 * @module
 */

import { hostPort, ipFamily } from "../internal/ip.ts";
import { LookupError } from "../errors.ts";
import { answerOf, nameOf } from "./internal/answer.ts";
import { overTcp, overUdp, type Peer, withoutZone } from "./internal/transport.ts";
import { codeOf, lookupFailure, textOf } from "./internal/failure.ts";
import { type Query, readResponse, type Response, writeQuery } from "./internal/message.ts";
import { missingNet } from "./internal/deno_permissions.ts";
import type { Answer, Lookup, NameServer, Question } from "./lookup.ts";
import { nodeServers } from "./node.ts";

/**
 * Asks with DNS messages over UDP, and over TCP where the answer is too large.
 *
 * A server that answers FORMERR because it knows no EDNS is asked once more without, within the same attempt. A
 * silent server is waited for until the signal ends it; forged, stray and unreadable packets are passed over.
 *
 * @example Ask one server
 * ```ts
 * import { DnsServer } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 * import { wireLookup } from "@dnspool/dnspool/lookups/wire";
 *
 * await using server = await DnsServer.start();
 * server.set("db.internal", { cname: "node-a.internal" }, { ttl: 5 });
 * server.set("node-a.internal", ["127.0.0.2"], { ttl: 300 });
 *
 * const { signal } = new AbortController();
 * const answer = await wireLookup.lookup({ name: "db.internal", family: 4, server, signal });
 * assertEquals(answer, {
 *   addresses: ["127.0.0.2"],
 *   ttl: 5,
 *   server: server.address,
 *   chain: [{ name: "db.internal", target: "node-a.internal", ttl: 5 }],
 * });
 * ```
 */
export const wireLookup: Lookup = {
  name: "wire",
  servers: nodeServers,

  async lookup(question: Question): Promise<Answer> {
    const { signal } = question;
    signal.throwIfAborted();
    const server = serverOf(question);
    const whom = hostPort(server.host, server.port);
    const name = nameOf(question, whom);
    const { family, unref = false } = question;
    try {
      const response = await ask({ name, family }, { server, signal, unref });
      return answerOf(response, { name, family, whom });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LookupError) throw error;
      throw lookupFailure(question, whom, textOf(error), {
        kind: "transient",
        reason: codeOf(error) ?? "EBADRESP",
        cause: error,
      });
    }
  },
};

/** The server to ask, which must be one that can be. */
function serverOf(question: Question): NameServer {
  const server = question.server ?? nodeServers()[0];
  if (!server) {
    const what = "no server is known, and the system's configuration names none that may be read";
    throw lookupFailure(question, undefined, what, { kind: "config", reason: "ENOSERVER" });
  }
  const { host, port } = server;
  const whom = hostPort(host, port);
  const isPort = Number.isInteger(port) && port >= 1 && port <= 65535;
  if (ipFamily(withoutZone(host)) === undefined || !isPort) {
    const what = "the server is not an IP address with a port from 1 to 65535";
    throw lookupFailure(question, whom, what, { kind: "config", reason: "EBADSERVER" });
  }
  const missing = missingNet(server);
  if (missing.length > 0) {
    const what = `the permission is missing, run with --allow-net=${missing.join(",")}`;
    throw lookupFailure(question, whom, what, { kind: "config", reason: "NotCapable" });
  }
  return server;
}

async function ask(question: Pick<Question, "name" | "family">, peer: Peer): Promise<Response> {
  const response = await askOnce({ ...question, edns: true }, peer);
  // RFC 6891 section 7: who knows EDNS says so, also in a FORMERR.
  const knowsNoEdns = response.rcode === "FORMERR" && !response.edns;
  return knowsNoEdns ? await askOnce({ ...question, edns: false }, peer) : response;
}

async function askOnce(question: Omit<Query, "id">, peer: Peer): Promise<Response> {
  const query = { ...question, id: randomId() };
  const response = await overUdp(
    writeQuery(query),
    peer,
    (message) => readResponse(message, query),
  );
  if (!response.truncated) return response;
  const again = { ...question, id: randomId() };
  const whole = readResponse(await overTcp(writeQuery(again), peer), again);
  if (whole.truncated) throw new Error("the response is truncated over TCP as well");
  return whole;
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0]!;
}
