import * as example from "../../examples/db_postgres.ts";
import { POSTGRES_EXAMPLE } from "../support/example_postgres.ts";
import { testDriverExample } from "../support/example_drivers.ts";

testDriverExample({ ...POSTGRES_EXAMPLE, file: "db_postgres.ts", example });
