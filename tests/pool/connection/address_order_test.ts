import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { ConnectError } from "../../../errors.ts";
import { A, ALL, B, C, dialing, FOREVER, reached, refused } from "../../support/dialer.ts";
import { delay } from "../../../internal/async.ts";
import { fakeTime } from "../../support/time.ts";

Deno.test('dial() takes the first address, with loadBalance "ordered"', async () => {
  const { dialer } = dialing();
  assertEquals(await reached(dialer, 3), [A, A, A]);
});

Deno.test('dial() takes any address first, with loadBalance "random"', async () => {
  const { dialer, adapter } = dialing({
    connect: () => Promise.reject(refused()),
  }, { loadBalance: "random" });
  const orders = new Set<string>();
  for (let i = 0; i < 300; i++) {
    adapter.dials.length = 0;
    await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
    orders.add(adapter.dials.join());
  }
  assertEquals(orders.size, 6);
});

Deno.test('dial() takes the addresses in turn however the answer rotates, with loadBalance "round-robin"', async () => {
  const { dialer } = dialing({}, { loadBalance: "round-robin" });
  const addresses: string[] = [];
  for (const answer of [ALL, [B, C, A], [C, A, B], ALL, ALL, ALL]) {
    addresses.push(...await reached(dialer, 1, answer));
  }
  assertEquals(addresses, [A, B, C, A, B, C]);
});

Deno.test('dial() takes the address with the fewest connections, with loadBalance "least-connections"', async () => {
  const { dialer } = dialing({}, { loadBalance: "least-connections" });
  assertEquals(await reached(dialer, 6), [A, B, C, A, B, C]);
  dialer.uncount(B);
  assertEquals(await reached(dialer, 1), [B]);
  // Connects under way count as well.
  const pending = ALL.map(() => dialer.dial(ALL, FOREVER));
  const addresses = (await Promise.all(pending)).map(({ address }) => address);
  assertEquals(addresses.sort(), ALL);
});

Deno.test("dial() counts neither a failed attempt nor a wrong role as a connection", async () => {
  using time = fakeTime();
  let well = false;
  const { dialer } = dialing(
    { connect: (address) => !well && address === A ? Promise.reject(refused()) : undefined },
    { loadBalance: "least-connections", targetSessionAttrs: "standby" },
    (address) => ({ standby: well || address !== B, readOnly: false }),
  );
  assertEquals(await reached(dialer, 1, [A, B, C]), [C]);
  well = true;
  await time.advance(5);
  // C has one connection, the others have none: if failures counted, C would have as few and come first.
  assertEquals(await reached(dialer, 1, [C, A]), [A]);
  assertEquals(await reached(dialer, 1, [C, B]), [B]);
});

Deno.test("dial() has no cooldown for a server of another role: it may be promoted at any moment", async () => {
  const primaries = [A];
  const { dialer, adapter } = dialing(
    {},
    { targetSessionAttrs: "standby" },
    (address) => ({ standby: !primaries.includes(address), readOnly: false }),
  );
  assertEquals(await reached(dialer, 2), [B, B]);
  assertEquals(adapter.dials, [A, B, A, B]);
  primaries.length = 0;
  assertEquals(await reached(dialer, 1), [A]);
});

for (const targetSessionAttrs of ["primary", "read-write"] as const) {
  Deno.test(`dial() tries the server first that took writes last, for the role "${targetSessionAttrs}"`, async () => {
    let writer = C;
    const { dialer, adapter } = dialing(
      {},
      { targetSessionAttrs },
      (address) => ({ standby: address !== writer, readOnly: address !== writer }),
    );
    assertEquals(await reached(dialer, 2), [C, C]);
    assertEquals(adapter.dials, [A, B, C, C]);
    writer = B;
    assertEquals(await reached(dialer, 2), [B, B]);
    assertEquals(adapter.dials.slice(4), [C, A, B, B]);
    assertEquals(await reached(dialer, 1, [B]), [B]);
    // What is no longer current is not tried.
    writer = A;
    assertEquals(await reached(dialer, 1, [A]), [A]);
    assertEquals(adapter.dials.slice(8), [B, A]);
  });
}

for (const targetSessionAttrs of ["primary", "read-write"] as const) {
  Deno.test(`dial() spreads connections over all servers that take writes, for the role "${targetSessionAttrs}"`, async () => {
    for (const loadBalance of ["round-robin", "least-connections"] as const) {
      const { dialer } = dialing({}, { targetSessionAttrs, loadBalance });
      assertEquals(await reached(dialer, 6), [A, B, C, A, B, C]);
    }
    const { dialer } = dialing({}, { targetSessionAttrs, loadBalance: "random" });
    assertEquals(new Set(await reached(dialer, 100)).size, 3);
  });

  Deno.test(`dial() asks a server that takes no writes after the others, ever more rarely, for the role "${targetSessionAttrs}" with a loadBalance`, async () => {
    using time = fakeTime();
    let standbys = [A, B];
    const { dialer, adapter } = dialing(
      {},
      { targetSessionAttrs, loadBalance: "round-robin" },
      (address) => ({ standby: standbys.includes(address), readOnly: false }),
    );
    const dials = async (count: number) => {
      adapter.dials.length = 0;
      assertEquals(new Set(await reached(dialer, count)), new Set([C]));
      return ALL.map((address) => adapter.dials.filter((each) => each === address).length);
    };
    assertEquals(await dials(4), [1, 1, 4]);
    await time.advance(4.9);
    assertEquals(await dials(3), [0, 0, 3]);
    await time.advance(0.1);
    assertEquals(await dials(6), [1, 1, 6]);
    await time.advance(9.9);
    assertEquals(await dials(3), [0, 0, 3]);
    // One that takes writes now is found at once if no other does, and is an ordinary server from then on.
    standbys = [B, C];
    assertEquals(await reached(dialer, 3), [A, A, A]);
    standbys = [];
    await time.advance(80);
    assertEquals(new Set(await reached(dialer, 6)).size, 3);
  });
}

Deno.test("dial() tries an address that failed after the others, for 5 seconds", async () => {
  using time = fakeTime();
  let down = true;
  const { dialer, adapter } = dialing({
    connect: (address) => down && address === A ? Promise.reject(refused()) : undefined,
  });
  assertEquals(await reached(dialer, 2), [B, B]);
  assertEquals(adapter.dials, [A, B, B]);
  down = false;
  await time.advance(4.999);
  assertEquals(await reached(dialer, 1), [B]);
  await time.advance(0.001);
  assertEquals(await reached(dialer, 1), [A]);
});

for (const loadBalance of ["ordered", "round-robin", "random", "least-connections"] as const) {
  Deno.test(`dial() tries an address that failed by one connect at a time, with loadBalance "${loadBalance}"`, async () => {
    using time = fakeTime();
    const failures: number[] = [];
    const { dialer } = dialing({
      connect: async (address) => {
        await delay(10);
        if (address !== A) return;
        failures.push(time.nowMs);
        throw refused();
      },
    }, { loadBalance });
    const round = async () => {
      const dialed = Promise.all(Array.from({ length: 8 }, () => dialer.dial(ALL, FOREVER)));
      await time.advance(0.1);
      for (const { address } of await dialed) dialer.uncount(address);
    };
    while (failures.length === 0) await round(); // with "random", it may be first in none of a round
    failures.length = 0;
    for (let rounds = 0; rounds < 300; rounds++) await round();
    assertGreater(failures.length, 3);
    for (const [i, ms] of failures.slice(1).entries()) assertGreater(ms - failures[i]!, 999);
  });
}

Deno.test("dial() tries an address that failed if no other is left, and ends its cooldown if it succeeds", async () => {
  using _time = fakeTime();
  let down = [A, B, C];
  const { dialer, adapter } = dialing({
    connect: (address) => down.includes(address) ? Promise.reject(refused()) : undefined,
  });
  await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  assertEquals(adapter.dials, ALL);
  down = [B, C];
  assertEquals(await reached(dialer, 1, [B, C, A]), [A]);
  assertEquals(await reached(dialer, 1, [B, C, A]), [A]);
  assertEquals(adapter.dials, [...ALL, B, C, A, A]);
});

Deno.test("suspect() puts an address last for a while, then lets one connection try, and doubles the time if that fails", async () => {
  using time = fakeTime();
  const { dialer } = dialing();
  dialer.suspect(A);
  await time.advance(1);
  dialer.suspect(A); // another connection that was open
  assertEquals(await reached(dialer, 2), [B, B]);
  await time.advance(4);
  assertEquals(await reached(dialer, 3), [A, B, B], "one try");
  dialer.suspect(A);
  await time.advance(9.9);
  assertEquals(await reached(dialer, 1), [B]);
  await time.advance(0.1);
  assertEquals(await reached(dialer, 2), [A, B]);
  await time.advance(10);
  assertEquals(await reached(dialer, 2), [A, A], "nothing happened to the one");
  dialer.suspect(A);
  await time.advance(5);
  assertEquals(await reached(dialer, 1), [A], "it began anew");
});

Deno.test("suspect() changes nothing where there is no other address, or all are suspect", async () => {
  const { dialer } = dialing();
  for (const address of ALL) dialer.suspect(address);
  assertEquals(await reached(dialer, 2), [A, A]);
  assertEquals(await reached(dialer, 2, [B]), [B, B]);
});
