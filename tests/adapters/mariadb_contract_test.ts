import * as mariadb from "npm:mariadb@^3.5";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { adapterContract } from "../contracts/adapter.ts";

adapterContract<mariadb.Connection>({
  ...MARIADB_SUBJECT,
  factory: "mariadbAdapter",
  scheme: "mariadb+mariadb",
  adapter: mariadbAdapter(mariadb),
  setting: {
    params: { initSql: "SET @of = 'the url'" },
    connectArgs: { initSql: "SET @of = 'the arguments'" },
    query: "SELECT @of AS value",
    byParams: "the url",
    byArgs: "the arguments",
  },
  rejectsWithReason: true,
}, ON_MARIADB);
