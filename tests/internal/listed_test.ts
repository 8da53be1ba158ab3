import { assert, assertEquals } from "@std/assert";
import { isListed, listForMessage } from "../../internal/listed.ts";
import { cpuTimeOf } from "../support/cpu_time.ts";

const MANY = Array.from({ length: 4090 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);

Deno.test("isListed() finds a text in short and in long lists", () => {
  for (const list of [[], MANY.slice(0, 3), MANY.slice(0, 16), MANY.slice(0, 17), MANY]) {
    for (const text of list) assert(isListed(list, text));
    assertEquals([isListed(list, "10.1.0.0"), isListed(list, "")], [false, false]);
  }
});

Deno.test("isListed() takes less than 50 ms of CPU time for all of 4,090 texts", () => {
  const tookMs = [1, 2, 3].map(() => {
    const list = [...MANY];
    return cpuTimeOf(() => MANY.filter((text) => !isListed(list, `${text}0`)));
  });
  assert(Math.min(...tookMs) < 50, `it took ${tookMs.join(", ")} ms`);
});

Deno.test("listForMessage() joins as many texts as fit, and counts the others", () => {
  assertEquals(listForMessage([], 10), "");
  assertEquals(listForMessage(["ab", "cd"], 8), "ab; cd");
  assertEquals(listForMessage(["ab", "cd"], 7), "ab; and 1 more");
  assertEquals(listForMessage(["abcdefgh", "cd", "ef"], 5), "abcde…; and 2 more");
  assertEquals(listForMessage(["abcdefgh"], 5), "abcde…");
  const text = listForMessage(MANY, 1500);
  assert(text.length < 1520 && text.startsWith("10.0.0.0; 10.0.0.1; "), text);
  assert(/; and \d{4} more$/.test(text), text);
});
