/**
 * Runs a program on Deno with the permissions that docs/runtimes.md lists, and no other, against a DNS server and a
 * real PostgreSQL.
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { loadDriver } from "../../adapters/shared/load_driver.ts";
import { DriverUnavailableError } from "../../errors.ts";
import { freePort } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";

const ROOT = new URL("../../", import.meta.url);
/** So that `npm:pg` is the version that the tests know. */
const LOCK = `--lock=${new URL("deno.lock", ROOT).pathname}`;
const page = await Deno.readTextFile(new URL("docs/runtimes.md", ROOT));

/** The page's command line, `deno run … main.ts`, and the addresses in it. */
const [, listed = ""] = /^deno run (--allow-net=.*) main\.ts$/m.exec(page) ?? [];
const NAME_SERVER = "10.0.0.2:53";
const DATABASE = "10.0.1.0/24:5432";
const IGNORE_ENV = "--ignore-env";

const PORT = await freePort(["127.0.0.1", "127.0.0.2"]);
let server: PostgresServer;

Deno.test.beforeAll(async () => {
  const common = { port: PORT, user: "app", password: "secret", database: "orders" };
  server = await startPostgres({ ...common, host: "127.0.0.2" });
});
Deno.test.afterAll(() => server.stop());

/**
 * Runs a program that queries once; returns its output or its error's message. The addresses in `flags` and in the
 * result are those of the page.
 */
async function query(
  flags: string,
  { lookup = "system", nameServers = true, ttl = 60 }: {
    readonly lookup?: string;
    readonly nameServers?: boolean;
    readonly ttl?: number;
  } = {},
): Promise<string> {
  await using dns = await DnsServer.start();
  dns.set("db.internal", ["127.0.0.2"], { ttl });
  const options = {
    dnsLookup: lookup,
    dnsTimeout: 5,
    ...(nameServers && { dnsNameservers: [dns.address] }),
  };
  const own = flags.replace(NAME_SERVER, dns.address).replace(DATABASE, `127.0.0.0/30:${PORT}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-check", "--no-config", "--frozen", LOCK],
      ...own.split(" ").filter((flag) => flag !== ""),
      "-",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(30_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
    import { getDnsEngine } from "${new URL("mod.ts", ROOT)}";
    const names = ["read", "write", "env", "sys", "run", "ffi"];
    const states = await Promise.all(names.map((name) => Deno.permissions.query({ name })));
    const granted = names.filter((_, index) => states[index].state === "granted");
    const engine = getDnsEngine("${server.url("db.internal")}", ${JSON.stringify(options)});
    try {
      const [{ who }] = await engine.query("SELECT host(inet_server_addr()) AS who");
      console.log(JSON.stringify({ who, granted, freshFor: engine.status().answer.freshFor }));
    } catch (error) {
      console.log(error.name, error.message);
    }
    await engine.close();
  `));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr));
  return text.decode(stdout).trim().replaceAll(dns.address, NAME_SERVER);
}

Deno.test("docs/runtimes.md: a program works with the permissions that it lists, and no other", async () => {
  const { who, granted, freshFor } = JSON.parse(await query(listed));
  assertEquals([who, granted], ["127.0.0.2", []]);
  assert(freshFor > 0 && freshFor <= 5, `${freshFor}`);
});

Deno.test("docs/runtimes.md: each permission that it lists is needed, and the error names it", async () => {
  const dnsNeeded = `the permission is missing, run with --allow-net=${NAME_SERVER}`;
  const table = [
    [listed.replace(`${NAME_SERVER},`, ""), dnsNeeded],
    [listed.replace(`,${DATABASE}`, ""), `Requires net access to "127.0.0.2:${PORT}"`],
    [listed.replace(IGNORE_ENV, ""), 'Requires env access to "PGBINARY"'],
    ["", dnsNeeded],
  ] as const;
  for (const [flags, needed] of table) {
    assert(flags !== listed);
    assertStringIncludes(await query(flags), needed);
  }
});

Deno.test("without dnsNameservers, the error names the system's server", async () => {
  const said = await query("", { nameServers: false });
  assertStringIncludes(said, "run with --allow-net");
});

Deno.test("docs/runtimes.md: the variables that it names are those that pg reads", async () => {
  const [, names = ""] = /`--allow-env=([A-Z_,]+)`/.exec(page) ?? [];
  const said = JSON.parse(await query(listed.replace(IGNORE_ENV, `--allow-env=${names}`)));
  assertEquals(said.who, "127.0.0.2");
  for (const name of names.split(",")) {
    const others = names.split(",").filter((other) => other !== name).join(",");
    const lacking = await query(listed.replace(IGNORE_ENV, `--allow-env=${others}`));
    assertStringIncludes(lacking, `Requires env access to "${name}"`);
  }
});

Deno.test("a driver that lacks a permission to be loaded is not said to be missing", async () => {
  const source = `throw Object.assign(new Error("Requires sys access"), { name: "NotCapable" })`;
  const specifiers = ["no_such_package", `data:text/javascript,${encodeURIComponent(source)}`];
  await assertRejects(
    () => loadDriver("mariadb", { specifiers, notFound: "it is not installed here" }),
    DriverUnavailableError,
    'Cannot load the driver "mariadb": Requires sys access',
  );
});

Deno.test("wire needs the permission to open a UDP socket as well, and names it", async () => {
  const lookup = "wire";
  const without = await query(listed, { lookup });
  assertStringIncludes(without, "the permission is missing, run with --allow-net=0.0.0.0:0");
  const flags = listed.replace("--allow-net=", "--allow-net=0.0.0.0:0,");
  const { who, granted, freshFor } = JSON.parse(await query(flags, { lookup }));
  assertEquals([who, granted], ["127.0.0.2", []]);
  assert(freshFor > 50, `${freshFor}`);
});

Deno.test("with the permission to read the system's configuration, the system's lookup knows the TTL", async () => {
  const said = JSON.parse(await query(`${listed} --allow-sys=networkInterfaces`, { ttl: 3 }));
  assert(said.freshFor > 0 && said.freshFor <= 3, `${said.freshFor}`);
});
