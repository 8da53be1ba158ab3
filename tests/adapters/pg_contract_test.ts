// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { adapterContract } from "../contracts/adapter.ts";

adapterContract<pg.Client>({
  ...POSTGRES_SUBJECT,
  factory: "pgAdapter",
  scheme: "postgresql+pg",
  adapter: pgAdapter(pg),
  setting: {
    params: { application_name: "from the url" },
    connectArgs: { application_name: "from the arguments" },
    query: "SELECT current_setting('application_name') AS value",
    byParams: "from the url",
    byArgs: "from the arguments",
  },
  rejectsWithReason: true,
});
