import { assertEquals } from "@std/assert";
import { clampTtl } from "../../internal/ttl.ts";

Deno.test("clampTtl() turns a TTL with the top bit set into 0, and returns others as they are", () => {
  const table = [
    [0, 0],
    [1, 1],
    [0.5, 0.5],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [2 ** 31, 0],
    [2 ** 32 - 1, 0],
    [-1, 0],
    [-(2 ** 31), 0],
  ] as const;
  for (const [ttl, expected] of table) assertEquals(clampTtl(ttl), expected, `${ttl}`);
});
