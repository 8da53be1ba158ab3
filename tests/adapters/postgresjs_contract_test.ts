import postgres from "npm:postgres@^3.4";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { adapterContract } from "../contracts/adapter.ts";

adapterContract<postgres.Sql>({
  ...POSTGRES_SUBJECT,
  factory: "postgresjsAdapter",
  scheme: "postgresql+postgresjs",
  adapter: postgresjsAdapter(postgres),
  setting: {
    params: { application_name: "from the url" },
    connectArgs: { connection: { application_name: "from the arguments" } },
    query: "SELECT current_setting('application_name') AS value",
    byParams: "from the url",
    byArgs: "from the arguments",
  },
  rejectsWithReason: true,
});
