import { assertEquals, assertThrows } from "@std/assert";
import { type Endpoint, endpointName, endpointOf } from "../../internal/endpoint.ts";

const TABLE: [name: string, endpoint: Endpoint][] = [
  ["10.0.0.1:5432 (db1.internal)", { address: "10.0.0.1", port: 5432, host: "db1.internal" }],
  ["[fd00::1]:1 (db1.internal)", { address: "fd00::1", port: 1, host: "db1.internal" }],
  ["10.0.0.1:5432", { address: "10.0.0.1", port: 5432, host: "10.0.0.1" }],
  ["[fd00::1]:5432", { address: "fd00::1", port: 5432, host: "fd00::1" }],
];

Deno.test("endpointName() and endpointOf() are each other's reverse; the host is left out if it is the address", () => {
  for (const [name, endpoint] of TABLE) {
    assertEquals(endpointName(endpoint), name);
    assertEquals(endpointOf(name), endpoint);
  }
});

Deno.test("endpointOf() refuses what is no name of an endpoint", () => {
  const others = [
    "",
    "10.0.0.1",
    "fd00::1:5432",
    "10.0.0.1:x",
    "x10.0.0.1:1 (a) b",
    "[fd00::1]",
    "10.0.0.1:1 ()",
  ];
  for (const name of others) {
    assertThrows(() => endpointOf(name), Error, `Cannot read the endpoint ${name}`);
  }
});
