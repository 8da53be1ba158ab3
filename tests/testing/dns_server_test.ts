import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { DnsServer } from "@dnspool/dnspool/testing";
import { Resolver } from "node:dns/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import {
  askTcp,
  askUdp,
  data,
  decode,
  encodeQuery,
  fakeClock,
  TcpClient,
  UdpClient,
  withLength,
} from "../support/dns_client.ts";

function resolverFor(server: DnsServer): Resolver {
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([server.address]);
  return resolver;
}

async function listenTcp(): Promise<Server> {
  const listener = createServer();
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(0, "127.0.0.1", () => resolve());
  });
  return listener;
}

async function closeTcp(listener: Server): Promise<void> {
  await new Promise<void>((resolve) => listener.close(() => resolve()));
}

Deno.test("DnsServer.start() listens on one free port over UDP and TCP", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  assertEquals(server.host, "127.0.0.1");
  assertEquals(server.address, `127.0.0.1:${server.port}`);
  assertEquals(data(await askUdp(server, "db.internal")), ["127.0.0.2"]);
  assertEquals(data(await askTcp(server, "db.internal")), ["127.0.0.2"]);
});

Deno.test("DnsServer.start() listens on IPv6", async () => {
  await using server = await DnsServer.start({ host: "::1" });
  server.set("db.internal", ["fd00::2"]);
  assertEquals(server.address, `[::1]:${server.port}`);
  assertEquals(data(await askUdp(server, "db.internal", "AAAA")), ["fd00::2"]);
  assertEquals(data(await askTcp(server, "db.internal", "AAAA")), ["fd00::2"]);
  assertMatch(server.queries[0]!.from, /^\[::1\]:\d+$/);
});

Deno.test("DnsServer.start() takes the port it is given, and close() frees it", async () => {
  const first = await DnsServer.start();
  const { port } = first;
  const error = await assertRejects(
    () => DnsServer.start({ port }),
    Error,
    `Cannot start a DNS server on "127.0.0.1:${port}": `,
  );
  assertEquals((error.cause as { code?: string }).code, "EADDRINUSE");
  await first.close();
  await using second = await DnsServer.start({ port });
  assertEquals(second.port, port);
});

Deno.test("DnsServer.start() leaves no socket open if the port is taken over TCP only", async () => {
  const listener = await listenTcp();
  const { port } = listener.address() as AddressInfo;
  await assertRejects(() => DnsServer.start({ port }), Error, "Cannot start a DNS server");
  await closeTcp(listener);
  await using server = await DnsServer.start({ port });
  assertEquals(server.port, port);
});

Deno.test("DnsServer.start() tries another port if the free one is taken over TCP", async () => {
  // 2000 of about 28000 ports are taken: 300 servers almost never avoid all of them.
  const listeners = await Promise.all(Array.from({ length: 2000 }, listenTcp));
  try {
    await Promise.all(Array.from({ length: 300 }, async () => {
      await using server = await DnsServer.start();
      assert(server.port > 0);
    }));
  } finally {
    await Promise.all(listeners.map(closeTcp));
  }
});

Deno.test("DnsServer answers Deno.resolveDns and node:dns", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2", "fd00::2"], { ttl: 7 });
  const nameServer = { ipAddr: server.host, port: server.port };
  assertEquals(await Deno.resolveDns("db.internal", "A", { nameServer }), ["127.0.0.2"]);
  assertEquals(await Deno.resolveDns("db.internal", "AAAA", { nameServer }), ["fd00::2"]);
  assertEquals(await resolverFor(server).resolve4("db.internal", { ttl: true }), [
    { address: "127.0.0.2", ttl: 7 },
  ]);
  await assertRejects(() => resolverFor(server).resolve4("other.internal"), Error, "ENOTFOUND");
});

Deno.test("DnsServer.set() replaces the records of a name, and the next query is answered with them", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2", "fd00::2"]);
  server.set("db.internal", ["127.0.0.3"]);
  assertEquals(data(await askUdp(server, "db.internal", "A")), ["127.0.0.3"]);
  assertEquals(data(await askUdp(server, "db.internal", "AAAA")), []);
});

Deno.test("DnsServer.set() copies the addresses it is given", async () => {
  await using server = await DnsServer.start();
  const addresses = ["127.0.0.2"];
  server.set("db.internal", addresses);
  addresses.push("127.0.0.3");
  assertEquals(data(await askUdp(server, "db.internal")), ["127.0.0.2"]);
});

Deno.test("DnsServer answers a name that is not set with NXDOMAIN and an SOA", async () => {
  await using server = await DnsServer.start({ negativeTtl: 17 });
  server.set("db.internal", ["127.0.0.2"]);
  assert(server.delete("DB.internal."));
  assertFalse(server.delete("db.internal"));
  for (const name of ["db.internal", "never.internal"]) {
    const response = await askUdp(server, name);
    assertEquals(response.rcode, "NXDOMAIN");
    assertEquals(response.answers, []);
    assertEquals(response.authorities.map(({ type, ttl }) => [type, ttl]), [["SOA", 17]]);
    assertEquals(response.authorities[0]!.data.minimum, 17);
  }
});

Deno.test("DnsServer answers a name without records of the type with NODATA and an SOA", async () => {
  await using server = await DnsServer.start();
  server.set("empty.internal", []);
  server.set("db.internal", ["127.0.0.2"]);
  const asked = [["empty.internal", "A"], ["db.internal", "AAAA"], ["db.internal", "TXT"]] as const;
  for (const [name, type] of asked) {
    const response = await askUdp(server, name, type);
    assertEquals([response.rcode, response.answers], ["NOERROR", []]);
    assertEquals(response.authorities.map(({ ttl }) => ttl), [1]);
  }
});

Deno.test("DnsServer sends any TTL of 32 bits", async () => {
  await using server = await DnsServer.start({ ttl: 33 });
  for (const ttl of [0, 1, 86400, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    server.set("db.internal", ["127.0.0.2"], { ttl });
    assertEquals((await askUdp(server, "db.internal")).answers[0]!.ttl, ttl);
  }
  server.set("db.internal", ["127.0.0.2"]);
  assertEquals((await askUdp(server, "db.internal")).answers[0]!.ttl, 33);
  await using plain = await DnsServer.start();
  plain.set("db.internal", ["127.0.0.2"]);
  assertEquals((await askUdp(plain, "db.internal")).answers[0]!.ttl, 1);
});

Deno.test("DnsServer compares names without case and dot, and echoes the question's case", async () => {
  await using server = await DnsServer.start();
  server.set("My_DB.Internal.", ["127.0.0.2"]);
  const response = await askUdp(server, "mY_db.iNTERNAL");
  assertEquals(response.questions[0]!.name, "mY_db.iNTERNAL");
  assertEquals(response.answers[0]!.name, "mY_db.iNTERNAL");
  assertEquals(server.count("MY_DB.internal.", "a"), 1);
});

Deno.test("DnsServer follows a chain of aliases, each with its own TTL", async () => {
  await using server = await DnsServer.start();
  server.set("a.internal", { cname: "b.internal" }, { ttl: 5 });
  server.set("b.internal", { cname: "C.internal" }, { ttl: 6 });
  server.set("c.internal", ["127.0.0.2", "127.0.0.3"], { ttl: 300 });
  const { answers, rcode } = await askUdp(server, "a.internal");
  assertEquals(rcode, "NOERROR");
  assertEquals(answers.map(({ name, type, ttl, data }) => [name, type, ttl, data]), [
    ["a.internal", "CNAME", 5, "b.internal"],
    ["b.internal", "CNAME", 6, "C.internal"],
    ["C.internal", "A", 300, "127.0.0.2"],
    ["C.internal", "A", 300, "127.0.0.3"],
  ]);
  assertEquals(data(await askUdp(server, "a.internal", "CNAME")), ["b.internal"]);
});

Deno.test("DnsServer follows a chain of a thousand aliases", async () => {
  await using server = await DnsServer.start();
  for (let index = 0; index < 1000; index++) {
    server.set(`n${index}.internal`, { cname: `n${index + 1}.internal` });
  }
  server.set("n1000.internal", ["127.0.0.2"]);
  const { answers } = await askTcp(server, "n0.internal");
  assertEquals(answers.length, 1001);
  assertEquals(answers.at(-1)!.data, "127.0.0.2");
});

Deno.test("DnsServer answers a dangling alias with the alias and NXDOMAIN", async () => {
  await using server = await DnsServer.start();
  server.set("a.internal", { cname: "gone.internal" });
  const response = await askUdp(server, "a.internal");
  assertEquals([response.rcode, data(response)], ["NXDOMAIN", ["gone.internal"]]);
  server.set("gone.internal", []);
  const empty = await askUdp(server, "a.internal");
  assertEquals([empty.rcode, data(empty)], ["NOERROR", ["gone.internal"]]);
});

Deno.test("DnsServer answers looping aliases with each alias once", async () => {
  await using server = await DnsServer.start();
  server.set("a.internal", { cname: "b.internal" });
  server.set("b.internal", { cname: "a.Internal" });
  server.set("self.internal", { cname: "self.internal" });
  const loop = await askUdp(server, "A.internal");
  assertEquals([loop.rcode, data(loop)], ["NOERROR", ["b.internal", "a.Internal"]]);
  assertEquals(data(await askUdp(server, "self.internal")), ["self.internal"]);
});

Deno.test("DnsServer answers an OPT record with one", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  const withOpt = await askUdp(server, "db.internal", "A", { edns: 1232 });
  assertEquals(withOpt.additionals.map(({ type }) => type), ["OPT"]);
  assertEquals((await askUdp(server, "db.internal")).additionals, []);
});

Deno.test("DnsServer sets the flags of an authoritative answer", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  const { flag_aa, flag_rd, flag_ra, flag_tc } = await askUdp(server, "db.internal");
  assertEquals({ flag_aa, flag_rd, flag_ra, flag_tc }, {
    flag_aa: true,
    flag_rd: true,
    flag_ra: true,
    flag_tc: false,
  });
});

Deno.test("DnsServer truncates an answer that is too large for UDP, and sends it complete over TCP", async () => {
  await using server = await DnsServer.start();
  const addresses = Array.from({ length: 40 }, (_, index) => `127.0.1.${index}`);
  server.set("many.internal", addresses);
  for (const [edns, limit] of [[undefined, 512], [400, 512], [800, 800]] as const) {
    const cut = await askUdp(server, "many.internal", "A", edns === undefined ? {} : { edns });
    assert(cut.flag_tc);
    // As many records as fit, each of 29 bytes.
    assert(cut.size <= limit && cut.size > limit - 29, `${cut.size} bytes of ${limit}`);
    assertEquals(data(cut), addresses.slice(0, cut.answers.length));
  }
  const whole = await askUdp(server, "many.internal", "A", { edns: 1232 });
  assertEquals([whole.flag_tc, data(whole)], [false, addresses]);
  assertEquals(data(await askTcp(server, "many.internal")), addresses);
  const nameServer = { ipAddr: server.host, port: server.port };
  assertEquals((await Deno.resolveDns("many.internal", "A", { nameServer })).length, 40);
  assertEquals((await resolverFor(server).resolve4("many.internal")).length, 40);
});

Deno.test("DnsServer answers SERVFAIL over TCP if the answer is too large", async () => {
  await using server = await DnsServer.start();
  server.set("many.internal", Array.from({ length: 3000 }, () => "127.0.0.2"));
  const { rcode, answers } = await askTcp(server, "many.internal");
  assertEquals([rcode, answers], ["SERVFAIL", []]);
  assert((await askUdp(server, "many.internal")).flag_tc);
});

Deno.test("DnsServer reads TCP messages however they are cut, and answers each", async () => {
  await using server = await DnsServer.start();
  server.set("a.internal", ["127.0.0.2"]);
  server.set("b.internal", ["127.0.0.3"]);
  await using client = new TcpClient(server);
  const [a, b] = [encodeQuery("a.internal", "A"), encodeQuery("b.internal", "A")];
  const bytes = [...withLength(a), ...withLength(b)];
  for (const [start, end] of [[0, 1], [1, 9], [9, undefined]] as const) {
    await client.write(Uint8Array.from(bytes.slice(start, end)));
    await askUdp(server, "a.internal"); // by then the server has read the piece
  }
  assertEquals(data(decode(await client.receive() as Uint8Array)), ["127.0.0.2"]);
  assertEquals(data(decode(await client.receive() as Uint8Array)), ["127.0.0.3"]);
});

Deno.test("DnsServer refuses messages that are no query for it, and does not answer responses", async () => {
  await using server = await DnsServer.start();
  await using client = new UdpClient(server);
  const reply = async (message: Uint8Array) => {
    await client.send(message);
    return decode((await client.receive()).message);
  };
  const good = encodeQuery("db.internal", "A", { id: 4660 });
  const changed = (index: number, value: number) => good.with(index, value);
  assertEquals((await reply(changed(2, 0x28))).rcode, "NOTIMP"); // opcode 5, update
  assertEquals((await reply(changed(5, 0))).rcode, "FORMERR"); // no question
  assertEquals((await reply(changed(7, 1))).rcode, "FORMERR"); // an answer that is not there
  const twice = Uint8Array.from([...changed(5, 2), ...good.slice(12)]);
  assertEquals((await reply(twice)).rcode, "FORMERR"); // two questions
  assertEquals((await reply(changed(13, 0xff))).rcode, "FORMERR"); // a byte outside ASCII
  assertEquals((await reply(changed(13, 0x2e))).rcode, "FORMERR"); // a dot inside a label
  const chaos = await reply(encodeQuery("db.internal", "A", { class: "CH", id: 4660 }));
  assertEquals([chaos.rcode, chaos.id, chaos.flag_rd], ["REFUSED", 4660, true]);
  // Neither of these is answered: the next reply is the good query's.
  await client.send(changed(2, 0x80));
  await client.send(good.slice(0, 11));
  assertEquals((await reply(good)).rcode, "NXDOMAIN");
  assertEquals(server.count(), 1);
});

Deno.test("DnsServer survives any bytes over UDP and TCP", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  const seed = 20250101;
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  await using udp = new UdpClient(server);
  const good = encodeQuery("db.internal", "A", { edns: 1232 });
  for (let round = 0; round < 1000; round++) {
    // In turn a good query with some bytes changed, and only random bytes.
    const bytes = round % 2 === 0 ? good.slice() : new Uint8Array(random(100));
    const changes = round % 2 === 0 ? 1 + random(4) : bytes.length;
    for (let change = 0; change < changes; change++) bytes[random(bytes.length)] = random(256);
    await udp.send(bytes);
    if (round % 20 === 0) {
      await using tcp = new TcpClient(server);
      await tcp.write(round % 40 === 0 ? bytes : withLength(bytes));
    }
  }
  assertEquals(data(await askUdp(server, "db.internal")), ["127.0.0.2"], `seed ${seed}`);
  assertEquals(data(await askTcp(server, "db.internal")), ["127.0.0.2"], `seed ${seed}`);
});

Deno.test("DnsServer answers a question for the root, and for an unknown type", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  assertEquals((await askUdp(server, ".", "NS")).rcode, "NXDOMAIN");
  const https = await askUdp(server, "db.internal", "UNKNOWN_65");
  assertEquals([https.rcode, https.questions[0]!.type], ["NOERROR", "UNKNOWN_65"]);
  assertEquals([server.count(".", "NS"), server.count("db.internal", "TYPE65")], [1, 1]);
});

Deno.test("DnsServer.queries is a snapshot of the queries, with client, time and transport", async () => {
  await using server = await DnsServer.start();
  const before = performance.now();
  await askUdp(server, "A.internal", "A");
  await askTcp(server, "b.internal", "AAAA");
  const { queries } = server;
  assertEquals(queries.map(({ name, type, protocol }) => [name, type, protocol]), [
    ["a.internal", "A", "udp"],
    ["b.internal", "AAAA", "tcp"],
  ]);
  assert(queries[0]!.at >= before && queries[1]!.at >= queries[0]!.at);
  assertMatch(queries[0]!.from, /^127\.0\.0\.1:\d+$/);
  assertEquals([server.count(), server.count("a.internal"), server.count("a.internal", "AAAA")], [
    2,
    1,
    0,
  ]);
  await askUdp(server, "c.internal");
  assertEquals([server.count(), queries.length], [3, 2]);
  server.clearQueries();
  assertEquals([server.count(), server.queries, queries.length], [0, [], 2]);
});

Deno.test("DnsServer.nextQuery() resolves with the first query for the name and the type", async () => {
  await using server = await DnsServer.start();
  const any = server.nextQuery();
  const fitting = server.nextQuery("B.internal", "AAAA");
  await askUdp(server, "a.internal");
  await askUdp(server, "b.internal", "A");
  await askUdp(server, "b.internal", "AAAA");
  assertEquals((await any).name, "a.internal");
  assertEquals((await fitting).type, "AAAA");
});

Deno.test("DnsServer.close() closes all sockets at once, and may be called twice", async () => {
  const server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  server.fault("db.internal", { delay: 1000, inPieces: true, wrongPeer: true });
  server.nextQuery("not.awaited"); // must not cause an unhandled rejection
  const waiting = assertRejects(() => server.nextQuery("never.internal"), Error, "is closed");
  await using udp = new UdpClient(server);
  await using tcp = new TcpClient(server);
  await using idle = new TcpClient(server);
  await udp.send(encodeQuery("db.internal", "A"));
  await tcp.send(encodeQuery("db.internal", "A"));
  await idle.write(Uint8Array.of(0));
  while (server.count() < 2) await server.nextQuery();
  await Promise.all([server.close(), server.close()]);
  await server[Symbol.asyncDispose]();
  await waiting;
  assertEquals(await tcp.receive(), "closed");
  assertEquals(await idle.receive(), "closed");
  await assertRejects(() => server.nextQuery(), Error, "Cannot wait for a query");
  const again = await DnsServer.start({ port: server.port });
  await again.close();
});

Deno.test("DnsServer.set() rotates addresses", async () => {
  await using server = await DnsServer.start();
  const rotate = ["127.0.0.1", "fd00::1", "127.0.0.2", "127.0.0.3"];
  server.set("all.internal", { rotate });
  server.set("one.internal", { rotate, show: 1 });
  const all: string[][] = [];
  const one: string[][] = [];
  for (let round = 0; round < 4; round++) {
    all.push(data(await askUdp(server, "all.internal")));
    one.push(data(await askUdp(server, "one.internal")));
    // The other family rotates separately; another type does not rotate them.
    assertEquals(data(await askUdp(server, "one.internal", "AAAA")), ["fd00::1"]);
    assertEquals(data(await askUdp(server, "one.internal", "TXT")), []);
  }
  const [a, b, c] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  assertEquals(all, [[a, b, c], [b, c, a], [c, a, b], [a, b, c]]);
  assertEquals(one, [[a], [b], [c], [a]]);
});

Deno.test("DnsServer.set() draws addresses by weight, and a seed repeats the draw", async () => {
  const draw = async (seed: number) => {
    await using server = await DnsServer.start({ seed });
    server.set("db.internal", {
      weighted: [["127.0.0.3", 3], ["127.0.0.2", 1], ["fd00::1", 1000]],
    });
    const drawn: string[] = [];
    for (let round = 0; round < 200; round++) {
      drawn.push(...data(await askUdp(server, "db.internal")));
    }
    return drawn;
  };
  const first = await draw(7);
  assertEquals(first.length, 200);
  assertEquals(await draw(7), first);
  assertNotEquals(await draw(8), first);
  const heavy = first.filter((address) => address === "127.0.0.3").length;
  assert(heavy > 120 && heavy < 180, `${heavy} of 200, 150 expected`);
});

Deno.test("DnsServer.set() changes records by schedule, on the clock of performance.now()", async () => {
  using clock = fakeClock();
  await using server = await DnsServer.start();
  server.set("db.internal", {
    schedule: [["127.0.0.2"], { cname: "standby.internal" }, []],
    every: 2.5,
  });
  server.set("standby.internal", ["127.0.0.3"]);
  server.set("alias.internal", { cname: "db.internal" });
  const seen: string[] = [];
  for (let round = 0; round < 5; round++) {
    seen.push(data(await askUdp(server, "alias.internal")).slice(1).join());
    clock.advance(1.25);
  }
  const failedOver = "standby.internal,127.0.0.3";
  assertEquals(seen, ["127.0.0.2", "127.0.0.2", failedOver, failedOver, ""]);
  clock.advance(1.25);
  assertEquals(data(await askUdp(server, "db.internal")), ["127.0.0.2"]);
});

Deno.test("DnsServer.set() and delete() refuse invalid arguments, and say what is allowed", async () => {
  await using server = await DnsServer.start();
  server.set("db.internal", ["127.0.0.2"]);
  const set = (name: unknown, records: unknown, options = {}) => () =>
    server.set(name as string, records as string[], options);
  const cases: [() => void, typeof TypeError | typeof RangeError, string][] = [
    [
      set(5, []),
      TypeError,
      '"name" must be a host name of at most 253 characters in labels of 1 to 63 letters',
    ],
    [set("", []), TypeError, 'got ""'],
    [set("a..b", []), TypeError, 'got "a..b"'],
    [set("*", []), TypeError, 'got "*"'],
    [set(`${"a".repeat(64)}.internal`, []), TypeError, "in labels of 1 to 63"],
    [set("a.".repeat(126) + "ab", []), TypeError, "at most 253 characters"],
    [
      set("db.internal", "127.0.0.2"),
      TypeError,
      '"records" must be an array of IP addresses or an object with "cname", "srv", "rotate", ' +
      '"weighted" or "schedule", got "127.0.0.2"',
    ],
    [
      set("db.internal", ["127.0.0.2", "127.0.0.256"]),
      TypeError,
      '"records[1]" must be an IPv4 or IPv6 address, got "127.0.0.256"',
    ],
    [set("db.internal", ["fe80::1%eth0"]), TypeError, 'got "fe80::1%eth0"'],
    [set("db.internal", { cname: "" }), TypeError, '"records.cname" must be a host name'],
    [
      set("db.internal", { cnam: "x" }),
      TypeError,
      '"records.cnam" is not an option of DnsServer.set(), did you mean "records.cname"?',
    ],
    [
      set("db.internal", { rotate: ["::1"], show: 0 }),
      RangeError,
      '"records.show" must be a whole',
    ],
    [set("db.internal", { weighted: [["::1"]] }), TypeError, '"records.weighted[0]" must be'],
    [
      set("db.internal", { weighted: [["::1", 0]] }),
      RangeError,
      'weighted[0][1]" must be a number',
    ],
    [
      set("db.internal", { schedule: [], every: 1 }),
      TypeError,
      '"records.schedule" must be a non-empty',
    ],
    [set("db.internal", { schedule: [["x"]], every: 1 }), TypeError, '"records.schedule[0][0]"'],
    [
      set("db.internal", { schedule: [[]], every: 0 }),
      RangeError,
      '"records.every" must be a number of seconds from 0.001 to 2147483, got 0',
    ],
    [
      set("db.internal", [], { ttl: -1 }),
      RangeError,
      '"ttl" must be a whole number of seconds from 0 to 4294967295, got -1',
    ],
    [set("db.internal", [], { ttl: 1.5 }), RangeError, "got 1.5"],
    [set("db.internal", [], { ttl: 2 ** 32 }), RangeError, "got 4294967296"],
    [set("db.internal", [], { ttl: "5" }), TypeError, 'got "5"'],
    [
      set("db.internal", [], { tttl: 5 }),
      TypeError,
      '"tttl" is not an option of DnsServer.set(), did you mean "ttl"?',
    ],
    [() => server.delete("a b"), TypeError, '"name" must be'],
  ];
  for (const [call, errorClass, message] of cases) {
    assertThrows(call, errorClass, message);
  }
  // The refused calls changed nothing.
  assertEquals(data(await askUdp(server, "db.internal")), ["127.0.0.2"]);
});

Deno.test("DnsServer.start() refuses invalid options", async () => {
  const cases: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [{ host: "localhost" }, TypeError, '"host" must be an IPv4 or IPv6 address, got "localhost"'],
    [{ port: 65536 }, RangeError, '"port" must be a whole number from 0 to 65535, got 65536'],
    [{ port: "53" }, TypeError, '"port" must be a whole number from 0 to 65535, got "53"'],
    [{ ttl: NaN }, TypeError, '"ttl" must be a whole number of seconds from 0 to 4294967295'],
    [{ negativeTtl: -1 }, RangeError, '"negativeTtl" must be a whole number of seconds'],
    [{ seed: 0.5 }, RangeError, '"seed" must be a whole number from 0 to 4294967295, got 0.5'],
    [{ cacheOf: {} }, TypeError, '"cacheOf" must be a DnsServer, got an object'],
    [
      { rounding: "up" },
      TypeError,
      '"rounding" must be one of "floor", "ceil", "second-arithmetic", got "up"',
    ],
    [{ prot: 53 }, TypeError, '"prot" is not an option of DnsServer.start(), did you mean "port"?'],
  ];
  for (const [options, errorClass, message] of cases) {
    const error = await assertRejects(() => DnsServer.start(options as never), errorClass, message);
    assertInstanceOf(error, errorClass);
    assert(error.message.startsWith(message), error.message);
  }
});
