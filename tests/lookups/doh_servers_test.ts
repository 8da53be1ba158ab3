import { assert, assertEquals, assertMatch } from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import { LookupError } from "../../errors.ts";
import { type Authority, startAuthority, ZONE } from "../../lab/authority.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startResolver } from "../../lab/resolvers.ts";
import { dohLookup } from "../../lookups/doh.ts";
import type { Lookup } from "../../lookups/lookup.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { certificateFor } from "../resolvers/https.ts";
import { resolverTest } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

const BIND_HOST = "127.0.0.1"; // BIND listens on addresses of network interfaces only
const NAME = `db.${ZONE}`;
const FOLLOWED = `followed.${ZONE}`;

async function ask(lookup: Lookup, name = NAME): Promise<unknown> {
  const signal = AbortSignal.timeout(10_000);
  const { addresses, ttl } = await lookup.lookup({ name, family: 4, signal });
  return { addresses, ttl };
}

/** What begins and ends a time in which the zone's server gives no answer. */
type Outage = readonly [begin: () => Promise<void>, end: () => Promise<void>];

/** Follows a name of several addresses over HTTPS, through outages that each end with a move. */
async function follow(
  { url, ca, authority }: { url: string; ca: string; authority: Authority },
  outages: readonly Outage[],
): Promise<void> {
  let count = 0;
  let addresses: string[] = [];
  const move = () => {
    count++;
    addresses = Array.from({ length: 20 }, (_, n) => `10.${count}.0.${n}`);
    return authority.set(FOLLOWED, addresses, 1);
  };
  await move();
  await using engine = getDnsEngine(`fake://app@${FOLLOWED}/lab`, {
    adapter: fakeAdapter(),
    dnsLookup: dohLookup(url, { ca }),
    dnsFallback: false,
    dnsTimeout: 2,
  });
  const checkout = () => engine.use(({ address }) => assert(addresses.includes(address)));
  const given = () => [...engine.status().answer.addresses].sort();
  await checkout();
  assertEquals(given(), addresses.toSorted());
  for (const [begin, end] of outages) {
    await begin();
    await until(() => engine.status().answer.inGrace, "grace");
    await checkout();
    await end();
    await move();
    await until(() => given().join() === addresses.toSorted().join(), "the new addresses");
    await checkout();
  }
}

resolverTest([])("dohLookup() asks BIND, which speaks HTTP/2 only", async () => {
  await using tls = await certificateFor(BIND_HOST);
  const [port, https] = [await freePort([BIND_HOST]), await freePort([BIND_HOST])];
  await using authority = await startAuthority({
    host: BIND_HOST,
    port,
    blocks: [`tls lab { cert-file "${tls.cert}"; key-file "${tls.key}"; };`],
    settings: [`listen-on port ${https} tls lab http default { ${BIND_HOST}; };`],
  });
  await authority.set(NAME, ["10.0.0.1"], 60);
  const lookup = dohLookup(`https://${BIND_HOST}:${https}/dns-query`, { ca: tls.ca });
  for (let round = 0; round < 3; round++) {
    assertEquals(await ask(lookup), { addresses: ["10.0.0.1"], ttl: 60 });
  }
  const error = await ask(lookup, `none.${ZONE}`).catch((error) => error);
  assert(error instanceof LookupError, String(error));
  assertEquals([error.kind, error.reason], ["negative", "NXDOMAIN"]);
  const stranger = dohLookup(`https://${BIND_HOST}:${https}/dns-query`);
  assertMatch(String(await ask(stranger).catch((error) => error)), /certificate|issuer/i);
  await follow({ url: `https://${BIND_HOST}:${https}/dns-query`, ca: tls.ca, authority }, [
    [() => authority.freeze(), () => authority.thaw()],
    [() => authority.kill(), () => authority.start()],
    [() => authority.fail(true), () => authority.fail(false)],
  ]);
});

resolverTest(["unbound"])("dohLookup() asks unbound, which speaks HTTP/2 only", async () => {
  const [host] = await loopbackPair();
  await using tls = await certificateFor(host);
  await using authority = await startAuthority({
    host: BIND_HOST,
    port: await freePort([BIND_HOST]),
  });
  await authority.set(NAME, ["10.0.0.1"], 60);
  const https = await freePort([host]);
  await using _resolver = await startResolver("unbound", {
    host,
    port: await freePort([host]),
    upstream: authority.address,
    https: { port: https, cert: tls.cert, key: tls.key },
  });
  const lookup = dohLookup(`https://${host}:${https}/dns-query`, { ca: tls.ca });
  assertEquals(await ask(lookup), { addresses: ["10.0.0.1"], ttl: 60 });
  const answers = await Promise.all(Array.from({ length: 64 }, () => ask(lookup)));
  assertEquals(answers.length, 64);
  await follow({ url: `https://${host}:${https}/dns-query`, ca: tls.ca, authority }, [
    [() => authority.kill(), () => authority.start()],
  ]);
});
