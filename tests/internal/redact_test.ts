import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { redactServerErrors, redactValues, Secrets } from "../../internal/redact.ts";

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
  const fields = { detail: "no carl", code: "1", message: "no carl" };
  const plain = Object.assign(new Said("no carl"), { fields });
  assertStrictEquals(hidden(plain, ["carl"]), plain);
  assertEquals(plain.fields as unknown, { code: "1", message: "no [hidden]" });

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

Deno.test("redactValues() drops whole what a server may spell otherwise than the caller", () => {
  const error = hidden(
    Object.assign(new Error("duplicate key value violates unique constraint"), {
      code: "23505",
      severity: "ERROR",
      detail: 'Key (doc)=({"a": 1}) already exists.',
      where: "PL/pgSQL function f(text) line 3",
      hint: "No hint of CARL",
      internalQuery: "SELECT 'CARL'",
      internal_query: "SELECT 'CARL'",
      query: "INSERT INTO things VALUES ('carl')",
      constraint_name: "things_doc_key",
    }),
    [{ a: 1 }],
  );
  assertEquals({ ...error } as unknown, {
    code: "23505",
    severity: "ERROR",
    query: "INSERT INTO things VALUES (?)",
    constraint_name: "things_doc_key",
  });
});

Deno.test("redactValues() hides the value that a message quotes, whatever its spelling", () => {
  const mysql = [
    [
      "Duplicate entry 'CARL's 64 by' for key 'things.name'",
      "Duplicate entry '[hidden]' for key 'things.name'",
    ],
    [
      "Incorrect integer value: 'it's' for column `a`.`b` at row 1",
      "Incorrect integer value: '[hidden]' for column `a`.`b` at row 1",
    ],
    ["Truncated incorrect DOUBLE value: 'x1'", "Truncated incorrect DOUBLE value: '[hidden]'"],
    [
      "Incorrect datetime value: '2020' for function str_to_date",
      "Incorrect datetime value: '[hidden]' for function str_to_date",
    ],
    ["BIGINT value is out of range in '(9 + 1)'", "BIGINT value is out of range in '[hidden]'"],
    ["Unknown column 'nope' in 'field list'", "Unknown column 'nope' in 'field list'"],
  ] as const;
  for (const [said, left] of mysql) {
    const error = Object.assign(new Error(said), {
      errno: 1062,
      sqlState: "23000",
      sqlMessage: said,
    });
    assertEquals(hidden(error, ["other"]).message, left);
    assertEquals(error.sqlMessage, left);
    assertFalse(error.stack!.includes(said) && said !== left);
  }
  const postgres = [
    [
      "22P02",
      'invalid input syntax for type uuid: "A-"B"',
      'invalid input syntax for type uuid: "[hidden]"',
    ],
    [
      "22003",
      'value "9999999999" is out of range for type integer',
      'value "[hidden]" is out of range for type integer',
    ],
    [
      "22P02",
      "ungültige Eingabesyntax für Typ integer: »x«",
      'ungültige Eingabesyntax für Typ integer: "[hidden]"',
    ],
    ["42703", 'column "nope" does not exist', 'column "nope" does not exist'],
  ] as const;
  for (const [code, said, left] of postgres) {
    assertEquals(hidden(Object.assign(new Error(said), { code }), ["other"]).message, left);
    const fields = { code, message: said };
    hidden(Object.assign(new Error("x"), { fields }), ["other"]);
  }
});

Deno.test("redactServerErrors() hides statement, quoted values and all but names, in errors of a server only", () => {
  const said = "(conn:5, no: 1062, SQLState: 23000) Duplicate entry 'carl' for key 'name'";
  const mariadb = Object.assign(new Error(`${said}\nsql: INSERT INTO t VALUES ('carl')`), {
    errno: 1062,
    sqlState: "23000",
    code: "ER_DUP_ENTRY",
    sql: "INSERT INTO t VALUES ('carl')",
    sqlMessage: "Duplicate entry 'carl' for key 'name'",
  });
  const postgres = Object.assign(new Error('syntax error at or near "carl"'), {
    code: "42601",
    severity: "ERROR",
    query: "SELECT carl",
    parameters: ["carl"],
    where: "carl",
    position: "8",
  });
  const bun = Object.assign(new Error('invalid input syntax for type integer: "carl"'), {
    code: "ERR_POSTGRES_SERVER_ERROR",
    errno: "22P02",
    severity: "ERROR",
    detail: "carl",
  });
  class Refused extends Error {
    readonly customer = "carl";
  }
  const own = new Refused("carl is refused", { cause: new Error("why", { cause: postgres }) });
  assertStrictEquals(redactServerErrors(mariadb), mariadb);
  assertFalse(Deno.inspect(mariadb).includes("carl"));
  assertEquals(mariadb.message, said.replace("carl", "[hidden]"));
  assertStrictEquals(redactServerErrors(bun), bun);
  assertFalse(Deno.inspect(bun).includes("carl"));
  assertEquals(bun.message, 'invalid input syntax for type integer: "[hidden]"');
  assertStrictEquals(redactServerErrors(own), own);
  assertEquals([own.message, own.customer], ["carl is refused", "carl"]);
  assertEquals(postgres.message, 'syntax error at or near "[hidden]"');
  assertEquals({ ...postgres } as unknown, {
    code: "42601",
    severity: "ERROR",
    query: "[hidden]",
    parameters: [],
    position: "8",
  });
});

Deno.test("Secrets.redact() removes each secret, plain and encoded: strings, bytes, lists and objects", () => {
  const secrets = new Secrets(["p@ss", undefined, 5, "", new TextEncoder().encode("key"), [{
    pem: "pem",
  }]]);
  assertEquals(secrets.redact("p@ss p%40ss key pem 5"), "*** *** *** *** 5");
  secrets.add("later");
  assertEquals(secrets.redact("later"), "***");
});

Deno.test("Secrets.addPassing() remembers the newest passwords only", () => {
  const secrets = new Secrets(["kept/1"]);
  for (let number = 1; number <= 1000; number++) secrets.addPassing(`p@ss ${number}.`);
  secrets.addPassing("p@ss 990."); // is the newest now
  const text = (number: number) => secrets.redact(`p@ss ${number}. p%40ss%20${number}. kept/1`);
  for (const number of [985, 990, 1000]) assertEquals(text(number), "*** *** ***");
  assertEquals(text(1), "p@ss 1. p%40ss%201. ***");
  for (const nothing of ["", undefined, 5]) secrets.addPassing(nothing);
  assertEquals(text(1000), "*** *** ***");
});
