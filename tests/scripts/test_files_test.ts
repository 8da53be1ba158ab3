import { assert, assertEquals } from "@std/assert";
import { testFiles, unitTests } from "../../scripts/test/test_files.ts";

Deno.test("unitTests() finds the tests that start no process, by all that they import", async () => {
  const files = await testFiles();
  const units = new Set(await unitTests(files));
  assert(units.size > files.length / 3, `only ${units.size} of ${files.length}`);
  const isUnit = (file: string) => {
    assert(files.includes(file), `${file} is missing`);
    return units.has(file);
  };
  const starts = [
    "tests/adapters/pg_contract_test.ts", // a server, by a module of tests/support
    "tests/cli/program_test.ts", // programs
    "tests/faults/postgres_test.ts",
    "tests/lab/redis_test.ts",
  ];
  assertEquals(starts.filter(isUnit), []);
  // The arithmetic and the state machines are tested without servers.
  const pure = files.filter((file) => /^tests\/(internal|pool|resolver)\//.test(file));
  assertEquals(pure.filter((file) => !isUnit(file)), []);
});
