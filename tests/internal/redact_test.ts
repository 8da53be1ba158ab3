import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { redactValues } from "../../internal/redact.ts";

function hidden(error: Error, values: readonly unknown[]): Error {
  return redactValues(error, "INSERT INTO things VALUES (?)", values) as Error;
}

Deno.test("redactValues() removes values from message, stack and the driver's own strings, and keeps its codes and names", () => {
  const error = hidden(
    Object.assign(new Error("Duplicate entry 'carl' for key 'name'"), {
      code: "ER_DUP_ENTRY",
      errno: 1062,
      sqlState: "23000",
      sqlMessage: "Duplicate entry 'carl' for key 'name'",
      sql: "INSERT INTO things VALUES ('carl')",
      constraint: "carl",
      parameters: ["carl"],
    }),
    ["carl"],
  );
  assertEquals(error.message, "Duplicate entry '[hidden]' for key 'name'");
  assertEquals({ ...error } as unknown, {
    code: "ER_DUP_ENTRY",
    errno: 1062,
    sqlState: "23000",
    sqlMessage: "Duplicate entry '[hidden]' for key 'name'",
    sql: "INSERT INTO things VALUES (?)",
    constraint: "carl",
    parameters: [],
  });
  assertStringIncludes(error.stack!, "Duplicate entry '[hidden]' for key 'name'\n");
  assertFalse(Deno.inspect(error).includes("'carl'"));
  assertFalse(Object.keys(error).includes("message"));
});

Deno.test("redactValues() finds a value in each spelling, but not within a longer word or number", () => {
  const table: [value: unknown, said: string, left: string][] = [
    [5, "(n)=(5) is not 55, 5.5 or v5", "(n)=([hidden]) is not 55, [hidden].[hidden] or v5"],
    [10n, "10", "[hidden]"],
    ["it's", "'it''s' and 'it\\'s' and it's", "'[hidden]' and '[hidden]' and [hidden]"],
    ["a.c", "abc a.c", "abc [hidden]"],
    ["ab", "a ab abc", "a [hidden] abc"],
    [new Uint8Array([1, 255]), "\\x01ff", "\\x01ff"],
    [new Uint8Array([1, 255]), "01ff", "[hidden]"],
    [new Date(0), "on 1970-01-01T00:00:00.000Z", "on [hidden]"],
    [new Date(0), "on 1970-01-01 00:00:00.000", "on [hidden]"],
    [new Date(NaN), "on Invalid Date", "on Invalid Date"],
    [{ name: "carl" }, '{"name":"carl"} carl', "[hidden] [hidden]"],
    ["", "nothing", "nothing"],
    [null, "null", "null"],
    [undefined, "undefined", "undefined"],
    [true, "true", "true"],
  ];
  for (const [value, said, left] of table) {
    assertEquals(hidden(new Error(said), [value]).message, left);
  }
  assertEquals(hidden(new Error("ab abc"), ["ab", "abc"]).message, "[hidden] [hidden]");
});

Deno.test("redactValues() redacts the causes, and accepts any value", () => {
  const cause = new Error("it was carl");
  cause.cause = cause;
  hidden(new Error("carl", { cause }), ["carl"]);
  assertEquals(cause.message, "it was [hidden]");
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  assertEquals(hidden(new Error("said"), [circle]).message, "said");
  for (const value of ["carl", undefined, null, 5, { message: "carl" }]) {
    redactValues(value, "", ["carl"]);
  }
  assertEquals(hidden(Object.freeze(new Error("carl")), ["carl"]).message, "[hidden]");
});

Deno.test("redactValues() changes the error in place, but copies one with read-only properties", () => {
  class Said extends Error {}
  const plain = Object.assign(new Said("no carl"), { fields: { detail: "no carl", code: "1" } });
  assertStrictEquals(hidden(plain, ["carl"]), plain);
  assertEquals(plain.fields, { detail: "no [hidden]", code: "1" });

  const stone = Object.defineProperties(new Said("no carl"), {
    parameters: { value: ["carl"] },
    stack: { value: "Said: no carl\n    at here" },
  });
  const copy = hidden(new Error("outer carl", { cause: stone }), ["carl"]).cause as Said;
  assert(copy instanceof Said && copy !== stone);
  assertEquals(copy.message, "no [hidden]");
  assertEquals(copy.stack, "Said: no [hidden]\n    at here");
  assertEquals((copy as unknown as { parameters: unknown }).parameters, []);
  assertFalse(Object.keys(copy).includes("parameters"));
});

Deno.test("redactValues() removes a value as a whole if it begins with another value", () => {
  const error = hidden(new Error("Duplicate entry 'carl gustav' for key 'name'"), [
    "carl",
    "carl gustav",
  ]);
  assertEquals(error.message, "Duplicate entry '[hidden]' for key 'name'");
});
