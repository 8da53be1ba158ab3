import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { assertThrows } from "@std/assert";
import type { LookupName } from "../../lookups/lookup.ts";
import { lookupByName } from "../../lookups/system.ts";
import { readDnsOptions } from "../../engine/options.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { dohBridge } from "../support/doh_bridge.ts";

function chosen(dnsLookup: unknown): unknown {
  return readDnsOptions({ dnsLookup }, "getIpWithTtl").settings.lookup;
}

Deno.test("dnsLookup accepts a name, the URL of a DNS-over-HTTPS server, or a lookup", () => {
  const lookup = { name: "mine", lookup: () => Promise.reject(new Error("not asked")) };
  for (const good of ["system", "wire", "https://10.0.0.2/dns-query", lookup]) {
    assertStrictEquals(chosen(good), good);
  }
  assertEquals(chosen("http://127.0.0.1:8053/q"), "http://127.0.0.1:8053/q");
  assertEquals(
    chosen("HTTPS://DNS.Internal:443/dns-query{?dns}#x"),
    "https://dns.internal/dns-query",
  );
  const bad = ["", "Wire", "doh", "10.0.0.2", "http://10.0.0.2/", "http://localhost/", 1, null, {}];
  for (const value of bad) {
    const { message } = assertThrows(() => chosen(value), TypeError);
    assertEquals(
      message.replace(/, got [^,]*$/, ", got X"),
      '"dnsLookup" must be "system", "wire", a URL that begins with "https://" (or "http://" and a loopback IP address), without user name and password, or an object with a method "lookup", got X',
    );
  }
});

Deno.test("dnsLookup shows no password of a URL in its error", () => {
  for (const url of ["https://app:secret@10.0.0.2/", "app:secret@10.0.0.2", "x://app:secret@h/"]) {
    const { message } = assertThrows(() => chosen(url), TypeError);
    assert(message.startsWith('"dnsLookup" must be "system", '), message);
    assert(message.endsWith(', got a string with an "@"'), message);
    assert(!message.includes("secret"), message);
  }
});

Deno.test("lookupByName() returns the same lookup for the same name, as a cache key needs", () => {
  const names: LookupName[] = ["system", "wire", "https://10.0.0.2/q", "https://10.0.0.3/q"];
  for (const [index, name] of names.entries()) {
    assertStrictEquals(lookupByName(name), lookupByName(name));
    for (const other of names.slice(index + 1)) {
      assertNotStrictEquals(lookupByName(name), lookupByName(other));
    }
  }
  assertEquals(names.map((name) => lookupByName(name).name), ["deno", "wire", "doh", "doh"]);
});

Deno.test("getIpWithTtl() asks with wire and over HTTPS, and caches their answers separately", async () => {
  clearDnsCache();
  const dns = await DnsServer.start();
  const bridge = await dohBridge(dns);
  const dnsNameservers = [dns.address];
  const byWire = { dnsLookup: "wire" as const, dnsNameservers };
  const byHttp = { dnsLookup: bridge.url as LookupName };
  try {
    dns.set("my_db.internal", { cname: "node-a.internal" }, { ttl: 7 });
    dns.set("node-a.internal", ["127.0.0.2"], { ttl: 300 });
    assertEquals(await getIpWithTtl("my_db.internal", byWire), ["127.0.0.2", 7]);
    dns.set("node-a.internal", ["127.0.0.3"], { ttl: 6 });
    assertEquals(await getIpWithTtl("my_db.internal", byHttp), ["127.0.0.3", 6]);
    assertEquals(await getIpWithTtl("my_db.internal", byWire), ["127.0.0.2", 7]);
    assertEquals(dns.queries.map(({ protocol }) => protocol), ["udp", "tcp"]);
  } finally {
    clearDnsCache();
    await bridge.close();
    await dns.close();
  }
});

Deno.test("getIpWithTtl() with wire asks for IPv6 after NODATA, but not after NXDOMAIN", async () => {
  clearDnsCache();
  const dns = await DnsServer.start();
  const options = {
    dnsLookup: "wire" as const,
    dnsNameservers: [dns.address],
    dnsFallback: false,
  };
  try {
    dns.set("v6.internal", ["::1"], { ttl: 5 });
    assertEquals(await getIpWithTtl("v6.internal", options), ["::1", 5]);
    await getIpWithTtl("gone.internal", options).catch(() => {});
    assertEquals(dns.queries.map(({ name, type }) => `${name} ${type}`), [
      "v6.internal A",
      "v6.internal AAAA",
      "gone.internal A",
    ]);
  } finally {
    clearDnsCache();
    await dns.close();
  }
});

Deno.test("modules that only wire and doh need are not loaded before they are asked", async () => {
  const root = new URL("../../", import.meta.url).href;
  const info = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", `${root}mod.ts`],
    stderr: "null",
  }).output();
  const { modules, roots } = JSON.parse(new TextDecoder().decode(info.stdout));
  interface Module {
    specifier: string;
    dependencies?: { isDynamic?: boolean; code?: { specifier: string } }[];
  }
  const bySpecifier = new Map<string, Module>(
    modules.map((module: Module) => [module.specifier, module]),
  );
  const loaded = new Set<string>(roots);
  for (const specifier of loaded) {
    for (const { isDynamic, code } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code && !isDynamic) loaded.add(code.specifier);
    }
  }
  const paths = [...loaded].map((specifier) => specifier.replace(root, ""));
  assert(paths.includes("lookups/system.ts"), paths.join());
  assert(paths.includes("lookups/internal/lazy.ts"), paths.join());
  const lazy = /^lookups\/(wire|doh|internal\/(message|answer|transport))\.ts$|^internal\/dns\//;
  assertEquals(paths.filter((path) => lazy.test(path)), []);
  const all = modules.map(({ specifier }: Module) => specifier.replace(root, ""));
  assertEquals(all.filter((path: string) => lazy.test(path)).length, 8);
});
