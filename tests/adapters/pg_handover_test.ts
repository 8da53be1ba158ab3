// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import Cursor from "npm:pg-cursor@^2";
import QueryStream from "npm:pg-query-stream@^4";
import { once } from "node:events";
import { pgAdapter } from "../../adapters/pg.ts";
import { handoverContract } from "../contracts/handover.ts";
import { CopyQuery, POSTGRES_HANDOVER } from "../support/handover_postgres.ts";
import { ignore } from "../support/handover_postgres.ts";

const MANY = "SELECT i FROM generate_series(1, 20000) AS i";

handoverContract<pg.Client>({
  ...POSTGRES_HANDOVER<pg.Client>((client, text) => client.query(text)),
  factory: "pgAdapter",
  adapter: pgAdapter(pg),
  deeds: {
    ...POSTGRES_HANDOVER<pg.Client>((client, text) => client.query(text)).deeds,
    "a named statement": (client) => client.query({ name: "a", text: "SELECT 1" }),
    "a named statement of another text": (client) => client.query({ name: "a", text: "SELECT 2" }),
    "a value that cannot be sent": (client) =>
      ignore(client.query("SELECT $1", [{
        toPostgres: () => {
          throw new Error("no");
        },
      }])),
    "a query with rows": (client) =>
      ignore(client.query({ text: MANY, rows: 10, values: [] } as pg.QueryConfig)),
    "a query with rows that fails": (client) =>
      ignore(
        client.query(
          {
            text: "SELECT 1 / (i - 15) FROM generate_series(1, 20) AS i",
            rows: 10,
            values: [],
          } as pg.QueryConfig,
        ),
      ),
    "a cursor that is being closed": async (client) => {
      const cursor = client.query(new Cursor(MANY));
      await cursor.read(5);
      ignore(cursor.close());
    },
    "a stream that is left": async (client) => {
      for await (const _ of client.query(new QueryStream(MANY))) break;
    },
    "a cursor that fails": async (client) => {
      await client.query(new Cursor("SELECT 1 / (i - 3) FROM generate_series(1, 9) AS i")).read(9);
    },
    "end": (client) => ignore(client.end()),
  },
  stuck: {
    "a cursor": async (client) => {
      await client.query(new Cursor(MANY)).read(5);
    },
    "a cursor without a read": (client) => void client.query(new Cursor(MANY)),
    "a stream that is not read": async (client) => {
      const stream = client.query(new QueryStream(MANY));
      stream.on("error", () => {});
      await once(stream, "readable");
    },
    "COPY FROM STDIN": (client) => client.query(new CopyQuery("COPY things FROM STDIN")).begun,
  },
});
