import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  nearest,
  oneOf,
  outOfRange,
  outOfRangeUndisclosed,
  show,
  unknownName,
} from "../../internal/argument_error.ts";

Deno.test("mustBe() and outOfRange() show the value, their undisclosed forms a description", () => {
  const message = '"port" must be a number, got ';
  for (const error of [mustBe("port", "a number", "x"), outOfRange("port", "a number", "x")]) {
    assertEquals(error.message, `${message}"x"`);
  }
  for (const make of [mustBeUndisclosed, outOfRangeUndisclosed]) {
    assertEquals(make("port", "a number", "another value").message, `${message}another value`);
  }
  assertInstanceOf(mustBeUndisclosed("port", "a number", "x"), TypeError);
  assertInstanceOf(outOfRangeUndisclosed("port", "a number", "x"), RangeError);
});

Deno.test("mustNotBeGiven() has the reason", () => {
  const error = mustNotBeGiven("creator", "the engine opens the connections");
  const message = '"creator" must not be given: the engine opens the connections';
  assertEquals([error.name, error.message], ["TypeError", message]);
});

Deno.test("unknownName() has the nearest name, or all names", () => {
  const known = ["maxOverflow", "poolSize"];
  const messageFor = (name: string) => unknownName(name, "an option of f()", known).message;
  const start = "is not an option of f()";
  assertEquals(messageFor("pool_size"), `"pool_size" ${start}, did you mean "poolSize"?`);
  assertEquals(messageFor("x"), `"x" ${start}; there are maxOverflow, poolSize`);
});

Deno.test("nearest() ignores case and underscores, and allows typing errors", () => {
  const known = ["dnsTimeout", "poolTimeout"];
  for (const name of ["dns_timeout", "DNSTIMEOUT", "dnsTimout", "dnsTimeuot"]) {
    assertEquals(nearest(name, known), "dnsTimeout", name);
  }
  assertEquals(nearest("timeoutForEverything", known), undefined);
});

Deno.test("show() shortens strings, and shows no contents of objects", () => {
  const shown: [value: unknown, text: string][] = [
    ["x".repeat(41), `"${"x".repeat(40)}…"`],
    ['a"b', '"a\\"b"'],
    [{ password: "s3cret" }, "an object"],
    [["s3cret"], "an array"],
    [() => "s3cret", "a function"],
    [null, "null"],
    [7n, "7"],
  ];
  for (const [value, text] of shown) assertEquals(show(value), text);
  assertEquals(oneOf(["a", 4, null]), 'one of "a", 4, null');
});
