import * as example from "../../examples/pg.ts";
import { POSTGRES_EXAMPLE } from "../support/example_postgres.ts";
import { testDriverExample } from "../support/example_drivers.ts";

testDriverExample({ ...POSTGRES_EXAMPLE, file: "pg.ts", example });
