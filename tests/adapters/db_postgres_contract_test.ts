import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import type { Client } from "../support/db_postgres_stand_in.ts";
import { postgresSubject } from "../support/postgres_subject.ts";
import { adapterContract } from "../contracts/adapter.ts";

const subject = postgresSubject({ user: "app", password: "s3cret" }); // it takes printable ASCII only

adapterContract<Client>({
  ...subject,
  name: "db-postgres",
  scheme: dbPostgres.real ? "postgresql+db-postgres" : undefined,
  adapter: dbPostgresAdapter(dbPostgres.module),
  silences: {
    "after the TCP handshake": { replies: [] },
    "when asked for TLS": { replies: [], params: { sslmode: "verify-full" } },
  },
  setting: {
    params: { application_name: "from the url" },
    connectArgs: { applicationName: "from the arguments" },
    question: "SELECT current_setting('application_name') AS value",
    byParams: "from the url",
    byArgs: "from the arguments",
  },
  tellsReason: true,
  noticesEnd: false,
});
