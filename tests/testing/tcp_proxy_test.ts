import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { TcpProxy, type TcpProxyOptions } from "../../testing/mod.ts";
import { pause, soon, until } from "../support/waiting.ts";

/** A client, and what became of it. */
class Client {
  readonly socket: Socket;
  heard = "";
  ended = false;
  error: string | undefined;
  readonly closed: Promise<void>;

  constructor(proxy: TcpProxy) {
    this.socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true });
    this.socket.on("data", (chunk) => this.heard += chunk);
    this.socket.on("end", () => {
      this.ended = true;
      this.socket.end();
    });
    this.socket.on("error", (error: Error & { code?: string }) => this.error = error.code);
    this.closed = new Promise((resolve) => this.socket.on("close", () => resolve()));
  }

  /** Says something, and waits until `heard` is what was said back so far. */
  async say(text: string, heard: string): Promise<void> {
    this.socket.write(text);
    await until(() => this.heard === heard, `"${heard}"`);
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** A server that repeats what it is told, and the proxy in front of it. */
async function withProxy(
  body: (
    lab: { proxy: TcpProxy; served: Socket[]; client: () => Client },
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

Deno.test("without a fault everything passes, in both directions, the end too, and is counted", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.say("hello", "hello");
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
    assertEquals([one.heard, one.ended, one.error], ["hello and goodbye", true, undefined]);
    await until(() => proxy.counts.open === 0);
  }));

Deno.test("a lot passes whole and in order, however slow the reader", () =>
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
    assert(one.heard === line.repeat(lines));
    assertEquals(proxy.counts.toClient, line.length * lines);
  }));

Deno.test("delay makes each direction late, keeps the order, and ends with the fault", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.say("a", "a");
    await proxy.fault({ delay: 0.1 });
    const startMs = performance.now();
    one.socket.write("b");
    await pause(20);
    await proxy.heal();
    one.socket.write("c");
    await until(() => one.heard === "abc");
    assertGreater(performance.now() - startMs, 95);
    const healedMs = performance.now();
    await one.say("d", "abcd");
    assertLess(performance.now() - healedMs, 90);
  }));

Deno.test("drop: bytes and ends get lost, connections stay open, and those that lost something are reset afterwards", () =>
  withProxy(async ({ proxy, served, client }) => {
    const [one, two] = [client(), client()];
    await one.say("a", "a");
    await two.say("a", "a");
    await proxy.fault({ drop: "both" });
    one.socket.write("bcd");
    await until(() => proxy.counts.dropped === 3);
    await pause(30);
    assertEquals([one.heard, one.error, proxy.counts.open], ["a", undefined, 2]);
    await proxy.heal();
    await soon(one.closed);
    assertEquals(one.error, "ECONNRESET");
    await two.say("e", "ae");

    // A server that goes away, and nobody hears of it.
    await proxy.fault({ drop: "to-client" });
    for (const socket of served) socket.destroy();
    await pause(30);
    assertEquals([two.ended, two.error], [false, undefined]);
    await proxy.heal();
    await soon(two.closed);
  }));

Deno.test("drop in one direction lets the other pass", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.say("a", "a");
    await proxy.fault({ drop: "to-client" });
    one.socket.write("bc");
    await until(() => proxy.counts.toServer === 3);
    await until(() => proxy.counts.dropped === 2);
    assertEquals(one.heard, "a");
    await proxy.fault({ drop: "to-server" });
    one.socket.write("de");
    await until(() => proxy.counts.dropped === 4);
    assertEquals(proxy.counts.toServer, 3);
  }));

Deno.test("cutAfter resets the connection after exactly so many bytes to the client, counted from the fault", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.say("abc", "abc");
    await proxy.fault({ cutAfter: 5 });
    await one.say("de", "abcde");
    one.socket.write("fghijk");
    await soon(one.closed);
    assertEquals([one.heard, one.error], ["abcdefgh", "ECONNRESET"]);
    assertEquals([proxy.counts.cut, proxy.counts.toClient], [1, 8]);
    const two = client(); // new connections too
    two.socket.write("123456");
    await soon(two.closed);
    assertEquals([two.heard, proxy.counts.cut], ["12345", 2]);
  }));

Deno.test("cut() resets what is open", () =>
  withProxy(async ({ proxy, client }) => {
    const one = client();
    await one.say("a", "a");
    proxy.cut();
    await soon(one.closed);
    assertEquals([one.error, proxy.counts.cut], ["ECONNRESET", 1]);
    await client().say("b", "b");
  }));

Deno.test("silent: new connections are accepted and hear nothing, the server never knows, open ones go on", () =>
  withProxy(async ({ proxy, served, client }) => {
    const open = client();
    await open.say("a", "a");
    await proxy.fault({ silent: true });
    const [one, two] = [client(), client()];
    one.socket.write("hello");
    await once(two.socket, "connect");
    await until(() => proxy.counts.dropped === 5);
    await open.say("b", "ab");
    assertEquals([one.heard, served.length, proxy.counts.open], ["", 1, 3]);
    two.socket.end();
    await soon(two.closed);
    await proxy.heal();
    await soon(one.closed);
    assertEquals(one.error, "ECONNRESET");
    await open.say("c", "abc");
  }));

Deno.test("refuse: new connections are refused, open ones go on, and the port is the same afterwards", () =>
  withProxy(async ({ proxy, client }) => {
    const open = client();
    await open.say("a", "a");
    await proxy.fault({ refuse: true });
    await proxy.fault({ refuse: true, delay: 0.01 });
    const one = client();
    await soon(one.closed);
    assertEquals(one.error, "ECONNREFUSED");
    await open.say("b", "ab");
    await proxy.heal();
    await client().say("c", "c");
  }));

Deno.test("a server that refuses is a reset for the client", async () => {
  const gone = await TcpProxy.start({ to: { host: "127.0.0.1", port: 1 } });
  const one = new Client(gone);
  await soon(one.closed);
  assertEquals(one.error, "ECONNRESET");
  await gone.close();
});

Deno.test("close() ends everything at once and frees the port, whatever the fault; twice is harmless", () =>
  withProxy(async ({ proxy, served, client }) => {
    const one = client();
    await one.say("a", "a");
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

Deno.test("what is not allowed is refused, with the argument and the value", async () => {
  const to = { host: "127.0.0.1", port: 5432 };
  const starts: [options: unknown, message: string][] = [
    [{}, "Cannot start a TCP proxy: to must be an object with host, port, got undefined"],
    [{ to: { ...to, port: 0 } }, "to.port must be a whole number from 1 to 65535, got 0"],
    [{ to: { ...to, host: "db" } }, 'to.host must be an IPv4 or IPv6 address, got "db"'],
    [{ to, listen: { host: "::1", prot: 1 } }, 'listen has no "prot", only host, port'],
    [{ to, form: 1 }, 'options has no "form", only listen, to'],
  ];
  for (const [options, message] of starts) {
    const error = await assertRejects(() => TcpProxy.start(options as TcpProxyOptions), Error);
    assert(error.message.includes(message), error.message);
  }
  const faults: [fault: unknown, message: string][] = [
    [{ delay: -1 }, "Cannot set a TCP fault: delay must be a number of seconds from 0 to"],
    [{ delay: "1" }, 'delay must be a number of seconds from 0 to 2147483, got "1"'],
    [{ cutAfter: 0 }, "cutAfter must be a whole number of bytes from 1 to"],
    [{ drop: true }, 'drop must be "both", "to-server" or "to-client", got true'],
    [{ refuse: 1 }, "refuse must be true or false, got 1"],
    [{ silent: null }, "silent must be true or false, got null"],
    [{ dleay: 1 }, 'fault has no "dleay", only delay, drop, cutAfter, silent, refuse'],
  ];
  await using proxy = await TcpProxy.start({ to });
  for (const [fault, message] of faults) {
    const error = await assertRejects(() => proxy.fault(fault as Record<string, never>), Error);
    assert(error.message.includes(message), error.message);
  }
  const { host, port } = proxy;
  const error = await assertRejects(() => TcpProxy.start({ listen: { host, port }, to }), Error);
  assert(error.message.startsWith(`Cannot start a TCP proxy on "127.0.0.1:${port}": `));
});
