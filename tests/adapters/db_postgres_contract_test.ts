import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import type { Client } from "../support/db_postgres_stand_in.ts";
import { postgresSubject } from "../support/postgres_subject.ts";
import { adapterContract } from "../contracts/adapter.ts";

const subject = postgresSubject({ user: "app", password: "s3cret" }); // the driver takes printable ASCII only

adapterContract<Client>({
  ...subject,
  factory: "dbPostgresAdapter",
  scheme: dbPostgres.real ? "postgresql+db-postgres" : undefined,
  adapter: dbPostgresAdapter(dbPostgres.module),
  silentServers: {
    "after the TCP handshake": { replies: [] },
    "after the request for TLS": { replies: [], params: { sslmode: "verify-full" } },
  },
  setting: {
    params: { application_name: "from the url" },
    connectArgs: { applicationName: "from the arguments" },
    query: "SELECT current_setting('application_name') AS value",
    byParams: "from the url",
    byArgs: "from the arguments",
  },
  rejectsWithReason: true,
  noticesClose: false,
});
