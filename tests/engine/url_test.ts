import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import fc from "npm:fast-check@^4";
import { inspect } from "node:util";
import { canonicalHost, checkHost, DatabaseUrl, type DatabaseUrlParts } from "../../engine/url.ts";

/** Everything that a URL consists of, without what is not there. */
function partsOf(url: DatabaseUrl): Record<string, unknown> {
  const { dialect, driver, user, password, host, port, database, params } = url;
  const all = { dialect, driver, user, password, host, port, database, params };
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) =>
      value !== undefined && (name !== "params" || Object.keys(params).length > 0)
    ),
  );
}

const pg = { dialect: "postgresql" };
const READS: readonly (readonly [text: string, parts: DatabaseUrlParts])[] = [
  ["postgresql://", pg],
  ["postgres://h", { ...pg, host: "h" }],
  ["postgres+pg://h", { ...pg, driver: "pg", host: "h" }],
  ["POSTGRES+PG://h", { ...pg, driver: "pg", host: "h" }],
  ["mysql+db-mysql2://h", { dialect: "mysql", driver: "db-mysql2", host: "h" }],
  ["postgresql://app@h", { ...pg, user: "app", host: "h" }],
  ["postgresql://app:@h", { ...pg, user: "app", password: "", host: "h" }],
  ["postgresql://:s3cret@h", { ...pg, password: "s3cret", host: "h" }],
  ["postgresql://@h", { ...pg, host: "h" }],
  ["postgresql://:@h", { ...pg, password: "", host: "h" }],
  ["postgresql://app:pw@/orders", { ...pg, user: "app", password: "pw", database: "orders" }],
  ["postgresql:///orders", { ...pg, database: "orders" }],
  ["postgresql://:5433/orders", { ...pg, port: 5433, database: "orders" }],
  ["postgresql://h:1", { ...pg, host: "h", port: 1 }],
  ["postgresql://h:65535/", { ...pg, host: "h", port: 65535 }],
  ["postgresql://h:05432", { ...pg, host: "h", port: 5432 }],
  ["postgresql://h/orders?a=1&b=", {
    ...pg,
    host: "h",
    database: "orders",
    params: { a: "1", b: "" },
  }],
  ["postgresql://h?a=1", { ...pg, host: "h", params: { a: "1" } }],
  ["postgresql://h/?a=1", { ...pg, host: "h", params: { a: "1" } }],
  ["postgresql://h:5432?a=1", { ...pg, host: "h", port: 5432, params: { a: "1" } }],
  ["postgresql://h/a/b", { ...pg, host: "h", database: "a/b" }],
  ["postgresql://h:110//usr/db_file.db", {
    ...pg,
    host: "h",
    port: 110,
    database: "/usr/db_file.db",
  }],
  ["postgresql://h/test database with@atsign", {
    ...pg,
    host: "h",
    database: "test database with@atsign",
  }],
  // Percent codes; a plus sign is itself outside the query.
  ["postgresql://a%3Ab:p%40%2F%3A%3F%25@h/d%3Fe", {
    ...pg,
    user: "a:b",
    password: "p@/:?%",
    host: "h",
    database: "d?e",
  }],
  ["postgresql://a+b:c+d@h/e+f?g+h=i+j%2B", {
    ...pg,
    user: "a+b",
    password: "c+d",
    host: "h",
    database: "e+f",
    params: { "g h": "i j+" },
  }],
  ["postgresql://%C3%BC:%E2%82%AC@h", { ...pg, user: "ü", password: "€", host: "h" }],
  ["postgresql://ü:€ 😀@h", { ...pg, user: "ü", password: "€ 😀", host: "h" }],
  // What a password may hold as it is.
  ["postgresql://app:a/b:c?d@h/orders", {
    ...pg,
    user: "app",
    password: "a/b:c?d",
    host: "h",
    database: "orders",
  }],
  ["postgresql://app://?:@h:1/d", {
    ...pg,
    user: "app",
    password: "//?:",
    host: "h",
    port: 1,
    database: "d",
  }],
  ["postgresql://app:[#]@h", { ...pg, user: "app", password: "[#]", host: "h" }],
  // IPv6
  ["postgresql://[::1]", { ...pg, host: "::1" }],
  ["postgresql://app:pw@[FD00::2]:5433/orders", {
    ...pg,
    user: "app",
    password: "pw",
    host: "FD00::2",
    port: 5433,
    database: "orders",
  }],
  ["postgresql://[::ffff:10.0.0.1]/d", { ...pg, host: "::ffff:10.0.0.1", database: "d" }],
  // Case stays, but for the scheme.
  ["PostgreSQL://App:PW@Db.Internal./Orders?Key=Value", {
    ...pg,
    user: "App",
    password: "PW",
    host: "Db.Internal.",
    database: "Orders",
    params: { Key: "Value" },
  }],
  ["postgresql://h?a=1&b=2&a=3&a=1", { ...pg, host: "h", params: { a: ["1", "3", "1"], b: "2" } }],
  ["postgresql://h?options=-c%20search_path%3Da%40b&__proto__=x", {
    ...pg,
    host: "h",
    params: Object.fromEntries([["options", "-c search_path=a@b"], ["__proto__", "x"]]),
  }],
  ["sqlite::memory:", { dialect: "sqlite", database: ":memory:" }],
  ["sqlite:///:memory:", { dialect: "sqlite", database: ":memory:" }],
  ["sqlite://", { dialect: "sqlite" }],
  ["sqlite:", { dialect: "sqlite" }],
  ["sqlite:orders.db", { dialect: "sqlite", database: "orders.db" }],
  ["sqlite:///data/orders.db", { dialect: "sqlite", database: "data/orders.db" }],
  ["sqlite:////var/a@b.c/orders.db", { dialect: "sqlite", database: "/var/a@b.c/orders.db" }],
  ["sqlite:///C:/data/orders.db?mode=ro", {
    dialect: "sqlite",
    database: "C:/data/orders.db",
    params: { mode: "ro" },
  }],
  ["SQLite+Node:orders%20new.db?mode=ro", {
    dialect: "sqlite",
    driver: "node",
    database: "orders new.db",
    params: { mode: "ro" },
  }],
];

Deno.test("DatabaseUrl.parse() takes a URL apart", () => {
  for (const [text, parts] of READS) {
    assertEquals(partsOf(DatabaseUrl.parse(text)), { ...parts }, text);
  }
});

Deno.test("DatabaseUrl.render() with the password reads back as the same URL", () => {
  for (const [text] of READS) {
    const url = DatabaseUrl.parse(text);
    const again = url.render({ hidePassword: false });
    assertEquals(partsOf(DatabaseUrl.parse(again)), partsOf(url), text);
    assertEquals(DatabaseUrl.parse(again).render({ hidePassword: false }), again);
  }
});

const text = fc.string({ unit: "binary" });
const label = fc.stringMatching(/^[a-zA-Z\d_]([a-zA-Z\d_-]{0,20}[a-zA-Z\d_])?$/);
const parts: fc.Arbitrary<DatabaseUrlParts> = fc.record({
  dialect: fc.constantFrom("postgresql", "mysql", "mariadb", "sqlite", "x9"),
  driver: fc.option(fc.constantFrom("pg", "db-postgres", "mysql2", "a_b"), { nil: undefined }),
  user: fc.option(text, { nil: undefined }),
  password: fc.option(text, { nil: undefined }),
  host: fc.option(
    fc.oneof(
      fc.array(label, { minLength: 1, maxLength: 4 }).map((all) => all.join(".")),
      fc.ipV4(),
      fc.ipV6(),
    ),
    { nil: undefined },
  ),
  port: fc.option(fc.integer({ min: 1, max: 65535 }), { nil: undefined }),
  database: fc.option(text, { nil: undefined }),
  params: fc.dictionary(text, fc.oneof(text, fc.array(text, { maxLength: 3 })), { maxKeys: 4 }),
});

Deno.test("whatever parts a DatabaseUrl is made of, it reads back as them, and as a URL object", () => {
  fc.assert(
    fc.property(parts, (given) => {
      const url = new DatabaseUrl(given);
      const shown = url.render({ hidePassword: false });
      assertEquals(partsOf(DatabaseUrl.parse(shown)), partsOf(url));
      assertEquals(url.password, given.password);
      assertEquals(url.user ?? "", given.user ?? "");
      assertEquals(url.database ?? "", given.database ?? "");
      // `URL` has its own mind about "_" in a scheme, a port without a host, empty passwords, dot segments and IPv6.
      const dots = /(^|\/)\.{1,2}(\/|$)/.test(given.database ?? "");
      if (!URL.canParse(shown) || dots || given.password === "") return;
      const canonical = ({ host, ...rest }: Record<string, unknown>) => ({
        ...rest,
        host: host && canonicalHost(String(host)),
      });
      const read = DatabaseUrl.parse(new URL(shown));
      assertEquals(canonical(partsOf(read)), canonical(partsOf(url)));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("DatabaseUrl shows no password, whatever it is and however it is shown", () => {
  // Letters that stand nowhere else in what is shown.
  const password = fc.stringMatching(/^[Q-Z][Q-Z@/:?%# ]{4,20}$/);
  fc.assert(fc.property(parts, password, (given, password) => {
    const bare = { ...given, user: "app", database: "d", params: {}, host: "h" };
    const url = new DatabaseUrl({ ...bare, password });
    const shown = `${bare.dialect}${bare.driver ? `+${bare.driver}` : ""}://app:***@h${
      bare.port ? `:${bare.port}` : ""
    }/d`;
    assertEquals(String(url), shown);
    assertEquals(url.render(), shown);
    assertEquals(JSON.parse(JSON.stringify({ url })), { url: shown });
    for (const options of [{}, { showHidden: true, getters: true, depth: 9 }]) {
      for (const seen of [Deno.inspect({ url }, options), inspect({ url }, options)]) {
        assertStringIncludes(seen, shown);
        assertFalse(seen.includes(password));
      }
    }
    // Each runtime has a symbol of its own for this.
    for (const name of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
      const custom = (url as unknown as Record<symbol, () => string>)[Symbol.for(name)];
      assertEquals(custom?.call(url), `DatabaseUrl "${shown}"`);
    }
  }));
});

Deno.test("DatabaseUrl hides parameters that speak of a password, secret or token, and shows the others", () => {
  const url = DatabaseUrl.parse(
    "postgresql://h/d?sslpassword=aa1&PASSWD=aa2&pwd=aa3&client_secret=aa4&token=aa5&token=aa6&sslmode=disable",
  );
  assertEquals(
    String(url),
    "postgresql://h/d?sslpassword=***&PASSWD=***&pwd=***&client_secret=***&token=***&token=***&sslmode=disable",
  );
  assertFalse(/aa\d/.test(Deno.inspect(url) + inspect(url) + JSON.stringify(url)));
  assertEquals(partsOf(DatabaseUrl.parse(url.render({ hidePassword: false }))), partsOf(url));
});

Deno.test("DatabaseUrl.render() puts brackets around IPv6, a code where one is needed, and no more", () => {
  const shown: [string, string][] = [
    ["postgres://app:pw@[fd00::2]:5433/orders", "postgresql://app:***@[fd00::2]:5433/orders"],
    ["postgresql+pg://a%2Fb@h/c/d%20e", "postgresql+pg://a%2Fb@h/c/d%20e"],
    ["postgresql://h/?b=1&a=x y", "postgresql://h?b=1&a=x+y"],
    ["sqlite::memory:", "sqlite:///:memory:"],
    ["sqlite:orders.db", "sqlite:///orders.db"],
    ["sqlite:////var/orders.db", "sqlite:////var/orders.db"],
    ["postgresql://app:@h", "postgresql://app:***@h"],
  ];
  for (const [given, expected] of shown) assertEquals(String(DatabaseUrl.parse(given)), expected);
});

const PORT = "Cannot read the port of the database URL: it is a number from 1 to 65535, and ";
const FORM = "it is dialect[+driver]://[user[:password]@]host[:port][/database][?query]";
const AT = 'Cannot read the database URL: an "@" in the user name or password must be written %40';
const HOST = "it is a name of at most 253 characters in labels of 1 to 63, or an IP address";
const PERCENT = 'a "%" must be written %25 or begin a two-digit code';
const BRACKETS = "Cannot read the database URL: brackets hold an IPv6 address, and this is not one";
const LIST = "Cannot use a list of hosts: give one name, which may have several addresses";
const SOCKET = "Cannot use a socket path as the host: it is a host name or an IP address";

const REFUSES: readonly (readonly [text: string, message: string])[] = [
  ["", `Cannot read the database URL: ${FORM}`],
  ["db.internal", `Cannot read the database URL: ${FORM}`],
  ["db.internal:5432/orders", `Cannot read the database URL: ${FORM}`],
  ["app:s3cret@db.internal/orders", `Cannot read the database URL: ${FORM}`],
  ["//app:s3cret@db.internal/orders", `Cannot read the database URL: ${FORM}`],
  ["postgresql:/app:s3cret@h", `Cannot read the database URL: ${FORM}`],
  ["9sql://h", `Cannot read the database URL: ${FORM}`],
  [" postgresql://h", `Cannot read the database URL: ${FORM}`],
  [
    "postgresql+://app:s3cret@h",
    `Cannot read the database URL that begins with "postgresql+:": ${FORM}`,
  ],
  [
    "postgresql+a+b://app:s3cret@h",
    `Cannot read the database URL that begins with "postgresql+a+b:": ${FORM}`,
  ],
  ["postgresql+9://h", `Cannot read the database URL that begins with "postgresql+9:": ${FORM}`],
  // Something is left over.
  [
    "postgresql://app:s3cret@[::1]x/d",
    `Cannot read the database URL that begins with "postgresql:": ${FORM}`,
  ],
  [
    "postgresql://app:s3cret@x[::1]/d",
    `Cannot read the database URL that begins with "postgresql:": ${FORM}`,
  ],
  [
    "postgresql://app:s3cret@[::1/d",
    `Cannot read the database URL that begins with "postgresql:": ${FORM}`,
  ],
  [
    "postgresql://app:s3cret@::1]/d",
    `${PORT}":1]" stands there`,
  ],
  // Ports
  ["postgresql://h:", `${PORT}nothing stands there`],
  ["postgresql://h:/d", `${PORT}nothing stands there`],
  ["postgresql://app:s3cret@h:/d", `${PORT}nothing stands there`],
  ["postgresql://app:s3cret@h:x1/d", `${PORT}"x1" stands there`],
  ["postgresql://app:s3cret@h:-1/d", `${PORT}"-1" stands there`],
  ["postgresql://app:s3cret@h:5432.0/d", `${PORT}"5432.0" stands there`],
  ["postgresql://app:s3cret@h: 5432/d", `${PORT}" 5432" stands there`],
  ["postgresql://app:s3cret@h:1:2/d", `${PORT}"1:2" stands there`],
  ["postgresql://app:s3cret@h:0", `${PORT}"0" stands there`],
  ["postgresql://app:s3cret@h:65536", `${PORT}"65536" stands there`],
  ["postgresql://app:s3cret@::1/d", `${PORT}":1" stands there`],
  // Host forgotten: what looks like the port is the password.
  ["postgresql://app:s3cret/d", `${PORT}something else stands there`],
  ["postgresql://app:87654321", `${PORT}something else stands there`],
  // Hosts
  ["postgresql://app:s3cret@a..b/d", `Cannot use the host "a..b": ${HOST}`],
  ["postgresql://.a/d", `Cannot use the host ".a": ${HOST}`],
  ["postgresql://./d", `Cannot use the host ".": ${HOST}`],
  ["postgresql://a b/d", `Cannot use the host "a b": ${HOST}`],
  ["postgresql://h\n", `Cannot use the host "h\\n": ${HOST}`],
  ["postgresql://a%41/d", `Cannot use the host "a%41": ${HOST}`],
  [`postgresql://${"a".repeat(64)}/d`, HOST],
  [`postgresql://${"a.".repeat(128)}/d`, HOST],
  ["postgresql://%2Fvar%2Frun/d", SOCKET],
  ["postgresql://app:s3cret@C\\run/d", SOCKET],
  ["postgresql://[]/d", BRACKETS],
  ["postgresql://[10.0.0.1]/d", BRACKETS],
  ["postgresql://[db.internal]/d", BRACKETS],
  ["postgresql://[fe80::1%25eth0]/d", BRACKETS],
  ["postgresql://[::1::2]/d", BRACKETS],
  ["postgresql://app:s3cret@a,b/d", LIST],
  ["postgresql://app:s3cret@a:1,b:2/d", LIST],
  ["postgresql://app:s3cret@10.0.0.1,10.0.0.2:5432/d", LIST],
  // Percent codes
  ["postgresql://a%:s3cret@h", `Cannot read the user name of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret%@h", `Cannot read the password of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret%4@h", `Cannot read the password of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret%zz@h", `Cannot read the password of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret%ff@h", `Cannot read the password of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret@h/100%", `Cannot read the database of the database URL: ${PERCENT}`],
  ["postgresql://app:s3cret@h/d?a=100%", `Cannot read the query of the database URL: ${PERCENT}`],
  ["sqlite:100%.db", `Cannot read the database of the database URL: ${PERCENT}`],
  // A raw "@" that is not the one before the host
  ["postgresql://app:p@s3cret@h/d", AT],
  ["postgresql://app@corp:s3cret@h/d", AT],
  ["postgresql://app:p@s3cret:x@h/d", AT],
  ["postgresql://app:p@@h/d", AT],
  ["postgresql://app:p@s3/cret@h/d", AT],
  ["postgresql://app:p@s3:c/ret@h/d", AT],
  ["postgresql://app:p@s3 c/ret@h", AT],
  ["postgresql://app:p@s3?cret@h/d", AT],
  ["postgresql://us/er:s3cret@h/d", AT],
  ["postgresql://us?er:s3cret@h/d", AT],
];

Deno.test("DatabaseUrl.parse() refuses what is no database URL, at once, and shows nothing of the password", () => {
  for (const [text, message] of REFUSES) {
    const error = assertThrows(() => DatabaseUrl.parse(text), Error, undefined, text);
    assert(error instanceof TypeError || error instanceof RangeError, text);
    assertStringIncludes(error.message, message, text);
    assertFalse(/s3|cret|87654321/.test(Deno.inspect(error)), text);
    assertStrictEquals(error.cause, undefined);
  }
});

Deno.test("DatabaseUrl.parse() shows nothing of a password that holds a raw @, whatever else is wrong", () => {
  const first = fc.stringMatching(/^[Q-U]{3,9}$/);
  const second = fc.stringMatching(/^[V-Z]{3,9}$/);
  const glue = fc.stringMatching(/^[:/?#[\]%,. ]{0,2}$/);
  fc.assert(
    fc.property(
      first,
      glue,
      second,
      fc.constantFrom("@h/d", "@h:x", "@h:99999", "", "@h,i/d"),
      (a, between, b, rest) => {
        let url: DatabaseUrl;
        try {
          url = DatabaseUrl.parse(`postgresql://app:${a}@${between}${b}${rest}`);
        } catch (error) {
          assertInstanceOf(error, Error);
          if (rest.startsWith("@")) {
            assertFalse(
              /[Q-Z]{3}/.test(error.message.replaceAll("URL", "")),
              error.message,
            );
          }
          return;
        }
        assertFalse(String(url).includes(a));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("DatabaseUrl.parse() gives a DatabaseUrl back as it is and refuses what is no text", () => {
  const url = DatabaseUrl.parse("postgresql://app:pw@h/d");
  assertStrictEquals(DatabaseUrl.parse(url), url);
  for (const value of [undefined, null, 5, {}, ["postgresql://h"], () => "postgresql://h"]) {
    const error = assertThrows(() => DatabaseUrl.parse(value as string), TypeError);
    assertStringIncludes(error.message, `a value of type ${typeof value}`);
  }
});

Deno.test("new DatabaseUrl() refuses parts that cannot stand in a URL, and names them", () => {
  const refused: [
    changes: Record<string, unknown>,
    type: typeof TypeError | typeof RangeError,
    message: string,
  ][] = [
    [{ dialect: "" }, TypeError, 'Cannot use "" for the dialect'],
    [{ dialect: "post gres" }, TypeError, 'Cannot use "post gres" for the dialect'],
    [{ dialect: undefined }, TypeError, "Cannot use undefined for the dialect"],
    [{ driver: "a+b" }, TypeError, 'Cannot use "a+b" for the driver'],
    [{ driver: "" }, TypeError, 'Cannot use "" for the driver'],
    [{ host: "" }, TypeError, 'Cannot use the host ""'],
    [{ host: "a/b" }, TypeError, SOCKET],
    [{ host: "a,b" }, TypeError, LIST],
    [{ host: "a:1" }, TypeError, 'Cannot use the host "a:1"'],
    [{ host: "[::1]" }, TypeError, 'Cannot use the host "[::1]"'],
    [{ host: "app:s3cret@h" }, TypeError, 'Cannot use a host with an "@" in it'],
    [{ host: 5 }, TypeError, "Cannot use a value of type number as a host"],
    [{ port: 0 }, RangeError, "Cannot use port 0"],
    [{ port: 65536 }, RangeError, "Cannot use port 65536"],
    [{ port: 1.5 }, RangeError, "Cannot use port 1.5"],
    [{ port: NaN }, RangeError, "Cannot use port NaN"],
    [{ user: 5 }, TypeError, "a value of type number for the user name"],
    [{ password: { s3cret: 1 } }, TypeError, "a value of type object for the password"],
    [
      { password: "s3cret\ud800" },
      TypeError,
      "for the password of a database URL: it holds half a character",
    ],
    [{ database: null }, TypeError, "a value of type object for the database"],
    [{ params: { a: 5 } }, TypeError, 'a value of type number for the parameter "a"'],
    [{ params: { a: ["1", 5] } }, TypeError, 'a value of type number for the parameter "a"'],
  ];
  const url = DatabaseUrl.parse("postgresql://h");
  for (const [changes, type, message] of refused) {
    const error = assertThrows(() => url.with(changes as Partial<DatabaseUrlParts>), type, message);
    assertFalse(Deno.inspect(error).includes("s3cret"));
  }
});

Deno.test("DatabaseUrl.with() makes a changed copy, undefined takes a part away, and the original stays", () => {
  const url = DatabaseUrl.parse("postgresql+pg://app:pw@db.internal:5433/orders?a=1&a=2");
  const before = partsOf(url);
  assertEquals(partsOf(url.with({})), before);
  assertEquals(partsOf(url.with({ host: "fd00::2" })), { ...before, host: "fd00::2" });
  assertEquals(url.with({ host: "fd00::2" }).password, "pw");
  assertEquals(
    url.with({ password: undefined, driver: undefined, port: undefined, params: {} }).render({
      hidePassword: false,
    }),
    "postgresql://app@db.internal/orders",
  );
  assertEquals(partsOf(url), before);
});

Deno.test("nobody can change a DatabaseUrl, nor through the objects it was made of", () => {
  const list = ["1", "2"];
  const params: Record<string, string | string[]> = { a: list, b: "x" };
  const url = new DatabaseUrl({ dialect: "postgresql", host: "h", password: "pw", params });
  const shown = url.render({ hidePassword: false });
  list.push("3");
  params["c"] = "y";
  const open = url as unknown as Record<string, unknown> & { params: Record<string, string[]> };
  assertThrows(() => open["host"] = "other", TypeError);
  assertThrows(() => open["extra"] = 1, TypeError);
  assertThrows(() => delete open["host"], TypeError);
  assertThrows(() => open["password"] = "other", TypeError);
  assertThrows(() => open.params["c"] = ["y"], TypeError);
  assertThrows(() => open.params["a"]!.push("3"), TypeError);
  assertEquals(url.render({ hidePassword: false }), shown);
  assertEquals(shown, "postgresql://:pw@h?a=1&a=2&b=x");
});

Deno.test("canonicalHost() makes one spelling of many", () => {
  const spellings: [string, string][] = [
    ["DB.Internal", "db.internal"],
    ["db.internal.", "db.internal"],
    ["LOCALHOST", "localhost"],
    ["localhost.", "localhost"],
    ["10.0.0.1", "10.0.0.1"],
    ["FD00:0:0::02", "fd00::2"],
    ["::FFFF:10.0.0.1", "::ffff:a00:1"],
  ];
  for (const [given, expected] of spellings) assertEquals(canonicalHost(given), expected);
});

Deno.test("checkHost() knows the longest name", () => {
  const longest = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;
  assertEquals(longest.length, 253);
  assertEquals(checkHost(longest), longest);
  assertEquals(checkHost(`${longest}.`), `${longest}.`);
  assertThrows(() => checkHost(`${longest}d`), TypeError, HOST);
  assertThrows(() => checkHost(`${longest}d.`), TypeError, HOST);
});
