import * as mariadb from "npm:mariadb@^3.5";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { handoverContract } from "../contracts/handover.ts";
import { MANY, mariadbHandover } from "../support/handover_mariadb.ts";
import { ignore } from "../support/handover_postgres.ts";
import { ON_MARIADB } from "../support/servers.ts";

const HANDOVER = mariadbHandover<mariadb.Connection>((client, text) => client.query(text));

handoverContract<mariadb.Connection>({
  ...HANDOVER,
  factory: "mariadbAdapter",
  adapter: mariadbAdapter(mariadb),
  deeds: {
    ...HANDOVER.deeds,
    "a prepared statement": (client) => client.execute("SELECT ? AS n", [7]),
    "a prepared statement that is not awaited": (client) =>
      ignore(client.execute("SELECT ? AS n, 0 AS own", [7])),
    "a batch that is not awaited": (client) =>
      ignore(client.batch("INSERT IGNORE INTO orders.things VALUES (?)", [[5], [6]])),
    "a stream that is read": async (client) => {
      for await (const _ of client.queryStream("SELECT seq FROM seq_1_to_50")) continue;
    },
    "end": (client) => ignore(client.end()),
  },
  stuck: {
    "a stream that is not read": async (client) => {
      const stream = client.queryStream(MANY);
      stream.on("error", () => {});
      await new Promise((resolve) => stream.once("readable", resolve));
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
    "a stream that is left": async (client) => {
      const stream = client.queryStream(MANY);
      stream.on("error", () => {});
      for await (const _ of stream) break;
    },
  },
}, ON_MARIADB);
