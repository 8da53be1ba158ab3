import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { LookupError } from "../../errors.ts";
import { type GetAddrInfo, osLookupOver } from "../../lookups/os.ts";

const { signal } = new AbortController();

/** Makes a lookup over a getaddrinfo that the test answers, with at most two calls at a time. */
function slow() {
  const calls: { name: string; answer: (address: string) => void; fail: (e: Error) => void }[] = [];
  const call: GetAddrInfo = (name) =>
    new Promise((resolve, reject) => {
      calls.push({ name, answer: (address) => resolve([{ address }]), fail: reject });
    });
  return { calls, lookup: osLookupOver(call, 2) };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function failing(code: string): GetAddrInfo {
  return () => Promise.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code }));
}

Deno.test("osLookup asks for an absolute name with its trailing dot", async () => {
  const { calls, lookup } = slow();
  const asked = [true, false].map((absolute) =>
    lookup.lookup({ name: "db.internal", absolute, family: 4, signal })
  );
  for (const [index, name] of ["db.internal.", "db.internal"].entries()) {
    await settled();
    assertEquals(calls[index]!.name, name);
    calls[index]!.answer("127.0.0.1");
    await asked[index];
  }
});

Deno.test("osLookup asks for a few names at a time, in order, so that one that hangs holds up no other", async () => {
  const { calls, lookup } = slow();
  const asked = ["hangs", "a", "b", "c"].map((name) => lookup.lookup({ name, family: 4, signal }));
  await settled();
  assertEquals(calls.map(({ name }) => name), ["hangs", "a"]);
  calls[1]!.answer("127.0.0.1");
  assertEquals((await asked[1])?.addresses, ["127.0.0.1"]);
  await settled();
  assertEquals(calls.map(({ name }) => name), ["hangs", "a", "b"]);
  calls[2]!.fail(new Error("no"));
  await assertRejects(() => asked[2]!, LookupError);
  await settled();
  calls[3]!.answer("127.0.0.3");
  assertEquals((await asked[3])?.addresses, ["127.0.0.3"]);
  calls[0]!.answer("127.0.0.4");
  assertEquals((await asked[0])?.addresses, ["127.0.0.4"]);
});

Deno.test("osLookup makes one call for questions for the same name, also for one that was aborted", async () => {
  const { calls, lookup } = slow();
  const controller = new AbortController();
  const left = lookup.lookup({ name: "a", family: 4, signal: controller.signal });
  await settled();
  controller.abort("left");
  assertEquals(await left.catch((error) => error), "left");
  const asked = [1, 2].map(() => lookup.lookup({ name: "a", family: 4, signal }));
  const others = [
    lookup.lookup({ name: "a", absolute: true, family: 4, signal }),
    lookup.lookup({ name: "a", family: 6, signal }).catch((error) => error.kind),
  ];
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "a."]);
  calls[0]!.answer("127.0.0.1");
  for (const one of asked) assertEquals((await one).addresses, ["127.0.0.1"]);
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "a.", "a"]);
  for (const { answer } of calls) answer("127.0.0.2");
  assertEquals((await others[0])!.addresses, ["127.0.0.2"]);
  assertEquals(await others[1], "ambiguous");
});

Deno.test("osLookup rejects at once when it is aborted, and its call still counts", async () => {
  const { calls, lookup } = slow();
  const controller = new AbortController();
  const reason = new Error("The caller left");
  const left = ["a", "b"].map((name) =>
    lookup.lookup({ name, family: 4, signal: controller.signal })
  );
  const third = lookup.lookup({ name: "c", family: 4, signal });
  await settled();
  controller.abort(reason);
  for (const one of left) assertStrictEquals(await one.catch((error) => error), reason);
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "b"]);
  calls[0]!.answer("127.0.0.1");
  await settled();
  calls[2]!.answer("127.0.0.2");
  assertEquals((await third).addresses, ["127.0.0.2"]);
});

Deno.test("osLookup makes no call for a question that is aborted while it waits for a call", async () => {
  const { calls, lookup } = slow();
  const controller = new AbortController();
  const first = ["a", "b"].map((name) => lookup.lookup({ name, family: 4, signal }));
  const left = lookup.lookup({ name: "c", family: 4, signal: controller.signal });
  const last = lookup.lookup({ name: "d", family: 4, signal });
  await settled();
  controller.abort("left");
  assertEquals(await left.catch((error) => error), "left");
  calls[0]!.answer("127.0.0.1");
  await first[0];
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "b", "d"]);
  for (const { answer } of calls) answer("127.0.0.3");
  await Promise.all([...first, last]);
});

Deno.test("osLookup returns each valid address of the family once", async () => {
  const addresses = ["127.0.0.1", "fe80::1%eth0", "::1", "127.0.0.2", "127.0.0.1", "x"];
  const lookup = osLookupOver(
    () => Promise.resolve(addresses.map((address) => ({ address }))),
    1,
  );
  const v4 = await lookup.lookup({ name: "a", family: 4, signal });
  assertEquals(v4, { addresses: ["127.0.0.1", "127.0.0.2"], ttl: 5 });
  const v6 = await lookup.lookup({ name: "a", family: 6, signal });
  assertEquals(v6, { addresses: ["::1"], ttl: 5 });
  const none = osLookupOver(() => Promise.resolve([]), 1);
  const error = await assertRejects(
    () => none.lookup({ name: "a", family: 4, signal }),
    LookupError,
  );
  assertEquals([error.kind, error.reason], ["ambiguous", "ENOTFOUND"]);
});

Deno.test("osLookup reports the kind and the reason of a failure", async () => {
  for (
    const [code, kind] of [
      ["ENOTFOUND", "ambiguous"],
      ["EAI_AGAIN", "transient"],
      ["EPERM", "config"],
    ]
  ) {
    const lookup = osLookupOver(failing(code!), 1);
    const error = await assertRejects(
      () => lookup.lookup({ name: "db.internal", family: 4, signal }),
      LookupError,
    );
    assertEquals([error.kind, error.reason], [kind, code]);
    const what = code === "EPERM"
      ? "the permission is missing, run with --allow-net=db.internal"
      : code;
    const server = "the operating system";
    assertEquals(error.message, `Cannot look up A of "db.internal" at ${server}: ${what}`);
  }
});
