import mysql from "npm:mysql2@^3.24/promise";
import * as example from "../../examples/mysql2.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { testDriverExample } from "../support/example_drivers.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { MARIADB } from "../support/sql_dialects.ts";

testDriverExample({
  file: "mysql2.ts",
  example,
  dialect: MARIADB,
  registration: ON_MARIADB,
  start: (where) => startMariadb({ ...where, user: "app", password: "s3cret", database: "orders" }),
  async admin(server: MariadbServer) {
    const connection = await mysql.createConnection(server.adminUrl());
    connection.on("error", () => {}); // its server may be killed
    return {
      async rows(text) {
        const [rows] = await connection.query(text);
        return Array.isArray(rows) ? rows as Record<string, unknown>[] : [];
      },
      end: () => connection.end(),
    };
  },
  table: /CREATE TABLE orders \(id int .*\)(?=`)/,
  lock: ["LOCK TABLES orders WRITE", "UNLOCK TABLES"],
});
