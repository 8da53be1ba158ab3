import { contractTests } from "../support/lookup_subjects.ts";

for (const { name, run } of contractTests()) Deno.test(`lookup ${name}`, run);
