import mysql from "npm:mysql2@^3.24/promise";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { adapterContract } from "../contracts/adapter.ts";

adapterContract<mysql.Connection>({
  ...MARIADB_SUBJECT,
  factory: "mysql2Adapter",
  scheme: "mysql+mysql2",
  adapter: mysql2Adapter(mysql),
  setting: {
    params: { charset: "latin1_swedish_ci" },
    connectArgs: { charset: "utf8mb4_bin" },
    query: "SELECT @@collation_connection AS value",
    byParams: "latin1_swedish_ci",
    byArgs: "utf8mb4_bin",
  },
  rejectsWithReason: true,
}, ON_MARIADB);
