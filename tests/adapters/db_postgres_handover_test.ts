import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { handoverContract } from "../contracts/handover.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import type { Client } from "../support/db_postgres_stand_in.ts";
import { ignore, POSTGRES_HANDOVER } from "../support/handover_postgres.ts";

const HANDOVER = POSTGRES_HANDOVER<Client>((client, text) => client.queryObject(text));

handoverContract<Client>({
  ...HANDOVER,
  factory: "dbPostgresAdapter",
  adapter: dbPostgresAdapter(dbPostgres.module),
  deeds: {
    ...HANDOVER.deeds,
    "fields that do not match, so that its answers come late": (client) =>
      ignore(client.queryObject({ text: "SELECT 7 AS n, false AS own", fields: ["n"] })),
    "fields that do not match, in a transaction": async (client) => {
      await client.queryObject("BEGIN");
      await client.queryObject({ text: "SELECT 7 AS n, false AS own", fields: ["n"] });
    },
    "end": (client) => ignore(client.end()),
    "a transaction of the driver": async (client) => {
      await client.createTransaction("mine").begin();
    },
  },
  stuck: {},
});
