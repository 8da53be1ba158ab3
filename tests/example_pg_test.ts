import * as example from "../examples/pg.ts";
import { POSTGRES_EXAMPLE } from "./_example_postgres.ts";
import { testDriverExample } from "./_example_drivers.ts";

testDriverExample({ ...POSTGRES_EXAMPLE, file: "pg.ts", example });
