import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Adapter, TransactionPlan } from "../../adapters/adapter.ts";
import { planMysqlTransaction } from "../../adapters/shared/mysql_transaction.ts";
import { planPostgresTransaction } from "../../adapters/shared/postgres_transaction.ts";
import { type BeginOptions, getDnsEngine, type SettingValue } from "../../mod.ts";
import { fakeAdapter, type FakeBehavior, type FakeClient } from "../../testing/mod.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

const settings = { "app.tenant": 7 };

/** An engine with one connection. */
function single(behavior: FakeBehavior = {}) {
  return fakeEngine({ poolSize: 1, maxOverflow: 0 }, behavior);
}

Deno.test("Engine.begin() with settings puts them back after the transaction, however it ends", async () => {
  const { engine, adapter } = single();
  const options: BeginOptions<FakeClient> = {
    settings,
    isolationLevel: "serializable",
    readOnly: true,
  };
  await engine.begin(() => {}, options);
  const ways = [
    "keep settings",
    "set",
    "BEGIN serializable read only",
    "COMMIT",
    "put settings back",
  ];
  assertEquals(adapter.clients[0]!.log, ways);
  await assertRejects(
    () => engine.begin(() => Promise.reject(new Error("mine")), options),
    Error,
    "mine",
  );
  assertEquals(adapter.clients[0]!.log.slice(ways.length), [
    ...ways.slice(0, 3),
    "ROLLBACK",
    "put settings back",
  ]);
  assertEquals(adapter.clients.length, 1);
  await engine.close();
});

Deno.test("Engine.begin() with settings closes a connection on which they may still be", async () => {
  let fails = "";
  const behavior: FakeBehavior = {
    query: (_, text) => {
      if (text === fails) throw new Error(`no ${text}`);
      return [];
    },
  };
  for (
    const [statement, opened] of [
      ["keep settings", 1],
      ["set", 1], // they are put back
      ["put settings back", 2],
      ["BEGIN", 1],
    ] as const
  ) {
    const { engine, adapter } = single(behavior);
    fails = statement;
    const outcome = engine.begin(() => {}, { settings });
    if (statement === "put settings back") await outcome;
    else await assertRejects(() => outcome, Error, `no ${statement}`);
    fails = "";
    await engine.use(() => {});
    assertEquals([statement, adapter.clients.length], [statement, opened]);
    await engine.close();
  }
  const { engine, adapter } = single();
  await assertRejects(() => engine.begin((lease) => lease.release(), { settings }));
  await engine.use(() => {});
  assertEquals(adapter.clients.length, 2);
  await engine.close();
});

Deno.test('Engine.begin() with settings closes a connection of the pool class "static" on which they may still be', async () => {
  const { engine, adapter } = fakeEngine({ poolClass: "static" }, {
    query(_, text) {
      if (text === "put settings back") throw new Error("not now");
      return [];
    },
  });
  await engine.begin(() => {}, { settings });
  await engine.use(() => {});
  assertEquals(adapter.clients.length, 2);
  await engine.close();
});

Deno.test("Engine.begin() with settings puts them back after its signal and its timeout", async () => {
  using time = fakeTime();
  const { engine, adapter } = single();
  const late = assertRejects(
    () => engine.begin(() => new Promise(() => {}), { settings, timeout: 1 }),
    Error,
    "Lost the connection",
  );
  await time.advance(10);
  assertEquals(((await late).cause as Error).cause, undefined); // and not the loss again
  const stop = new AbortController();
  const aborted = assertRejects(
    () =>
      engine.begin(async (lease) => {
        stop.abort(new Error("stop"));
        await adapter.query!(lease.client, "SELECT 1");
      }, { settings, signal: stop.signal }),
    Error,
    "stop",
  );
  await time.advance(1);
  await aborted;
  assertEquals(adapter.clients[1]!.log.slice(-2), ["ROLLBACK", "put settings back"]);
  await engine.use(() => {});
  assertEquals(adapter.clients.length, 2);
  await engine.close();
});

Deno.test("Engine.begin() with settings cancels the statement that sets them after its signal and its timeout", async () => {
  using time = fakeTime();
  const { engine, adapter } = single({
    query: (_, text) => text === "set" ? new Promise(() => {}) : [],
  });
  await engine.use(() => {});
  const never = () => assert(false, "the function is called");
  const late = assertRejects(
    () => engine.begin(never, { settings, timeout: 1 }),
    DOMException,
    "no end of the transaction within 1 seconds",
  );
  await time.advance(1.01);
  await late;
  const stop = new AbortController();
  const aborted = assertRejects(
    () => engine.begin(never, { settings, signal: stop.signal }),
    Error,
    "stop",
  );
  await time.advance(0);
  stop.abort(new Error("stop"));
  await time.advance(0);
  await aborted;
  const way = ["keep settings", "set", "cancel", "put settings back"];
  assertEquals(adapter.clients.map(({ log }) => log), [[...way, ...way]]);
  await engine.close();
});

Deno.test("Engine.begin() with settings that is aborted at any moment leaves none to the next holder", async () => {
  let begun = 0;
  for (let turns = 0; turns < 120; turns++) {
    const { engine } = single({ query: async () => (await undefined, []) });
    await engine.use(() => {});
    const stop = new AbortController();
    const outcome = engine.begin(() => {}, { settings, signal: stop.signal })
      .then(() => "done", (error) => error);
    for (let turn = 0; turn < turns; turn++) await undefined;
    stop.abort("stop");
    const settled = await outcome;
    assert(settled === "done" || settled === "stop", `after ${turns} turns: ${settled}`);
    await engine.use(({ client: { log } }) => {
      if (log.includes("set")) begun++;
      assert(log.lastIndexOf("set") <= log.lastIndexOf("put settings back"), log.join());
      assertEquals(log.includes("BEGIN"), log.includes("COMMIT") || log.includes("ROLLBACK"));
    });
    await engine.close();
  }
  assert(begun > 0);
});

/** An engine with one connection, whose transactions have these statements. */
function planned(plan: Partial<TransactionPlan>, more: Partial<Adapter<FakeClient>> = {}) {
  const fake = fakeAdapter();
  const lines: string[] = [];
  const engine = getDnsEngine("fake://127.0.0.1/orders", {
    adapter: {
      ...fake,
      planTransaction: () => ({ before: [], begin: "BEGIN", after: [], end: [], ...plan }),
      ...more,
    },
    poolSize: 1,
    maxOverflow: 0,
    echo: true,
    logger: { debug() {}, info: (line) => void lines.push(line), warn() {} },
  });
  return { engine, fake, lines };
}

Deno.test("Engine.begin() with settings sets in the transaction what the plan says, before the function is called", async () => {
  const { engine, fake } = planned({ after: [["set a"], ["set b"]] });
  await engine.begin(({ client }) => fake.query!(client, "work"), { settings });
  assertEquals(fake.clients[0]!.log, ["BEGIN", "set a", "set b", "work", "COMMIT"]);
  await engine.close();
});

Deno.test("Engine.begin() with settings passes the statement to an adapter that begins transactions itself", async () => {
  const begun: (string | undefined)[] = [];
  const { engine, lines } = planned({ begin: "BEGIN READ ONLY" }, {
    begin: (_, statement) => Promise.resolve(void begun.push(statement)),
  });
  await engine.begin(() => {}, { readOnly: true });
  assertEquals(begun, ["BEGIN READ ONLY"]);
  assertEquals(lines.filter((line) => line.includes("BEGIN READ ONLY")).length, 1);
  await engine.close();
});

Deno.test("Engine.begin() leaves no level for the next transaction if it is aborted when that was set", async () => {
  const stop = new AbortController();
  const { query } = fakeAdapter();
  const { engine, fake } = planned({ before: [["level"]] }, {
    query(client, text, values) {
      if (text === "level") stop.abort(new Error("stop"));
      return query!(client, text, values);
    },
  });
  const aborted = () =>
    engine.begin(() => {}, { isolationLevel: "serializable", signal: stop.signal });
  await assertRejects(aborted, Error, "stop");
  assertEquals(fake.clients[0]!.log, ["level", "BEGIN", "ROLLBACK"]);
  await engine.close();
});

Deno.test("Engine.begin() refuses settings before it opens a connection", async () => {
  const { engine, adapter } = single();
  const wrong: [BeginOptions<FakeClient>, string][] = [
    [{ settings: { "": 1 } }, '"settings" must be settings by name, got ""'],
    [
      { settings: { "app.tenant": undefined as never } },
      '"settings["app.tenant"]" must be a string',
    ],
    [{ settings: { "app.tenant": null as never } }, "got null"],
    [{ settings: { "app.tenant": NaN } }, "a finite number"],
    [{ settings: { "app.tenant": {} as never } }, "got another value"],
    [{ settings: { search_path: [] } }, "got another value"],
    [{ settings: { search_path: [""] } }, "got another value"],
    [{ settings: [] as never }, '"settings" must be an object'],
    [{ isolationLevel: "" }, '"isolationLevel" must be a non-empty string'],
    [{ readOnly: 1 as never }, '"readOnly" must be one of true, false'],
    [{ deferrable: "yes" as never }, '"deferrable" must be one of true, false'],
    [{ setting: {} } as never, 'did you mean "settings"?'],
  ];
  for (const [options, message] of wrong) {
    await assertRejects(() => engine.begin(() => {}, options), TypeError, message);
  }
  assertEquals(adapter.clients, []);
  await engine.begin(async (lease) => {
    const nested = (options: BeginOptions<FakeClient>) =>
      engine.begin(() => {}, { within: lease, ...options });
    await assertRejects(() => nested({ settings }), TypeError, '"settings" must not be given');
    await assertRejects(
      () => nested({ readOnly: false }),
      TypeError,
      '"readOnly" must not be given',
    );
    await nested({ settings: {} });
  });
  await engine.close();

  const { planTransaction: _, ...plain } = fakeAdapter();
  const other = getDnsEngine("fake://127.0.0.1/orders", { adapter: { ...plain, name: "plain" } });
  await assertRejects(
    () => other.begin(() => {}, { deferrable: true }),
    TypeError,
    '"deferrable" must not be given: the adapter "plain" has no method "planTransaction"',
  );
  await other.close();
});

Deno.test("Engine.begin() keeps the values of settings out of log lines and errors if asked to", async () => {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const { engine } = fakeEngine({
    echo: true,
    hideParameters: true,
    logger: { debug: note, info: note, warn: note },
  });
  await engine.begin(() => {}, { settings: { "app.token": "s3cret-value" } });
  assert(lines.some((line) => line.includes("values hidden")));
  assertEquals(lines.filter((line) => line.includes("s3cret-value")), []);
  await engine.close();
});

Deno.test("planPostgresTransaction() sets with bind values, and the role last", () => {
  const plan = planPostgresTransaction({
    isolationLevel: "Read Committed",
    readOnly: false,
    deferrable: false,
    settings: { ROLE: "a", "app.x": true, search_path: ['a"b', "c"] },
  });
  assertEquals(plan, {
    before: [],
    begin: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE",
    after: [[
      "SELECT set_config($1, $2, true) AS s0, set_config($3, $4, true) AS s1, set_config($5, $6, true) AS s2",
      ["app.x", "true", "search_path", '"a""b", "c"', "ROLE", "a"],
    ]],
    end: [],
  });
});

Deno.test("planPostgresTransaction() and planMysqlTransaction() refuse what cannot be sent, without the value", () => {
  for (const plan of [planPostgresTransaction, planMysqlTransaction]) {
    for (const value of ["s3cret\0", "s3cret\ud800"]) {
      const name = plan === planMysqlTransaction ? "@a" : "app.a";
      const error = assertThrows(() => plan({ settings: { [name]: value } }), TypeError);
      assertStringIncludes(error.message, `settings["${name}"]`);
      assert(!error.message.includes("s3cret"));
    }
  }
});

Deno.test("planMysqlTransaction() keeps, sets and puts back, with the level last", () => {
  const plan = planMysqlTransaction({
    isolationLevel: "serializable",
    readOnly: true,
    settings: { "@a`b": "x", max_statement_time: 1.5 },
  });
  assertEquals(plan, {
    before: [
      ["SET @dnspool_0 = @`a``b`, @dnspool_1 = @@SESSION.max_statement_time"],
      [
        "SET @`a``b` = ?, SESSION max_statement_time = CAST(? AS DECIMAL(65,30))",
        ["x", "1.5"],
      ],
      ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
    ],
    begin: "START TRANSACTION READ ONLY",
    after: [],
    end: [[
      "SET @`a``b` = @dnspool_0, @dnspool_0 = NULL, SESSION max_statement_time = @dnspool_1, @dnspool_1 = NULL",
    ]],
  });
  const bound = [true, false].map((a) => planMysqlTransaction({ settings: { a } }).before[1]);
  const text = "SET SESSION a = CAST(? AS SIGNED)";
  assertEquals(bound, [[text, ["1"]], [text, ["0"]]]);
  assertThrows(
    () => planMysqlTransaction({ deferrable: false, settings: {} }),
    TypeError,
    '"deferrable" must not be given: MySQL and MariaDB have no such transactions',
  );
  const wrong: [string, SettingValue, string][] = [
    ["autocommit", 1, "a transaction has it off anyway"],
    ["TX_ISOLATION", "x", 'use the option "isolationLevel"'],
    ["role", "x", "MySQL and MariaDB have none for one transaction"],
    ["sql_mode = ''; --", "x", "named after system variables"],
    ["@", "x", "named after system variables"],
    ["@@sql_mode", "x", "named after system variables"],
    ["sql_mode", ["a"], "got an array"],
    ["sort_buffer_size", 2 ** 60, "a safe integer or a bigint"],
  ];
  for (const [name, value, message] of wrong) {
    const error = assertThrows(() => planMysqlTransaction({ settings: { [name]: value } }), Error);
    assertStringIncludes(error.message, message);
  }
});
