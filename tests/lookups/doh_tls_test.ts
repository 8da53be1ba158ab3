import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { LookupError } from "../../errors.ts";
import { type Authority as Ca, type Certificate, makeAuthority } from "../../lab/certificates.ts";
import { dohLookup } from "../../lookups/doh.ts";
import { KeptConnection } from "../../lookups/internal/kept_connection.ts";
import type { Lookup } from "../../lookups/lookup.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { a, reply } from "../support/raw_dns.ts";
import { fakeTime } from "../support/time.ts";

const NAME = "db.internal";
const HOST = "127.0.0.1";
const ANSWER = { addresses: ["127.0.0.2"], ttl: 60 };

/** The servers, by what they speak. */
const KINDS = {
  "HTTP/2 only": (tls: Certificate, handle: Handler) =>
    createSecureServer({ ...tls, allowHTTP1: false }, handle as never),
  "HTTP/1.1 only": (tls: Certificate, handle: Handler) => createHttpsServer(tls, handle),
  "HTTP/2 and HTTP/1.1": (tls: Certificate, handle: Handler) =>
    createSecureServer({ ...tls, allowHTTP1: true }, handle as never),
} satisfies Record<string, (tls: Certificate, handle: Handler) => Server>;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

interface TlsServer extends AsyncDisposable {
  readonly port: number;
  /** The HTTP versions of the questions so far. */
  readonly versions: string[];
  /** The number of connections so far. */
  connections(): number;
}

/** Starts a server that answers every question. */
async function serve(kind: keyof typeof KINDS, tls: Certificate): Promise<TlsServer> {
  const versions: string[] = [];
  const sockets = new Set<Socket>();
  let count = 0;
  const server = KINDS[kind](tls, (request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      versions.push(request.httpVersion);
      response.writeHead(200, { "content-type": "application/dns-message" });
      response.end(reply(Buffer.concat(chunks), { answers: [a(NAME, "127.0.0.2")] }));
    });
  });
  server.on("connection", (socket: Socket) => {
    count++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  await listening(server);
  return {
    port: (server.address() as AddressInfo).port,
    versions,
    connections: () => count,
    async [Symbol.asyncDispose]() {
      clearDnsCache(); // closes the connections that the lookups keep
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, HOST, resolve));
}

/** A router that forwards connections, until it forgets those that are open, and tells neither side. */
class Router implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(to: number) {
    this.#server = createServer((client) => {
      const server = connect(to, HOST);
      for (const [from, other] of [[client, server], [server, client]] as const) {
        this.#sockets.add(from);
        from.on("data", (bytes) => this.#sockets.has(from) && other.write(bytes));
        from.on("error", () => {});
        from.on("close", () => this.#sockets.has(from) && other.destroy());
      }
    });
  }

  static async start(to: number): Promise<Router> {
    const router = new Router(to);
    await listening(router.#server);
    return router;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The sockets that it has forgotten. */
  readonly forgotten: Socket[] = [];

  forget(): void {
    this.forgotten.push(...this.#sockets);
    this.#sockets.clear();
  }

  async [Symbol.asyncDispose]() {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of [...this.#sockets, ...this.forgotten]) socket.destroy();
    await closed;
  }
}

async function ask(lookup: Lookup, limitMs = 20_000): Promise<unknown> {
  const controller = new AbortController();
  const limit = setTimeout(() => controller.abort(new Error("no answer in time")), limitMs);
  try {
    const { signal } = controller;
    const { addresses, ttl } = await lookup.lookup({ name: NAME, family: 4, signal });
    return { addresses, ttl };
  } finally {
    clearTimeout(limit);
  }
}

let authority: Promise<Ca> | undefined;

/** Starts a server whose certificate is for its address, and makes a lookup that trusts its authority. */
async function start(kind: keyof typeof KINDS) {
  const ca = await (authority ??= makeAuthority());
  const server = await serve(kind, await ca.issue({ ips: [HOST] }));
  const lookupAt = (port: number, host = HOST) =>
    dohLookup(`https://${host}:${port}/dns-query`, { ca: ca.cert });
  return { server, lookupAt };
}

for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  Deno.test(`dohLookup() asks a server that speaks ${kind}`, async () => {
    const { server, lookupAt } = await start(kind);
    await using _ = server;
    const lookup = lookupAt(server.port);
    for (let round = 0; round < 3; round++) assertEquals(await ask(lookup), ANSWER);
    const version = kind === "HTTP/1.1 only" ? "1.1" : "2.0";
    assertEquals(server.versions, [version, version, version]);
    if (version === "2.0") assertEquals(server.connections(), 1);
  });
}

Deno.test("dohLookup() asks many questions at once over one connection", async () => {
  const { server, lookupAt } = await start("HTTP/2 only");
  await using _ = server;
  const lookup = lookupAt(server.port);
  await ask(lookup);
  const answers = await Promise.all(Array.from({ length: 90 }, () => ask(lookup)));
  assertEquals(answers, answers.map(() => ANSWER));
  assertEquals(server.connections(), 1);
});

Deno.test("dohLookup() replaces a connection that has gone silent after the first timeout", async () => {
  const { server, lookupAt } = await start("HTTP/2 only");
  await using _ = server;
  await using router = await Router.start(server.port);
  const lookup = lookupAt(router.port);
  assertEquals(await ask(lookup), ANSWER);
  router.forget();
  await assertRejects(() => ask(lookup, 1000), Error, "no answer in time");
  assertEquals(await ask(lookup), ANSWER);
  assertEquals(server.connections(), 2);
});

Deno.test("getIpWithTtl() with DNS over HTTPS asks again over another connection while the first is silent", async () => {
  clearDnsCache();
  const { server, lookupAt } = await start("HTTP/2 only");
  await using _ = server;
  await using router = await Router.start(server.port);
  const dnsLookup = lookupAt(router.port);
  assertEquals(await ask(dnsLookup), ANSWER);
  router.forget();
  // One attempt: no timeout helps.
  const options = { dnsLookup, dnsFallback: false, dnsMaxRetries: 1, dnsTimeout: 60 };
  assertEquals((await getIpWithTtl(NAME, options))[0], ANSWER.addresses[0]);
  assertEquals(server.connections(), 2);
  clearDnsCache();
});

Deno.test("dohLookup() replaces a connection that the server has closed", async () => {
  const { server, lookupAt } = await start("HTTP/2 only");
  await using _ = server;
  await using router = await Router.start(server.port);
  const lookup = lookupAt(router.port);
  assertEquals(await ask(lookup), ANSWER);
  router.forget();
  for (const socket of router.forgotten) socket.destroy();
  // The end of the connection may arrive with the question.
  const outcome = await ask(lookup).catch((error) => error);
  if (outcome instanceof LookupError) assertEquals(outcome.kind, "transient");
  else assertEquals(outcome, ANSWER);
  assertEquals(await ask(lookup), ANSWER);
});

Deno.test("dohLookup() refuses a certificate of another name or authority", async () => {
  const { server, lookupAt } = await start("HTTP/2 only");
  await using _ = server;
  const stranger = await makeAuthority();
  const url = `https://${HOST}:${server.port}/dns-query`;
  const lookups = [
    lookupAt(server.port, "localhost"),
    dohLookup(url),
    dohLookup(url, { ca: [stranger.cert] }),
  ];
  for (const lookup of lookups) {
    const error = await ask(lookup).catch((error) => error);
    assert(error instanceof LookupError, String(error));
    assertEquals(error.kind, "transient");
    assertMatch(error.message, /certificate|issuer/i);
  }
  assertEquals(server.versions, []);
});

Deno.test("dohLookup() rejects with the signal's reason while it connects", async () => {
  const open = createServer(() => {});
  await listening(open);
  const { port } = open.address() as AddressInfo;
  const lookup = dohLookup(`https://${HOST}:${port}/dns-query`);
  await assertRejects(() => ask(lookup, 200), Error, "no answer in time");
  clearDnsCache(); // which closes the connection, if it was not given up
  open.close();
});

Deno.test("dohLookup() refuses a CA that is no certificate as PEM", () => {
  for (const ca of ["", "x", [], ["x"], 1]) {
    assertThrows(
      () => dohLookup("https://10.0.0.2/dns-query", { ca: ca as string }),
      TypeError,
      '"ca" must be a certificate as PEM, or an array of them',
    );
  }
});

/** A kept connection, and what became of each that was opened. */
function keptConnection() {
  const opened: { closed: boolean; usable: boolean }[] = [];
  const kept = new KeptConnection({
    open: () => opened[opened.push({ closed: false, usable: true }) - 1]!,
    isUsable: ({ usable }) => usable,
    close: (connection) => void (connection.closed = true),
  });
  return { kept, opened, closed: () => opened.map(({ closed }) => closed) };
}

const failing = () => Promise.reject(new Error("no answer"));

Deno.test("KeptConnection.use() closes a connection after 30 seconds without a question", async () => {
  using time = fakeTime();
  const { kept, closed } = keptConnection();
  const once = () => kept.use((_, heard) => Promise.resolve(heard()));
  await once();
  await time.advance(29.9);
  await once();
  await time.advance(29.9);
  assertEquals(closed(), [false]);
  await time.advance(0.2);
  assertEquals(closed(), [true]);
  await once();
  assertEquals(closed(), [true, false]);
  await time.advance(31);
  assertEquals(closed(), [true, true]);
});

Deno.test("KeptConnection.use() replaces a connection on which nothing was heard, and closes it after its last question", async () => {
  using time = fakeTime();
  const { kept, opened, closed } = keptConnection();
  let end!: () => void;
  const slow = kept.use((_, heard) => new Promise<void>((resolve) => end = resolve).then(heard));
  await assertRejects(() => kept.use(failing), Error, "no answer");
  assertEquals(closed(), [false]);
  await kept.use((connection) => Promise.resolve(assertEquals(connection, opened[1])));
  end();
  await slow;
  assertEquals(closed(), [true, false]);
  await time.advance(31);
});

Deno.test("KeptConnection.use() keeps a connection on which another question was answered meanwhile", async () => {
  using time = fakeTime();
  const { kept, opened } = keptConnection();
  let fail!: (error: Error) => void;
  const left = kept.use(() => new Promise<void>((_, reject) => fail = reject));
  await kept.use((_, heard) => Promise.resolve(heard()));
  fail(new Error("The caller has left"));
  await assertRejects(() => left, Error, "The caller has left");
  await kept.use((_, heard) => Promise.resolve(heard()));
  assertEquals(opened.length, 1);
  opened[0]!.usable = false;
  await kept.use((_, heard) => Promise.resolve(heard()));
  assertEquals(opened.map(({ closed }) => closed), [true, false]);
  await time.advance(31);
});

/** Asks a question that is answered `delayMs` later; never, without it. */
function answeredAfter(kept: ReturnType<typeof keptConnection>["kept"], delayMs?: number) {
  const { signal } = new AbortController();
  const wait = () =>
    new Promise<void>((resolve) => {
      if (delayMs === 0) resolve();
      else if (delayMs !== undefined) setTimeout(resolve, delayMs);
    });
  return kept.use((_, heard) => wait().then(heard), signal);
}

Deno.test("KeptConnection.use() takes another connection while one is silent, each time after twice as long", async () => {
  using time = fakeTime();
  const { kept, opened } = keptConnection();
  answeredAfter(kept);
  for (const [seconds, count] of [[0.199, 1], [0.001, 2], [0.399, 2], [0.001, 3], [0.799, 3]]) {
    await time.advance(seconds!);
    answeredAfter(kept);
    assertEquals(opened.length, count);
  }
  await time.advance(0.001);
  await answeredAfter(kept, 0);
  assertEquals(opened.length, 4);
  // It was heard: the pauses are short again.
  answeredAfter(kept);
  await time.advance(0.2);
  answeredAfter(kept);
  assertEquals(opened.length, 5);
  await time.advance(31);
});

Deno.test("KeptConnection.use() takes a server for slow, not for dead, if its answers usually take as long", async () => {
  using time = fakeTime();
  const { kept, opened } = keptConnection();
  for (let question = 0; question < 20; question++) {
    const first = answeredAfter(kept, 300);
    await time.advance(0.25);
    const again = answeredAfter(kept, 300);
    await time.advance(0.3);
    await Promise.all([first, again]);
  }
  assert(opened.length <= 3, `${opened.length} connections`);
  await time.advance(31);
});

Deno.test("KeptConnection.use() keeps a connection whose question is given up at once", async () => {
  using time = fakeTime();
  const { kept, opened } = keptConnection();
  for (const [seconds, count] of [[0.1, 1], [0.2, 2]]) {
    const controller = new AbortController();
    const left = kept.use(
      () => new Promise((_, reject) => controller.signal.onabort = () => reject("left")),
      controller.signal,
    ).catch((error) => error);
    await time.advance(seconds!);
    controller.abort();
    assertEquals(await left, "left");
    await answeredAfter(kept, 0);
    assertEquals(opened.length, count);
  }
  await time.advance(31);
});
