/**
 * DNS over HTTPS (RFC 8484). Opt in with the server's URL: `dnsLookup: "https://10.0.0.2/dns-query"`.
 *
 * The URL's own host is found by the operating system, not by dnspool: it is an IP address, or a name that the
 * system knows without the server that it belongs to. The certificate is checked by `fetch`, as ever. It reads no
 * hosts file and adds no search domains.
 *
 * @module
 */

import { LookupError } from "../errors.ts";
import { answerOf, nameOf } from "./internal/answer.ts";
import { DOH_URL_RULE, hostOf, readDohUrl } from "./internal/doh_url.ts";
import { codeOf, lookupFailure, textOf } from "./internal/failure.ts";
import { readResponse, writeQuery } from "./internal/message.ts";
import { isGranted } from "./internal/deno_permissions.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** Bytes of the largest DNS message. */
const LARGEST_MESSAGE = 65535;
const MEDIA_TYPE = "application/dns-message";

/**
 * A lookup that asks a server over HTTPS. The question's own `server` makes no difference to it.
 *
 * The TTL is the smallest of the CNAME chain, less the age that an HTTP cache in between says its answer has
 * (RFC 8484 section 5.1). Redirects are not followed; a response of another type than `application/dns-message`, or
 * of more than 65,535 bytes, is refused before it is read.
 *
 * @param url The server's URL. It begins with `https://`; with `http://` only where its host is a loopback address.
 * @returns The lookup.
 * @throws {TypeError} for a URL that may not be asked.
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
  if (!endpoint) throw new TypeError(`Cannot ask this URL over HTTPS: it is ${DOH_URL_RULE}`);
  const whom = endpoint.host;
  return {
    name: "doh",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal } = question;
      signal.throwIfAborted();
      const name = nameOf(question, whom);
      checkEndpoint(endpoint, question, name);
      try {
        // Id 0, so that the same question is the same HTTP request to a cache (RFC 8484 section 4.1).
        const query = { id: 0, name, family, edns: false };
        const { message, age } = await post(endpoint, writeQuery(query), signal);
        const response = readResponse(message, query);
        if (response.truncated) throw new Error("the response is truncated");
        return answerOf(response, { name, family, whom, age });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof LookupError) throw error;
        throw failure(error, question, whom);
      }
    },
  };
}

/** Refuses what cannot work, however often it is tried. */
function checkEndpoint(endpoint: URL, question: Question, name: string): void {
  const whom = endpoint.host;
  if (name === hostOf(endpoint)) {
    const what = "a server cannot be asked for its own address, put an IP address into its URL";
    throw lookupFailure(question, whom, what, { kind: "config", reason: "EBADNAME" });
  }
  const port = endpoint.port || (endpoint.protocol === "https:" ? "443" : "80");
  const host = `${endpoint.hostname}:${port}`;
  if (!isGranted({ name: "net", host })) {
    const what = `the permission is missing, run with --allow-net=${host}`;
    throw lookupFailure(question, whom, what, { kind: "config", reason: "NotCapable" });
  }
}

/** Sends a message; the one that comes back, and the seconds that it has spent in HTTP caches. */
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
  const type = (response.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  const length = Number(response.headers.get("content-length") ?? 0);
  let refusal: Error | undefined;
  if (response.status !== 200) refusal = unusable(`HTTP status ${response.status}`, response);
  else if (type !== MEDIA_TYPE) refusal = unusable(`the response is of type "${type}"`);
  else if (length > LARGEST_MESSAGE) refusal = tooLarge();
  if (refusal) {
    await response.body?.cancel();
    throw refusal;
  }
  const age = Number(/^\s*(\d+)/.exec(response.headers.get("age") ?? "")?.[1] ?? 0);
  return { message: await readBody(response), age };
}

/** Reads a body, and stops as soon as it is larger than any DNS message. */
async function readBody(response: Response): Promise<Uint8Array> {
  const message = new Uint8Array(LARGEST_MESSAGE);
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = await reader?.read() ?? { done: true, value: undefined };
    if (done) return message.slice(0, length);
    if (length + value.length > LARGEST_MESSAGE) {
      await reader!.cancel();
      throw tooLarge();
    }
    message.set(value, length);
    length += value.length;
  }
}

function unusable(what: string, response?: Response): Error {
  return Object.assign(new Error(what), {
    code: response ? `HTTP_${response.status}` : "EBADRESP",
  });
}

function tooLarge(): Error {
  return unusable(`the response has more than ${LARGEST_MESSAGE} bytes`);
}

function failure(error: unknown, question: Question, whom: string): LookupError {
  const inner = (error as { cause?: unknown } | null)?.cause;
  // Node says no more than "fetch failed", and keeps the reason in the cause.
  const what = inner instanceof Error && inner.message
    ? `${textOf(error)}, ${inner.message}`
    : textOf(error);
  const reason = codeOf(error) ?? codeOf(inner) ?? "EBADRESP";
  return lookupFailure(question, whom, what, { kind: "transient", reason, cause: error });
}
