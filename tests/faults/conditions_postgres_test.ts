import { testConditions } from "./conditions.ts";

testConditions("PostgreSQL", (name, body) => Deno.test(name, body));
