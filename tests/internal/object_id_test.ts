import { assert, assertEquals } from "@std/assert";
import { idOf } from "../../internal/object_id.ts";

Deno.test("idOf() returns the same number for the same object, and another one for another object", () => {
  const [one, other] = [{}, () => {}];
  assertEquals(idOf(one), idOf(one));
  assert(idOf(one) !== idOf(other));
});
