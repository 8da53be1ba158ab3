/**
 * The contract suite with `Bun.SQL`, on Bun. Elsewhere the adapter says that it cannot be used.
 */

import { assertRejects, assertThrows } from "@std/assert";
import { bunSqlAdapter } from "../../adapters/bun_sql.ts";
import { DriverUnavailableError, getDnsEngine } from "../../mod.ts";
import { adapterContract } from "../contracts/adapter.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";

if ("Bun" in globalThis) {
  adapterContract({
    ...POSTGRES_SUBJECT,
    factory: 'bunSqlAdapter("postgresql")',
    scheme: "postgresql+bun",
    adapter: bunSqlAdapter("postgresql"),
    setting: {
      params: {},
      connectArgs: { connection: { application_name: "from the arguments" } },
      query: "SELECT current_setting('application_name') AS value",
      byParams: "",
      byArgs: "from the arguments",
    },
    rejectsWithReason: false,
  });
  adapterContract({
    ...MARIADB_SUBJECT,
    factory: 'bunSqlAdapter("mysql")',
    scheme: "mariadb+bun",
    adapter: bunSqlAdapter("mysql"),
    setting: {
      params: {},
      connectArgs: { bigint: true },
      query: "SELECT 9007199254740993 AS value",
      byParams: "9007199254740993",
      byArgs: 9_007_199_254_740_993n,
    },
    rejectsWithReason: false,
  }, ON_MARIADB);
} else {
  for (const scheme of ["postgresql+bun", "mysql+bun", "mariadb+bun"]) {
    Deno.test(`${scheme}: on another runtime, a connect says that Bun.SQL exists on Bun only`, async () => {
      const engine = getDnsEngine(`${scheme}://app@db.internal/orders`, {
        dnsLookup: fakeLookup(["127.0.0.1"], 60),
      });
      await assertRejects(
        () => engine.connect(),
        DriverUnavailableError,
        'Cannot load the driver "bun": Bun.SQL exists on Bun only',
      );
      await engine.close();
    });
  }
}

Deno.test("bunSqlAdapter() refuses another dialect", () => {
  for (const dialect of ["sqlite", "", undefined, null, "constructor"]) {
    assertThrows(() => bunSqlAdapter(dialect as "mysql"), TypeError, '"dialect" must be');
  }
});

Deno.test("bunSqlAdapter() refuses arguments that would send a connection elsewhere, and names of the login that would be ignored", () => {
  const values = {
    url: "postgres://elsewhere/",
    hostname: "elsewhere",
    host: "elsewhere",
    path: "/run/socket",
    tls: true,
    max: 7,
    idleTimeout: 1,
    onclose: () => {},
    user: "app",
    pass: "s3cret",
    db: "orders",
  };
  for (const [name, value] of Object.entries(values)) {
    for (const scheme of ["postgresql", "mysql"]) {
      const { message } = assertThrows(
        () => getDnsEngine(`${scheme}+bun://db.internal/x`, { connectArgs: { [name]: value } }),
        TypeError,
        `"connectArgs.${name}" must not be given`,
      );
      if (message.includes("s3cret")) throw new Error("it shows the password");
    }
  }
});
