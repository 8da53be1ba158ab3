import { assertEquals, assertThrows } from "@std/assert";
import { readArgs, UsageError } from "../../cli/args.ts";
import { dnsOptions } from "../../cli/dns_flags.ts";
import { DOH_URL_RULE } from "../../lookups/internal/doh_url.ts";
import { wantsColor } from "../../cli/context.ts";
import { VERSION } from "../../cli/version.ts";
import config from "../../deno.json" with { type: "json" };
import { call } from "../support/cli.ts";

const PASSWORD = "s3cret-Pa55";
const URL_WITH_PASSWORD = `postgresql://app:${PASSWORD}@db.internal/orders`;

Deno.test("--version writes the version of deno.json", async () => {
  assertEquals(VERSION, config.version);
  for (const args of [["--version"], ["resolve", "--version"], ["--version", "watch", "x"]]) {
    assertEquals(await call(args), { code: 0, out: config.version, err: "" });
  }
});

Deno.test("readArgs() reads flags at any place, with or without an equals sign", () => {
  const expected = {
    what: "resolve",
    target: "db.internal",
    flags: { nameserver: ["10.0.0.2", "10.0.0.3"], timeout: "1.5", json: true },
  };
  for (
    const line of [
      "resolve db.internal --nameserver 10.0.0.2 --nameserver=10.0.0.3 --timeout 1.5 --json",
      "--json resolve --timeout=1.5 --nameserver 10.0.0.2 db.internal --nameserver 10.0.0.3",
    ]
  ) assertEquals(readArgs(line.split(" ")), expected as ReturnType<typeof readArgs>);
});

Deno.test("readArgs() reads every usual form of a request for help", () => {
  const help = (about: string | undefined) => ({ what: "help", about }) as never;
  for (const line of ["--help", "-h", "help"]) {
    assertEquals(readArgs(line.split(" ")), help(undefined));
  }
  for (
    const line of ["check --help", "check -h", "-h check", "help check", "check url --json -h"]
  ) {
    assertEquals(readArgs(line.split(" ")), help("check"));
  }
});

Deno.test("dnsOptions() converts flags to the options of an engine", () => {
  const { flags } = readArgs([
    ...["resolve", "x", "--nameserver", "[fd00::2]:53", "--lookup", "wire"],
    ...["--family", "6", "--timeout", "2", "--no-fallback"],
  ]) as { flags: Parameters<typeof dnsOptions>[0] };
  assertEquals(dnsOptions(flags), {
    dnsNameservers: ["[fd00::2]:53"],
    dnsLookup: "wire",
    dnsFamily: 6,
    dnsTimeout: 2,
    dnsFallback: false,
  });
  assertEquals(dnsOptions({}), {});
});

Deno.test("a wrong command line ends with status 2, and an error that says what is allowed", async () => {
  const table: [string, string][] = [
    ["", '"COMMAND" must be one of "resolve", "watch", "check", got none'],
    [
      "--json",
      '"--json" is not a flag of dnspool; there are --help, --version, --no-color',
    ],
    ["reslove x", '"reslove" is not a command, did you mean "resolve"?'],
    [
      "frobnicate",
      '"frobnicate" is not a command; there are resolve, watch, check',
    ],
    ["help chekc", '"chekc" is not a command, did you mean "check"?'],
    [
      "postgresql://db.internal/x",
      '"COMMAND" must be one of "resolve", "watch", "check", got a URL, did you mean "check"?',
    ],
    [
      "resolve x --nameservers 10.0.0.2",
      '"--nameservers" is not a flag of dnspool resolve, did you mean "--nameserver"?',
    ],
    [
      "check x --targetSessionAttrs any",
      '"--targetSessionAttrs" is not a flag of dnspool check, did you mean "--target-session-attrs"?',
    ],
    [
      "watch x --connect-timeout 3",
      '"--connect-timeout" is not a flag of dnspool watch; there are --help, --version, --no-color, --nameserver, --lookup, --family, --timeout, --no-hosts, --no-fallback, --json',
    ],
    [
      "resolve x -j",
      '"-j" is not a flag of dnspool resolve; there are --help',
    ],
    ["resolve x --constructor=1", '"--constructor" is not a flag of dnspool resolve; there are'],
    ["resolve x --json=yes", '"--json" must be given without a value, got one'],
    ["resolve x --timeout", '"--timeout" must be followed by a value, got none'],
    ["resolve x --timeout --json", '"--timeout" must be followed by a value, got none'],
    ["resolve x --timeout=", '"--timeout" must be followed by a value, got none'],
    ["resolve x --timeout 1 --timeout 2", '"--timeout" must be given once, got two values'],
    ["resolve", '"HOST" must be a host name, got none'],
    ["watch", '"HOST" must be a host name, got none'],
    [
      "check",
      '"URL" must be a database URL, on the command line or in DATABASE_URL, got none',
    ],
    ["resolve a b", '"HOST" must be one host name, got several'],
    ["check a b", '"URL" must be one URL, got several'],
    ["resolve http://db.internal/", '"HOST" must be a host name, got a URL'],
    ["resolve a..b", '"host" must be a host name of at most 253 characters in labels of 1 to 63'],
    ["watch 127.0.0.1", '"HOST" must be a name that DNS can change, got "127.0.0.1"'],
    ["watch LOCALHOST.", '"HOST" must be a name that DNS can change, got "localhost"'],
    ["resolve x --timeout soon", '"--timeout" must be a number of seconds, got "soon"'],
    ["resolve x --timeout -1", '"--timeout" must be followed by a value, got none'],
    [
      "resolve x --timeout 0",
      '"--timeout" must be a number of seconds above 0 and at most 3600, got 0',
    ],
    [
      "resolve x --timeout 5000",
      '"--timeout" must be a number of seconds above 0 and at most 3600, got 5000, did you mean 5?',
    ],
    ["resolve x --family 5", '"--family" must be one of "auto", 4, 6, "both", got "5"'],
    ["resolve x --lookup wier", '"--lookup" must be "system", "wire" or a URL'],
    [
      "resolve x --lookup http://10.0.0.2/",
      `"--lookup" must be "system", "wire" or ${DOH_URL_RULE}, got a value with "@" or "://"`,
    ],
    [
      "resolve x --family http://auto",
      '"--family" must be a value without "@" and "://", got a value with "@" or "://"',
    ],
    [
      "resolve x --nameserver ns1",
      '"--nameserver" must be an IP address with an optional port',
    ],
    ["resolve x --nameserver 10.0.0.2:99999", '"--nameserver" must be an IP address with'],
    ["check db.internal", '"database URL" must be dialect[+driver]://'],
    [
      "check postgresql://db.internal:x/",
      '"port of the database URL" must be a whole number from 1 to 65535',
    ],
    [
      "check nosql://db.internal/x",
      '"dialect of the database URL" must be one of "postgresql", "mysql"',
    ],
    [
      "check postgresql+gp://db.internal/x",
      '"driver of the database URL" must be one of "pg", "postgresjs", "db-postgres", "bun"',
    ],
    [
      "check postgresql:///x",
      '"URL" must be a database URL with a host, got a postgresql URL without',
    ],
    [
      "check postgresql://db.internal/x?host=10.0.0.1",
      '"parameter host of the database URL" must not be given: the address comes from DNS',
    ],
    [
      "check postgresql://x/y --target-session-attrs rw",
      '"--target-session-attrs" must be one of "any", "read-write"',
    ],
    ["check postgresql://x/y --connect-timeout 0", '"--connect-timeout" must be a number'],
    ["check postgresql://x/y --listen", '"--listen" must be followed by a value, got none'],
    [
      `check postgresql://x/y --listen ${"x".repeat(64)}`,
      '"--listen" must be 1 to 63 bytes of UTF-8 without NUL, got 64 bytes',
    ],
    ["check postgresql://x/y --listen a --listen b", '"--listen" must be given once'],
    [
      "check mysql://x/y --listen a",
      '"--listen" must not be given: the adapter "mysql2" has no notifications',
    ],
    [
      "check mariadb://x/y --listen a",
      '"--listen" must not be given: the adapter "mariadb" has no notifications',
    ],
    [
      "check postgresql+db-postgres://x/y --listen a",
      '"--listen" must not be given: the adapter "db-postgres" has no notifications',
    ],
    ["check postgresql://x/y --setting role", '"--setting" must be NAME=VALUE, got another form'],
    ["check postgresql://x/y --setting =x", '"--setting" must be NAME=VALUE, got another form'],
    [
      "check mysql://x/y --setting role=a",
      '"settings["role"]" must not be given: MySQL and MariaDB have none for one transaction',
    ],
    ["check mysql://x/y --setting a-b=1", '"--setting" must be named after system variables'],
  ];
  for (const [line, expected] of table) {
    const { code, out, err } = await call(line.split(" ").filter((arg) => arg !== ""));
    assertEquals([line, code, out], [line, 2, ""]);
    const [message = "", hint] = err.split("\n");
    assertEquals(message.slice(0, expected.length), expected);
    const command = /^(resolve|watch|check) /.exec(line)?.[0] ?? "";
    assertEquals(hint?.replace(/(resolve|watch|check) /, ""), '"dnspool --help" explains it');
    if (command && line !== "resolve http://db.internal/") {
      assertEquals(hint?.includes(command), true, line);
    }
  }
});

Deno.test("an error about the command line shows no password", async () => {
  const lines = [
    [URL_WITH_PASSWORD],
    ["chekc", URL_WITH_PASSWORD],
    ["resolve", URL_WITH_PASSWORD],
    ["watch", URL_WITH_PASSWORD],
    ["resolve", `app:${PASSWORD}@db.internal`],
    ["check", URL_WITH_PASSWORD, "more"],
    ["check", "more", URL_WITH_PASSWORD],
    ["check", `--url=${URL_WITH_PASSWORD}`],
    ["check", "--password", PASSWORD, "postgresql://db.internal/orders"],
    ["--password", PASSWORD, "check", "postgresql://db.internal/orders"],
    ["check", `${URL_WITH_PASSWORD}?host=10.0.0.1`],
    ["check", `postgresql://app:${PASSWORD}@db.internal:x/orders`],
    ["check", `postgresql://app:${PASSWORD}@x@db.internal/orders`],
    ["check", `postgresql://app:${PASSWORD}/x@db.internal:1:2/orders`],
    ["check", `postgresql://app:${PASSWORD}%zz@db.internal/orders`],
    ["check", `nosql://app:${PASSWORD}@db.internal/orders`],
    ["check", URL_WITH_PASSWORD, "--nameserver", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--lookup", `https://app:${PASSWORD}@10.0.0.2/`],
    ["check", URL_WITH_PASSWORD, "--family", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--timeout", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--target-session-attrs", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--connect-timeout", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--listen", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--setting", URL_WITH_PASSWORD],
    ["check", URL_WITH_PASSWORD, "--setting", PASSWORD],
  ];
  for (const args of lines) {
    const { code, out, err } = await call(args);
    assertEquals(code, 2, args.join(" "));
    assertEquals((out + err).includes(PASSWORD), false, `${args.join(" ")}: ${out}${err}`);
  }
});

Deno.test("check reads the URL from DATABASE_URL", async () => {
  const env = { DATABASE_URL: `nosql://app:${PASSWORD}@db.internal/orders` };
  const { code, err } = await call(["check"], { env });
  assertEquals(code, 2);
  assertEquals(err.startsWith('"dialect of the database URL" must be one of '), true);
});

Deno.test("readArgs() throws only UsageErrors", () => {
  for (
    const args of [["x"], ["--x"], ["resolve", "--x"], ["__proto__"], ["resolve", "--__proto__"]]
  ) {
    assertThrows(() => readArgs(args), UsageError);
  }
});

Deno.test("wantsColor() considers --no-color, then FORCE_COLOR, NO_COLOR and the terminal", () => {
  const table: [string[], Record<string, string>, boolean, boolean][] = [
    [[], {}, true, true],
    [[], {}, false, false],
    [[], { TERM: "dumb" }, true, false],
    [[], { NO_COLOR: "1" }, true, false],
    [[], { NO_COLOR: "" }, true, true],
    [[], { FORCE_COLOR: "1" }, false, true],
    [[], { FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
    [[], { FORCE_COLOR: "0" }, true, false],
    [[], { FORCE_COLOR: "false" }, true, false],
    [["resolve", "x", "--no-color"], { FORCE_COLOR: "1" }, true, false],
  ];
  for (const [args, env, isTerminal, expected] of table) {
    assertEquals(wantsColor(args, (name) => env[name], isTerminal), expected);
  }
});
