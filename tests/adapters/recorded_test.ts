/**
 * `classify` of every adapter, held to what its driver reported when something happened to a real server: recorded by
 * `deno task record`.
 */

import { assert, assertEquals } from "@std/assert";
import mysql from "npm:mysql2@^3.24/promise";
import * as mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter, Verdict } from "../../adapters/adapter.ts";
import { bunSqlAdapter } from "../../adapters/bun_sql.ts";
import { classify as classifyDbPostgres } from "../../adapters/db_postgres/client_observer.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { read } from "../support/docs.ts";
import {
  expectationOf,
  EXPECTED,
  expectedVerdict,
  type Fixture,
  isFromServer,
  rebuild,
  recordingsOf,
  renderTables,
  tablesIn,
} from "../support/recorded.ts";
import ofBunMysql from "./recorded/bun_sql_mysql.json" with { type: "json" };
import ofBunPostgres from "./recorded/bun_sql_postgresql.json" with { type: "json" };
import ofMariadb from "./recorded/mariadb.json" with { type: "json" };
import ofMysql2 from "./recorded/mysql2.json" with { type: "json" };
import ofPg from "./recorded/pg.json" with { type: "json" };
import ofPostgresjs from "./recorded/postgresjs.json" with { type: "json" };

type Classes = Parameters<typeof rebuild>[1];

/** A driver. */
interface Subject {
  readonly name: string;
  readonly fixture: unknown;
  readonly classify: (error: unknown) => Verdict;
  /** Make the errors of the driver. */
  readonly classes: Classes;
}

const classifyOf = (adapter: unknown) => (error: unknown) =>
  (adapter as Adapter<unknown>).classify!(error);

// deno-lint-ignore no-explicit-any -- classes that the types of the drivers leave out, or want more for
const { DatabaseError, PostgresError, SqlError } = { ...pg, ...postgres, ...mariadb } as any;

const SUBJECTS: readonly Subject[] = [
  {
    name: "pgAdapter()",
    fixture: ofPg,
    classify: classifyOf(pgAdapter(pg)),
    classes: { DatabaseError: (message) => new DatabaseError(message, message.length, "error") },
  },
  {
    name: "postgresjsAdapter()",
    fixture: ofPostgresjs,
    classify: classifyOf(postgresjsAdapter(postgres)),
    classes: {
      PostgresError: (message, fields) => new PostgresError({ message, ...fields }),
    },
  },
  {
    name: "mysql2Adapter()",
    fixture: ofMysql2,
    classify: classifyOf(mysql2Adapter(mysql)),
    classes: {},
  },
  {
    name: "mariadbAdapter()",
    fixture: ofMariadb,
    classify: classifyOf(mariadbAdapter(mariadb)),
    classes: { SqlError: (message) => new SqlError(message) },
  },
  {
    name: 'bunSqlAdapter("postgresql")',
    fixture: ofBunPostgres,
    classify: classifyOf(bunSqlAdapter("postgresql")),
    classes: {},
  },
  {
    name: 'bunSqlAdapter("mysql")',
    fixture: ofBunMysql,
    classify: classifyOf(bunSqlAdapter("mysql")),
    classes: {},
  },
];

for (const { name, fixture: json, classify, classes } of SUBJECTS) {
  const fixture = json as unknown as Fixture;
  Deno.test(`${name}.classify(): says of each recorded error what the pool has to do`, () => {
    const wrong: string[] = [];
    let count = 0;
    for (const recording of recordingsOf(fixture)) {
      const { server, event, state, steps } = recording;
      assert(expectationOf(recording), `${server}: ${event}`);
      for (const step of steps) {
        // What reaches the adapter of the notices is reported as well.
        if (!step.error || step.what === "notice") continue;
        count++;
        const expected = expectedVerdict(recording, step);
        const verdict = classify(rebuild(step.error, classes));
        if (verdict === expected) continue;
        wrong.push(
          `${server}: ${event}, ${state}, ${step.what}: "${step.error.message}" is ${verdict}, not ${expected}`,
        );
      }
    }
    assertEquals(wrong, []);
    assert(count > 50, `only ${count} errors`);
  });
}

Deno.test("dbPostgresAdapter().classify(): says the same of the words of the server that pg recorded", () => {
  const wrong: string[] = [];
  for (const recording of recordingsOf(ofPg as unknown as Fixture)) {
    for (const step of recording.steps) {
      if (!step.error || step.what === "notice" || !isFromServer(step.error)) continue;
      const { message, fields } = step.error;
      // As the driver has them: the fields of the server's message.
      const error = Object.assign(new Error(message), { fields });
      const verdict = classifyDbPostgres(error);
      if (verdict !== expectedVerdict(recording, step)) {
        wrong.push(`${recording.event}, ${step.what}: "${message}" is ${verdict}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("docs/reliability.md shows what was recorded with pg and mysql2", async () => {
  const fixtures = [ofPg, ofMysql2] as unknown as Fixture[];
  const page = (await read("docs/reliability.md")) as string;
  const rendered = renderTables(fixtures).replaceAll(/ *\| */g, "|");
  assertEquals(tablesIn(page), rendered);
});

Deno.test("deno task record: each event was recorded with each driver that has such a server", () => {
  const kinds = { pg: ofPg, postgresjs: ofPostgresjs, bun: ofBunPostgres };
  const mysqlKinds = { mysql2: ofMysql2, mariadb: ofMariadb, bun: ofBunMysql };
  const missing: string[] = [];
  for (
    const [group, servers] of [
      [kinds, ["PostgreSQL", "PgBouncer", "HAProxy"]],
      [mysqlKinds, ["MariaDB", "Galera", "HAProxy"]],
    ] as const
  ) {
    for (const [driver, fixture] of Object.entries(group)) {
      const recordings = [...recordingsOf(fixture as unknown as Fixture)];
      for (const kind of servers) {
        for (const event of Object.keys(EXPECTED[kind]!)) {
          const isThere = recordings.some((each) =>
            each.server.startsWith(kind) && each.event === event
          );
          if (!isThere) missing.push(`${driver}: ${kind}: ${event}`);
        }
      }
    }
  }
  assertEquals(missing, []);
});
