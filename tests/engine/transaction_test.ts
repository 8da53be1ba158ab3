import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import {
  ConnectionLostError,
  type Engine,
  type Lease,
  TransactionAbortedError,
} from "../../mod.ts";
import type { FakeClient } from "../../testing/mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  releaseAll,
  verdict,
  watch,
} from "../support/checks.ts";
import { type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Returns the log of the first connection. */
function asked({ adapter }: FakeEngine): string[] {
  return adapter.clients[0]!.log.map((entry) => entry.replace(/dnspool_\d+/, "s"));
}

/** Runs a statement on a lease. */
function run({ adapter }: FakeEngine, { client }: Lease<FakeClient>, text: string) {
  return adapter.query!(client, text);
}

Deno.test("Engine.use() returns what the function returns, sync or async, and takes the connection back", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  assertEquals(await env.engine.use(({ client }) => client.id), 1);
  assertEquals(await env.engine.use(({ client }) => Promise.resolve(client.id)), 1);
  assertEquals(env.engine.status().idle, 1);
  await closeAtRest(env);
});

Deno.test("Engine.use() throws what the function throws, sync or async, and takes the connection back", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  for (const error of [new Error("mine"), "mine", undefined, null]) {
    const ways = [() => Promise.reject(error), () => {
      throw error;
    }];
    for (const way of ways) {
      const outcome = await env.engine.use(way).then(() => "fine", (error) => [error]);
      assertEquals(outcome, [error]);
      assertAtRest(env);
    }
  }
  assertEquals(env.adapter.dials.length, 1);
  await closeAtRest(env);
});

Deno.test("Engine.use() allows its function to release, invalidate or detach the lease", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  await env.engine.use((lease) => lease.release());
  assertEquals(env.engine.status().idle, 1);
  await env.engine.use((lease) => lease.invalidate());
  assertEquals(env.engine.status().idle, 0);
  const client = await env.engine.use((lease) => lease.detach());
  assert(client.open);
  await env.adapter.close!(client);
  await closeAtRest(env, [client]);
});

Deno.test("Engine.query() returns the rows, and passes text and values unchanged", async () => {
  using _time = fakeTime();
  const seen: unknown[] = [];
  const env = fakeEngine({}, {
    query(_, text, values) {
      seen.push([text, values]);
      return [{ x: 1 }];
    },
  });
  const values = [1, "two", null];
  assertEquals(await env.engine.query("SELECT $1", values), [{ x: 1 }]);
  assertEquals(await env.engine.query("SELECT 1"), [{ x: 1 }]);
  assertEquals(seen, [["SELECT $1", values], ["SELECT 1", []]]);
  await closeAtRest(env);
});

Deno.test("Engine.query() that fails gives the connection back, and closes a lost one", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  for (const [error, idle] of [[new Error("syntax"), 1], [verdict("disconnect"), 0]] as const) {
    env.adapter.behavior.query = () => Promise.reject(error);
    assertStrictEquals(await assertRejects(() => env.engine.query("SELECT 1")), error);
    assertEquals(env.engine.status().idle, idle);
    assertAtRest(env);
  }
  await closeAtRest(env);
});

Deno.test("Engine.begin() commits when its function returns, and returns the same", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const result = await env.engine.begin(async (lease) => {
    await run(env, lease, "INSERT");
    return 5;
  });
  assertEquals(result, 5);
  assertEquals(asked(env), ["BEGIN", "INSERT", "COMMIT"]);
  await closeAtRest(env);
});

Deno.test("Engine.begin() rolls back when its function throws, and throws the same", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  for (const error of [new Error("mine"), undefined]) {
    const ways = [() => Promise.reject(error), () => {
      throw error;
    }];
    for (const way of ways) {
      assertEquals(await env.engine.begin(way).then(() => "fine", (error) => [error]), [error]);
      assertEquals(asked(env).splice(-2), ["BEGIN", "ROLLBACK"]);
      assertAtRest(env);
    }
  }
  assertEquals(env.adapter.dials.length, 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin() throws the error of a failed commit, and rolls back", async () => {
  using _time = fakeTime();
  for (const poolResetOnReturn of ["rollback", "commit", null] as const) {
    const failure = new Error("deferred constraint");
    const env = fakeEngine({ poolResetOnReturn }, {
      query(_, text) {
        if (text === "COMMIT") throw failure;
        return [];
      },
    });
    assertStrictEquals(await assertRejects(() => env.engine.begin(() => {})), failure);
    assertEquals(asked(env), ["BEGIN", "COMMIT", "ROLLBACK"]);
    assertEquals(env.engine.status().idle, 1);
    await closeAtRest(env);
  }
});

Deno.test("Engine.begin() throws the first error if the rollback fails as well, and closes the connection", async () => {
  using _time = fakeTime();
  for (const poolResetOnReturn of ["rollback", null] as const) {
    const env = fakeEngine({ poolResetOnReturn }, {
      query(_, text) {
        if (text === "ROLLBACK") throw new Error("no");
        return [];
      },
    });
    await assertRejects(
      () => env.engine.begin(() => Promise.reject(new Error("mine"))),
      Error,
      "mine",
    );
    assertEquals(asked(env), ["BEGIN", "ROLLBACK", "terminate"]);
    assertAtRest(env);
    await closeAtRest(env);
  }
});

Deno.test("Engine.begin() does not call its function if BEGIN fails", async () => {
  using _time = fakeTime();
  let ran = false;
  const env = fakeEngine({}, { query: () => Promise.reject(new Error("no")) });
  await assertRejects(() => env.engine.begin(() => ran = true), Error, "no");
  assertEquals([ran, env.engine.status().inUse], [false, 0]);
  await closeAtRest(env);
});

Deno.test("Engine.begin() throws the error of a lost connection, and others to the same address are evicted", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  await releaseAll(await checkoutMany(env, 2));
  const lost = verdict("disconnect");
  const error = await assertRejects(() =>
    env.engine.begin(() => {
      env.adapter.behavior.query = () => Promise.reject(new Error("not queryable"));
      return Promise.reject(lost);
    })
  );
  assertStrictEquals(error, lost);
  env.adapter.behavior.query = () => [];
  const before = env.adapter.dials.length;
  await env.engine.query("SELECT 1");
  assertEquals(env.adapter.dials.length, before + 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin() throws a ConnectionLostError as soon as the pool terminates the connection, and does not run again", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  let runs = 0;
  const work = watch(env.engine.begin(async (lease) => {
    runs++;
    await delay(60_000);
    await run(env, lease, "INSERT");
  }));
  await time.tick(1);
  const closing = watch(env.engine.close({ drain: 1 }));
  await time.advance(1);
  assertInstanceOf(work.error, ConnectionLostError);
  assertEquals(
    work.error.message,
    "Lost the connection to 10.0.0.1: the engine was closed; work under way may or may not have been done",
  );
  assertEquals(closing.state, "fulfilled");
  await time.advance(60);
  assertEquals([runs, asked(env)], [1, ["BEGIN", "terminate"]]);
});

Deno.test("Engine.begin() of a transaction that has failed: rolled back, and TransactionAbortedError with the server's last error", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const reasons = [new Error("duplicate key"), undefined];
  for (const reason of reasons) {
    const error = await assertRejects(
      () =>
        env.engine.begin(({ client }) => {
          if (reason) env.adapter.report(client, reason);
          client.transactionStatus = "failed";
        }),
      TransactionAbortedError,
    );
    assertStrictEquals(error.cause, reason);
    assertEquals(error.code, "TRANSACTION_ABORTED");
    assertEquals(
      error.message,
      reason
        ? "Cannot commit: an error has ended the transaction"
        : "Cannot commit: the transaction has ended before",
    );
    assertEquals(asked(env).splice(-2), ["BEGIN", "ROLLBACK"]);
    assertAtRest(env);
  }
  await env.engine.begin(() => {});
  assertEquals(asked(env).splice(-2), ["BEGIN", "COMMIT"]);
  assertEquals(env.adapter.dials.length, 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin(): an adapter's own begin() and commit() are used, and are logged", async () => {
  using _time = fakeTime();
  const lines: string[] = [];
  const logger = { debug() {}, info: (line: string) => void lines.push(line), warn() {} };
  const env = fakeEngine({ echo: true, logger });
  const cause = new Error("deadlock");
  const answers = [undefined, { cause }, {}];
  const calls: string[] = [];
  Object.assign(env.adapter, {
    begin: () => Promise.resolve(void calls.push("begin")),
    commit: () => Promise.resolve(void calls.push("commit")).then(() => answers.shift()),
  });
  await env.engine.begin(() => {});
  const error = await assertRejects(() => env.engine.begin(() => {}), TransactionAbortedError);
  assertStrictEquals(error.cause, cause);
  await assertRejects(
    () => env.engine.begin(() => {}),
    TransactionAbortedError,
    "has ended before",
  );
  assertEquals(calls, Array(3).fill(["begin", "commit"]).flat());
  assertEquals(asked(env), []); // after `commit`, no transaction is open
  assertEquals(
    lines.map((line) => /(BEGIN|COMMIT)$/.exec(line)?.[1]).filter((text) => text),
    Array(3).fill(["BEGIN", "COMMIT"]).flat(),
  );
  await closeAtRest(env);
});

Deno.test("Engine.begin(): no rollback is sent where no transaction is open any more", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const failing = ({ client }: Lease<FakeClient>) => {
    client.transactionStatus = "idle";
    throw new Error("disk full");
  };
  await assertRejects(() => env.engine.begin(failing), Error, "disk full");
  assertEquals(asked(env), ["BEGIN"]);
  assertEquals(env.engine.status().idle, 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin({ within }): a savepoint that cannot be released is rolled back to, and the error that its function handled is the cause", async () => {
  using _time = fakeTime();
  for (const [handled, verdict] of [[true], [false], [true, "disconnect"]] as const) {
    const noRelease = Object.assign(new Error("in a failed transaction"), { verdict });
    const env = fakeEngine({}, {
      query(_, text) {
        if (text.startsWith("RELEASE")) throw noRelease;
        return [];
      },
    });
    const duplicate = new Error("duplicate key");
    await env.engine.begin(async (outer) => {
      const error = await assertRejects(() =>
        env.engine.begin(({ client }) => {
          if (handled) env.adapter.report(client, duplicate);
        }, { within: outer })
      );
      if (handled && !verdict) {
        assertInstanceOf(error, TransactionAbortedError);
        assertStrictEquals(error.cause, duplicate);
      } else {
        assertStrictEquals(error, noRelease);
      }
    });
    assertEquals(asked(env), [
      "BEGIN",
      "SAVEPOINT s",
      "RELEASE SAVEPOINT s",
      "ROLLBACK TO SAVEPOINT s",
      "COMMIT",
    ]);
    await closeAtRest(env);
  }
});

Deno.test("Engine.begin() in begin() is a transaction of its own on another connection", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  await env.engine.begin(async (outer) => {
    await env.engine.begin((inner) => assert(inner.client !== outer.client));
  });
  assertEquals(env.adapter.clients.map(({ log }) => log), [["BEGIN", "COMMIT"], [
    "BEGIN",
    "COMMIT",
  ]]);
  await closeAtRest(env);
});

Deno.test("Engine.begin({ within }) is a savepoint in the transaction of that lease, at any depth", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const names = new Set<string>();
  const result = await env.engine.begin(async (outer) => {
    const inner = await env.engine.begin(async (lease) => {
      assertStrictEquals(lease, outer);
      await env.engine.begin((lease) => run(env, lease, "INSERT 2"), { within: lease });
      return 7;
    }, { within: outer });
    for (const entry of outer.client.log) names.add(/dnspool_\d+/.exec(entry)?.[0] ?? "");
    await run(env, outer, "INSERT 1");
    return inner;
  });
  assertEquals(result, 7);
  assertEquals(names.size, 3);
  assertEquals(asked(env), [
    "BEGIN",
    "SAVEPOINT s",
    "SAVEPOINT s",
    "INSERT 2",
    "RELEASE SAVEPOINT s",
    "RELEASE SAVEPOINT s",
    "INSERT 1",
    "COMMIT",
  ]);
  assertEquals(env.adapter.dials.length, 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin({ within }) rolls back to the savepoint if the function throws, and the transaction goes on", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  await env.engine.begin(async (outer) => {
    const failing = () => Promise.reject(new Error("mine"));
    await assertRejects(() => env.engine.begin(failing, { within: outer }), Error, "mine");
    assertEquals(outer.client.transactionStatus, "open");
  });
  assertEquals(asked(env), ["BEGIN", "SAVEPOINT s", "ROLLBACK TO SAVEPOINT s", "COMMIT"]);
  await closeAtRest(env);
});

Deno.test("Engine.begin({ within }) throws if the lease was released", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  await lease.release();
  await assertRejects(
    () => env.engine.begin(() => {}, { within: lease }),
    TypeError,
    "Cannot use the client of a lease that was released",
  );
  await env.engine.begin(async (lease) => {
    lease.invalidate();
    await assertRejects(() => env.engine.begin(() => {}, { within: lease }), TypeError);
  }).catch(() => {});
  assertAtRest(env);
  await closeAtRest(env);
});

Deno.test("Engine.use() and begin() refuse other values than functions before a checkout", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const calls = [(fn: never) => env.engine.use(fn), (fn: never) => env.engine.begin(fn)];
  for (const call of calls) {
    for (
      const [fn, shown] of [[undefined, "undefined"], [5, "5"], ["x", '"x"'], [{}, "an object"], [
        [],
        "an array",
      ]] as const
    ) {
      const error = await assertRejects(() => call(fn as never), TypeError);
      assertEquals(error.message, `"fn" must be a function, got ${shown}`);
    }
  }
  assertEquals([env.dns.questions.length, env.adapter.dials.length], [0, 0]);
  await closeAtRest(env);
});

Deno.test("Engine.begin(), use() and connect() refuse invalid options, and the pool goes on", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0, poolTimeout: 0 });
  const calls: Record<string, (options: never) => Promise<unknown>> = {
    connect: (options) => env.engine.connect(options),
    use: (options) => env.engine.use(() => {}, options),
    begin: (options) => env.engine.begin(() => {}, options),
  };
  const seconds = '"timeout" must be a number of seconds from 0 to 3600 or Infinity, got ';
  const refused: [
    options: unknown,
    kind: typeof TypeError | typeof RangeError,
    end: string,
  ][] = [
    [null, TypeError, '()" must be an object, got null'],
    [5, TypeError, '()" must be an object, got 5'],
    ["x", TypeError, '()" must be an object, got "x"'],
    [[], TypeError, '()" must be an object, got an array'],
    [() => {}, TypeError, '()" must be an object, got a function'],
    [{ timeout: "5" }, TypeError, `${seconds}"5"`],
    [{ timeout: null }, TypeError, `${seconds}null`],
    [{ timeout: NaN }, TypeError, `${seconds}NaN`],
    [{ timeout: -0.001 }, RangeError, `${seconds}-0.001`],
    [{ timeout: 3600.1 }, RangeError, "did you mean 3.6001?"],
    [{ signal: {} }, TypeError, '"signal" must be an AbortSignal, got an object'],
    [{ signal: null }, TypeError, '"signal" must be an AbortSignal, got null'],
    [
      { signal: new AbortController() },
      TypeError,
      '"signal" must be an AbortSignal, got an object',
    ],
    [{ timeOut: 1 }, TypeError, 'did you mean "timeout"?'],
    [{ isolation: "serializable" }, TypeError, '"isolation" is not an option of'],
  ];
  for (const [options, kind, message] of refused) {
    for (const [name, call] of Object.entries(calls)) {
      const error = await assertRejects(() => call(options as never), kind);
      // The timeout of begin() is for its work too.
      const expected = name.startsWith("begin")
        ? message.replace("from 0 to", "above 0 and at most")
        : message;
      assert(error.message.includes(expected), `${name}: ${error.message}`);
    }
  }
  const lease = await env.engine.connect();
  for (const within of [null, 5, "x", {}, lease.client]) {
    const error = await assertRejects(
      () => env.engine.begin(() => {}, { within: within as Lease<FakeClient> }),
      TypeError,
    );
    assert(error.message.startsWith('"within" must be a lease, got '), error.message);
  }
  const slip = { within: lease, timeOut: 1 };
  await assertRejects(() => env.engine.begin(() => {}, slip), TypeError, 'did you mean "timeout"?');
  await lease.release();
  await closeAtRest(env);
});

Deno.test("Engine.connect() accepts Infinity and undefined as a timeout, and empty options", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const engine: Engine<FakeClient> = env.engine;
  for (const options of [undefined, {}, { timeout: Infinity }, { timeout: 0 }, { timeout: 3600 }]) {
    await (await engine.connect(options)).release();
    await engine.use(() => {}, options);
    if (options?.timeout !== 0) await engine.begin(() => {}, options);
  }
  assertEquals(env.adapter.dials.length, 1);
  await closeAtRest(env);
});

Deno.test("Engine.begin() throws what a function throws after it has released the lease, in a savepoint too", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const mine = new Error("mine");
  const giveUp = async (lease: Lease<FakeClient>) => {
    await lease.release();
    throw mine;
  };
  assertStrictEquals(await assertRejects(() => env.engine.begin(giveUp)), mine);
  const within = await env.engine.connect();
  assertStrictEquals(await assertRejects(() => env.engine.begin(giveUp, { within })), mine);
  await closeAtRest(env);
});
