import { assert, assertEquals, assertFalse } from "@std/assert";
import { ServerSigns, signsOf } from "../../resolver/server_signs.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

/** Names of one server, of which each may ask or waits; `asked` has those that were told to ask again. */
function namesOf(server: ServerSigns) {
  const names = [{ n: 0 }, { n: 1 }, { n: 2 }] as const;
  const asked: number[] = [];
  const mayAsk = (n: 0 | 1 | 2, nowMs: number, nextMs: number) =>
    server.mayAsk(names[n], nowMs, nextMs, () => asked.push(n));
  return { names, asked, mayAsk };
}

Deno.test("ServerSigns.mayAsk() lets one name ask, and the next one when that leaves or is 5 s late", () => {
  const server = new ServerSigns();
  const { names, asked, mayAsk } = namesOf(server);
  assert(mayAsk(0, 0, 2000));
  assertEquals([mayAsk(1, 0, 2000), mayAsk(2, 0, 2000)], [false, false]);
  assert(mayAsk(0, 2000, 7000));
  server.leave(names[1]); // it was removed from the cache
  server.leave(names[0]);
  assertEquals(asked, [2]);
  assert(mayAsk(2, 2100, 7000));
  assertFalse(mayAsk(1, 12_000, 17_000));
  assert(mayAsk(1, 12_001, 17_000));
  assertFalse(mayAsk(2, 12_001, 17_000));
});

Deno.test("ServerSigns.onTtlDown() asks for all names that wait, and lets each ask from then on", () => {
  const server = new ServerSigns();
  const { names, asked, mayAsk } = namesOf(server);
  for (const n of [0, 1, 2] as const) mayAsk(n, 0, 2000);
  server.onLasted(names[1]); // it did not ask meanwhile
  assertFalse(server.isAuthority);
  server.onTtlDown();
  server.onTtlDown();
  assertEquals(asked, [2]);
  assertEquals([mayAsk(0, 1, 2), mayAsk(1, 1, 2), mayAsk(2, 1, 2)], [true, true, true]);
  server.onLasted(names[0]);
  assertFalse(server.isAuthority);
});

Deno.test("signsOf() returns the same for the same lookup and servers, and others for others", () => {
  const [one, other] = [fakeLookup([], 5), fakeLookup([], 5)];
  const servers = [{ host: "10.0.0.53", port: 53 }];
  assert(signsOf(one, servers) === signsOf(one, [...servers]));
  assert(signsOf(one, servers) !== signsOf(one, []));
  assert(signsOf(one, servers) !== signsOf(other, servers));
  const first = signsOf(one, servers);
  for (let n = 0; n < 1000; n++) signsOf(one, [{ host: "10.0.0.53", port: n + 1 }]);
  assert(signsOf(one, servers) !== first);
});
