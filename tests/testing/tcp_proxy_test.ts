import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { TcpProxy, type TcpProxyOptions } from "../../testing/mod.ts";
import { pause, soon, until } from "../support/waiting.ts";

/** A client that records what it receives, and how it ended. */
class Client {
  readonly socket: Socket;
  received = "";
  ended = false;
  error: string | undefined;
  readonly closed: Promise<void>;

  constructor(proxy: TcpProxy) {
    this.socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true });
    this.socket.on("data", (chunk) => this.received += chunk);
    this.socket.on("end", () => {
      this.ended = true;
      this.socket.end();
    });
    this.socket.on("error", (error: Error & { code?: string }) => this.error = error.code);
    this.closed = new Promise((resolve) => this.socket.on("close", () => resolve()));
  }

  /** Sends a text, and waits until it has received `received` in all. */
  async send(text: string, received: string): Promise<void> {
    this.socket.write(text);
    await until(() => this.received === received, `"${received}"`);
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** Starts a server that echoes, and the proxy in front of it. */
async function withProxy(
  body: (
    context: { proxy: TcpProxy; served: Socket[]; client: () => Client },
  ) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const served: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    served.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("end", () => socket.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(async () => {
    for (const socket of served) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  const proxy = stack.use(await TcpProxy.start({ to: { host: "127.0.0.1", port } }));
  const client = () => {
    const client = new Client(proxy);
    stack.defer(() => client.close());
    return client;
  };
  await body({ proxy, served, client });
}

Deno.test("TcpProxy without a fault passes on and counts all bytes, and ends, in both directions", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.send("hello", "hello");
    assertEquals(proxy.counts, {
      accepted: 1,
      open: 1,
      toServer: 5,
      toClient: 5,
      dropped: 0,
      cut: 0,
    });
    one.socket.end(" and goodbye");
    await soon(one.closed);
    assertEquals([one.received, one.ended, one.error], ["hello and goodbye", true, undefined]);
    await until(() => proxy.counts.open === 0);
  }));

Deno.test("TcpProxy passes on many bytes in order to a slow reader", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    const line = "0123456789abcdef".repeat(4096);
    const lines = 100;
    one.socket.pause();
    for (let i = 0; i < lines; i++) one.socket.write(line);
    await pause(50);
    one.socket.resume();
    one.socket.end();
    await soon(one.closed);
    assert(one.received === line.repeat(lines));
    assertEquals(proxy.counts.toClient, line.length * lines);
  }));

Deno.test("TcpProxy.fault() with delay makes both directions late, and keeps the order", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.send("a", "a");
    await proxy.fault({ delay: 1 });
    const startMs = performance.now();
    one.socket.write("b");
    await pause(20);
    await proxy.clearFaults();
    one.socket.write("c");
    await until(() => one.received === "abc");
    assertGreater(performance.now() - startMs, 995);
    const clearedMs = performance.now();
    await one.send("d", "abcd");
    assertLess(performance.now() - clearedMs, 900);
  }));

Deno.test("TcpProxy.fault() with drop drops bytes and ends, and resets the connections that lost something when it is over", () =>
  withProxy(async ({ proxy, served, client }) => {
    const [one, two] = [client(), client()];
    await one.send("a", "a");
    await two.send("a", "a");
    await proxy.fault({ drop: "both" });
    one.socket.write("bcd");
    await until(() => proxy.counts.dropped === 3);
    await pause(30);
    assertEquals([one.received, one.error, proxy.counts.open], ["a", undefined, 2]);
    await proxy.clearFaults();
    await soon(one.closed);
    assertEquals(one.error, "ECONNRESET");
    await two.send("e", "ae");

    // A server that closes the connection without the client noticing.
    await proxy.fault({ drop: "to-client" });
    for (const socket of served) socket.destroy();
    await pause(30);
    assertEquals([two.ended, two.error], [false, undefined]);
    await proxy.clearFaults();
    await soon(two.closed);
  }));

Deno.test("TcpProxy.fault() with drop in one direction passes the other on", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.send("a", "a");
    await proxy.fault({ drop: "to-client" });
    one.socket.write("bc");
    await until(() => proxy.counts.toServer === 3);
    await until(() => proxy.counts.dropped === 2);
    assertEquals(one.received, "a");
    await proxy.fault({ drop: "to-server" });
    one.socket.write("de");
    await until(() => proxy.counts.dropped === 4);
    assertEquals(proxy.counts.toServer, 3);
  }));

Deno.test("TcpProxy.fault() with cutAfter resets the connection after exactly that number of bytes to the client", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.send("abc", "abc");
    await proxy.fault({ cutAfter: 5 });
    await one.send("de", "abcde");
    one.socket.write("fghijk");
    await soon(one.closed);
    assertEquals([one.received, one.error], ["abcdefgh", "ECONNRESET"]);
    assertEquals([proxy.counts.cut, proxy.counts.toClient], [1, 8]);
    const two = client(); // new connections too
    two.socket.write("123456");
    await soon(two.closed);
    assertEquals([two.received, proxy.counts.cut], ["12345", 2]);
  }));

Deno.test("TcpProxy.cut() resets the open connections", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.send("a", "a");
    proxy.cut();
    await soon(one.closed);
    assertEquals([one.error, proxy.counts.cut], ["ECONNRESET", 1]);
    await client().send("b", "b");
  }));

Deno.test("TcpProxy.fault() with silent accepts new connections without opening one to the server, and keeps open ones", () =>
  withProxy(async ({ proxy, served, client }) => {
    const open = client();
    await open.send("a", "a");
    await proxy.fault({ silent: true });
    const [one, two] = [client(), client()];
    one.socket.write("hello");
    await once(two.socket, "connect");
    await until(() => proxy.counts.dropped === 5);
    await open.send("b", "ab");
    assertEquals([one.received, served.length, proxy.counts.open], ["", 1, 3]);
    two.socket.end();
    await soon(two.closed);
    await proxy.clearFaults();
    await soon(one.closed);
    assertEquals(one.error, "ECONNRESET");
    await open.send("c", "abc");
  }));

Deno.test("TcpProxy.fault() with refuse refuses new connections, keeps open ones, and listens on the same port afterwards", () =>
  withProxy(async ({ proxy, client }) => {
    const open = client();
    await open.send("a", "a");
    await proxy.fault({ refuse: true });
    await proxy.fault({ refuse: true, delay: 0.01 });
    const one = client();
    await soon(one.closed);
    assertEquals(one.error, "ECONNREFUSED");
    await open.send("b", "ab");
    await proxy.clearFaults();
    await client().send("c", "c");
  }));

Deno.test("TcpProxy resets the client if the server refuses the connection", async () => {
  const gone = await TcpProxy.start({ to: { host: "127.0.0.1", port: 1 } });
  const one = new Client(gone);
  await soon(one.closed);
  assertEquals(one.error, "ECONNRESET");
  await gone.close();
});

Deno.test("TcpProxy.close() closes all connections at once and frees the port, with any fault, and may be called twice", () =>
  withProxy(async ({ proxy, served, client }) => {
    const one = client();
    await one.send("a", "a");
    await proxy.fault({ silent: true, delay: 100 });
    const two = client();
    await once(two.socket, "connect");
    one.socket.write("held back");
    await until(() => proxy.counts.toServer === 10);
    await proxy.fault({ refuse: true, drop: "both" });
    await Promise.all([proxy.close(), proxy.close()]);
    await soon(Promise.all([one.closed, two.closed]));
    assertEquals([proxy.counts.open, served.length], [0, 1]);
    const { host, port } = proxy;
    const again = await TcpProxy.start({ listen: { host, port }, to: { host, port: 1 } });
    await again.close();
  }));

Deno.test("TcpProxy refuses invalid options and faults, with the argument and the value", async () => {
  const to = { host: "127.0.0.1", port: 5432 };
  const starts: [options: unknown, message: string][] = [
    [{}, '"to" must be an object, got undefined'],
    [{ to: { ...to, port: 0 } }, '"to.port" must be a whole number from 1 to 65535, got 0'],
    [{ to: { ...to, host: "db" } }, '"to.host" must be an IPv4 or IPv6 address, got "db"'],
    [
      { to, listen: { host: "::1", prot: 1 } },
      '"listen.prot" is not an option of TcpProxy.start(), did you mean "listen.port"?',
    ],
    [{ to, form: 1 }, '"form" is not an option of TcpProxy.start(); there are listen, to'],
  ];
  for (const [options, message] of starts) {
    const error = await assertRejects(() => TcpProxy.start(options as TcpProxyOptions), Error);
    assert(error.message.startsWith(message), error.message);
  }
  const faults: [fault: unknown, message: string][] = [
    [{ delay: -1 }, '"fault.delay" must be a number of seconds from 0 to 2147483, got -1'],
    [{ delay: "1" }, '"fault.delay" must be a number of seconds from 0 to 2147483, got "1"'],
    [{ cutAfter: 0 }, '"fault.cutAfter" must be a whole number of bytes from 1 to'],
    [{ drop: true }, '"fault.drop" must be one of "both", "to-server", "to-client", got true'],
    [{ refuse: 1 }, '"fault.refuse" must be one of true, false, got 1'],
    [{ silent: null }, '"fault.silent" must be one of true, false, got null'],
    [
      { dleay: 1 },
      '"fault.dleay" is not an option of TcpProxy.fault(), did you mean "fault.delay"?',
    ],
  ];
  await using proxy = await TcpProxy.start({ to });
  for (const [fault, message] of faults) {
    const error = await assertRejects(() => proxy.fault(fault as Record<string, never>), Error);
    assert(error.message.startsWith(message), error.message);
  }
  const { host, port } = proxy;
  const error = await assertRejects(() => TcpProxy.start({ listen: { host, port }, to }), Error);
  assert(error.message.startsWith(`Cannot start a TCP proxy on "127.0.0.1:${port}": `));
});
