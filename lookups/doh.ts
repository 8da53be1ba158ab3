/**
 * DNS over HTTPS (RFC 8484). Opt in with the server's URL: `dnsLookup: "https://10.0.0.2/dns-query"`.
 *
 * The operating system, not dnspool, resolves the URL's own host. So the host must be an IP address, or a name that the
 * system resolves without this server. `fetch` checks the certificate. The lookup reads no hosts file and adds no
 * search domains.
 *
 * @module
 */

import { LookupError } from "../errors.ts";
import { mustBe, mustBeUndisclosed } from "../internal/argument_error.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { askForAddresses, queryNameOf } from "./internal/answer.ts";
import { isGranted, permissionMessage } from "./internal/deno_permissions.ts";
import { DOH_URL_RULE, hostOf, readDohUrl } from "./internal/doh_url.ts";
import { lookupFailure } from "./internal/failure.ts";
import {
  knowsNoEdns,
  type Query,
  readResponse,
  type Response as DnsResponse,
  writeQuery,
} from "./internal/message.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** Maximum bytes of a DNS message. */
const MAX_MESSAGE = 65535;
const MEDIA_TYPE = "application/dns-message";

/**
 * Makes a lookup that asks a server over HTTPS. The `server` of a question is ignored.
 *
 * The TTL is the smallest of the CNAME chain, less the age that an HTTP cache in between reports (RFC 8484 section
 * 5.1). Redirects are not followed. A response of another type than `application/dns-message`, or of more than 65,535
 * bytes, is refused before it is read.
 *
 * @param url The server's URL. It begins with `https://`; with `http://` only if its host is a loopback address.
 * @returns The lookup.
 * @throws {TypeError} if the URL is not one of these.
 *
 * @example
 * ```ts
 * import { dohLookup } from "@dnspool/dnspool/lookups/doh";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(dohLookup("https://10.0.0.2/dns-query").name, "doh");
 * assertThrows(() => dohLookup("http://10.0.0.2/dns-query"), TypeError);
 * ```
 */
export function dohLookup(url: string): Lookup {
  const endpoint = readDohUrl(url);
  if (!endpoint) {
    // Beside an "@" there may be a password.
    throw String(url).includes("@")
      ? mustBeUndisclosed("url", DOH_URL_RULE, 'a string with an "@"')
      : mustBe("url", DOH_URL_RULE, url);
  }
  const server = endpoint.host;
  return {
    name: "doh",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal, onWait } = question;
      signal.throwIfAborted();
      const name = queryNameOf(question, server);
      checkEndpoint(endpoint, question, name);
      try {
        return await askForAddresses({ name, family, server, onWait }, async (name) => {
          const { response, age } = await ask(endpoint, { name, family }, signal);
          if (response.truncated) throw new Error("the response is truncated");
          return { response, age };
        });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof LookupError) throw error;
        throw toLookupError(error, question, server);
      }
    },
  };
}

/** Asks with EDNS, which a server needs to report expired data, and without it if the server does not know it. */
async function ask(
  endpoint: URL,
  question: Pick<Query, "name" | "family">,
  signal: AbortSignal,
): Promise<{ response: DnsResponse; age: number }> {
  const askOnce = async (edns: boolean) => {
    // With id 0, the same question is the same HTTP request to a cache (RFC 8484 section 4.1).
    const query = { ...question, id: 0, edns };
    const { message, age } = await post(endpoint, writeQuery(query), signal);
    return { response: readResponse(message, query), age };
  };
  const first = await askOnce(true);
  return knowsNoEdns(first.response) ? await askOnce(false) : first;
}

/** Refuses questions that would fail at every attempt. */
function checkEndpoint(endpoint: URL, question: Question, name: string): void {
  const server = endpoint.host;
  if (name === hostOf(endpoint)) {
    const what = "a server cannot be asked for its own address, put an IP address into its URL";
    throw lookupFailure(question, server, what, { kind: "config", reason: "EBADNAME" });
  }
  const port = endpoint.port || (endpoint.protocol === "https:" ? "443" : "80");
  const host = `${endpoint.hostname}:${port}`;
  if (!isGranted({ name: "net", host })) {
    const what = permissionMessage(host);
    throw lookupFailure(question, server, what, { kind: "config", reason: "NotCapable" });
  }
}

/** Sends a message. Returns the response, and the seconds that it has spent in HTTP caches. */
async function post(
  endpoint: URL,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<{ message: Uint8Array; age: number }> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { accept: MEDIA_TYPE, "content-type": MEDIA_TYPE },
    body: new Uint8Array(body),
    redirect: "manual",
    signal,
  });
  const refusal = refusalOf(response);
  if (refusal) {
    await response.body?.cancel();
    throw refusal;
  }
  const age = Number(/^\s*(\d+)/.exec(response.headers.get("age") ?? "")?.[1] ?? 0);
  return { message: await readBody(response), age };
}

/** Returns the error for a response whose body is not worth reading. */
function refusalOf({ status, headers }: Response): Error | undefined {
  if (status !== 200) return responseError(`HTTP status ${status}`, `HTTP_${status}`);
  const type = (headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type !== MEDIA_TYPE) return responseError(`the response is of type "${type}"`);
  return Number(headers.get("content-length") ?? 0) > MAX_MESSAGE ? tooLarge() : undefined;
}

/** Reads a body, and stops as soon as it is larger than a DNS message can be. */
async function readBody(response: Response): Promise<Uint8Array> {
  const message = new Uint8Array(MAX_MESSAGE);
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = await reader?.read() ?? { done: true, value: undefined };
    if (done) return message.slice(0, length);
    if (length + value.length > MAX_MESSAGE) {
      await reader!.cancel();
      throw tooLarge();
    }
    message.set(value, length);
    length += value.length;
  }
}

function responseError(message: string, code = "EBADRESP"): Error {
  return Object.assign(new Error(message), { code });
}

function tooLarge(): Error {
  return responseError(`the response has more than ${MAX_MESSAGE} bytes`);
}

function toLookupError(error: unknown, question: Question, server: string): LookupError {
  const inner = (error as { cause?: unknown } | null)?.cause;
  // Node says only "fetch failed"; the reason is in the cause.
  const what = inner instanceof Error && inner.message
    ? `${messageOf(error)}, ${inner.message}`
    : messageOf(error);
  const reason = codeOf(error) || codeOf(inner) || "EBADRESP";
  return lookupFailure(question, server, what, { kind: "transient", reason, cause: error });
}
