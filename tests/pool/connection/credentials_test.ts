import { assertEquals, assertRejects } from "@std/assert";
import { Secrets } from "../../../internal/redact.ts";
import { type CredentialsRequest, LoginSource } from "../../../pool/connection/credentials.ts";
import { fakeTime } from "../../support/time.ts";

const SERVER = { host: "db.internal", port: 5432 };
const { signal } = new AbortController();

/** Makes a source, and records the calls of its function. */
function setup(give: (call: number, request: CredentialsRequest) => unknown) {
  const requests: CredentialsRequest[] = [];
  const source = new LoginSource((request) => {
    requests.push(request);
    return give(requests.length, request) as string;
  }, { user: "app", database: "orders", secrets: new Secrets() });
  return { source, requests };
}

const forever = (call: number) => ({ password: `p${call}`, expiresAt: Infinity });

Deno.test("LoginSource keeps what the function gave for each server, until it is cleared or refused", async () => {
  using _time = fakeTime();
  const { source, requests } = setup(forever);
  const first = await source.ask(SERVER, { signal });
  assertEquals(first, { user: "app", password: "p1" });
  assertEquals(await source.ask(SERVER, { signal }), first);
  assertEquals((await source.ask({ ...SERVER, port: 1 }, { signal })).password, "p2");
  assertEquals((await source.ask({ ...SERVER, host: "other" }, { signal })).password, "p3");
  source.forget({ ...first }); // another object
  assertEquals(await source.ask(SERVER, { signal }), first);
  source.forget(first);
  const next = await source.ask(SERVER, { signal });
  assertEquals(next.password, "p4");
  assertEquals((await source.ask({ ...SERVER, port: 1 }, { signal })).password, "p2");
  // One that was refused is replaced once, for all who had it.
  assertEquals((await source.ask(SERVER, { signal }, first)).password, "p4");
  assertEquals((await source.ask(SERVER, { signal }, next)).password, "p5");
  source.clear();
  assertEquals((await source.ask(SERVER, { signal })).password, "p6");
  assertEquals(requests.length, 6);
});

Deno.test("LoginSource.ask() ends at an abort; the call goes on while another one waits for it", async () => {
  using time = fakeTime();
  const { source, requests } = setup(() =>
    new Promise((resolve) => setTimeout(resolve, 1000, "late"))
  );
  const leaves = new AbortController();
  const left = source.ask(SERVER, { signal: leaves.signal });
  const stays = source.ask(SERVER, { signal });
  await time.advance(0.5);
  leaves.abort(new Error("enough"));
  await assertRejects(() => left, Error, "enough");
  assertEquals(requests[0]!.signal.aborted, false);
  await time.advance(0.6);
  assertEquals((await stays).password, "late");
  assertEquals([requests.length, requests[0]!.signal.aborted], [1, false]);
  const gone = source.ask(SERVER, { signal: AbortSignal.abort(new Error("before")) });
  await assertRejects(() => gone, Error, "before");
  assertEquals(requests.length, 1);
});

Deno.test("LoginSource does not keep what came after the last one had left, nor call back servers that are gone", async () => {
  using time = fakeTime();
  const { source, requests } = setup((call) =>
    new Promise((resolve) => setTimeout(resolve, 1000, forever(call)))
  );
  const leaves = new AbortController();
  const left = source.ask(SERVER, { signal: leaves.signal });
  leaves.abort(new Error("enough"));
  await assertRejects(() => left, Error, "enough");
  assertEquals(requests[0]!.signal.aborted, true);
  await time.advance(2);
  const again = source.ask(SERVER, { signal });
  await time.advance(2);
  assertEquals((await again).password, "p2");
});
