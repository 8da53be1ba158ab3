/**
 * DNS over HTTPS by `fetch`: on Deno, whose `fetch` speaks HTTP/2, and without TLS.
 *
 * On Deno it has an HTTP client of its own, because that of `fetch` stays on a connection that is dead.
 *
 * @module
 */

import {
  Body,
  checkHead,
  type DohClient,
  type DohClientOptions,
  HEADERS,
  type HttpAnswer,
  type HttpQuestion,
} from "./doh_http.ts";
import { KeptConnection } from "./kept_connection.ts";

/** Makes a client. */
export function fetchClient({ url, ca }: DohClientOptions): DohClient {
  if (url.protocol !== "https:" || !hasHttpClients()) {
    return { post: (question) => post(url, question) };
  }
  const clients = new KeptConnection<Deno.HttpClient>({
    open: () => Deno.createHttpClient({ caCerts: [...ca] }),
    close: (client) => client.close(),
  });
  return {
    post: (question) =>
      clients.use((client, heard) => post(url, question, { client, heard }), question.signal),
  };
}

function hasHttpClients(): boolean {
  const { Deno } = globalThis as { Deno?: { createHttpClient?: unknown } };
  return typeof Deno?.createHttpClient === "function";
}

async function post(
  url: URL,
  { body, signal }: HttpQuestion,
  own?: { client: Deno.HttpClient; heard: () => void },
): Promise<HttpAnswer> {
  const init: RequestInit & { client?: Deno.HttpClient } = {
    method: "POST",
    headers: HEADERS,
    body,
    redirect: "manual",
    signal,
    ...(own && { client: own.client }),
  };
  const response = await fetch(url, init);
  own?.heard();
  const reader = response.body?.getReader();
  try {
    const { status, headers } = response;
    const age = checkHead({ status, header: (name) => headers.get(name) });
    const message = new Body();
    for (;;) {
      const { done, value } = await reader?.read() ?? { done: true, value: undefined };
      if (done) return { message: message.toBytes(), age };
      message.add(value);
    }
  } catch (error) {
    await reader?.cancel().catch(() => {});
    throw error;
  }
}
