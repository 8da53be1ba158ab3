/**
 * What the HTTP clients of DNS over HTTPS share: the request, and which responses are read.
 *
 * @module
 */

/** Maximum bytes of a DNS message. */
export const MAX_MESSAGE = 65535;
/** The type of a DNS message (RFC 8484 section 6). */
export const MEDIA_TYPE = "application/dns-message";

/** The headers of every request. */
export const HEADERS: Readonly<Record<string, string>> = {
  accept: MEDIA_TYPE,
  "content-type": MEDIA_TYPE,
};

/** A response. */
export interface HttpAnswer {
  /** The DNS message. */
  readonly message: Uint8Array;
  /** Seconds that it has spent in HTTP caches. */
  readonly age: number;
}

/** A question over HTTP. */
export interface HttpQuestion {
  /** The DNS message. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Ends the question: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Whether the process may exit before the answer. */
  readonly unref: boolean;
}

/** Sends questions to one URL. */
export interface DohClient {
  /**
   * Sends a question.
   *
   * @throws {Error} if there is no usable response; its `code` says why.
   */
  post(question: HttpQuestion): Promise<HttpAnswer>;
}

/** The options of a client. */
export interface DohClientOptions {
  readonly url: URL;
  /** Certificates as PEM that are trusted besides the usual ones. */
  readonly ca: readonly string[];
}

/** The parts of a response's head that matter. */
export interface ResponseHead {
  readonly status: number;
  /** Returns a header, `undefined` or `null` if there is none. */
  header(name: string): string | null | undefined;
}

/**
 * Checks the head of a response.
 *
 * @returns Seconds that the response has spent in HTTP caches.
 * @throws {Error} if the body is not worth reading.
 */
export function checkHead({ status, header }: ResponseHead): number {
  if (status !== 200) throw responseError(`HTTP status ${status}`, `HTTP_${status}`);
  const type = (header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type !== MEDIA_TYPE) throw responseError(`the response is of type "${type}"`);
  if (Number(header("content-length") ?? 0) > MAX_MESSAGE) throw tooLarge();
  return Number(/^\s*(\d+)/.exec(header("age") ?? "")?.[1] ?? 0);
}

/** Collects a body, which must be no larger than a DNS message. */
export class Body {
  readonly #message = new Uint8Array(MAX_MESSAGE);
  #length = 0;

  /**
   * Adds bytes.
   *
   * @throws {Error} if they are too many.
   */
  add(chunk: Uint8Array): void {
    if (this.#length + chunk.length > MAX_MESSAGE) throw tooLarge();
    this.#message.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  /** Returns a copy of the bytes so far. */
  toBytes(): Uint8Array {
    return this.#message.slice(0, this.#length);
  }
}

/** Makes the error for a response that cannot be used. */
export function responseError(message: string, code = "EBADRESP"): Error {
  return Object.assign(new Error(message), { code });
}

function tooLarge(): Error {
  return responseError(`the response has more than ${MAX_MESSAGE} bytes`);
}
