/**
 * The tests of `doh` alone: its HTTP requests, and the responses that it refuses. They use no test runner.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { LookupError } from "../../errors.ts";
import { dohLookup } from "../../lookups/doh.ts";
import { type HttpServer, serveHttp } from "../support/doh_bridge.ts";
import { a, decode, FLAGS, OPT, type RawRecord, reply, TRUNCATED } from "../support/raw_dns.ts";
import type { ContractTest } from "./lookup.ts";

const NAME = "db.internal";
const TYPE = { "content-type": "application/dns-message" };
const RIGHT = [a(NAME, "127.0.0.2")];
const SOA: RawRecord = {
  name: "internal",
  type: "SOA",
  ttl: 60,
  data: { mname: "a", rname: "b", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 50 },
};
const ANSWER = { addresses: ["127.0.0.2"], ttl: 60 };
const UNUSABLE = { kind: "transient", reason: "EBADRESP" };

type Handler = (response: ServerResponse, body: Uint8Array, request: IncomingMessage) => void;

async function withServer<T>(handle: Handler, use: (server: HttpServer) => Promise<T>): Promise<T> {
  const server = await serveHttp((request, response, body) => handle(response, body, request));
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

/** Returns the outcome of a question that `handle` answers. */
function outcomeWith(handle: Handler): Promise<unknown> {
  return withServer(handle, ({ url }) => outcomeOf(url));
}

async function outcomeOf(url: string, name = NAME, controller = new AbortController()) {
  const timeout = setTimeout(() => controller.abort("silence"), 5000);
  try {
    const { signal } = controller;
    const { addresses, ttl } = await dohLookup(url).lookup({ name, family: 4, signal });
    return { addresses, ttl };
  } catch (error) {
    if (!(error instanceof LookupError)) return { ended: error };
    const { kind, reason, negativeTtl } = error;
    return { kind, reason, ...(negativeTtl !== undefined && { negativeTtl }) };
  } finally {
    clearTimeout(timeout);
  }
}

/** Answers correctly, with additional headers. */
function right(headers: Record<string, string> = {}): Handler {
  return (response, body) => {
    response.writeHead(200, { ...TYPE, ...headers }).end(reply(body, { answers: RIGHT }));
  };
}

/** Returns a correct answer followed by zeros, `length` bytes in all. */
function padded(body: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(reply(body, { answers: RIGHT }));
  return bytes;
}

const TESTS: Readonly<Record<string, () => Promise<void>>> = {
  "posts a message with id 0, and with EDNS": async () => {
    let seen: unknown;
    const outcome = await outcomeWith((response, body, request) => {
      const { method, url, headers } = request;
      const { id, flags, questions, additionals } = decode(body);
      const records = [...questions, ...additionals].map(({ name, type }) => `${name} ${type}`);
      seen = [method, url, headers.accept, headers["content-type"], id, flags, records];
      right()(response, body, request);
    });
    assertEquals(outcome, ANSWER);
    const type = TYPE["content-type"];
    assertEquals(seen, ["POST", "/dns-query", type, type, 0, 0x100, [`${NAME} A`, ". OPT"]]);
  },

  "asks once more without EDNS if the server does not know it": async () => {
    const asked: number[] = [];
    const outcome = await outcomeWith((response, body, request) => {
      const { additionals } = decode(body);
      asked.push(additionals.length);
      if (additionals.length === 0) return right()(response, body, request);
      response.writeHead(200, TYPE).end(reply(body, { flags: FLAGS | 1 }));
    });
    assertEquals([outcome, asked], [ANSWER, [1, 0]]);
  },

  "marks an answer as stale that the server reports as expired": async () => {
    const option = { code: 15, data: Buffer.from([0, 3]) };
    const additionals = [{ ...OPT, options: [option] }];
    const stale = (response: ServerResponse, body: Uint8Array) =>
      void response.writeHead(200, TYPE).end(reply(body, { answers: RIGHT, additionals }));
    const answer = await withServer(stale, ({ url }) => {
      const { signal } = new AbortController();
      return dohLookup(url).lookup({ name: NAME, family: 4, signal });
    });
    assertEquals([answer.addresses, answer.stale], [["127.0.0.2"], true]);
  },

  "subtracts the age of the answer from its TTLs": async () => {
    for (const [age, ttl] of [["20", 40], ["60", 0], ["9999999999", 0], ["x", 60], ["-5", 60]]) {
      const outcome = await outcomeWith(right({ age: String(age) }));
      assertEquals(outcome, { addresses: ["127.0.0.2"], ttl }, `Age: ${age}`);
    }
    const outcome = await outcomeWith((response, body) => {
      const no = reply(body, { flags: FLAGS | 3, authorities: [SOA] });
      response.writeHead(200, { ...TYPE, age: "20" }).end(no);
    });
    assertEquals(outcome, { kind: "negative", reason: "NXDOMAIN", negativeTtl: 30 });
  },

  "does not follow redirects": async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      let asked = 0;
      const outcome = await outcomeWith((response, body, request) => {
        asked++;
        if (request.url !== "/dns-query") return right()(response, body, request);
        response.writeHead(status, { location: "/elsewhere" }).end();
      });
      assertEquals(outcome, { kind: "transient", reason: `HTTP_${status}` });
      assertEquals(asked, 1);
    }
  },

  "refuses every status except 200, whatever the body": async () => {
    for (const status of [201, 204, 400, 404, 429, 500, 503]) {
      const outcome = await outcomeWith((response, body) => {
        response.writeHead(status, TYPE);
        response.end(status === 204 ? undefined : reply(body, { answers: RIGHT }));
      });
      assertEquals(outcome, { kind: "transient", reason: `HTTP_${status}` });
    }
  },

  "refuses a body of another type": async () => {
    for (
      const type of ["application/json", "text/html; charset=utf-8", "application/dns-json", ""]
    ) {
      assertEquals(await outcomeWith(right({ "content-type": type })), UNUSABLE, type);
    }
    const type = "Application/DNS-Message ; x=y";
    assertEquals(await outcomeWith(right({ "content-type": type })), ANSWER);
  },

  "accepts a body of 65,535 bytes, and refuses one of 65,536": async () => {
    for (const [length, expected] of [[65_535, ANSWER], [65_536, UNUSABLE]] as const) {
      for (const known of [true, false]) {
        const outcome = await outcomeWith((response, body) => {
          response.writeHead(200, { ...TYPE, ...(known && { "content-length": String(length) }) });
          response.end(padded(body, length));
        });
        assertEquals(outcome, expected, `${length} bytes, length ${known ? "known" : "unknown"}`);
      }
    }
  },

  "stops reading a body without end": async () => {
    let sent = 0;
    let stopped!: () => void;
    const end = new Promise<void>((resolve) => stopped = resolve);
    const outcome = await outcomeWith((response) => {
      response.writeHead(200, TYPE);
      const more = () => {
        while (!response.destroyed && sent < 2 ** 28) {
          sent += 16_384;
          if (!response.write(new Uint8Array(16_384))) return void response.once("drain", more);
        }
      };
      response.on("close", stopped);
      more();
    });
    assertEquals(outcome, UNUSABLE);
    await end;
    assert(sent < 2 ** 25, `${sent} bytes were sent`);
  },

  "refuses a small body that unpacks to a large one": async () => {
    const packed = gzipSync(new Uint8Array(50_000_000));
    assert(packed.length < 65_535);
    const outcome = await outcomeWith((response) => {
      response.writeHead(200, { ...TYPE, "content-encoding": "gzip" }).end(packed);
    });
    assertEquals(outcome, UNUSABLE);
  },

  "reports a body that cannot be read as transient": async () => {
    const bodies: Readonly<Record<string, (body: Uint8Array) => Uint8Array>> = {
      "none at all": () => new Uint8Array(0),
      "cut short": (body) => reply(body, { answers: RIGHT }).subarray(0, -3),
      "another id": (body) => reply(body, { answers: RIGHT, id: 1 }),
      "another question": (body) =>
        reply(body, { answers: RIGHT, questions: [{ name: "other.internal", type: "A" }] }),
      "another type": (body) =>
        reply(body, { answers: RIGHT, questions: [{ name: NAME, type: "AAAA" }] }),
      "truncated": (body) => reply(body, { answers: RIGHT, flags: FLAGS | TRUNCATED }),
      "a question": (body) => body,
    };
    for (const [what, make] of Object.entries(bodies)) {
      const outcome = await outcomeWith((response, body) => {
        response.writeHead(200, TYPE).end(make(body));
      });
      assertEquals(outcome, UNUSABLE, what);
    }
  },

  "reports a connection that breaks as transient": async () => {
    const { kind } = await outcomeWith((response) => {
      response.writeHead(200, { ...TYPE, "content-length": "100" }).write(new Uint8Array(10));
      setTimeout(() => response.destroy(), 20);
    }) as { kind: string };
    assertEquals(kind, "transient");
    const { url, close } = await serveHttp(() => {});
    await close();
    assertEquals((await outcomeOf(url) as { kind: string }).kind, "transient");
  },

  "rejects with the signal's reason when it is aborted during the body": async () => {
    const controller = new AbortController();
    const handle: Handler = (response) => {
      response.writeHead(200, TYPE).write(new Uint8Array(10));
      setTimeout(() => controller.abort("left"), 50);
    };
    const outcome = await withServer(handle, ({ url }) => outcomeOf(url, NAME, controller));
    assertEquals(outcome, { ended: "left" });
  },

  "refuses invalid names, and the name of its own server": async () => {
    const url = "https://dns.internal:8443/dns-query";
    for (const name of ["dns.internal", "DNS.internal.", "a..b", `${"a".repeat(64)}.internal`]) {
      assertEquals(await outcomeOf(url, name), { kind: "config", reason: "EBADNAME" }, name);
    }
  },

  "refuses URLs that questions may not be sent to": () => {
    for (const url of ["https://10.0.0.2", "http://127.0.0.2/x{?dns}", "http://[::1]:8053/q"]) {
      assertEquals(dohLookup(url).name, "doh");
    }
    const bad = [
      "http://10.0.0.2/",
      "http://localhost/",
      "http://127.internal/",
      "ftp://a/",
      "",
      "x",
    ];
    for (const url of [...bad, "https://user:secret@10.0.0.2/", "https://user@10.0.0.2/"]) {
      const { message } = assertThrows(() => dohLookup(url), TypeError);
      assert(!message.includes("secret"), message);
    }
    return Promise.resolve();
  },
};

/** Returns the tests of `doh` alone. */
export function dohContract(): ContractTest[] {
  return Object.entries(TESTS).map(([name, run]) => ({ name: `doh ${name}`, run }));
}
