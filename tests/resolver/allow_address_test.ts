import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { CachedName } from "../../resolver/cached_name.ts";
import { type AllowAddress, readAllowAddress } from "../../resolver/allow_address.ts";
import { LookupError, ResolveError } from "../../errors.ts";
import { getIpWithTtl } from "../../resolver.ts";
import type { NameServer } from "../../lookups/lookup.ts";
import { type FakeLookup, fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

const PRIVATE = ["10.0.0.0/8", "fd00::/8"];

/** Calls getIpWithTtl() with one round over the servers. */
function ask(dns: FakeLookup, options: object = {}): Promise<[string, number]> {
  const own = { dnsLookup: dns, dnsFallback: false, dnsMaxRetries: 1, allowAddress: PRIVATE };
  return getIpWithTtl("db.internal", { ...own, ...options });
}

/** Returns the `LookupError` with which a resolution failed. */
async function refusal(promise: Promise<unknown>): Promise<LookupError> {
  const error = await assertRejects(() => promise, ResolveError);
  assertInstanceOf(error.cause, LookupError);
  return error.cause;
}

Deno.test("allowAddress: an answer with another address is refused, with an error that names the address and the option", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["203.0.113.9"], 10);
  const error = await assertRejects(() => ask(dns), ResolveError);
  assertEquals(
    error.message,
    'Cannot resolve "db.internal": The lookup "fake" answered "db.internal" with 203.0.113.9: "allowAddress" does not allow that address',
  );
  const { kind, reason } = error.cause as LookupError;
  assertEquals([error.kind, kind, reason], ["transient", "transient", "ADDRESS_NOT_ALLOWED"]);
});

Deno.test("allowAddress: a refused answer is a failed resolution: the stale answer is used, connections stay, an event is dispatched", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ allowAddress: PRIVATE });
  const errors: unknown[] = [];
  let changes = 0;
  engine.addEventListener("lookuperror", ({ detail }) => errors.push(detail.error));
  engine.addEventListener("addresschange", () => changes++);
  await engine.use(() => {});
  dns.addresses = ["203.0.113.9"];
  await time.advance(12);
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  assertEquals([engine.status().opened, engine.status().closed, changes], [1, 0, 0]);
  const [error] = errors;
  assertInstanceOf(error, LookupError);
  assert(error.message.includes('203.0.113.9: "allowAddress" does not allow'), error.message);

  dns.addresses = ["10.0.0.2"];
  await time.advance(6);
  assertEquals(await engine.use(({ address }) => address), "10.0.0.2");
  assertEquals(changes, 1);
  await engine.close();
});

Deno.test("allowAddress: once grace is over, callers get the refusal", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  await ask(dns, { dnsGraceTtl: 5 });
  dns.addresses = ["203.0.113.9"];
  await time.advance(10);
  assertEquals((await ask(dns, { dnsGraceTtl: 5 }))[0], "10.0.0.1");
  await time.advance(6);
  assertEquals((await refusal(ask(dns, { dnsGraceTtl: 0 }))).reason, "ADDRESS_NOT_ALLOWED");
});

Deno.test("allowAddress: one address that is not allowed refuses the whole answer, at any position", async () => {
  using _time = fakeTime();
  for (const addresses of [["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "10.0.0.1"]]) {
    const error = await refusal(ask(fakeLookup(addresses, 10)));
    assert(error.message.includes("127.0.0.1"), error.message);
  }
});

Deno.test("allowAddress: the next server is asked when the answer of the first is refused", async () => {
  using _time = fakeTime();
  const dns = fakeLookup([], 10);
  const [bad, good] = [{ host: "10.9.9.1", port: 53 }, { host: "10.9.9.2", port: 53 }];
  const isBad = (server: NameServer | undefined) => server?.host === bad.host;
  dns.respond = ({ server }) => ({
    addresses: [isBad(server) ? "203.0.113.9" : "10.0.0.1"],
    ttl: 10,
  });
  const dnsNameservers = [bad.host, good.host];
  assertEquals((await ask(dns, { dnsNameservers }))[0], "10.0.0.1");
  assertEquals(dns.questions.map(({ server }) => server), [bad, good]);
});

Deno.test("allowAddress: the answer of the operating system's resolver is checked as well", async () => {
  using _time = fakeTime();
  const dns = fakeLookup([], 10);
  const os = fakeLookup(["127.0.1.1"], 5);
  const key = { name: "db", family: 4 as const, lookup: dns, servers: [], fallback: os };
  const { settings } = viewBy(dns, { dnsMaxRetries: 1 });
  const cached = new CachedName({ ...key, allow: readAllowAddress(PRIVATE) });
  const view = cached.viewWith(settings);
  const error = await refusal(view.waitUntilFresh());
  assert(error.message.includes("127.0.1.1"), error.message);
  os.addresses = ["10.0.0.7"];
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.7"]);
});

Deno.test('allowAddress: with dnsFamily "both", a refused answer of one family refuses both', async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1", "2001:db8::1"], 10);
  const error = await refusal(ask(dns, { dnsFamily: "both" }));
  assert(error.message.includes("2001:db8::1"), error.message);
  dns.addresses = ["10.0.0.1", "fd00::1"];
  await time.advance(1);
  assertEquals((await ask(dns, { dnsFamily: "both" }))[0], "10.0.0.1");
});

Deno.test("allowAddress: an IPv4-mapped IPv6 address is checked as the IPv4 address that a socket connects to", async () => {
  using _time = fakeTime();
  const seen: string[] = [];
  const rules: AllowAddress[] = [["::/0", "10.0.0.0/8"], (ip) => {
    seen.push(ip);
    return ip !== "169.254.169.254";
  }];
  for (const allowAddress of rules) {
    const options = { dnsFamily: 6, allowAddress };
    const hidden = await refusal(ask(fakeLookup(["::FFFF:169.254.169.254"], 10), options));
    assertEquals(hidden.reason, "ADDRESS_NOT_ALLOWED");
    const dns = fakeLookup(["::ffff:10.0.0.1"], 10);
    assertEquals((await ask(dns, options))[0], "::ffff:a00:1");
  }
  assertEquals(seen, ["169.254.169.254", "10.0.0.1"]);
});

Deno.test("allowAddress: a function allows an address by true only, not by a promise, nor by an exception", async () => {
  using _time = fakeTime();
  const promised = (() => Promise.resolve(true)) as unknown as AllowAddress;
  assertEquals(
    (await refusal(ask(fakeLookup(["10.0.0.1"], 10), { allowAddress: promised }))).reason,
    "ADDRESS_NOT_ALLOWED",
  );
  const cause = new Error("The list could not be read");
  const throws = () => {
    throw cause;
  };
  const error = await refusal(ask(fakeLookup(["10.0.0.1"], 10), { allowAddress: throws }));
  assertEquals(error.cause, cause);
  assert(error.message.endsWith('10.0.0.1: the function "allowAddress" threw'), error.message);
});

Deno.test("allowAddress: callers that allow different addresses do not share answers, nor with callers that allow any", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["203.0.113.9"], 10);
  assertEquals((await ask(dns, { allowAddress: undefined }))[0], "203.0.113.9");
  await refusal(ask(dns));
  assertEquals((await ask(dns, { allowAddress: undefined }))[0], "203.0.113.9");
  assertEquals(dns.questions.length, 2);
});

Deno.test("allowAddress: callers with equal lists, however spelled, or with the same function share answers", async () => {
  using _time = fakeTime();
  const allow = () => true;
  const pairs: [AllowAddress, AllowAddress][] = [
    [PRIVATE, ["10.0.0.0/8", "FD00::0/8"]],
    [["10.0.0.1"], ["10.0.0.1/32"]],
    [allow, allow],
  ];
  for (const [one, other] of pairs) {
    const dns = fakeLookup(["10.0.0.1"], 10);
    await ask(dns, { allowAddress: one });
    await ask(dns, { allowAddress: other });
    assertEquals(dns.questions.length, 1);
  }
});

Deno.test("allowAddress: a list that is changed later changes getIpWithTtl() with the same options, but no engine", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const allowAddress = ["10.0.0.0/8"];
  const options = { dnsLookup: dns, dnsFallback: false, dnsMaxRetries: 1, allowAddress };
  assertEquals((await getIpWithTtl("db.internal", options))[0], "10.0.0.1");
  const { engine, dns: own } = fakeEngine({ allowAddress });
  allowAddress[0] = "192.168.0.0/16";
  await refusal(getIpWithTtl("db.internal", options));
  own.addresses = ["10.0.0.2"];
  assertEquals(await engine.use(({ address }) => address), "10.0.0.2");
  await engine.close();
  await time.advance(1);
});

Deno.test("allowAddress: an IP address or localhost in place of the name is not checked", async () => {
  const options = { allowAddress: PRIVATE };
  assertEquals((await getIpWithTtl("127.0.0.1", options))[0], "127.0.0.1");
  assertEquals((await getIpWithTtl("localhost", options))[0], "127.0.0.1");
});
