import { assert, assertEquals, assertMatch } from "@std/assert";
import { answerLines, type HostAnswer } from "../../cli/answer.ts";
import { painter } from "../../cli/format.ts";
import { clearDnsCache } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { call } from "../support/cli.ts";
import { denying, noDatagrams } from "../support/deno_permissions.ts";
import { Lag } from "../support/lag.ts";
import { systemFiles } from "../support/system_files.ts";

/** Runs `resolve` against its own DNS server. */
async function withServer(
  test: (
    dns: DnsServer,
    resolve: (...args: string[]) => ReturnType<typeof call>,
  ) => Promise<void>,
): Promise<void> {
  await using dns = await DnsServer.start();
  dns.set("db.internal", { cname: "node-a.internal" }, { ttl: 5 });
  dns.set("node-a.internal", { cname: "node-b.internal" }, { ttl: 30 });
  dns.set("node-b.internal", ["127.0.0.2", "127.0.0.3"], { ttl: 300 });
  await test(dns, (...args) => {
    clearDnsCache();
    return call(["resolve", ...args, "--nameserver", dns.address, "--no-fallback"]);
  });
  clearDnsCache();
}

/** Replaces the time in an output. */
function timeless(text: string): string {
  return text.replace(/\d+(\.\d)? ms/, "… ms");
}

Deno.test("resolve shows addresses, TTL, chain, server and time", async () => {
  await withServer(async (dns, resolve) => {
    const { code, out, err } = await resolve("DB.internal.", "--lookup", "wire");
    assertEquals([code, err], [0, ""]);
    assertEquals(
      timeless(out),
      `db.internal.
  addresses  127.0.0.2, 127.0.0.3
  TTL        5 s
  chain      db.internal -> node-a.internal (TTL 5 s) -> node-b.internal (TTL 30 s)
  server     ${dns.address}
  lookup     wire
  time       … ms`,
    );
  });
});

Deno.test("resolve shows what Deno's own resolver does not report", async () => {
  using _ = denying(noDatagrams);
  await withServer(async (dns, resolve) => {
    const { code, out } = await resolve("db.internal");
    assertEquals(code, 0);
    assertEquals(
      timeless(out),
      `db.internal
  addresses  127.0.0.2, 127.0.0.3
  TTL        5 s
  chain      unknown (lookup "wire" reports it)
  server     ${dns.address}
  lookup     system
  time       … ms`,
    );
  });
});

Deno.test("resolve names the hosts file as the source, unless --nameserver or --no-hosts is given", async () => {
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 192.0.2.53\n");
  files.write("hosts", "127.0.0.9 db.internal\n");
  clearDnsCache();
  const { code, out } = await call(["resolve", "db.internal"]);
  assertEquals(code, 0);
  assertMatch(
    timeless(out),
    /^db\.internal\n {2}addresses {2}127\.0\.0\.9\n {2}TTL {8}5 s\n {2}file {7}\S+hosts\n {2}time {7}… ms$/,
  );
  const { source, server, ttl } = JSON.parse(
    (await call(["resolve", "db.internal", "--json"])).out,
  );
  assertEquals([source, server.endsWith("hosts"), ttl], ["hosts", true, 5]);
  const without = ["resolve", "db.internal", "--no-hosts", "--no-fallback", "--timeout", "0.2"];
  assertEquals((await call(without)).code, 1);
  await withServer(async (dns, resolve) => {
    const { out } = await resolve("db.internal");
    assert(out.includes(`  server     ${dns.address}\n`), out);
    assert(!out.includes("127.0.0.9"), out);
  });
});

Deno.test("resolve --json writes one object, with seconds, and null for unknown values", async () => {
  await withServer(async (dns, resolve) => {
    const { out } = await resolve("db.internal", "--lookup", "wire", "--json");
    const { took, ...rest } = JSON.parse(out);
    assert(took > 0 && took < 10, `${took}`);
    assertEquals(rest, {
      host: "db.internal",
      addresses: ["127.0.0.2", "127.0.0.3"],
      ttl: 5,
      chain: [
        { name: "db.internal", target: "node-a.internal", ttl: 5 },
        { name: "node-a.internal", target: "node-b.internal", ttl: 30 },
      ],
      server: dns.address,
      source: "dns",
      lookup: "wire",
    });
    using _ = denying(noDatagrams);
    const system = JSON.parse((await resolve("db.internal", "--json")).out);
    assertEquals([system.chain, system.lookup], [null, "system"]);
  });
});

Deno.test("resolve respects --family and --timeout", async () => {
  await withServer(async (dns, resolve) => {
    dns.set("db.internal", ["127.0.0.2", "fd00::2"]);
    const addressesOf = async (family: string) =>
      JSON.parse((await resolve("db.internal", "--json", "--family", family)).out).addresses;
    assertEquals(await addressesOf("4"), ["127.0.0.2"]);
    assertEquals(await addressesOf("6"), ["fd00::2"]);
    assertEquals(await addressesOf("both"), ["127.0.0.2", "fd00::2"]);
    dns.fault("*", { drop: true });
    using lag = new Lag();
    const startMs = performance.now();
    const { code } = await resolve("silent.invalid", "--lookup", "wire", "--timeout", "0.3");
    const tookMs = performance.now() - startMs;
    assertEquals(code, 1);
    assert(tookMs > 200 && tookMs < lag.limit(3000), `${tookMs}`);
  });
});

Deno.test("resolve ends with status 1 and the reason if it fails", async () => {
  await withServer(async (dns, resolve) => {
    const none = await resolve("none.invalid", "--lookup", "wire");
    assertEquals(none, {
      code: 1,
      out: "",
      err:
        `Cannot resolve "none.invalid": Cannot look up A of "none.invalid" at ${dns.address}: there is no such name (NXDOMAIN)`,
    });
    const json = await resolve("none.invalid", "--lookup", "wire", "--json");
    assertEquals([json.code, json.err], [1, ""]);
    assertEquals(JSON.parse(json.out), {
      host: "none.invalid",
      error: {
        code: "RESOLVE_FAILED",
        kind: "negative",
        reason: "NXDOMAIN",
        message: none.err,
      },
    });
    dns.fault("broken.invalid", { rcode: "SERVFAIL" });
    const broken = await resolve("broken.invalid", "--lookup", "wire");
    assertMatch(broken.err, /^Cannot resolve "broken\.invalid": .*: SERVFAIL$/);
  });
});

Deno.test("resolve shows hosts that need no DNS, and answers of the operating system", async () => {
  const { code, out } = await call(["resolve", "LOCALHOST"]);
  assertEquals(code, 0);
  assertEquals(
    out,
    `localhost
  addresses  127.0.0.1, ::1
  source     no DNS is needed`,
  );
  const ip = JSON.parse((await call(["resolve", "FD00:0::2", "--json"])).out);
  assertEquals(ip, {
    host: "fd00::2",
    addresses: ["fd00::2"],
    ttl: null,
    chain: null,
    server: null,
    source: "none",
    lookup: "system",
    took: 0,
  });
  const fromOs: HostAnswer = {
    host: "db",
    addresses: ["127.0.0.2"],
    ttl: 5,
    chain: undefined,
    server: undefined,
    source: "os",
    lookup: "system",
    took: 1.5,
  };
  assertEquals(answerLines(fromOs, painter(false)), [
    "  addresses  127.0.0.2",
    "  TTL        5 s",
    "  server     the operating system (search domains)",
    "  lookup     system",
    "  time       1.5 s",
  ]);
});
