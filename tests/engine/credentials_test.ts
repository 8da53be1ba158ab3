/**
 * The option `credentials`: a function that gives user and password of each new connection.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import {
  ConnectError,
  type Credentials,
  CredentialsError,
  type CredentialsFunction,
  type CredentialsRequest,
  type EngineOptions,
  getDnsEngine,
} from "../../mod.ts";
import { fakeAdapter, type FakeBehavior, type FakeClient } from "../../testing/mod.ts";
import { closeAtRest, keepLines, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { fakeTime } from "../support/time.ts";

const SECRET = "t0p/secret&token";

/** Makes an engine with the function, and records its calls and the logins of the connects. */
function setup(
  give: (call: number, request: CredentialsRequest) => unknown,
  options: EngineOptions<FakeClient> = {},
  behavior: FakeBehavior = {},
) {
  const requests: CredentialsRequest[] = [];
  const logins: unknown[] = [];
  const { connect } = behavior;
  const env = fakeEngine({
    credentials: ((request) => {
      requests.push(request);
      return give(requests.length, request);
    }) as CredentialsFunction,
    ...options,
  }, {
    ...behavior,
    connect: async (address, target) => {
      logins.push(`${target.user}:${target.password}`);
      await connect?.(address, target);
    },
  });
  return { ...env, requests, logins, renew: () => env.engine.use((lease) => lease.invalidate()) };
}

function refused(): Error {
  return Object.assign(new Error("password authentication failed"), { code: "28P01" });
}

/** Lets only one password in. */
function accepting(password: () => string): FakeBehavior {
  return {
    connect: (_address, target) => {
      if (target.password !== password()) throw refused();
    },
  };
}

Deno.test("credentials: is asked when a connection is dialed, and told the host's name, port, user and database", async () => {
  using _time = fakeTime();
  const env = setup((call) => `password ${call}`);
  assertEquals(env.requests.length, 0);
  for (let i = 0; i < 3; i++) await env.engine.use(() => {});
  const [{ signal, ...told }] = env.requests as [CredentialsRequest];
  assertEquals(told, { host: "db.internal", port: 1, user: "app", database: "orders" });
  assertFalse(signal.aborted);
  assertEquals(env.requests.length, 1);
  await env.renew();
  await env.renew();
  assertEquals(env.logins, ["app:password 1", "app:password 2"]);
  await closeAtRest(env);
});

Deno.test("credentials: may give a user too", async () => {
  using _time = fakeTime();
  const env = setup(() => Promise.resolve({ user: "v-app-7", password: "x" }));
  await env.engine.use(() => {});
  assertEquals(env.logins, ["v-app-7:x"]);
  await closeAtRest(env);
});

Deno.test("credentials: one call serves all dials that begin together", async () => {
  using time = fakeTime();
  for (const give of [() => "x", () => new Promise((resolve) => setTimeout(resolve, 500, "x"))]) {
    const env = setup(give, { poolSize: 20, connectConcurrency: 20 });
    const leases = Array.from({ length: 20 }, () => env.engine.connect());
    await time.advance(1);
    for (const lease of await Promise.all(leases)) await lease.release();
    assertEquals([env.requests.length, env.logins.length], [1, 20]);
    await closeAtRest(env);
  }
});

Deno.test("credentials: are kept until shortly before they expire, also while the machine sleeps", async () => {
  using time = fakeTime();
  const expiry = [
    (ms: number) => Date.now() + ms,
    (ms: number) => new Date(Date.now() + ms),
  ];
  for (const at of expiry) {
    const env = setup((call) => ({ password: `p${call}`, expiresAt: at(900_000) }), {
      dnsMinTtl: 3600,
      dnsMaxTtl: 3600,
    });
    const renewAt = async (seconds: number) => {
      await time.advance(seconds);
      await env.renew();
      return env.logins.at(-1);
    };
    assertEquals(await renewAt(0), "app:p1");
    assertEquals(await renewAt(839), "app:p1");
    assertEquals(await renewAt(2), "app:p2"); // a minute before the end
    time.step(839);
    assertEquals(await renewAt(0), "app:p2");
    time.step(2);
    assertEquals(await renewAt(0), "app:p3");
    time.step(-5000); // a clock that is set back keeps nothing for longer
    assertEquals(await renewAt(839), "app:p3");
    assertEquals(await renewAt(2), "app:p4");
    await closeAtRest(env);
  }
});

Deno.test("credentials: with a short life are kept for nine tenths of it", async () => {
  using time = fakeTime();
  const env = setup((call) => ({ password: `p${call}`, expiresAt: Date.now() + 10_000 }));
  await env.renew();
  await time.advance(8.9);
  await env.renew();
  await time.advance(0.2);
  await env.renew();
  assertEquals(env.logins, ["app:p1", "app:p1", "app:p2"]);
  await closeAtRest(env);
});

Deno.test("credentials: kept ones that the server refuses are asked for again, once", async () => {
  using time = fakeTime();
  let right = "p1";
  const env = setup((call) => ({ password: `p${call}`, expiresAt: Infinity }), {
    poolSize: 4,
    connectConcurrency: 4,
  }, accepting(() => right));
  await env.renew();
  await time.advance(100_000);
  right = "p2";
  const leases = await Promise.all(Array.from({ length: 4 }, () => env.engine.connect()));
  assertEquals(env.requests.length, 2); // for all four
  for (const lease of leases) await lease.release(new Error("no good"));
  right = "p4"; // the next one is wrong as well
  await env.engine.dispose();
  const error = await assertRejects(() => env.engine.connect(), ConnectError);
  assertEquals(error.cause, error.attempts[0]!.error);
  assertStringIncludes(error.message, "password authentication failed");
  assertEquals(env.requests.length, 3);
  assertEquals(env.logins.slice(-2), ["app:p2", "app:p3"]);
  await env.renew();
  assertEquals(env.logins.slice(-2), ["app:p3", "app:p4"]);
  await closeAtRest(env);
});

Deno.test("credentials: the same again after a refusal are not tried again", async () => {
  using _time = fakeTime();
  for (const expiresAt of [undefined, Infinity]) {
    const env = setup(() => ({ password: "old", expiresAt }), {}, accepting(() => "new"));
    await assertRejects(() => env.engine.connect(), ConnectError, "authentication failed");
    assertEquals([env.requests.length, env.logins.length], [2, 1]);
    await closeAtRest(env);
  }
});

Deno.test("credentials: a password that changes between the call and the login costs no checkout", async () => {
  using _time = fakeTime();
  let right = "p1";
  const env = setup(() => right, {}, {
    connect: (_address, target) => {
      if (target.password === "p1") right = "p2";
      if (target.password !== right) throw refused();
    },
  });
  await env.engine.use(() => {});
  assertEquals(env.logins, ["app:p1", "app:p2"]);
  await closeAtRest(env);
});

Deno.test("credentials: a call that began before a refusal does not answer it", async () => {
  using time = fakeTime();
  let right = "old";
  const env = setup(
    (call) => {
      const read = right;
      if (call !== 2) return read;
      return new Promise((resolve) => setTimeout(resolve, 1000, read));
    },
    { poolSize: 2, connectConcurrency: 2 },
    {
      connect: async (_address, target) => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (target.password !== right) throw refused();
      },
    },
  );
  const first = env.engine.connect();
  await time.advance(0.1);
  const second = env.engine.connect(); // reads the old one, slowly
  await time.advance(0.1);
  right = "new";
  await time.advance(3);
  for (const lease of await Promise.all([first, second])) await lease.release();
  assertEquals(env.logins, ["app:old", "app:new", "app:old", "app:new"]);
  await closeAtRest(env);
});

Deno.test("credentials: what cannot be used is an error that does not show it", async () => {
  using time = fakeTime("2026-01-01T00:00:00Z");
  const allowed = '"expiresAt" must be a Date or milliseconds since 1970, in the future, got ';
  const cases: [given: unknown, message: string][] = [
    [undefined, '"result of credentials()" must be a password, or an object with "password"'],
    [null, "got null"],
    [12345678, "got a value of type number"],
    [Symbol(SECRET), "got a value of type symbol"],
    [new TextEncoder().encode(SECRET), "got a value of type object"],
    [[SECRET], '"0" is not a property of the result of credentials()'],
    [() => SECRET, "got a value of type function"],
    [{}, '"password" must be a string, got a value of type undefined'],
    [{ password: { toString: () => SECRET } }, "got a value of type object"],
    [{ password: new String(SECRET) }, "got a value of type object"],
    [{ password: 77 }, '"password" must be a string, got a value of type number'],
    [{ password: SECRET, user: "" }, '"user" must be a non-empty string, got ""'],
    [{ password: SECRET, user: null }, "got null"],
    [
      { username: "app", password: SECRET },
      '"username" is not a property of the result of credentials(); there are user, password',
    ],
    [{ password: SECRET, expiresAt: "2027-01-01" }, `${allowed}a value of type string`],
    [{ password: SECRET, expiresAt: null }, `${allowed}null`],
    [{ password: SECRET, expiresAt: NaN }, `${allowed}NaN`],
    [{ password: SECRET, expiresAt: new Date(NaN) }, `${allowed}"an invalid Date"`],
    [{ password: SECRET, expiresAt: 0 }, `${allowed}a time `],
    [{ password: SECRET, expiresAt: -1 }, `${allowed}a time `],
    [{ password: SECRET, expiresAt: Date.now() - 2500 }, `${allowed}a time 3 seconds ago`],
    [{ password: SECRET, expiresAt: Date.now() }, `${allowed}a time 0 seconds ago`],
    [
      { password: SECRET, expiresAt: Date.now() / 1000 + 900 },
      `${allowed}1767226500, did you mean 1767226500000?`,
    ],
  ];
  for (const [given, message] of cases) {
    const logger = keepLines();
    const env = setup(() => given, { echoPool: "debug", logger });
    const error = await assertRejects(() => env.engine.connect(), CredentialsError);
    assertStringIncludes(error.message, 'Cannot get credentials for "db.internal": ');
    assertStringIncludes(error.message, message);
    assertEquals([error.code, error.host], ["CREDENTIALS_FAILED", "db.internal"]);
    const all = inspected(error) + logger.lines.join("\n");
    assertFalse(all.includes(SECRET) || all.includes("12345678"), all);
    assertEquals(env.logins, []);
    await closeAtRest(env);
  }
  await time.settle();
});

Deno.test("credentials: what the function throws is the cause of an error that does not repeat it", async () => {
  using _time = fakeTime();
  const thrown: [unknown, string][] = [
    [new TypeError(`fetch failed: ${SECRET}`), "failed with TypeError"],
    [Object.assign(new Error(SECRET), { name: SECRET }), "failed with an error"],
    [SECRET, "failed with a value of type string"],
    [undefined, "failed with a value of type undefined"],
    [Proxy.revocable(new Error(), {}), "failed with a value of type object"],
  ];
  for (const [cause, message] of thrown) {
    for (const give of [() => Promise.reject(cause), () => raise(cause)]) {
      const logger = keepLines();
      let fails = false;
      const env = setup(() => fails ? give() : "good", { echoPool: "debug", logger });
      await env.renew(); // an engine that has connected would wait for a server
      fails = true;
      const error = await assertRejects(() => env.engine.connect(), CredentialsError, message);
      assertEquals(error.cause, cause);
      assertFalse((error.message + logger.lines.join()).includes(SECRET));
      fails = false;
      await env.engine.use(() => {});
      await closeAtRest(env);
    }
  }
});

function raise(thrown: unknown): never {
  throw thrown;
}

Deno.test("credentials: connectTimeout limits the wait, and its signal is aborted", async () => {
  using time = fakeTime();
  const env = setup(() => new Promise(() => {}), { connectTimeout: 2, connectConcurrency: 2 });
  const waits = [watch(env.engine.connect()), watch(env.engine.connect())];
  await time.advance(1.9);
  assertFalse(env.requests[0]!.signal.aborted);
  await time.advance(0.2);
  for (const { error } of waits) {
    assertInstanceOf(error, CredentialsError);
    assertEquals(
      error.message,
      'Cannot get credentials for "db.internal": the function "credentials" gave nothing within 2 seconds',
    );
  }
  assert(env.requests[0]!.signal.aborted);
  assertEquals([env.requests.length, env.logins], [1, []]);
  await closeAtRest(env);
});

Deno.test("credentials: a call ends when no connect waits for it any more, and the next one begins anew", async () => {
  using time = fakeTime();
  const env = setup((call) => call === 1 ? new Promise(() => {}) : "x", {}, {});
  const wait = watch(env.engine.connect());
  await time.settle();
  const { signal } = env.requests[0]!;
  assertFalse(signal.aborted);
  const closing = env.engine.close();
  await time.advance(1);
  await closing;
  assert(signal.aborted);
  assertEquals(wait.state, "rejected");
  const other = setup((call) => call === 1 ? new Promise(() => {}) : "x", { connectTimeout: 1 });
  const lost = watch(other.engine.connect());
  await time.advance(1.1);
  assertInstanceOf(lost.error, CredentialsError);
  await other.engine.use(() => {});
  assertEquals(other.logins, ["app:x"]);
  await closeAtRest(other);
});

Deno.test("credentials: a probe asks for none", async () => {
  using time = fakeTime();
  let probes = 0;
  const env = setup((call) => `p${call}`, { probeTimeout: 1 }, {
    connect: (_address, target) => {
      if (!target.passing) probes++;
    },
  });
  const lease = await env.engine.connect();
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(20);
  await env.engine.use(() => {});
  await time.advance(10);
  assert(probes > 0);
  assertEquals(env.requests.length, 2);
  assertEquals(new Set(env.logins), new Set(["app:p1", "app:undefined", "app:p2"]));
  await lease.release();
  await closeAtRest(env);
});

Deno.test("credentials: with several hosts each is asked for by its name; one without is left out", async () => {
  using _time = fakeTime();
  const dns = fakeLookup([], 10);
  dns.respond = ({ name }) =>
    Promise.resolve({ addresses: [name === "a.internal" ? "10.0.0.1" : "10.0.0.2"], ttl: 10 });
  const asked: unknown[] = [];
  let down: string[] = [];
  const adapter = fakeAdapter({
    connect: (address, target) => {
      asked.push(`${address} ${target.host} ${target.password}`);
    },
  });
  const engine = getDnsEngine("fake://app@a.internal:7,b.internal:8/orders", {
    adapter,
    dnsLookup: dns,
    credentials: ({ host, port }) => {
      if (down.includes(host)) throw new Error("no token");
      return { password: `for ${host}:${port}`, expiresAt: Infinity };
    },
  });
  await engine.use((lease) => lease.invalidate());
  down = ["a.internal"];
  await engine.use((lease) => lease.invalidate()); // is kept
  assertEquals(asked, Array(2).fill("10.0.0.1 a.internal for a.internal:7"));
  await engine.close();

  asked.length = 0;
  const others = getDnsEngine("fake://app@a.internal:7,b.internal:8/orders", {
    adapter,
    dnsLookup: dns,
    credentials: ({ host, port }) => {
      if (down.includes(host)) throw new Error("no token");
      return `for ${host}:${port}`;
    },
  });
  await others.use((lease) => lease.invalidate());
  assertEquals(asked, ["10.0.0.2 b.internal for b.internal:8"]);
  down.push("b.internal");
  const error = await assertRejects(() => others.connect(), CredentialsError);
  assertEquals(error.host, "a.internal");
  await others.close();
});

Deno.test("credentials: a wait for the function is no silence of the first address", async () => {
  using time = fakeTime();
  const env = setup(() => new Promise((resolve) => setTimeout(resolve, 2000, "x")), {
    connectStagger: 0.25,
  }, { connect: () => new Promise((resolve) => setTimeout(resolve, 200)) });
  env.dns.addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
  const wait = watch(env.engine.connect());
  await time.advance(2.3);
  assertEquals(wait.value!.address, "10.0.0.1");
  assertEquals(env.adapter.dials, ["10.0.0.1"]);
  env.adapter.behavior.connect = (address) =>
    address === "10.0.0.1" ? new Promise(() => {}) : undefined;
  const other = watch(env.engine.connect());
  await time.advance(2.7); // twice the usual time of a connect
  assertEquals(other.state, "pending");
  await time.advance(4);
  assertEquals(other.value!.address, "10.0.0.2");
  for (const lease of [wait.value!, other.value!]) await lease.release();
  await time.advance(2);
  await env.engine.close();
});

Deno.test("credentials: another source of a password beside them is refused, and so is a database without a login", () => {
  const credentials = () => SECRET;
  const adapter = fakeAdapter();
  const given = 'must not be given: the option "credentials" gives it';
  const fails = (url: string, options: EngineOptions<FakeClient>, message: string) => {
    const error = assertThrows(() => getDnsEngine(url, options), TypeError, message);
    assertFalse(error.message.includes("hunter2"));
  };
  const url = "fake://app@db.internal/orders";
  fails("fake://app:hunter2@db.internal/orders", { adapter, credentials }, given);
  for (const name of ["user", "username", "password", "pass", "password1", "passwordSha1"]) {
    fails(
      url,
      { adapter, credentials, connectArgs: { [name]: "hunter2" } },
      `"connectArgs.${name}" ${given}`,
    );
  }
  for (const wrong of ["hunter2", {}, null, 0, true]) {
    const message = `"credentials" must be a function, got a value of type ${typeof wrong}`;
    fails(url, { adapter, credentials: wrong as unknown as CredentialsFunction }, message);
  }
  assertThrows(
    () => getDnsEngine("sqlite::memory:", { credentials }),
    TypeError,
    '"credentials" must not be given: sqlite has no login',
  );
});

Deno.test("credentials: the password is in no message, log line, event or inspected object", async () => {
  using time = fakeTime();
  const logger = keepLines();
  let number = 0;
  const seen: unknown[] = [];
  const env = setup(
    () => ({ password: `${SECRET}${++number}`, expiresAt: Date.now() + 5000 }),
    { echo: "debug", echoPool: "debug", logger },
    {
      connect: (_address, target) => {
        if (number % 2 === 0) throw new Error(`no: ${target.password}`);
        if (number % 3 === 0) throw new Error(encodeURIComponent(target.password!));
      },
    },
  );
  const types = ["addresschange", "retire", "terminate", "lookuperror", "close"] as const;
  for (const type of types) env.engine.addEventListener(type, (event) => seen.push(event));
  for (let i = 0; i < 40; i++) {
    try {
      const lease = await env.engine.connect();
      seen.push(lease, lease.client, lease.info);
      await lease.release(new Error("no good"));
      await env.renew();
    } catch (error) {
      assertInstanceOf(error, ConnectError);
      seen.push(error.message, String(error));
    }
    await time.advance(6);
  }
  seen.push(env.engine, env.engine.status(), env.engine.pool, env.engine.url, env.adapter);
  const all = inspected(seen) + JSON.stringify(seen) + logger.lines.join("\n");
  assert(number > 30);
  assertFalse(
    all.includes(SECRET),
    all.slice(Math.max(0, all.indexOf(SECRET) - 200)).slice(0, 400),
  );
  assertFalse(all.includes(encodeURIComponent(SECRET)));
  await env.engine.close();
});

Deno.test("Target.again() opens another connection with a login that is good now", async () => {
  using time = fakeTime();
  let right = "p1";
  const targets: Target[] = [];
  const env = setup((call) => ({ password: `p${call}`, expiresAt: Infinity }), {}, {
    connect: (_address, target) => {
      targets.push(target);
      if (target.password !== right) throw refused();
    },
  });
  await env.engine.use(() => {});
  right = "p2";
  const [{ again }] = targets as [Target];
  const { signal } = new AbortController();
  const opened = await again!(signal, (target) => env.adapter.connect("10.0.0.1", target));
  assertEquals(env.logins, ["app:p1", "app:p1", "app:p2"]);
  await env.adapter.close!(opened);
  const aborted = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => again!(aborted, () => Promise.resolve()), Error, "enough");
  await time.settle();
  await env.engine.close();
});

const _types: Credentials[] = [{ password: "" }, { password: "x", expiresAt: new Date() }];
