/**
 * DNS over HTTPS (RFC 8484). Opt in with the server's URL: `dnsLookup: "https://10.0.0.2/dns-query"`.
 *
 * The operating system, not dnspool, resolves the URL's own host. So the host must be an IP address, or a name that the
 * system resolves without this server. The certificate is checked. The lookup reads no hosts file and adds no search
 * domains.
 *
 * @module
 */

import { LookupError } from "../errors.ts";
import { mustBe, mustBeUndisclosed } from "../internal/argument_error.ts";
import { OptionReader } from "../internal/option_reader.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { askForAddresses, queryNameOf } from "./internal/answer.ts";
import { isGranted, permissionMessage } from "./internal/deno_permissions.ts";
import { DOH_URL_RULE, hostOf, readDohUrl } from "./internal/doh_url.ts";
import { lookupFailure } from "./internal/failure.ts";
import { fetchClient } from "./internal/doh_fetch.ts";
import type { DohClient, DohClientOptions } from "./internal/doh_http.ts";
import { knowsNoEdns, type Query, readResponse, writeQuery } from "./internal/message.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** The options of {@linkcode dohLookup}. */
export interface DohOptions {
  /**
   * Certificates of authorities as PEM, a string or several, that are trusted besides those of the runtime: for a server
   * of one's own. Default: none.
   */
  readonly ca?: string | readonly string[] | undefined;
}

/**
 * Makes a lookup that asks a server over HTTPS. The `server` of a question is ignored.
 *
 * The TTL is the smallest of the CNAME chain, less the age that an HTTP cache in between reports (RFC 8484 section
 * 5.1). Redirects are not followed. A response of another type than `application/dns-message`, or of more than 65,535
 * bytes, is refused before it is read.
 *
 * A connection is kept for further questions and closed after 30 seconds without one. A question that fails, or that is
 * open for a quarter of a second and longer than usual while nothing comes back, lets the next one get a new connection. The
 * resolver asks again while a question is open, so that a connection which is dead costs that long. HTTP/2 is spoken on every runtime, by
 * `fetch` on Deno and by `node:http2` on Node and Bun, and HTTP/1.1 if the server knows no other; without TLS, HTTP/1.1.
 *
 * @param url The server's URL. It begins with `https://`; with `http://` only if its host is a loopback address.
 * @param options Which certificates are trusted.
 * @returns The lookup.
 * @throws {TypeError} if the URL is not one of these, or an option is unknown or not a certificate.
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
export function dohLookup(url: string, options: DohOptions = {}): Lookup {
  const endpoint = readDohUrl(url);
  if (!endpoint) {
    // Beside an "@" there may be a password.
    throw String(url).includes("@")
      ? mustBeUndisclosed("url", DOH_URL_RULE, 'a string with an "@"')
      : mustBe("url", DOH_URL_RULE, url);
  }
  const reader = new OptionReader(options, "dohLookup");
  const ca = reader.value<readonly string[]>("ca", [], readCertificates);
  reader.done();
  const server = endpoint.host;
  let client: Promise<DohClient> | undefined;
  const ask = async (query: Query, signal: AbortSignal, unref: boolean) => {
    client ??= clientFor({ url: endpoint, ca });
    const body = new Uint8Array(writeQuery(query));
    const { message, age } = await (await client).post({ body, signal, unref });
    return { response: readResponse(message, query), age };
  };
  return {
    name: "doh",
    repeats: "sparingly",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal, onWait, unref = false } = question;
      signal.throwIfAborted();
      const name = queryNameOf(question, server);
      checkEndpoint(endpoint, question, name);
      try {
        return await askForAddresses({ name, family, server, onWait }, async (name) => {
          // With id 0, the same question is the same HTTP request to a cache (RFC 8484 section 4.1).
          const query = { name, family, id: 0, edns: true };
          const first = await ask(query, signal, unref);
          // A server needs EDNS to report expired data.
          const received = knowsNoEdns(first.response)
            ? await ask({ ...query, edns: false }, signal, unref)
            : first;
          if (received.response.truncated) throw new Error("the response is truncated");
          return received;
        });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof LookupError) throw error;
        throw toLookupError(error, question, server);
      }
    },
  };
}

/** Loads the client for a URL, which a program that uses another does not load. */
async function clientFor(options: DohClientOptions): Promise<DohClient> {
  if (!("Deno" in globalThis) && options.url.protocol === "https:") {
    const http2 = await import("./internal/doh_http2.ts").catch(() => undefined);
    // Without node:http2, `fetch` is all there is.
    if (http2) return http2.http2Client(options);
  }
  return fetchClient(options);
}

function readCertificates(value: unknown): readonly string[] {
  const list = typeof value === "string" ? [value] : value;
  const isPem = (text: unknown) => typeof text === "string" && text.includes("BEGIN CERTIFICATE");
  if (Array.isArray(list) && list.length > 0 && list.every(isPem)) return list;
  throw mustBe("ca", "a certificate as PEM, or an array of them", value);
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

function toLookupError(error: unknown, question: Question, server: string): LookupError {
  const inner = (error as { cause?: unknown } | null)?.cause;
  // Node says only "fetch failed"; the reason is in the cause.
  const what = inner instanceof Error && inner.message
    ? `${messageOf(error)}, ${inner.message}`
    : messageOf(error);
  const reason = codeOf(error) || codeOf(inner) || "EBADRESP";
  return lookupFailure(question, server, what, { kind: "transient", reason, cause: error });
}
