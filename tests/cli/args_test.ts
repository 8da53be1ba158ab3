import { assertEquals, assertThrows } from "@std/assert";
import { readArgs, UsageError } from "../../cli/args.ts";
import { dnsOptions } from "../../cli/dns_flags.ts";
import { wantsColour } from "../../cli/io.ts";
import { VERSION } from "../../cli/version.ts";
import config from "../../deno.json" with { type: "json" };
import { call } from "../support/cli.ts";

const PASSWORD = "s3cret-Pa55";
const URL_WITH_PASSWORD = `postgresql://app:${PASSWORD}@db.internal/orders`;

Deno.test("the version is that of deno.json", async () => {
  assertEquals(VERSION, config.version);
  for (const args of [["--version"], ["resolve", "--version"], ["--version", "watch", "x"]]) {
    assertEquals(await call(args), { code: 0, out: config.version, err: "" });
  }
});

Deno.test("flags may stand anywhere, with or without an equals sign", () => {
  const expected = {
    what: "resolve",
    subject: "db.internal",
    flags: { nameserver: ["10.0.0.2", "10.0.0.3"], timeout: "1.5", json: true },
  };
  for (
    const line of [
      "resolve db.internal --nameserver 10.0.0.2 --nameserver=10.0.0.3 --timeout 1.5 --json",
      "--json resolve --timeout=1.5 --nameserver 10.0.0.2 db.internal --nameserver 10.0.0.3",
    ]
  ) assertEquals(readArgs(line.split(" ")), expected as ReturnType<typeof readArgs>);
});

Deno.test("help is there in every manner that people try", () => {
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

Deno.test("the flags about DNS are the options of an engine", () => {
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

Deno.test("what cannot be meant ends with status 2, says what is allowed, and names the nearest", async () => {
  const table: [string, string][] = [
    ["", "Cannot tell what to do: the commands are resolve, watch, check"],
    [
      "--json",
      'Cannot use the flag "--json": there is no such flag; there are --help, --version, --no-color',
    ],
    ["reslove x", 'Cannot run "reslove": there is no such command, did you mean "resolve"?'],
    [
      "frobnicate",
      'Cannot run "frobnicate": there is no such command; there are resolve, watch, check',
    ],
    ["help chekc", 'Cannot run "chekc": there is no such command, did you mean "check"?'],
    [
      "resolve x --nameservers 10.0.0.2",
      'Cannot use the flag "--nameservers" of "dnspool resolve": there is no such flag, did you mean "--nameserver"?',
    ],
    [
      "check x --targetSessionAttrs any",
      'Cannot use the flag "--targetSessionAttrs" of "dnspool check": there is no such flag, did you mean "--target-session-attrs"?',
    ],
    [
      "watch x --connect-timeout 3",
      'Cannot use the flag "--connect-timeout" of "dnspool watch": there is no such flag; there are --help, --version, --no-color, --nameserver, --lookup, --family, --timeout, --no-fallback, --json',
    ],
    [
      "resolve x -j",
      'Cannot use the flag "-j" of "dnspool resolve": there is no such flag; there are',
    ],
    ["resolve x --constructor=1", 'Cannot use the flag "--constructor" of "dnspool resolve": '],
    ["resolve x --json=yes", "Cannot give --json a value: it takes none"],
    ["resolve x --timeout", "Cannot use --timeout: its value is missing"],
    ["resolve x --timeout --json", "Cannot use --timeout: its value is missing"],
    ["resolve x --timeout=", "Cannot use --timeout: its value is missing"],
    ["resolve x --timeout 1 --timeout 2", "Cannot use --timeout twice: it takes one value"],
    ["resolve", "Cannot resolve nothing: give a host name"],
    ["watch", "Cannot watch nothing: give a host name"],
    ["check", "Cannot check nothing: give a database URL, or put it into DATABASE_URL"],
    ["resolve a b", "Cannot resolve several at once: give one host name"],
    ["check a b", "Cannot check several at once: give one URL"],
    ["resolve http://db.internal/", "Cannot resolve a URL: give the host name in it"],
    ["resolve a..b", 'Cannot use the host "a..b": it is a name of at most 253 characters'],
    ["watch 127.0.0.1", 'Cannot watch "127.0.0.1": it needs no DNS and never changes'],
    ["watch LOCALHOST.", 'Cannot watch "localhost": it needs no DNS and never changes'],
    ["resolve x --timeout soon", 'Cannot use "soon" for --timeout: it is a number of seconds'],
    ["resolve x --timeout -1", "Cannot use --timeout: its value is missing"],
    [
      "resolve x --timeout 0",
      "Cannot use 0 for --timeout: it is a number of seconds above 0 to 3600",
    ],
    [
      "resolve x --timeout 5000",
      "Cannot use 5000 for --timeout: it is in seconds, at most 3600; did you mean 5?",
    ],
    ["resolve x --family 5", 'Cannot use "5" for --family: it is one of "auto", 4, 6, "both"'],
    ["resolve x --lookup wier", 'Cannot use "wier" for --lookup: it is "system", "wire" or a URL'],
    ["resolve x --lookup http://10.0.0.2/", "Cannot use this for --lookup: it is"],
    [
      "resolve x --nameserver ns1",
      'Cannot use "ns1" in --nameserver: it is an IP address with an optional port',
    ],
    ["resolve x --nameserver 10.0.0.2:99999", 'Cannot use "10.0.0.2:99999" in --nameserver: it is'],
    ["check db.internal", "Cannot read the database URL: it is dialect[+driver]://"],
    [
      "check postgresql://db.internal:x/",
      "Cannot read the port of the database URL: it is a number",
    ],
    [
      "check nosql://db.internal/x",
      'Cannot use the dialect "nosql" of the database URL: it is one of',
    ],
    [
      "check postgresql+gp://db.internal/x",
      'Cannot use the driver "gp" of the database URL: for postgresql it is one of',
    ],
    ["check postgresql:///x", "Cannot check a postgresql URL without a host: nothing fails over"],
    [
      "check postgresql://db.internal/x?host=10.0.0.1",
      'Cannot use the URL parameter "host": the address comes from DNS',
    ],
    [
      "check postgresql://x/y --target-session-attrs rw",
      'Cannot use "rw" for --target-session-attrs: it is one of "any", "read-write"',
    ],
    ["check postgresql://x/y --connect-timeout 0", "Cannot use 0 for --connect-timeout: it is"],
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

Deno.test("the passwords in a wrong command line are not shown", async () => {
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
  ];
  for (const args of lines) {
    const { code, out, err } = await call(args);
    assertEquals(code, 2, args.join(" "));
    assertEquals((out + err).includes(PASSWORD), false, `${args.join(" ")}: ${out}${err}`);
  }
});

Deno.test("the URL may stand in DATABASE_URL", async () => {
  const env = { DATABASE_URL: `nosql://app:${PASSWORD}@db.internal/orders` };
  const { code, err } = await call(["check"], { env });
  assertEquals(code, 2);
  assertEquals(err.includes('Cannot use the dialect "nosql"'), true);
});

Deno.test("a UsageError is thrown by readArgs(), nothing else", () => {
  for (
    const args of [["x"], ["--x"], ["resolve", "--x"], ["__proto__"], ["resolve", "--__proto__"]]
  ) {
    assertThrows(() => readArgs(args), UsageError);
  }
});

Deno.test("colours: --no-color, then FORCE_COLOR, then NO_COLOR, then the terminal", () => {
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
    assertEquals(wantsColour(args, (name) => env[name], isTerminal), expected);
  }
});
