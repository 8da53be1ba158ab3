import { assert, assertEquals, assertMatch } from "@std/assert";
import { LookupError } from "../../errors.ts";
import { startAuthority, ZONE } from "../../lab/authority.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startResolver } from "../../lab/resolvers.ts";
import { dohLookup } from "../../lookups/doh.ts";
import type { Lookup } from "../../lookups/lookup.ts";
import { certificateFor } from "../resolvers/https.ts";
import { resolverTest } from "../support/servers.ts";

const BIND_HOST = "127.0.0.1"; // BIND listens on addresses of network interfaces only
const NAME = `db.${ZONE}`;

async function ask(lookup: Lookup, name = NAME): Promise<unknown> {
  const signal = AbortSignal.timeout(10_000);
  const { addresses, ttl } = await lookup.lookup({ name, family: 4, signal });
  return { addresses, ttl };
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
});
