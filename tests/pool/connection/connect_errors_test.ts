import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ConnectError } from "../../../errors.ts";
import type { FakeBehavior } from "../../../testing/mod.ts";
import { A, ALL, B, dialing, FOREVER, PASSWORD, refused, STANDBY } from "../../support/dialer.ts";

Deno.test("dial() reports the answer of each address, and never the password", async () => {
  const { dialer } = dialing(
    {
      connect(address) {
        if (address === A) throw refused();
        if (address === B) throw new Error(`bad login app:${PASSWORD}@${B}`);
      },
    },
    { targetSessionAttrs: "read-write" },
    () => STANDBY,
  );
  const error = await assertRejects(() => dialer.dial(ALL, FOREVER), ConnectError);
  assertEquals(
    error.message,
    'Cannot connect to "db.internal": 10.0.0.1:5432 said: connect ECONNREFUSED; ' +
      "10.0.0.2:5432 said: bad login app:***@10.0.0.2; " +
      '10.0.0.3:5432 said: it is a standby, read-only, and "read-write" is wanted',
  );
  assertEquals(error.attempts.map(({ address }) => address), ALL);
  assertInstanceOf(error.cause, Error);
});

Deno.test("ConnectErrors shows the password in no message, neither plain nor as in a URL", async () => {
  const texts = [PASSWORD, encodeURIComponent(PASSWORD)];
  for (const text of texts) {
    const { dialer } = dialing({
      connect: () => Promise.reject(new Error(`cannot use "${text}"`)),
    });
    const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
    for (const last of [error, new Error(`a hook saw "${text}"`)]) {
      const late = dialer.errors.timeoutError(last, 1.5);
      assertStringIncludes(late.message, "***");
      assertStringIncludes(late.message, 'Cannot connect to "db.internal" within 1.5 seconds');
      for (const secret of texts) assertFalse((error.message + late.message).includes(secret));
    }
  }
});

Deno.test("isTransient() is true for failures that may be gone at the next try", async () => {
  const wrongPassword = Object.assign(new Error("password authentication failed"), {
    code: "28P01",
  });
  const starting = Object.assign(new Error("the database system is starting up"), {
    verdict: "disconnect",
  });
  const timeout = new DOMException("no connection within 10 seconds", "TimeoutError");
  const cases: [what: string, error: unknown, first: boolean, later: boolean][] = [
    ["refused", refused(), false, true],
    ["reset", refused("ECONNRESET"), false, true],
    ["unreachable", refused("EHOSTUNREACH"), false, true],
    ["timed out", refused("ETIMEDOUT"), false, true],
    ["our own time-out", timeout, false, true],
    ["starting up", starting, false, true],
    ["wrong password", wrongPassword, false, false],
    ["anything else", new Error("no such database"), false, false],
    ["not an error", undefined, false, false],
  ];
  for (const [what, reason, first, later] of cases) {
    const { dialer } = dialing({ connect: () => Promise.reject(reason) });
    const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
    assertEquals(dialer.errors.isTransient(error, false), first, `${what}, at first`);
    assertEquals(dialer.errors.isTransient(error, true), later, `${what}, later`);
    assertFalse(dialer.errors.isTransient(reason, true), `${what}, not from a dial`);
  }
  const { dialer } = dialing({}, { targetSessionAttrs: "primary" }, () => STANDBY);
  const error = await assertRejects(() => dialer.dial([A], FOREVER), ConnectError);
  assert(dialer.errors.isTransient(error, false), "a role is waited for from the beginning");
});

Deno.test("isTransient() with several addresses: true for a wrong role, false for a wrong password at one of them", async () => {
  const wrongPassword = Object.assign(new Error("no"), { code: "28P01" });
  const standby = () => STANDBY;
  const cases: [b: unknown, first: boolean, later: boolean][] = [
    [refused(), true, true],
    [wrongPassword, false, false],
  ];
  for (const [reason, first, later] of cases) {
    const behaviour: FakeBehavior = {
      connect: (address) => address === B ? Promise.reject(reason) : undefined,
    };
    const { dialer } = dialing(behaviour, { targetSessionAttrs: "primary" }, standby);
    const error = await assertRejects(() => dialer.dial([A, B], FOREVER), ConnectError);
    assertEquals(
      [dialer.errors.isTransient(error, false), dialer.errors.isTransient(error, true)],
      [
        first,
        later,
      ],
    );
  }
  const behaviour: FakeBehavior = {
    connect: (address) => Promise.reject(address === B ? refused() : wrongPassword),
  };
  const { dialer } = dialing(behaviour);
  const error = await assertRejects(() => dialer.dial([A, B], FOREVER), ConnectError);
  assertFalse(dialer.errors.isTransient(error, true));
});

Deno.test("closedDuringConnect() creates a transient error, with the driver's error as its cause", () => {
  const { dialer } = dialing();
  const cause = new Error("terminating");
  const error = dialer.errors.closedDuringConnect(A, cause);
  assertEquals(
    error.message,
    'Cannot connect to "db.internal": 10.0.0.1:5432 said: the connection was closed at once',
  );
  assertEquals((error.cause as Error).cause, cause);
  assert(dialer.errors.isTransient(error, true));
});
