/**
 * The exact lookup: sends its own DNS messages over UDP and TCP, the same on every runtime. Opt in with
 * `dnsLookup: "wire"`.
 *
 * It reports the TTL of the whole CNAME chain and the TTL of negative answers, and tells NXDOMAIN from a failing
 * server. It accepts only the response to its query: each query has a random id, and a new socket with a random port,
 * which at most seven others that are open at the same time share. It reads no hosts file and adds no search domains.
 *
 * On Deno it needs `--allow-net` for the server and for `0.0.0.0:0` (`[::]:0` for a server with an IPv6 address), and
 * `--allow-read=/etc/resolv.conf` to find the system's servers.
 *
 * @module
 */

import { LookupError } from "../errors.ts";
import { hostPort, ipFamily, withoutZone } from "../internal/ip.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { askForAddresses, queryNameOf } from "./internal/answer.ts";
import { missingNet, permissionMessage } from "./internal/deno_permissions.ts";
import { lookupFailure } from "./internal/failure.ts";
import {
  knowsNoEdns,
  type Query,
  readResponse,
  type Response,
  writeQuery,
} from "./internal/message.ts";
import { type AnyTransportOptions, overAnyTransport } from "./internal/any_transport.ts";
import type { Answer, Lookup, NameServer, Question } from "./lookup.ts";
import { systemServers } from "./internal/system_servers.ts";

/**
 * The lookup that asks with DNS messages over UDP, and over TCP if the answer is too large, if UDP fails, or as well if
 * the server is silent for half a second.
 *
 * A server that knows only the alias of the name is asked for what that leads to. A server that answers FORMERR because it does not know EDNS is asked once more without it, within the same attempt.
 * The lookup waits for a silent server until the signal ends it, and ignores forged, stray and unreadable packets.
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
  repeats: true,
  servers: systemServers,

  async lookup(question: Question): Promise<Answer> {
    const { signal } = question;
    signal.throwIfAborted();
    const nameServer = serverOf(question);
    const server = hostPort(nameServer.host, nameServer.port);
    const name = queryNameOf(question, server);
    const { family, unref = false, onWait } = question;
    try {
      return await askForAddresses({ name, family, server, onWait }, async (name, onWait) => {
        const options = { server: nameServer, signal, unref, onWait };
        return { response: await ask({ name, family }, options) };
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LookupError) throw error;
      throw lookupFailure(question, server, messageOf(error), {
        kind: "transient",
        reason: codeOf(error) || "EBADRESP",
        cause: error,
      });
    }
  },
};

/** Returns the server to ask, after checking that it can and may be asked. */
function serverOf(question: Question): NameServer {
  const server = question.server ?? systemServers()[0];
  if (!server) {
    const what = "no server is known, and the system's configuration names none that may be read";
    throw lookupFailure(question, undefined, what, { kind: "config", reason: "ENOSERVER" });
  }
  const { host, port } = server;
  const address = hostPort(host, port);
  const isPort = Number.isInteger(port) && port >= 1 && port <= 65535;
  if (ipFamily(withoutZone(host)) === undefined || !isPort) {
    const what = "the server is not an IP address with a port from 1 to 65535";
    throw lookupFailure(question, address, what, { kind: "config", reason: "EBADSERVER" });
  }
  const missing = missingNet(server);
  if (missing.length > 0) {
    const what = permissionMessage(missing.join(","));
    throw lookupFailure(question, address, what, { kind: "config", reason: "NotCapable" });
  }
  return server;
}

async function ask(
  question: Pick<Question, "name" | "family">,
  options: AnyTransportOptions,
): Promise<Response> {
  const response = await askOnce({ ...question, edns: true }, options);
  return knowsNoEdns(response) ? await askOnce({ ...question, edns: false }, options) : response;
}

function askOnce(question: Omit<Query, "id">, options: AnyTransportOptions): Promise<Response> {
  return overAnyTransport(() => {
    const query = { ...question, id: randomId() };
    return { message: writeQuery(query), read: (message) => readResponse(message, query) };
  }, options);
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0]!;
}
