import { assertEquals } from "@std/assert";
import { fixedAnswer } from "../../resolver/answer_source.ts";

Deno.test("fixedAnswer() is always fresh, and sends no query", async () => {
  const addresses = ["10.0.0.1", "10.0.0.2"];
  const answer = fixedAnswer(addresses);
  assertEquals([answer.addresses, answer.isFresh()], [addresses, true]);
  await answer.waitUntilFresh();
  await answer.refresh();
  answer.keepFresh()();
});
