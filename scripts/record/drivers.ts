/**
 * The drivers whose errors are recorded.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import * as mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { bunSqlAdapter } from "../../adapters/bun_sql.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import type { Driver } from "./session.ts";

/** Drivers by the kind of their server. */
export type Kind = "postgresql" | "mysql";

/** Returns the drivers that this runtime has. */
export function driversOf(kind: Kind): Driver[] {
  if ("Bun" in globalThis) return [{ name: `bun_sql_${kind}`, adapter: bunSqlAdapter(kind) }];
  if (kind === "mysql") {
    return [
      { name: "mysql2", adapter: mysql2Adapter(mysql) },
      { name: "mariadb", adapter: mariadbAdapter(mariadb) },
    ];
  }
  return [
    {
      name: "pg",
      adapter: pgAdapter(pg),
      onNotice: (client, listener) => client.on("notice", listener),
    },
    {
      name: "postgresjs",
      adapter: postgresjsAdapter(postgres),
      noticeArgs: (listener) => ({ onnotice: listener }),
    },
  ];
}
