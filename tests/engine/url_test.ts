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
import { DatabaseUrl, type DatabaseUrlParts, type UrlHost } from "../../engine/url.ts";
import { canonicalHost, checkHost } from "../../internal/host_name.ts";

/** Returns the parts of a URL, without those that are absent. */
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
  // Characters that a password may have without encoding.
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
  // Names that are not ASCII, also percent-encoded, as a URL object has them.
  ["postgresql://dätenbank.internal/d", { ...pg, host: "dätenbank.internal", database: "d" }],
  ["postgresql://d%C3%A4tenbank.internal:1/d", {
    ...pg,
    host: "dätenbank.internal",
    port: 1,
    database: "d",
  }],
  ["postgresql://[::ffff:10.0.0.1]/d", { ...pg, host: "::ffff:10.0.0.1", database: "d" }],
  // Upper and lower case are kept, except in the scheme.
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

Deno.test("DatabaseUrl.parse() finds the parts of a URL", () => {
  for (const [text, parts] of READS) {
    assertEquals(partsOf(DatabaseUrl.parse(text)), { ...parts }, text);
  }
});

Deno.test("DatabaseUrl.parse() makes the same URL of what render() returned with the password", () => {
  for (const [text] of READS) {
    const url = DatabaseUrl.parse(text);
    const again = url.render({ hidePassword: false });
    assertEquals(partsOf(DatabaseUrl.parse(again)), partsOf(url), text);
    assertEquals(DatabaseUrl.parse(again).render({ hidePassword: false }), again);
  }
});

const text = fc.string({ unit: "binary" }).filter((value) => !value.includes("\0"));
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
      text.map((path) => `/${path}`),
    ),
    { nil: undefined },
  ),
  port: fc.option(fc.integer({ min: 1, max: 65535 }), { nil: undefined }),
  database: fc.option(text, { nil: undefined }),
  params: fc.dictionary(text, fc.oneof(text, fc.array(text, { maxLength: 3 })), { maxKeys: 4 }),
});

Deno.test("DatabaseUrl.parse() finds any parts in what render() returned, and in a URL object", () => {
  fc.assert(
    fc.property(parts, (given) => {
      const url = new DatabaseUrl(given);
      const shown = url.render({ hidePassword: false });
      assertEquals(partsOf(DatabaseUrl.parse(shown)), partsOf(url));
      assertEquals(url.password, given.password);
      assertEquals(url.user ?? "", given.user ?? "");
      assertEquals(url.database ?? "", given.database ?? "");
      // `URL` differs for "_" in a scheme, a port without a host, empty passwords, dot segments and IPv6.
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

Deno.test("DatabaseUrl shows no password, in none of the ways in which it can be shown", () => {
  // Letters that occur nowhere else in what is shown.
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
    // Each runtime has its own symbol.
    for (const name of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
      const custom = (url as unknown as Record<symbol, () => string>)[Symbol.for(name)];
      assertEquals(custom?.call(url), `DatabaseUrl "${shown}"`);
    }
  }));
});

Deno.test("DatabaseUrl hides parameters with password, secret or token in their name, and shows the others", () => {
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

Deno.test("DatabaseUrl.render() puts brackets around IPv6, and encodes no more than it must", () => {
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

const PORT = '"port of the database URL" must be a whole number from 1 to 65535, got ';
const FORM =
  '"database URL" must be dialect[+driver]://[user[:password]@]host[:port][/database][?query], got ';
const AT =
  '"user name or password of the database URL" must be percent-encoded, with %40 in place of "@", got an "@"';
const HOST =
  '"host" must be a host name of at most 253 characters in labels of 1 to 63, or an IP address, got ';
const PERCENT =
  'must be percent-encoded, with %25 in place of "%", got a "%" that does not begin a valid code';
const BRACKETS =
  '"host of the database URL" must be an IPv6 address if it is in brackets, got another value in brackets';
const LIST = '"host" must be one name (several go into "hosts"), got a list';
const EMPTY =
  '"host of the database URL" must be a name or an IP address, got nothing between commas';
const MANY = '"hosts of the database URL" must be an array of 1 to 64 hosts, got 65 hosts';
const PORTS =
  '"parameter port of the database URL" must be one port, or one for each of the 3 hosts, got 2 ports';
const HOST_PORTS =
  '"parameter port of the database URL" must not be given: the hosts have ports already';
const ONE_PORT = '"parameter port of the database URL" must be one port, got 2 ports';
const TWO_PORTS =
  '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports';
const BOTH_PORTS =
  '"parameter port of the database URL" must not be given: the parameter host has ports already';
const SOCKET = `${HOST}a socket path`;

const REFUSES: readonly (readonly [text: string, message: string])[] = [
  ["", `${FORM}another string`],
  ["db.internal", `${FORM}another string`],
  ["db.internal:5432/orders", `${FORM}another string`],
  ["app:s3cret@db.internal/orders", `${FORM}another string`],
  ["//app:s3cret@db.internal/orders", `${FORM}another string`],
  ["postgresql:/app:s3cret@h", `${FORM}another string`],
  ["9sql://h", `${FORM}another string`],
  ["(postgresql://h", `${FORM}another string`],
  [
    "postgresql+://app:s3cret@h",
    `${FORM}a string that begins with "postgresql+:"`,
  ],
  [
    "postgresql+a+b://app:s3cret@h",
    `${FORM}a string that begins with "postgresql+a+b:"`,
  ],
  ["postgresql+9://h", `${FORM}a string that begins with "postgresql+9:"`],
  // Characters that belong to no part.
  [
    "postgresql://app:s3cret@[::1]x/d",
    `${FORM}a string that begins with "postgresql:"`,
  ],
  [
    "postgresql://app:s3cret@x[::1]/d",
    `${FORM}a string that begins with "postgresql:"`,
  ],
  [
    "postgresql://app:s3cret@[::1/d",
    `${FORM}a string that begins with "postgresql:"`,
  ],
  [
    "postgresql://app:s3cret@::1]/d",
    `${PORT}":1]"`,
  ],
  // Ports
  ["postgresql://h:", `${PORT}nothing`],
  ["postgresql://h:/d", `${PORT}nothing`],
  ["postgresql://app:s3cret@h:/d", `${PORT}nothing`],
  ["postgresql://app:s3cret@h:x1/d", `${PORT}"x1"`],
  ["postgresql://app:s3cret@h:-1/d", `${PORT}"-1"`],
  ["postgresql://app:s3cret@h:5432.0/d", `${PORT}"5432.0"`],
  ["postgresql://app:s3cret@h: 5432/d", `${PORT}" 5432"`],
  ["postgresql://app:s3cret@h:1:2/d", `${PORT}"1:2"`],
  ["postgresql://app:s3cret@h:0", `${PORT}"0"`],
  ["postgresql://app:s3cret@h:65536", `${PORT}"65536"`],
  ["postgresql://app:s3cret@::1/d", `${PORT}":1"`],
  // Without a host, what looks like the port is the password.
  ["postgresql://app:s3cret/d", `${PORT}another value`],
  ["postgresql://app:87654321", `${PORT}another value`],
  // Hosts
  ["postgresql://app:s3cret@a..b/d", `${HOST}"a..b"`],
  ["postgresql://.a/d", `${HOST}".a"`],
  ["postgresql://./d", `${HOST}"."`],
  ["postgresql://a b/d", `${HOST}"a b"`],
  ["postgresql://h%0A", `${HOST}"h%0A"`],
  ["postgresql://a%41/d", `${HOST}"a%41"`],
  ["postgresql://a%E4/d", `${HOST}"a%E4"`],
  [`postgresql://${"a".repeat(64)}/d`, HOST],
  [`postgresql://${"a.".repeat(128)}/d`, HOST],
  ["postgresql://app:s3cret@C\\run/d", SOCKET],
  ["postgresql://[]/d", BRACKETS],
  ["postgresql://[10.0.0.1]/d", BRACKETS],
  ["postgresql://[db.internal]/d", BRACKETS],
  ["postgresql://[fe80::1%25eth0]/d", BRACKETS],
  ["postgresql://[::1::2]/d", BRACKETS],
  // Several hosts.
  ["postgresql://app:s3cret@a,/d", EMPTY],
  ["postgresql://app:s3cret@,a/d", EMPTY],
  ["postgresql://app:s3cret@a,:5432,b/d", EMPTY],
  ["postgresql://app:s3cret@/d?host=a,,b", EMPTY],
  ["postgresql://app:s3cret@a,b:0/d", `${PORT}"0"`],
  ["postgresql://app:s3cret@a,b:x/d", `${PORT}"x"`],
  ["postgresql://app:s3cret@a,b c/d", `${HOST}"b c"`],
  ["postgresql://app:s3cret@a,[::x]/d", BRACKETS],
  ["postgresql://app:s3cret@a,[::1]x/d", `${FORM}a string that begins with "postgresql:"`],
  [`postgresql://app:s3cret@${Array(65).fill("a")}/d`, MANY],
  [`postgresql://app:s3cret@/d?host=${Array(65).fill("a")}`, MANY],
  ["postgresql://app:s3cret@/d?host=a,b,c&port=1,2", PORTS],
  ["postgresql://app:s3cret@/d?host=a&host=b&host=c&port=1&port=2", PORTS],
  ["postgresql://app:s3cret@/d?host=a,b&port=70000", `${PORT}70000`],
  ["postgresql://app:s3cret@/d?host=a,b&port=x", `${PORT}"x"`],
  ["postgresql://app:s3cret@/d?host=a:1,b&port=2", BOTH_PORTS],
  ["postgresql://app:s3cret@a:1,b/d?port=2,3", HOST_PORTS],
  ["postgresql://app:s3cret@a:1/d?port=2", HOST_PORTS],
  ["postgresql://app:s3cret@a,b/d?port=1,2,3", TWO_PORTS],
  ["postgresql://app:s3cret@a/d?port=1,2", ONE_PORT],
  ["postgresql://app:s3cret@a,b/d?port=0", `${PORT}0`],
  // Percent codes
  ["postgresql://a%:s3cret@h", `"user name of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret%@h", `"password of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret%4@h", `"password of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret%zz@h", `"password of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret%ff@h", `"password of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret@h/100%", `"database of the database URL" ${PERCENT}`],
  ["postgresql://app:s3cret@h/d?a=100%", `"query of the database URL" ${PERCENT}`],
  ["sqlite:100%.db", `"database of the database URL" ${PERCENT}`],
  // An unencoded "@" that is not the one before the host.
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

Deno.test("DatabaseUrl.parse() refuses other strings, and shows nothing of the password", () => {
  for (const [text, message] of REFUSES) {
    const error = assertThrows(() => DatabaseUrl.parse(text), Error, undefined, text);
    assert(error instanceof TypeError || error instanceof RangeError, text);
    assertStringIncludes(error.message, message, text);
    assertFalse(/s3|cret|87654321/.test(Deno.inspect(error)), text);
    assertStrictEquals(error.cause, undefined);
  }
});

Deno.test("DatabaseUrl.parse() shows nothing of a password with an unencoded @, whatever else is wrong", () => {
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

Deno.test("DatabaseUrl.parse() refuses a line break, spaces around it and control characters, by name", () => {
  const url = "postgresql://app:s3cret@db.internal/orders";
  const refusal = (text: string) => assertThrows(() => DatabaseUrl.parse(text), TypeError).message;
  const rule =
    '"database URL" must be without spaces around it and without control characters, got ';
  assertEquals(refusal(`${url}\n`), `${rule}a line break at its end`);
  assertEquals(refusal(`${url}\r\n`), `${rule}the character U+000D in it`);
  assertEquals(refusal(` ${url}`), `${rule}the character U+0020 at its start`);
  assertEquals(refusal(`${url} `), `${rule}the character U+0020 at its end`);
  assertEquals(refusal(`\uFEFF${url}`), `${rule}the character U+FEFF at its start`);
  assertEquals(refusal(url.replace("s3", "s\t3")), `${rule}the character U+0009 in it`);
  assertEquals(refusal("sqlite:orders.db\n"), `${rule}a line break at its end`);
  assertEquals(DatabaseUrl.parse(`${url}%0A`).database, "orders\n");
  assertEquals(
    refusal(`${url}%00user%00postgres`),
    '"database of the database URL" must be without a NUL character, got one with U+0000',
  );
});

Deno.test("DatabaseUrl.parse() returns a DatabaseUrl as it is, and refuses other values than strings", () => {
  const url = DatabaseUrl.parse("postgresql://app:pw@h/d");
  assertStrictEquals(DatabaseUrl.parse(url), url);
  for (const value of [undefined, null, 5, {}, ["postgresql://h"], () => "postgresql://h"]) {
    const error = assertThrows(() => DatabaseUrl.parse(value as string), TypeError);
    const message = '"database URL" must be a string, a URL or a DatabaseUrl, got ';
    assertStringIncludes(error.message, message);
  }
});

const WORD =
  ' of the database URL" must be a string of letters and digits that begins with a letter, got ';
const STRING = ' of the database URL" must be a string, got ';

Deno.test("new DatabaseUrl() refuses parts that are not valid, and names them", () => {
  const refused: [
    changes: Record<string, unknown>,
    type: typeof TypeError | typeof RangeError,
    message: string,
  ][] = [
    [{ dialect: "" }, TypeError, `"dialect${WORD}""`],
    [{ dialect: "post gres" }, TypeError, `"dialect${WORD}"post gres"`],
    [{ dialect: undefined }, TypeError, `"dialect${WORD}undefined`],
    [{ driver: "a+b" }, TypeError, `"driver${WORD}"a+b"`],
    [{ driver: "" }, TypeError, `"driver${WORD}""`],
    [{ host: "" }, TypeError, `${HOST}""`],
    [{ host: "a/b" }, TypeError, SOCKET],
    [{ host: "a,b" }, TypeError, LIST],
    [
      { hosts: [] },
      TypeError,
      '"hosts of the database URL" must be an array of 1 to 64 hosts, got ',
    ],
    [
      { hosts: "a" },
      TypeError,
      '"hosts of the database URL" must be an array of 1 to 64 hosts, got ',
    ],
    [
      { hosts: [{ host: "a" }], host: "b" },
      TypeError,
      '"host of the database URL" must not be given',
    ],
    [
      { hosts: [{ host: "a" }], port: 1 },
      TypeError,
      '"port of the database URL" must not be given',
    ],
    [{ hosts: [{ host: "a" }, "b"] }, TypeError, `${HOST}undefined`],
    [{ hosts: [{ host: "a", port: 0 }] }, RangeError, `${PORT}0`],
    [{ host: "a:1" }, TypeError, `${HOST}"a:1"`],
    [{ host: "[::1]" }, TypeError, `${HOST}"[::1]"`],
    [{ host: "app:s3cret@h" }, TypeError, `${HOST}a string with an "@"`],
    [{ host: 5 }, TypeError, `${HOST}5`],
    [{ port: 0 }, RangeError, `${PORT}0`],
    [{ port: 65536 }, RangeError, `${PORT}65536`],
    [{ port: 1.5 }, RangeError, `${PORT}1.5`],
    [{ port: NaN }, RangeError, `${PORT}NaN`],
    [{ user: 5 }, TypeError, `"user name${STRING}a value of type number`],
    [{ password: { s3cret: 1 } }, TypeError, `"password${STRING}a value of type object`],
    [
      { password: "s3cret\ud800" },
      TypeError,
      '"password of the database URL" must be a string of whole characters, got a lone surrogate',
    ],
    [{ database: null }, TypeError, `"database${STRING}a value of type object`],
    [{ params: { a: 5 } }, TypeError, `"parameter a${STRING}a value of type number`],
    [{ params: { a: ["1", 5] } }, TypeError, `"parameter a${STRING}a value of type number`],
  ];
  const url = DatabaseUrl.parse("postgresql://h");
  for (const [changes, type, message] of refused) {
    const error = assertThrows(() => url.with(changes as Partial<DatabaseUrlParts>), type, message);
    assertFalse(Deno.inspect(error).includes("s3cret"));
  }
});

Deno.test("DatabaseUrl.parse() finds several hosts before the database, and in the parameters of libpq and SQLAlchemy", () => {
  const db = [{ host: "db1", port: 5432 }, { host: "db2", port: 5433 }];
  const table: [text: string, hosts: UrlHost[], rendered?: string][] = [
    ["postgresql://app@db1:5432,db2:5433/d", db],
    ["postgresql://app@/d?host=db1,db2&port=5432,5433", db],
    ["postgresql://app@/d?host=db1:5432&host=db2:5433", db],
    ["postgresql://app@/d?host=db1&host=db2&port=5432&port=5433", db],
    ["postgresql://app@db1,db2:5433/d", [{ host: "db1" }, db[1]!]],
    ["postgresql://app@/d?host=db1,db2&port=,5433", [{ host: "db1" }, db[1]!]],
    ["postgresql://app@/d?host=db1,db2&port=7", [{ host: "db1", port: 7 }, {
      host: "db2",
      port: 7,
    }]],
    ["postgresql://app@db1,10.0.0.2:7,[FD00::3]:8,[::1]/d", [
      { host: "db1" },
      { host: "10.0.0.2", port: 7 },
      { host: "FD00::3", port: 8 },
      { host: "::1" },
    ]],
    ["postgresql://app@/d?host=db1,10.0.0.2,fd00::3,[::1]:9", [
      { host: "db1" },
      { host: "10.0.0.2" },
      { host: "fd00::3" },
      { host: "::1", port: 9 },
    ]],
    ["postgresql://app@/d?host=db1&port=7", [{ host: "db1", port: 7 }]],
    ["postgresql://app@db1,db2/d?port=5432,5433", db],
    ["postgresql://app@db1,db2/d?port=5432&port=5433", db],
    ["postgresql://app@db1,[::1]/d?port=7", [{ host: "db1", port: 7 }, { host: "::1", port: 7 }]],
    ["postgresql://app@db1/d?port=7", [{ host: "db1", port: 7 }]],
    [`postgresql://app@${Array(64).fill("h")}/d`, Array(64).fill({ host: "h" })],
  ];
  for (const [text, hosts] of table) {
    const url = DatabaseUrl.parse(text);
    assertEquals(url.hosts, hosts, text);
    assertEquals(url.params, {}, text);
    assertEquals(DatabaseUrl.parse(url.render()).hosts, hosts, text);
    const [only] = hosts;
    const isOne = hosts.length === 1;
    assertEquals([url.host, url.port], isOne ? [only!.host, only!.port] : [undefined, undefined]);
    assertFalse(/host=|port=/.test(url.render()), text);
  }
  assertEquals(String(DatabaseUrl.parse(table[1]![0])), "postgresql://app@db1:5432,db2:5433/d");
  // Beside a host in its place, and without any host, the parameters are the driver's.
  assertEquals(DatabaseUrl.parse("postgresql://a/d?host=b").params, { host: "b" });
  assertEquals(DatabaseUrl.parse("postgresql:///d?port=7").params, { port: "7" });
});

Deno.test("DatabaseUrl.with() changes one host to several and back; a port is for all of them", () => {
  const one = DatabaseUrl.parse("postgresql://app@db1:5432/d?a=1");
  const several = one.with({ hosts: [{ host: "db2" }, { host: "db3", port: 7 }] });
  assertEquals(String(several), "postgresql://app@db2,db3:7/d?a=1");
  assertEquals(String(several.with({ database: "e" })), "postgresql://app@db2,db3:7/e?a=1");
  assertEquals(String(several.with({ port: 8 })), "postgresql://app@db2:8,db3:8/d?a=1");
  assertEquals(String(several.with({ host: "db4" })), "postgresql://app@db4/d?a=1");
  assertEquals(String(several.with({ host: "db4", port: 9 })), "postgresql://app@db4:9/d?a=1");
  assertEquals(
    String(one.with({ hosts: [{ host: "db2", port: 1 }] })),
    "postgresql://app@db2:1/d?a=1",
  );
});

Deno.test("DatabaseUrl.with() returns a changed copy; undefined removes a part", () => {
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

Deno.test("DatabaseUrl cannot be changed, neither directly nor through the objects that it was made of", () => {
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

Deno.test("canonicalHost() returns one spelling", () => {
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

Deno.test("checkHost() accepts 253 characters, and no more", () => {
  const longest = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;
  assertEquals(longest.length, 253);
  assertEquals(checkHost(longest), longest);
  assertEquals(checkHost(`${longest}.`), `${longest}.`);
  assertThrows(() => checkHost(`${longest}d`), TypeError, HOST);
  assertThrows(() => checkHost(`${longest}d.`), TypeError, HOST);
});

Deno.test("DatabaseUrl.parse() reads the path of a Unix socket, in the forms of libpq and of MySQL's drivers", () => {
  const cases: [text: string, host: string, port: number | undefined, rendered: string][] = [
    [
      "postgresql://app@/orders?host=/var/run/postgresql",
      "/var/run/postgresql",
      undefined,
      "postgresql://app@%2Fvar%2Frun%2Fpostgresql/orders",
    ],
    [
      "postgresql:///orders?host=/tmp/a:b&port=5433",
      "/tmp/a:b",
      5433,
      "postgresql://%2Ftmp%2Fa%3Ab:5433/orders",
    ],
    [
      "postgresql://app@%2Fvar%2Frun:5433/orders",
      "/var/run",
      5433,
      "postgresql://app@%2Fvar%2Frun:5433/orders",
    ],
    [
      "mysql://app@/orders?socketPath=/run/mysqld/mysqld.sock&charset=utf8mb4",
      "/run/mysqld/mysqld.sock",
      undefined,
      "mysql://app@%2Frun%2Fmysqld%2Fmysqld.sock/orders?charset=utf8mb4",
    ],
    [
      "mariadb://app@LocalHost:3306/orders?unix_socket=/run/x",
      "/run/x",
      3306,
      "mariadb://app@%2Frun%2Fx:3306/orders",
    ],
  ];
  for (const [text, host, port, rendered] of cases) {
    const url = DatabaseUrl.parse(text);
    assertEquals([url.host, url.port, String(url)], [host, port, rendered]);
    assertEquals(url.hosts.length, 1);
    assertEquals(partsOf(DatabaseUrl.parse(url.render())), partsOf(url));
    assertEquals(String(DatabaseUrl.parse(new URL(rendered))), rendered);
  }
  assertEquals(
    String(DatabaseUrl.parse("postgresql://db/orders").with({ host: "/run/pg" })),
    "postgresql://%2Frun%2Fpg/orders",
  );
  const refused: [string, string][] = [
    ["postgresql://app@/orders?host=/a,db2", "got a Unix socket beside other hosts"],
    ["postgresql://app@db1,%2Fa/orders", "got a Unix socket beside other hosts"],
    ["mysql://app@db.internal/orders?socketPath=/a", "there is a host, which has no Unix socket"],
    [
      "mysql://app@/orders?socketPath=mysqld.sock",
      'the path of a Unix socket, which begins with "/"',
    ],
    ["mysql://app@/orders?socketPath=/a&socketPath=/b", "got another value"],
    ["mysql://app@/orders?socketPath=/a&unix_socket=/b", 'there is "socketPath" already'],
    ["postgresql://app@%2Fa%00b/orders", "without a NUL character"],
    ["postgresql://app@%2Fa%ZZ/orders", "percent-encoded"],
    ["postgresql://app:s3cret@%5Cpipe/orders", "in labels of 1 to 63"],
  ];
  for (const [text, message] of refused) {
    const error = assertThrows(() => DatabaseUrl.parse(text), TypeError, message);
    assert(!error.message.includes("s3cret"));
  }
});
