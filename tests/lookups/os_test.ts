import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { LookupError } from "../../errors.ts";
import { type GetAddrInfo, osLookupOver } from "../../lookups/os.ts";

const { signal } = new AbortController();

/** Makes a lookup over a getaddrinfo that the test answers. */
function slow() {
  const calls: { name: string; answer: (address: string) => void; fail: (e: Error) => void }[] = [];
  const call: GetAddrInfo = (name) =>
    new Promise((resolve, reject) => {
      calls.push({ name, answer: (address) => resolve([{ address }]), fail: reject });
    });
  return { calls, lookup: osLookupOver(call) };
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

Deno.test("osLookup asks for one name at a time, in order", async () => {
  const { calls, lookup } = slow();
  const asked = ["a", "b", "c"].map((name) => lookup.lookup({ name, family: 4, signal }));
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a"]);
  calls[0]!.answer("127.0.0.1");
  assertEquals((await asked[0])?.addresses, ["127.0.0.1"]);
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "b"]);
  calls[1]!.fail(new Error("no"));
  await assertRejects(() => asked[1]!, LookupError);
  await settled();
  calls[2]!.answer("127.0.0.3");
  assertEquals((await asked[2])?.addresses, ["127.0.0.3"]);
});

Deno.test("osLookup rejects at once when it is aborted, and the next name still waits for the call", async () => {
  const { calls, lookup } = slow();
  const controller = new AbortController();
  const first = lookup.lookup({ name: "a", family: 4, signal: controller.signal });
  const second = lookup.lookup({ name: "b", family: 4, signal });
  await settled();
  const reason = new Error("The caller left");
  controller.abort(reason);
  assertStrictEquals(await first.catch((error) => error), reason);
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a"]);
  calls[0]!.answer("127.0.0.1");
  await settled();
  calls[1]!.answer("127.0.0.2");
  assertEquals((await second).addresses, ["127.0.0.2"]);
});

Deno.test("osLookup makes no call for a question that is aborted while another call runs", async () => {
  const { calls, lookup } = slow();
  const controller = new AbortController();
  const first = lookup.lookup({ name: "a", family: 4, signal });
  const second = lookup.lookup({ name: "b", family: 4, signal: controller.signal });
  const third = lookup.lookup({ name: "c", family: 4, signal });
  await settled();
  controller.abort("left");
  assertEquals(await second.catch((error) => error), "left");
  calls[0]!.answer("127.0.0.1");
  await first;
  await settled();
  assertEquals(calls.map(({ name }) => name), ["a", "c"]);
  calls[1]!.answer("127.0.0.3");
  await third;
});

Deno.test("osLookup returns each valid address of the family once", async () => {
  const addresses = ["127.0.0.1", "fe80::1%eth0", "::1", "127.0.0.2", "127.0.0.1", "x"];
  const lookup = osLookupOver(() => Promise.resolve(addresses.map((address) => ({ address }))));
  const v4 = await lookup.lookup({ name: "a", family: 4, signal });
  assertEquals(v4, { addresses: ["127.0.0.1", "127.0.0.2"], ttl: 5 });
  const v6 = await lookup.lookup({ name: "a", family: 6, signal });
  assertEquals(v6, { addresses: ["::1"], ttl: 5 });
  const none = osLookupOver(() => Promise.resolve([]));
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
    const lookup = osLookupOver(failing(code!));
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
