/**
 * The password, the secret parameters of a URL and bind values, looked for in every output.
 * `tests/faults/` does the same in every fault of a real server.
 */

import { inspect as utilInspect } from "node:util";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { clearDnsCache, DatabaseUrl, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { call } from "../support/cli.ts";
import { everythingIn, leaksIn } from "../support/secrets.ts";

const SECRETS = { password: "p@ss/w:rd", param: "t0ken&more", value: "b1nd-v@lue" };
const QUERY = `sslpassword=${encodeURIComponent(SECRETS.param)}&api_token=${
  encodeURIComponent(SECRETS.param)
}`;
const ALL = Object.values(SECRETS);

/** Copies a value as a message between threads would; what cannot be copied is not seen in that way. */
function cloneOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return undefined;
  }
}

function urlOf(at: string, scheme = "fake"): string {
  return `${scheme}://app:${encodeURIComponent(SECRETS.password)}@${at}/orders`;
}

Deno.test("everythingIn() finds what is hidden in a message, a cause, a property, a getter, a list or a Map", () => {
  const hidden = Object.defineProperty({}, "password", { value: "secret", enumerable: false });
  const values: unknown[] = [
    "secret",
    new Error("secret"),
    new Error("no", { cause: new Error("no", { cause: "secret" }) }),
    Object.assign(new Error("no"), { attempts: [{ error: new Error("secret") }] }),
    hidden,
    {
      get late() {
        return "secret";
      },
    },
    new Map([["key", { value: "secret" }]]),
    { toJSON: () => "secret" },
    { [Symbol("s")]: "secret" },
    new AggregateError([new Error("secret")], "no"),
  ];
  for (const value of values) assertEquals(leaksIn(everythingIn(value), ["secret"]), ["secret"]);
  assertEquals(leaksIn("a%2Fb", ["a/b"]), ["a/b"]);
  const circle: Record<string, unknown> = { name: "open" };
  circle.self = circle;
  assertEquals(leaksIn(everythingIn(circle), ["secret"]), []);
});

Deno.test("no secret of a URL is to be seen in the URL, the engine, its status, or the errors of one that cannot be meant", async () => {
  const url = `${urlOf("db.internal")}?${QUERY}`;
  const engine = getDnsEngine(url, { adapter: fakeAdapter() });
  for (const value of [engine, engine.url, DatabaseUrl.parse(url), engine.status()]) {
    assertEquals(leaksIn(`${value} ${JSON.stringify(value)} ${Deno.inspect(value)}`, ALL), []);
    assertEquals(
      leaksIn(Deno.inspect(value, { getters: true, showHidden: true, depth: 9 }), ALL),
      [],
    );
    assertEquals(leaksIn(utilInspect(value, { showHidden: true, depth: 9 }), ALL), []);
    assertEquals(leaksIn(everythingIn({ ...value }), ALL), []);
    assertEquals(leaksIn(everythingIn(Object.entries(value)), ALL), []);
    assertEquals(leaksIn(everythingIn(cloneOf(value)), ALL), []);
  }
  await using reachable = getDnsEngine(`${urlOf("127.0.0.1")}?${QUERY}`, {
    adapter: fakeAdapter(),
  });
  await reachable.use((lease) => {
    for (const copy of [lease, { ...lease }, cloneOf(lease), Object.entries(lease)]) {
      assertEquals(
        leaksIn(`${JSON.stringify(copy)} ${Deno.inspect(copy)} ${utilInspect(copy)}`, ALL),
        [],
      );
    }
  });
  await engine.close();
  const wrong: [url: string, options?: EngineOptions][] = [
    [`${urlOf("db.internal:port")}?${QUERY}`],
    [`${urlOf("db internal")}?${QUERY}`],
    [`${urlOf("[::1")}?${QUERY}`],
    [`${urlOf("")}?${QUERY}`],
    [`${urlOf("db.internal")}%zz?${QUERY}`],
    [`${urlOf("db.internal", "no_such")}?${QUERY}`],
    [`${urlOf("db.internal", "postgresql+nothing")}?${QUERY}`],
    [`${urlOf("db.internal", "postgresql")}?${QUERY}`],
    [url, { creator: 1 } as EngineOptions],
    [url, { connectArgs: { host: SECRETS.param } }],
  ];
  for (const [url, options = {}] of wrong) {
    const error = assertThrows(() => getDnsEngine(url, options), Error);
    assertEquals(leaksIn(everythingIn(error), ALL), [], error.message);
  }
});

Deno.test("no secret is to be seen in what a real server and its driver say to a wrong password, database or value, nor in the log", async () => {
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  await using server = await startPostgres({ host, port, user: "app", password: SECRETS.password });
  const seen: string[] = [];
  const note = (line: string) => void seen.push(line);
  const options = {
    adapter: pgAdapter(pg),
    echo: "debug" as const,
    echoPool: "debug" as const,
    hideParameters: true,
    logger: { debug: note, info: note, warn: note },
  };
  const wrong = [
    DatabaseUrl.parse(server.url()).with({ password: `${SECRETS.password}!` }),
    DatabaseUrl.parse(server.url()).with({ database: "nothing" }),
    DatabaseUrl.parse(server.url()).with({ port: 1 }),
  ];
  for (const url of wrong) {
    await using engine = getDnsEngine(url, options);
    seen.push(everythingIn(await assertRejects(() => engine.query("SELECT 1"), Error)));
  }
  await using engine = getDnsEngine(server.url(), options);
  await engine.query("CREATE TABLE things (name text UNIQUE, CHECK (name <> 'no'))");
  const statements: [text: string, ...values: unknown[]][] = [
    ["SELECT $1::int", SECRETS.value],
    ["SELECT nothing FROM things WHERE name = $1", SECRETS.value],
    ["INSERT INTO things SELECT $1 FROM generate_series(1, 2)", SECRETS.value],
  ];
  for (const [text, ...values] of statements) {
    seen.push(everythingIn(await assertRejects(() => engine.query(text, values), Error)));
  }
  assertEquals(leaksIn(seen.join("\n"), ALL), []);
  clearDnsCache();
});

Deno.test("no secret of a URL is to be seen in what the command line writes", async () => {
  const commands = [
    ["check", `${urlOf("127.0.0.1:1", "postgresql")}`],
    ["check", `${urlOf("127.0.0.1:1", "postgresql")}?${QUERY}`],
    ["check", `${urlOf("127.0.0.1:port", "postgresql")}`],
    ["check", urlOf("127.0.0.1:1", "postgresql+nothing")],
    ["resolve", urlOf("127.0.0.1", "postgresql")],
    ["resolve", urlOf("[::1", "postgresql")],
    ["watch", urlOf("127.0.0.1", "postgresql")],
    ["check", "--json", urlOf("127.0.0.1:1", "postgresql")],
    ["chek", urlOf("127.0.0.1:1", "postgresql")],
    ["check", `--no-such=${SECRETS.param}`, urlOf("127.0.0.1:1", "postgresql")],
  ];
  for (const args of commands) {
    const { out, err } = await call(args, { signal: AbortSignal.timeout(3000) });
    assertEquals(leaksIn(`${out}\n${err}`, ALL), [], args.join(" "));
  }
});

Deno.test("no secret in connectArgs is to be seen in an error or a log line, nor a password that a function gives", async () => {
  const secrets = {
    password: "arg-p@ss",
    given: "given-p@ss",
    passphrase: "ph-rase",
    key: "-----BEGIN KEY-----\nk-ey\n-----END KEY-----",
    token: "t-oken",
  };
  const args: Record<string, unknown>[] = [
    { password: secrets.password, api_token: secrets.token },
    { password: () => Promise.resolve(secrets.given) },
    { pass: () => secrets.given },
    { ssl: { passphrase: secrets.passphrase, key: new TextEncoder().encode(secrets.key) } },
  ];
  for (const connectArgs of args) {
    const lines: string[] = [];
    const note = (line: string) => void lines.push(line);
    const adapter = fakeAdapter({
      async connect(_, { connectArgs }) {
        const { password, pass } = connectArgs as Record<string, unknown>;
        for (const give of [password, pass]) if (typeof give === "function") await give();
        throw new Error(`cannot log in with ${Object.values(secrets).join(", ")}`);
      },
    });
    const logger = { debug: note, info: note, warn: note };
    const options = { adapter, connectArgs, logger, echoPool: "debug" as const };
    await using engine = getDnsEngine(urlOf("127.0.0.1"), options);
    const { message } = await assertRejects(() => engine.connect(), Error);
    const { password, pass, ssl } = connectArgs;
    const hidden = [
      ...(typeof password === "string" ? [secrets.password, secrets.token] : []),
      ...(typeof password === "function" || pass ? [secrets.given] : []),
      ...(ssl ? [secrets.passphrase, secrets.key] : []),
    ];
    assertEquals(leaksIn(`${message} ${lines.join()}`, hidden), [], message);
  }
});

Deno.test("a password that is no string is refused at once by its type, or when its function gives it", async () => {
  const drivers = {
    "postgresql+pg": true,
    "postgresql+postgresjs": true,
    "postgresql+db-postgres": false,
    "mysql+mysql2": false,
    "mariadb+mariadb": false,
    "postgresql+bun": false,
    "mysql+bun": false,
  };
  for (const [scheme, functions] of Object.entries(drivers)) {
    const allowed = functions ? "a string or a function" : "a string";
    const wrong = [12_345, { secret: 12_345 }, new Uint8Array(5), ...(functions ? [] : [() => ""])];
    for (const password of wrong) {
      assertThrows(
        () => getDnsEngine(`${scheme}://db.internal/orders`, { connectArgs: { password } }),
        TypeError,
        `"connectArgs.password" must be ${allowed}, got a value of type ${typeof password}`,
      );
    }
  }
  const parts = { dialect: "postgresql", host: "h", password: 12_345 as unknown as string };
  assertThrows(() => new DatabaseUrl(parts), TypeError, "got a value of type number");
  const engine = getDnsEngine("postgresql://127.0.0.1:1/orders", {
    connectArgs: { password: () => 12_345 },
    adapter: fakeAdapter({
      connect: async (_, { connectArgs }) => void await (connectArgs.password as () => unknown)(),
    }),
  });
  const error = await assertRejects(() => engine.connect(), Error);
  assertEquals(
    (error.cause as Error).message,
    '"password that connectArgs.password returns" must be a string, got a value of type number',
  );
  await engine.close();
});
