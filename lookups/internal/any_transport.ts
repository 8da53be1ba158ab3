/**
 * Asks a DNS server with messages of our own, over UDP or TCP.
 *
 * @module
 */

import type { Response } from "./message.ts";
import { type ExchangeOptions, overTcp, overUdp } from "./transport.ts";
import { overFirstTransport } from "./transport_race.ts";

/** A query, which has an id of its own. */
export interface WrittenQuery {
  readonly message: Uint8Array;
  /** Reads a message that came back; throws if it is not the response. */
  read(message: Uint8Array): Response;
}

/** The server of a question, its end, and what is told of it. */
export interface AnyTransportOptions extends ExchangeOptions {
  /** Called with what is waited for, instead of `"the server did not answer"`. */
  readonly onWait?: ((what: string) => void) | undefined;
}

/**
 * Asks a server that is asked over TCP only over TCP; any other over UDP, and as {@linkcode overFirstTransport} says over
 * TCP as well.
 *
 * @param write Writes a query with an id of its own; called once for each transport.
 * @param options The server and the signal.
 * @returns A response that is not truncated.
 * @throws {Error} of UDP if both fail; of TCP if the response over UDP was truncated; or the signal's reason.
 */
export function overAnyTransport(
  write: () => WrittenQuery,
  options: AnyTransportOptions,
): Promise<Response> {
  const { server, signal, onWait } = options;
  if (server.tcp === true) return askOverTcp(write(), options, signal);
  return overFirstTransport({
    ...{ server, signal, onWait },
    overUdp(listener) {
      const { message, read } = write();
      return overUdp(message, options, {
        onMessage(bytes) {
          const response = read(bytes);
          if (response.truncated) listener.onTruncated();
          else listener.onResponse(response);
        },
        onError: (error) => listener.onError(error),
      });
    },
    overTcp: (signal) => askOverTcp(write(), options, signal),
  });
}

async function askOverTcp(
  { message, read }: WrittenQuery,
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Response> {
  const response = read(await overTcp(message, { ...options, signal }));
  if (response.truncated) throw new Error("the response is truncated over TCP as well");
  return response;
}
