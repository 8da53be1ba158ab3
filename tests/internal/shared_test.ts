import { assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { SharedObjects } from "../../internal/shared.ts";

Deno.test("SharedObjects gives out one object for the same values", () => {
  const shared = new SharedObjects<{ readonly size: number; readonly name?: string | undefined }>();
  const first = shared.of({ size: 1, name: undefined });
  const other = shared.of({ size: 2, name: "a" });
  assertStrictEquals(shared.of({ size: 1, name: undefined }), first);
  assertStrictEquals(shared.of({ size: 2, name: "a" }), other);
  assertNotStrictEquals(shared.of({ size: 2, name: "b" }), other);
  assertEquals(first, { size: 1, name: undefined });
});

Deno.test("SharedObjects remembers the last eight", () => {
  const shared = new SharedObjects<{ readonly size: number }>();
  const all = Array.from({ length: 9 }, (_, size) => shared.of({ size }));
  for (const one of all.slice(1)) assertStrictEquals(shared.of({ size: one.size }), one);
  assertNotStrictEquals(shared.of({ size: 0 }), all[0]);
});
