import { assertEquals, assertRejects, assertThrows } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import mysql from "npm:mysql2@^3.24/promise";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { dnsPoolOptions, driverOptions } from "../../drop_in/shared/options.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

Deno.test("dnsPoolOptions() and driverOptions() separate dnspool's options from the driver's", () => {
  const ours = { dnsTimeout: 3, allowAddress: ["10.0.0.0/8"], loadBalance: "random" };
  const theirs = { host: "db.internal", max: 3, user: "app" };
  const given = { ...ours, ...theirs };
  assertEquals(dnsPoolOptions(given) as unknown, ours);
  assertEquals(driverOptions(given), theirs);
});

Deno.test("dnsPoolOptions(): an unknown option that begins with dns is refused, without mention of an engine", () => {
  const message = '"dnsTimout" is not an option of dnspool, did you mean "dnsTimeout"?';
  const options = { host: "db.internal", dnsTimout: 3 };
  for (
    const make of [
      () => new DnsPgPool(pg, options),
      () => new DnsMysql2Pool(mysql, options),
      () => dnsPg(pg, { dnsTimout: 3 } as object),
    ]
  ) assertEquals(assertThrows(make, TypeError).message, message);
});

Deno.test("dnsPg() and dnsMysql2() take only dnspool's options", () => {
  for (const make of [dnsPg.bind(null, pg), dnsMysql2.bind(null, mysql)]) {
    const { message } = assertThrows(() => make({ retireGrase: 5 } as object), TypeError);
    assertEquals(
      message,
      '"retireGrase" is not an option of dnspool, did you mean "retireGrace"?',
    );
    assertThrows(() => make({ max: 3 } as object), TypeError, "; there are allowAddress, ");
  }
});

Deno.test("allowAddress: a drop-in does not connect to an address that is not allowed", async () => {
  const options = () => ({
    host: "db.internal",
    port: 1,
    dnsLookup: fakeLookup(["127.0.0.1"], 60),
    dnsFallback: false,
    dnsMaxRetries: 1,
    allowAddress: ["10.0.0.0/8"],
  });
  const refusal = '"allowAddress" does not allow';
  const ofPg = new DnsPgPool(pg, options());
  await assertRejects(() => ofPg.connect(), Error, refusal);
  await ofPg.end();
  const ofMysql2 = new DnsMysql2Pool(mysql, options());
  await assertRejects(() => ofMysql2.getConnection(), Error, refusal);
  await ofMysql2.end();
  const { host, port, ...own } = options();
  const client = new (dnsPg(pg, own).Client)({ host, port });
  await assertRejects(() => client.connect(), Error, refusal);
});

Deno.test("refuseWithoutEngine(): allowAddress is refused if the host is a socket path", () => {
  const allowAddress = ["10.0.0.0/8"];
  const message =
    '"allowAddress" must not be given: DNS is not followed for a host that is a socket path';
  for (
    const make of [
      () => new DnsPgPool(pg, { host: "/var/run", allowAddress }),
      () => new DnsMysql2Pool(mysql, { socketPath: "/var/run/mysqld.sock", allowAddress }),
    ]
  ) assertThrows(make, TypeError, message);
});

Deno.test("refuseWithoutEngine(): values that ask for nothing are allowed if the host is a socket path", async () => {
  const options = { targetSessionAttrs: "any", poolPrePing: false } as const;
  await new DnsPgPool(pg, { host: "/var/run", ...options }).end();
  await new DnsMysql2Pool(mysql, { socketPath: "/var/run/mysqld.sock", ...options }).end();
});

Deno.test("refuseIgnored(): an option of an engine that a drop-in would ignore is refused, by name", () => {
  const names = ["isolationLevel", "hooks", "observer", "poolClass", "connectArgs", "echo"];
  for (const name of names) {
    const options = { host: "db.internal", [name]: "serializable" };
    for (
      const make of [
        () => new DnsPgPool(pg, options),
        () => new (dnsPg(pg).Client)(options),
        () => new DnsMysql2Pool(mysql, options),
        () => dnsMysql2(mysql).createPool(options),
        () => dnsMysql2(mysql).createConnection(options),
      ]
    ) assertThrows(make, TypeError, `"${name}" must not be given: `);
  }
});
