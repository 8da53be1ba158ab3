import { assertEquals, assertThrows } from "@std/assert";
import { canonicalHost, checkHost, isHost } from "../../internal/host_name.ts";

Deno.test("canonicalHost() returns one form for all spellings of a host", () => {
  const table: [host: string, expected: string][] = [
    ["DB.Internal.", "db.internal"],
    ["my_db.internal", "my_db.internal"],
    ["dätenbank.internal", "xn--dtenbank-0za.internal"],
    ["DÄTENBANK.Internal.", "xn--dtenbank-0za.internal"],
    ["münchen。example", "xn--mnchen-3ya.example"],
    ["xn--dtenbank-0za.internal", "xn--dtenbank-0za.internal"],
    ["faß.example", "xn--fa-hia.example"],
    ["my_db.dä.example", "my_db.xn--d-0fa.example"],
    ["127.0.0.1", "127.0.0.1"],
    ["FD00:0::1", "fd00::1"],
  ];
  for (const [host, expected] of table) assertEquals([host, canonicalHost(host)], [host, expected]);
});

Deno.test("isHost() measures a name that is not ASCII in the form that DNS is asked for", () => {
  const label = "ä".repeat(54);
  assertEquals(isHost(`${label}.internal`), true);
  assertEquals(isHost(`${"ä".repeat(63)}.internal`), false);
  for (const bad of ["℀.internal", "ä b.internal", "ä/b", "ä..internal", "\u00ad", "ä%2f"]) {
    assertEquals([bad, isHost(bad)], [bad, false]);
  }
  assertThrows(() => checkHost("ä b"), TypeError, '"host" must be a host name');
});
