import { assertEquals } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import mysql from "npm:mysql2@^3.24";
import { TrackedHosts } from "../../drop_in/shared/tracked_hosts.ts";
import { dnsMysql2 } from "../../drop_in/mysql2_pool.ts";
import { dnsPg } from "../../drop_in/pg_pool.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { collector } from "../support/garbage.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { pause, until } from "../support/waiting.ts";

const connection = { busy: false, close() {}, terminate() {} };
const choice = {
  timeoutMs: 1000,
  retryUntilTimeout: true,
  closeProbe: () => Promise.resolve(),
};
const { signal } = new AbortController();

function setup() {
  const adapter = fakeAdapter();
  const options = { dnsLookup: fakeLookup(["10.0.0.1"], 60), dnsFallback: false } as const;
  const hosts = new TrackedHosts<FakeClient>(options, () => adapter);
  const get = (database: string) => hosts.get({ host: "db.internal", port: 1, database }, {});
  return { adapter, hosts, get };
}

Deno.test("TrackedHosts keeps no host whose last connection has ended, also if that failed", async () => {
  const { hosts, get } = setup();
  for (let tenant = 0; tenant < 300; tenant++) {
    const host = get(`tenant_${tenant}`);
    const registration = host.register(connection, (await host.chooseAddress(signal, choice)).name);
    if (tenant % 2 === 0) host.noteFailure();
    assertEquals(hosts.size, 1);
    registration.remove();
    assertEquals(hosts.size, 0);
  }
});

Deno.test("TrackedHosts: a connection after one that failed is preceded by a probe connection, although the host was forgotten", async () => {
  const { adapter, get } = setup();
  const connect = async () => {
    const host = get("orders");
    return {
      host,
      registration: host.register(connection, (await host.chooseAddress(signal, choice)).name),
    };
  };
  const first = await connect();
  assertEquals(adapter.dials, []);
  first.host.noteFailure();
  first.registration.remove();
  const second = await connect();
  assertEquals(adapter.dials, ["10.0.0.1"]);
  second.registration.noteOpened();
  second.registration.remove();
  (await connect()).registration.remove();
  assertEquals(adapter.dials, ["10.0.0.1"]);
});

Deno.test("TrackedHosts remembers a limited number of hosts to which the last connection failed", async () => {
  const { adapter, get } = setup();
  const use = async (database: string, fails: boolean) => {
    const host = get(database);
    const registration = host.register(connection, (await host.chooseAddress(signal, choice)).name);
    if (fails) host.noteFailure();
    else registration.noteOpened();
    registration.remove();
  };
  for (let tenant = 0; tenant < 101; tenant++) await use(`tenant_${tenant}`, true);
  await use("tenant_0", false);
  assertEquals(adapter.dials.length, 0);
  await use("tenant_1", false);
  assertEquals(adapter.dials.length, 1);
});

Deno.test("TrackedHosts: a host that ends late does not remove the newer one of its target", async () => {
  const { hosts, get } = setup();
  const first = get("orders");
  const address = (await first.chooseAddress(signal, choice)).name;
  first.abandon();
  const second = get("orders");
  const newer = second.register(connection, (await second.chooseAddress(signal, choice)).name);
  first.register(connection, address).remove();
  assertEquals([hosts.size, get("orders") === second], [1, true]);
  newer.remove();
  assertEquals(hosts.size, 0);
});

Deno.test("dnsPg() and dnsMysql2() forget the options of clients that failed or were ended early", async () => {
  const dns = { dnsLookup: fakeLookup(["127.0.0.1"], 60), dnsFallback: false } as const;
  const { Client } = dnsPg(pg, dns);
  const { createConnection } = dnsMysql2(mysql, dns);
  const options: WeakRef<object>[] = [];
  const given = (tenant: number) => {
    const ssl = {};
    options.push(new WeakRef(ssl));
    return { host: "db.internal", port: REFUSING_PORT, database: `tenant_${tenant}`, ssl };
  };
  for (let tenant = 0; tenant < 20; tenant++) {
    await new Client(given(tenant)).connect().catch(() => {});
    createConnection(given(tenant)).destroy();
  }
  const collect = collector();
  await until(async () => {
    await pause(10);
    collect();
    return options.filter((ref) => ref.deref() !== undefined).length <= 2; // the last two may be on the stack
  }, "that the options were collected");
});

Deno.test("TrackedHosts: after an address without a route, the next connection goes to the other family", async () => {
  const dnsLookup = fakeLookup(["10.0.0.1", "fd00::1"], 60);
  const adapter = fakeAdapter();
  const hosts = new TrackedHosts<FakeClient>({ dnsLookup, dnsFallback: false }, () => adapter);
  const host = hosts.get({ host: "no-route.internal", port: 1, database: "d" }, {});
  const failed = host.register(connection, (await host.chooseAddress(signal, choice)).name);
  assertEquals(failed.address, "10.0.0.1");
  const error = Object.assign(new Error("connect ENETUNREACH"), { code: "ENETUNREACH" });
  host.refresh({ address: failed.address, error });
  const next = async () => (await host.chooseAddress(signal, choice)).name;
  await until(async () => await next() === "fd00::1");
  assertEquals(dnsLookup.questions.map(({ family }) => family), [4, 6]);
  failed.remove();
});

Deno.test("TrackedHosts: a probe connection whose address departs goes on at the new one, however long there is", async () => {
  const dnsLookup = fakeLookup(["10.0.0.1"], 60);
  const adapter = fakeAdapter();
  adapter.behavior.connect = (address, { signal }) =>
    address === "10.0.0.2"
      ? undefined
      : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  for (const connectRetry of ["always", true] as const) {
    dnsLookup.addresses = ["10.0.0.1"];
    const options = { dnsLookup, dnsFallback: false, connectRetry };
    const hosts = new TrackedHosts<FakeClient>(options, () => adapter);
    const host = hosts.get({ host: `${connectRetry}.internal`, port: 1, database: "d" }, {});
    host.noteFailure(); // so that the next connection is preceded by a probe connection
    const dials = adapter.dials.length;
    let chosen: string | undefined;
    host.chooseAddress(signal, { ...choice, timeoutMs: Infinity })
      .then(({ address }) => chosen = address, (error) => chosen = String(error));
    await until(() => adapter.dials.length > dials);
    dnsLookup.addresses = ["10.0.0.2"];
    host.refresh();
    await until(() => chosen !== undefined);
    assertEquals(chosen, "10.0.0.2");
    host.abandon();
  }
});
