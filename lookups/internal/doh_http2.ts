/**
 * DNS over HTTPS by `node:http2`: on Node and Bun, whose `fetch` speaks HTTP/1.1 only, while BIND and unbound speak
 * HTTP/2 only. A server that speaks HTTP/1.1 only is asked by `node:https`.
 *
 * @module
 */

import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import type { Readable } from "node:stream";
import { connect as connectTls, rootCertificates, type TLSSocket } from "node:tls";
import { abortable } from "../../internal/async.ts";
import {
  Body,
  checkHead,
  type DohClient,
  type DohClientOptions,
  HEADERS,
  type HttpAnswer,
  type HttpQuestion,
  type ResponseHead,
} from "./doh_http.ts";
import { hostOf } from "./doh_url.ts";
import { KeptConnection } from "./kept_connection.ts";

/** A connection for several questions, and what it is before it speaks HTTP/2. */
interface Connection {
  readonly socket: TLSSocket;
  /** The session; `undefined` if the server does not speak HTTP/2. */
  readonly session: Promise<ClientHttp2Session | undefined>;
  /** Whether it has ended or will take no more questions. */
  isOver: boolean;
  /** Number of open questions that keep the process alive. */
  refs: number;
}

/** Makes a client. */
export function http2Client({ url, ca }: DohClientOptions): DohClient {
  const trusted = ca.length > 0 ? { ca: [...rootCertificates, ...ca] } : {};
  const connections = new KeptConnection<Connection>({
    open: () => open(url, trusted),
    isUsable: ({ isOver }) => !isOver,
    close: ({ socket }) => void socket.destroy(),
  });
  /** Whether the server spoke HTTP/1.1 the last time. */
  let speaksHttp1 = false;

  async function overHttp1(question: HttpQuestion): Promise<HttpAnswer> {
    speaksHttp1 = false;
    const answer = await askOverHttp1(url, trusted, question);
    speaksHttp1 = true;
    return answer;
  }

  return {
    async post(question) {
      if (speaksHttp1) return await overHttp1(question);
      const answer = await connections.use(async (connection, heard) => {
        if (!question.unref && connection.refs++ === 0) connection.socket.ref();
        try {
          const session = await abortable(connection.session, question.signal);
          return session && await askOverHttp2(session, url, question, heard);
        } finally {
          if (!question.unref && --connection.refs === 0) connection.socket.unref();
        }
      }, question.signal);
      return answer ?? await overHttp1(question);
    },
  };
}

function open(url: URL, trusted: { ca?: string[] }): Connection {
  const host = hostOf(url);
  const socket = connectTls({
    host,
    port: Number(url.port || 443),
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: ["h2", "http/1.1"],
    ...trusted,
  });
  socket.unref();
  const connection: Connection = {
    socket,
    session: new Promise((resolve, reject) => {
      socket.once("secureConnect", () => {
        if (socket.alpnProtocol !== "h2") {
          connection.isOver = true;
          socket.destroy();
          return resolve(undefined);
        }
        const session = connectHttp2(url.origin, { createConnection: () => socket });
        const end = () => void (connection.isOver = true);
        session.on("error", end).on("goaway", end).on("close", end);
        resolve(session);
      });
      socket.once("close", () => reject(new Error("the connection was closed")));
      // The listener stays: a late error must not crash the process.
      socket.on("error", reject);
    }),
    isOver: false,
    refs: 0,
  };
  connection.session.catch(() => connection.isOver = true);
  return connection;
}

function askOverHttp2(
  session: ClientHttp2Session,
  url: URL,
  { body, signal }: HttpQuestion,
  heard: () => void,
): Promise<HttpAnswer> {
  const stream = session.request({
    ...HEADERS,
    ":method": "POST",
    ":path": url.pathname + url.search,
    "content-length": String(body.length),
  });
  return readAnswer(stream, signal, (answer) => {
    stream.once("response", (headers) => {
      heard();
      answer.onHead({
        status: Number(headers[":status"]),
        header: (name) => headers[name]?.toString(),
      });
    });
    stream.end(body);
  }, () => stream.close(constants.NGHTTP2_CANCEL));
}

function askOverHttp1(
  url: URL,
  trusted: { ca?: string[] },
  { body, signal, unref }: HttpQuestion,
): Promise<HttpAnswer> {
  const headers = { ...HEADERS, "content-length": String(body.length) };
  const request = requestHttps(url, { method: "POST", headers, agent: false, ...trusted });
  if (unref) request.once("socket", (socket) => socket.unref());
  const end = () => void request.destroy();
  const answered = new Promise<HttpAnswer>((resolve, reject) => {
    // The listener stays: a late error must not crash the process.
    request.on("error", reject);
    request.once("response", (response) => {
      const head = {
        status: response.statusCode ?? 0,
        header: (name: string) => response.headers[name]?.toString(),
      };
      readAnswer(response, signal, ({ onHead }) => onHead(head), end).then(resolve, reject);
    });
    request.end(body);
  });
  return abortable(answered, signal).finally(end);
}

/** Reads a response, and ends it as soon as it is not worth reading. */
function readAnswer(
  readable: Readable,
  signal: AbortSignal,
  start: (answer: { onHead(head: ResponseHead): void }) => void,
  end: () => void,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const body = new Body();
    let age: number | undefined;
    const fail = (error: unknown) => {
      signal.removeEventListener("abort", onAbort);
      end();
      reject(error);
    };
    const onAbort = () => fail(signal.reason);
    const guarded = (run: () => void) => {
      try {
        run();
      } catch (error) {
        fail(error);
      }
    };
    signal.addEventListener("abort", onAbort, { once: true });
    readable.on("error", fail);
    readable.on("data", (chunk: Uint8Array) => guarded(() => body.add(chunk)));
    readable.once("end", () => {
      if (age === undefined) return fail(new Error("the response has no head"));
      signal.removeEventListener("abort", onAbort);
      resolve({ message: body.toBytes(), age });
    });
    readable.once("close", () => fail(new Error("the response was cut short")));
    start({ onHead: (head) => guarded(() => age = checkHead(head)) });
  });
}
