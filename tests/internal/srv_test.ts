import { assert, assertEquals } from "@std/assert";
import {
  formatService,
  orderServices,
  parseService,
  type ServiceRecord,
} from "../../internal/srv.ts";

Deno.test("parseService() reads what formatService() writes", () => {
  const records: ServiceRecord[] = [
    { priority: 0, weight: 0, port: 1, target: "a" },
    { priority: 65535, weight: 65535, port: 65535, target: "db1.internal" },
    { priority: 0, weight: 0, port: 0, target: "." },
    { priority: 1, weight: 2, port: 3, target: "a", addresses: ["10.0.0.1", "fd00::1"] },
  ];
  for (const record of records) assertEquals(parseService(formatService(record)), record);
  assertEquals(parseService("1 2 3 DB1.Internal."), {
    priority: 1,
    weight: 2,
    port: 3,
    target: "db1.internal",
  });
});

Deno.test("parseService() says what is wrong with a record", () => {
  const table: [text: string, reason: string][] = [
    ["", "it is not PRIORITY WEIGHT PORT TARGET"],
    ["1 2 3", "it is not PRIORITY WEIGHT PORT TARGET"],
    ["1 2 3 a b", "an address behind its target is not an IP address"],
    ["1 2 3 a 10.0.0.1 10.0.0.1:1", "an address behind its target is not an IP address"],
    ["1 2 3 a ", "it is not PRIORITY WEIGHT PORT TARGET"],
    ["-1 2 3 a", "it is not PRIORITY WEIGHT PORT TARGET"],
    ["65536 2 3 a", "its priority is above 65535"],
    ["1 65536 3 a", "its weight is above 65535"],
    ["1 2 65536 a", "its port is above 65535"],
    ["1 2 0 a", "its port is 0"],
    ["1 2 3 a..b", "its target is not a host name"],
    ["1 2 3 a@b", "its target is not a host name"],
  ];
  for (const [text, reason] of table) assertEquals(parseService(text), reason);
});

Deno.test("orderServices() orders by priority, and draws among equals by weight", () => {
  const records = [
    { priority: 20, weight: 1, name: "z" },
    { priority: 10, weight: 60, name: "a" },
    { priority: 10, weight: 0, name: "c" },
    { priority: 10, weight: 40, name: "b" },
  ];
  const names = (random: () => number) =>
    orderServices(records, random).map(({ name }) => name).join("");
  assertEquals(names(() => 0), "cbaz", "the one with weight 0 has a chance");
  assertEquals(names(() => 0.999), "abcz");
  assertEquals(orderServices([]), []);
  const first: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let step = 0; step < 1010; step++) {
    const drawn = step / 1010;
    first[names(() => drawn)[0]!]!++;
  }
  // Each of 101 numbers is as likely: 0 is that of "c".
  assertEquals(first, { c: 10, b: 400, a: 600 });
  assert(records[0]!.name === "z", "the records are not changed");
});
