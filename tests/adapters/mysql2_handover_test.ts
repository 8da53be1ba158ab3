import mysql from "npm:mysql2@^3.24/promise";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { handoverContract } from "../contracts/handover.ts";
import { MANY, mariadbHandover } from "../support/handover_mariadb.ts";
import { ignore } from "../support/handover_postgres.ts";
import { ON_MARIADB } from "../support/servers.ts";

const HANDOVER = mariadbHandover<mysql.Connection>((client, text) => client.query(text));

/** Begins to stream a result. */
function streamOf(client: mysql.Connection) {
  const { connection } = client as unknown as {
    connection: {
      query(text: string): { stream(): AsyncIterable<unknown> & NodeJS.ReadableStream };
    };
  };
  const stream = connection.query(MANY).stream();
  stream.on("error", () => {});
  return stream;
}

handoverContract<mysql.Connection>({
  ...HANDOVER,
  factory: "mysql2Adapter",
  adapter: mysql2Adapter(mysql),
  deeds: {
    ...HANDOVER.deeds,
    "a prepared statement": (client) => client.execute("SELECT ? AS n", [7]),
    "a prepared statement that is not awaited": (client) =>
      ignore(client.execute("SELECT ? AS n, 0 AS own", [7])),
    "a value that cannot be sent": (client) =>
      ignore(client.execute("SELECT ?", [undefined as never])),
    "a stream that is left": async (client) => {
      for await (const _ of streamOf(client)) break;
    },
    "end": (client) => ignore(client.end()),
    "destroy": (client) => client.destroy(),
  },
  stuck: {
    "a stream that is not read": async (client) => {
      const stream = streamOf(client);
      await new Promise((resolve) => stream.once("readable", resolve));
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
  },
}, ON_MARIADB);
