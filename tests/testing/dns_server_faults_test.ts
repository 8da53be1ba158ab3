import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { type DnsFault, DnsServer } from "@dnspool/dnspool/testing";
import { Resolver } from "node:dns/promises";
import {
  askTcp,
  askUdp,
  data,
  decode,
  encodeQuery,
  TcpClient,
  UdpClient,
} from "../support/dns_client.ts";

const NAME = "db.internal";

/** Starts a server with a fault in the answers for one name. */
async function faultyServer(
  fault: DnsFault | readonly DnsFault[],
  options = {},
): Promise<DnsServer> {
  const server = await DnsServer.start(options);
  server.set(NAME, ["127.0.0.2", "fd00::2"], { ttl: 30 });
  server.set("healthy.internal", ["127.0.0.9"]);
  server.fault(NAME, fault);
  return server;
}

/** Returns all replies to a query over UDP that arrive before the reply to the next query. */
async function udpReplies(
  server: DnsServer,
  query: Uint8Array,
): Promise<{ message: Uint8Array; port: number }[]> {
  await using client = new UdpClient(server);
  await client.send(query);
  const replies: { message: Uint8Array; port: number }[] = [];
  await client.send(encodeQuery("healthy.internal", "A", { id: 65000 }));
  for (;;) {
    const reply = await client.receive();
    if (reply.message[0] === 0xfd && reply.message[1] === 0xe8) return replies;
    replies.push(reply);
  }
}

Deno.test("a fault with drop answers nothing, over UDP and TCP", async () => {
  await using server = await faultyServer({ drop: true });
  assertEquals(await udpReplies(server, encodeQuery(NAME, "A")), []);
  await using tcp = new TcpClient(server);
  await tcp.send(encodeQuery(NAME, "A"));
  await tcp.send(encodeQuery("healthy.internal", "A"));
  assertEquals(data(decode(await tcp.receive() as Uint8Array)), ["127.0.0.9"]);
  assertEquals(server.count(NAME, "A"), 2);
});

Deno.test("a fault with delay sends late the answer of the time of the query", async () => {
  await using server = await faultyServer({ delay: 0.1 });
  await using client = new UdpClient(server);
  const asked = server.nextQuery(NAME);
  await client.send(encodeQuery(NAME, "A", { id: 1 }));
  const { at } = await asked;
  server.set(NAME, ["127.0.0.3"]);
  await client.send(encodeQuery("healthy.internal", "A", { id: 2 }));
  assertEquals(decode((await client.receive()).message).id, 2);
  const late = decode((await client.receive()).message);
  assertEquals([late.id, ...data(late)], [1, "127.0.0.2"]);
  const waited = performance.now() - at;
  assert(waited >= 99, `${waited} ms`);
});

Deno.test("a fault with rcode answers that code without records", async () => {
  await using server = await faultyServer([]);
  for (const rcode of ["FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"] as const) {
    server.fault(NAME, { rcode });
    for (const ask of [askUdp, askTcp]) {
      const response = await ask(server, NAME);
      assertEquals(response.rcode, rcode);
      assertEquals([response.answers, response.authorities], [[], []]);
      assertEquals(response.questions[0]!.name, NAME);
    }
  }
});

Deno.test("a fault with emptySuccess answers without any record, even an SOA", async () => {
  await using server = await faultyServer({ emptySuccess: true });
  const response = await askUdp(server, NAME);
  assertEquals([response.rcode, response.answers, response.authorities], ["NOERROR", [], []]);
  server.delete(NAME);
  const unknown = await askUdp(server, NAME);
  assertEquals([unknown.rcode, unknown.authorities], ["NOERROR", []]);
});

Deno.test("a fault with truncate truncates the answer over UDP, and sends the complete one over TCP", async () => {
  await using server = await faultyServer({ truncate: true });
  server.set(NAME, ["127.0.0.2", "127.0.0.3"]);
  const cut = await askUdp(server, NAME);
  assertEquals([cut.flag_tc, data(cut)], [true, ["127.0.0.2"]]);
  const whole = await askTcp(server, NAME);
  assertEquals([whole.flag_tc, data(whole)], [false, ["127.0.0.2", "127.0.0.3"]]);
  const nameServer = { ipAddr: server.host, port: server.port };
  assertEquals((await Deno.resolveDns(NAME, "A", { nameServer })).length, 2);
  assertEquals(server.queries.at(-1)!.protocol, "tcp");
});

Deno.test("a fault with garbage answers random bytes after the id, the same for the same seed", async () => {
  await using server = await faultyServer({ garbage: true });
  const query = encodeQuery(NAME, "A", { id: 4660 });
  const bytes = async () => {
    const replies = await udpReplies(server, query);
    assertEquals(replies.length, 1);
    return [...replies[0]!.message];
  };
  const first = await bytes();
  assertEquals([first[0], first[1], first[2]! >> 7], [0x12, 0x34, 1]);
  assertNotEquals(await bytes(), first);
  server.fault(NAME, { garbage: 5 });
  const seeded = await bytes();
  assertEquals(await bytes(), seeded);
  const zero = await (server.fault(NAME, { garbage: 0 }), bytes());
  assertNotEquals(zero, seeded);
  assertNotEquals(zero, await (server.clearFaults(), bytes()));
  server.fault(NAME, { garbage: 5, wrongId: true });
  assertEquals(await bytes(), [seeded[0], seeded[1]! + 1, ...seeded.slice(2)]);
  server.fault(NAME, { garbage: false });
  assertEquals(data(await askUdp(server, NAME)), ["127.0.0.2"]);
});

Deno.test("a fault with wrongId answers with another id", async () => {
  await using server = await faultyServer({ wrongId: true });
  for (const id of [0, 4660, 65535]) {
    const response = await askUdp(server, NAME, "A", { id });
    assertNotEquals(response.id, id);
    assertEquals(data(response), ["127.0.0.2"]);
  }
});

Deno.test("a fault with wrongQuestion answers with another question", async () => {
  await using server = await faultyServer({ wrongQuestion: true });
  const response = await askUdp(server, NAME);
  assertEquals(response.questions.map(({ name }) => name), ["wrong-question.invalid"]);
  assertEquals(response.answers[0]!.name, NAME);
});

Deno.test("a fault with wrongPeer answers from another port over UDP only", async () => {
  await using server = await faultyServer({ wrongPeer: true });
  const first = await askUdp(server, NAME);
  assertNotEquals(first.port, server.port);
  assertEquals(data(first), ["127.0.0.2"]);
  // The other port stays the same.
  assertEquals((await askUdp(server, NAME)).port, first.port);
  assertEquals(data(await askTcp(server, NAME)), ["127.0.0.2"]);
});

Deno.test("a fault with addresses replaces the addresses of the family asked for", async () => {
  await using server = await faultyServer({ addresses: ["127.6.6.6", "fd00::666"] });
  for (const [type, address] of [["A", "127.6.6.6"], ["AAAA", "fd00::666"]] as const) {
    const { answers } = await askUdp(server, NAME, type);
    assertEquals(answers.map(({ name, ttl, data }) => [name, ttl, data]), [[NAME, 30, address]]);
  }
  server.fault("never.internal", { addresses: ["127.6.6.6"] });
  const { rcode, answers } = await askUdp(server, "never.internal");
  assertEquals([rcode, answers[0]!.ttl, answers[0]!.data], ["NOERROR", 0, "127.6.6.6"]);
});

Deno.test("a fault with extraRecords adds records of any name to the answer", async () => {
  await using server = await faultyServer({
    extraRecords: [
      { name: "evil.internal", address: "127.6.6.6", ttl: 5 },
      { name: NAME, address: "fd00::666" },
      { name: "other.internal", cname: "evil.internal" },
    ],
  });
  const { answers } = await askUdp(server, NAME);
  assertEquals(answers.map(({ name, type, ttl, data }) => [name, type, ttl, data]), [
    [NAME, "A", 30, "127.0.0.2"],
    ["evil.internal", "A", 5, "127.6.6.6"],
    [NAME, "AAAA", 60, "fd00::666"],
    ["other.internal", "CNAME", 60, "evil.internal"],
  ]);
});

Deno.test("a fault with order changes the order of an answer's records", async () => {
  await using server = await faultyServer([]);
  const names = Array.from({ length: 8 }, (_, index) => `n${index}.internal`);
  names.forEach((name, index) => server.set(name, { cname: `n${index + 1}.internal` }));
  server.set("n8.internal", ["127.0.0.2"]);
  const right = data(await askUdp(server, "n0.internal"));
  server.fault("n0.internal", { order: "reversed" });
  assertEquals(data(await askUdp(server, "n0.internal")), right.toReversed());
  server.fault("n0.internal", { order: "shuffled" });
  const shuffled = data(await askUdp(server, "n0.internal"));
  assertNotEquals(shuffled, right);
  assertEquals(shuffled.toSorted(), right.toSorted());
  await using twin = await DnsServer.start();
  names.forEach((name, index) => twin.set(name, { cname: `n${index + 1}.internal` }));
  twin.set("n8.internal", ["127.0.0.2"]);
  twin.fault("n0.internal", { order: "shuffled" });
  assertEquals(data(await askUdp(twin, "n0.internal")), shuffled);
});

Deno.test("a fault with cutShort sends half of the message, and closes a TCP connection", async () => {
  await using server = await faultyServer([]);
  const query = encodeQuery(NAME, "A");
  const [whole] = await udpReplies(server, query);
  server.fault(NAME, { cutShort: true });
  const [half] = await udpReplies(server, query);
  assertEquals(half!.message, whole!.message.slice(0, whole!.message.length >> 1));
  await using tcp = new TcpClient(server);
  await tcp.send(query);
  assertEquals(await tcp.receive(), "closed");
  const bytes = tcp.chunks.flatMap((chunk) => [...chunk]);
  assertEquals(bytes, [0, whole!.message.length, ...half!.message]);
});

Deno.test("a fault with inPieces sends a TCP message in pieces", async () => {
  await using server = await faultyServer({ inPieces: true });
  await using tcp = new TcpClient(server);
  await tcp.send(encodeQuery(NAME, "A"));
  await tcp.send(encodeQuery("healthy.internal", "A"));
  assertEquals(data(decode(await tcp.receive() as Uint8Array)), ["127.0.0.2"]);
  assertEquals(data(decode(await tcp.receive() as Uint8Array)), ["127.0.0.9"]);
  assert(tcp.chunks.length > 1, `${tcp.chunks.length} chunk`);
  assertEquals(data(await askUdp(server, NAME)), ["127.0.0.2"]);
});

Deno.test("a fault with thenCorrect sends the right response after the wrong one", async () => {
  await using server = await faultyServer({
    wrongId: true,
    addresses: ["127.6.6.6"],
    thenCorrect: true,
  });
  const query = encodeQuery(NAME, "A", { id: 7 });
  const replies = (await udpReplies(server, query)).map(({ message }) => decode(message));
  assertEquals(replies.map((reply) => [reply.id, ...data(reply)]), [
    [8, "127.6.6.6"],
    [7, "127.0.0.2"],
  ]);
  await using tcp = new TcpClient(server);
  await tcp.send(query);
  assertEquals(decode(await tcp.receive() as Uint8Array).id, 8);
  assertEquals(decode(await tcp.receive() as Uint8Array).id, 7);
});

Deno.test("a fault with times is over after that number of queries", async () => {
  await using server = await faultyServer({ rcode: "SERVFAIL", times: 2 });
  const codes: string[] = [];
  for (let round = 0; round < 3; round++) codes.push((await askUdp(server, NAME)).rcode);
  assertEquals(codes, ["SERVFAIL", "SERVFAIL", "NOERROR"]);
});

Deno.test("a fault with protocol or family applies only to such queries", async () => {
  await using server = await faultyServer({ rcode: "SERVFAIL", protocol: "tcp", times: 1 });
  assertEquals((await askUdp(server, NAME)).rcode, "NOERROR");
  assertEquals((await askTcp(server, NAME)).rcode, "SERVFAIL");
  server.fault(NAME, { rcode: "SERVFAIL", family: 6 });
  assertEquals((await askUdp(server, NAME, "A")).rcode, "NOERROR");
  assertEquals((await askUdp(server, NAME, "AAAA")).rcode, "SERVFAIL");
  assertEquals((await askUdp(server, NAME, "TXT")).rcode, "NOERROR");
});

Deno.test("a query meets the first of several faults that applies to it and is not used up", async () => {
  await using server = await faultyServer([
    { times: 1 },
    { rcode: "SERVFAIL", times: 2 },
    { rcode: "REFUSED", family: 6 },
  ]);
  const codes: string[] = [];
  for (const type of ["A", "AAAA", "A", "AAAA", "A"]) {
    codes.push((await askUdp(server, NAME, type)).rcode);
  }
  assertEquals(codes, ["NOERROR", "SERVFAIL", "SERVFAIL", "REFUSED", "NOERROR"]);
});

Deno.test('a fault under "*" applies to every name without a fault of its own', async () => {
  await using server = await faultyServer({ times: 1 });
  server.fault("*", { rcode: "SERVFAIL" });
  assertEquals((await askUdp(server, "healthy.internal")).rcode, "SERVFAIL");
  assertEquals((await askUdp(server, "never.internal")).rcode, "SERVFAIL");
  for (let round = 0; round < 2; round++) {
    assertEquals((await askUdp(server, NAME)).rcode, "NOERROR");
  }
  server.clearFaults("*");
  assertEquals((await askUdp(server, "healthy.internal")).rcode, "NOERROR");
});

Deno.test("DnsServer.clearFaults() removes the faults of one name, or all", async () => {
  await using server = await faultyServer({ rcode: "SERVFAIL" });
  server.fault("healthy.internal", { rcode: "REFUSED" });
  server.fault("*", { rcode: "REFUSED" });
  server.clearFaults("DB.internal.");
  assertEquals((await askUdp(server, NAME)).rcode, "REFUSED");
  server.clearFaults();
  assertEquals((await askUdp(server, NAME)).rcode, "NOERROR");
  assertEquals((await askUdp(server, "healthy.internal")).rcode, "NOERROR");
});

Deno.test("a fault applies to the name asked for, in any letter case, even after its records are deleted", async () => {
  await using server = await faultyServer({ rcode: "SERVFAIL" });
  server.set("alias.internal", { cname: NAME });
  assertEquals((await askUdp(server, "alias.internal")).rcode, "NOERROR");
  assertEquals((await askUdp(server, "Db.Internal")).rcode, "SERVFAIL");
  server.delete(NAME);
  assertEquals((await askUdp(server, NAME)).rcode, "SERVFAIL");
});

Deno.test("node:dns meets the faults as it does with other servers", async () => {
  await using server = await faultyServer({ drop: true });
  const resolver = new Resolver({ timeout: 100, tries: 1 });
  resolver.setServers([server.address]);
  const error = await assertRejects(() => resolver.resolve4(NAME)) as Error & { code: string };
  assertEquals(error.code, "ETIMEOUT");
  server.fault(NAME, { truncate: true });
  assertEquals(await resolver.resolve4(NAME), ["127.0.0.2"]);
});

Deno.test("DnsServer.fault() refuses invalid faults, and leaves the old one", async () => {
  await using server = await faultyServer({ rcode: "SERVFAIL" });
  const cases: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [undefined, TypeError, '"faults" must be an object, got undefined'],
    [
      { rcod: "SERVFAIL" },
      TypeError,
      '"faults.rcod" is not an option of DnsServer.fault(), did you mean "faults.rcode"?',
    ],
    [
      { rcode: "BROKEN" },
      TypeError,
      '"faults.rcode" must be one of "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", ' +
      'got "BROKEN"',
    ],
    [{ drop: 1 }, TypeError, '"faults.drop" must be one of true, false, got 1'],
    [{ protocol: "http" }, TypeError, '"faults.protocol" must be one of "udp", "tcp", got "http"'],
    [{ family: "6" }, TypeError, '"faults.family" must be one of 4, 6, got "6"'],
    [{ order: "random" }, TypeError, '"faults.order" must be one of "reversed", "shuffled"'],
    [
      { delay: -1 },
      RangeError,
      '"faults.delay" must be a number of seconds from 0 to 2147483, got -1',
    ],
    [{ delay: "1" }, TypeError, '"faults.delay" must be'],
    [[{}, { times: 0 }], RangeError, '"faults[1].times" must be a whole number from 1 to'],
    [{ times: 1.5 }, RangeError, '"faults.times" must be'],
    [{ garbage: -1 }, RangeError, '"faults.garbage" must be a whole number from 0 to 4294967295'],
    [{ garbage: "x" }, TypeError, '"faults.garbage" must be'],
    [{ addresses: ["x"] }, TypeError, '"faults.addresses[0]" must be an IPv4 or IPv6 address'],
    [{ addresses: "::1" }, TypeError, '"faults.addresses" must be an array of IP addresses'],
    [
      { extraRecords: {} },
      TypeError,
      '"faults.extraRecords" must be an array of records, got an object',
    ],
    [{ extraRecords: [{ name: "a" }] }, TypeError, 'with either "address" or "cname"'],
    [
      { extraRecords: [{ name: "a", address: "::1", cname: "b" }] },
      TypeError,
      '"faults.extraRecords[0]" must be a record with either "address" or "cname"',
    ],
    [{ extraRecords: [{ name: "a", address: "::1", ttl: -1 }] }, RangeError, '[0].ttl" must be'],
    [
      { drop: true, rcode: "SERVFAIL", garbage: 0 },
      TypeError,
      '"faults.rcode" must not be given: a fault has at most one of drop, rcode, emptySuccess, ' +
      'garbage, addresses, and has "drop" already',
    ],
  ];
  for (const [fault, errorClass, message] of cases) {
    assertThrows(() => server.fault(NAME, fault as DnsFault), errorClass, message);
  }
  assertThrows(() => server.fault("a b", {}), TypeError, '"name" must be');
  assertThrows(() => server.clearFaults("a b"), TypeError, '"name" must be');
  assertEquals((await askUdp(server, NAME)).rcode, "SERVFAIL");
});
