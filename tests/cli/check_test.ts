/**
 * `dnspool check` as a separate program, on real PostgreSQL servers: a primary and its standby, with various faults.
 * Deno runs the sources, Node a bundle.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { type Certificate, makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { type PostgresServer, preparePostgres, startPostgres } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";
import { onDeno, onNode, type Outcome, runProgram, type Runtime } from "../support/cli.ts";
import { mariadbTest } from "../support/servers.ts";

const PASSWORD = "s3cret/P@55?";
const WHO = { user: "app", password: PASSWORD, database: "orders" };
const HOST = "db.internal";

/** The servers that all tests share. */
interface Lab extends AsyncDisposable {
  readonly dns: DnsServer;
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly port: number;
}

async function startLab(): Promise<Lab> {
  await using stack = new AsyncDisposableStack();
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const common = { ...WHO, port };
  stack.use(await preparePostgres());
  const primary = stack.use(
    await startPostgres({
      ...common,
      host: first,
      settings: { unix_socket_directories: "." },
      hba: ["local all all scram-sha-256"],
    }),
  );
  await primary.stop({ keep: true });
  const standby = stack.use(await startPostgres({ ...common, host: second, standbyOf: primary }));
  await primary.start();
  const dns = stack.use(await DnsServer.start());
  const kept = stack.move();
  return { dns, primary, standby, port, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

// Set by the one test whose steps the others are: servers must not outlive a test.
let lab: Lab;
let runtimes: readonly Runtime[];

/** The output of all programs. */
const written: string[] = [];

interface Trial {
  readonly took: number | null;
  readonly error: { readonly code: string | null; readonly message: string } | null;
}

interface Report {
  readonly url: string;
  readonly hosts: readonly Record<string, unknown>[];
  readonly servers: readonly {
    readonly host: string;
    readonly port: number;
    readonly address: string;
    readonly connect: number | null;
    readonly tls: string;
    readonly role: { readonly standby: boolean; readonly readOnly: boolean } | null;
    readonly version: string | null;
    readonly error: { readonly code: string | null; readonly message: string } | null;
    readonly listen?: Trial | null;
    readonly settings?: Trial | null;
  }[];
  readonly credentials?: readonly unknown[];
  readonly findings: readonly {
    readonly level: string;
    readonly code: string;
    readonly address?: string;
    readonly message: string;
  }[];
}

function urlOf({ password = PASSWORD, query = "", port = lab.port } = {}): string {
  return `postgresql://app:${encodeURIComponent(password)}@${HOST}:${port}/orders${query}`;
}

async function check(
  runtime: Runtime,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const flags = ["--nameserver", lab.dns.address, "--no-fallback"];
  const outcome = await runProgram(runtime, ["check", ...args, ...flags], env);
  written.push(outcome.out, outcome.err);
  return outcome;
}

async function report(
  runtime: Runtime,
  url: string,
  ...args: readonly string[]
): Promise<Report & { readonly code: number; readonly codes: readonly string[] }> {
  const { code, out, err } = await check(runtime, [url, "--json", ...args]);
  assertEquals(err, "");
  const report: Report = JSON.parse(out);
  const codes = report.findings.map(({ level, code, address }) =>
    `${level} ${code}${address === undefined ? "" : ` ${address}`}`
  );
  return { ...report, code, codes };
}

/** Runs one statement on its own connection. */
async function execute(server: PostgresServer, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Makes a running server use a certificate. */
async function showCertificate(server: PostgresServer, { cert, key }: Certificate): Promise<void> {
  await server.put("server.crt", cert);
  await server.put("server.key", key);
  await execute(server, "ALTER SYSTEM SET ssl = on");
  const loaded = async () =>
    (await execute(server, "SELECT pg_conf_load_time()::text AS at") as [{ at: string }])[0].at;
  const before = await loaded();
  await execute(server, "SELECT pg_reload_conf()");
  // The postmaster reads its files some time later.
  for (let tries = 0; tries < 200; tries++) {
    if (await loaded() !== before) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Cannot make ${server.where} read its files again: ${server.log}`);
}

const steps: { readonly name: string; run(t: Deno.TestContext): Promise<void> }[] = [];

/** A step for each runtime. */
function onEach(name: string, test: (runtime: Runtime) => Promise<void>): void {
  steps.push({
    name,
    async run(t) {
      for (const runtime of runtimes) await t.step(runtime.name, () => test(runtime));
    },
  });
}

onEach(
  "check connects to each address, and warns of a long TTL and of a standby",
  async (runtime) => {
    const { dns, primary, standby, port } = lab;
    dns.set(HOST, [primary.host, standby.host], { ttl: 300 });
    const { code, out, err } = await check(runtime, [urlOf()]);
    assertEquals([code, err], [3, ""]);
    const lines = out.replace(/ +\d+\.\d ms/g, "  … ms").split("\n");
    const where = (host: string) => `${host.includes(":") ? `[${host}]` : host}:${port}`;
    assertEquals(lines.slice(0, 7), [
      `postgresql://app:***@${HOST}:${port}/orders`,
      `  addresses  ${primary.host}, ${standby.host}`,
      "  TTL        300 s",
      "  chain      none",
      `  server     ${dns.address}`,
      "  lookup     system",
      "  time  … ms",
    ]);
    assertMatch(lines[8]!, /^address +connect {2}TLS {3}role {5}server$/);
    assertEquals(lines.slice(9, 12), [
      `${where(primary.host)}  … ms  none  primary  PostgreSQL ${primary.version}`,
      `${where(standby.host)}  … ms  none  standby  PostgreSQL ${primary.version}`,
      "",
    ]);
    assertMatch(lines[12]!, /^warning {2}The TTL is 300 seconds: /);
    assertMatch(lines[13]!, new RegExp(`^warning  ${standby.host} is a standby, `));
    assertEquals(lines.length, 15);
  },
);

onEach("check reports each of several hosts", async (runtime) => {
  const { dns, primary, standby, port } = lab;
  dns.set(HOST, [primary.host], { ttl: 30 });
  dns.set("db2.internal", [standby.host], { ttl: 20 });
  const url = `postgresql://app:${
    encodeURIComponent(PASSWORD)
  }@${HOST}:${port},db2.internal:${port}/orders`;
  const { codes, hosts, servers } = await report(runtime, `${url}?target_session_attrs=read-write`);
  assertEquals(codes, []);
  assertEquals(hosts.map(({ host, addresses, ttl }) => [host, addresses, ttl]), [
    [HOST, [primary.host], 30],
    ["db2.internal", [standby.host], 20],
  ]);
  assertEquals(servers.map(({ host, address, port }) => [host, address, port]), [
    [HOST, primary.host, port],
    ["db2.internal", standby.host, port],
  ]);
  const { out } = await check(runtime, [`${url}?target_session_attrs=read-write`]);
  assertMatch(out, /^db\.internal$/m);
  assertMatch(out, /^db2\.internal$/m);
});

onEach("check refuses hosts that cannot be used, by name", async (runtime) => {
  const host = '"host of the database URL" must be';
  const service = `${host} one name of a service, such as _postgresql._tcp.db.example, beside SRV`;
  const table: [url: string, message: string][] = [
    ["postgresql://app@a,,b/d", `${host} a name or an IP address, got nothing between commas`],
    [
      "postgresql://app@a,b/d?port=1,2,3",
      '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
    ],
    ["postgresql+srv://app@10.0.0.1/d", `${service}, got an IP address`],
    [
      "postgresql+srv://app@a:1/d",
      '"port of the database URL" must not be given: the ports are in the SRV records',
    ],
  ];
  await Promise.all(table.map(async ([url, message]) => {
    const { code, err } = await check(runtime, [url]);
    assertEquals([code, err.split("\n")[0]], [2, message]);
  }));
});

onEach("check reports the servers of a service with SRV records", async (runtime) => {
  const { dns, primary, standby, port } = lab;
  dns.set("a.internal", [primary.host], { ttl: 30 });
  dns.set("b.internal", [standby.host], { ttl: 30 });
  const srv = [
    { priority: 20, weight: 1, port, target: "b.internal" },
    { priority: 10, weight: 5, port, target: "a.internal" },
  ];
  dns.set("_postgresql._tcp.db.internal", { srv }, { ttl: 30 });
  const url = `postgresql+srv://app:${
    encodeURIComponent(PASSWORD)
  }@_postgresql._tcp.db.internal/orders`;
  const role = ["--target-session-attrs", "read-write"];
  const { codes, hosts, servers } = await report(runtime, url, ...role);
  assertEquals(codes, []);
  assertEquals(hosts.map(({ host, priority, weight }) => [host, priority, weight]), [
    ["a.internal", 10, 5],
    ["b.internal", 20, 1],
  ]);
  assertEquals(servers.map(({ host, address, port }) => [host, address, port]), [
    ["a.internal", primary.host, port],
    ["b.internal", standby.host, port],
  ]);
  const { out } = await check(runtime, [url, ...role]);
  assertStringIncludes(out, `a.internal:${port}, priority 10, weight 5`);
});

onEach("check finds no problems if there are none", async (runtime) => {
  const { dns, primary, standby } = lab;
  dns.set(HOST, { cname: "node-a.internal" }, { ttl: 30 });
  dns.set("node-a.internal", [primary.host, standby.host], { ttl: 300 });
  const { code, codes, hosts: [answer], servers } = await report(
    runtime,
    urlOf(),
    "--target-session-attrs",
    "read-write",
  );
  assertEquals([code, codes], [0, []]);
  assertEquals(answer!.exactTtl, 30);
  assertEquals(answer!.chain, [{ name: HOST, target: "node-a.internal", ttl: 30 }]);
  assertEquals(servers.map(({ role }) => role), [
    { standby: false, readOnly: false },
    { standby: true, readOnly: true },
  ]);
  for (const { connect } of servers) assert(connect! > 0 && connect! < 10, `${connect}`);
  const plain = await check(runtime, [urlOf(), "--target-session-attrs", "read-write"]);
  assertMatch(plain.out, /\n\nNo problems were found\n$/);
});

onEach(
  "check reports the TTL of the chain on each runtime",
  async (runtime) => {
    const { dns, primary } = lab;
    dns.set(HOST, { cname: "node-a.internal" }, { ttl: 2 });
    dns.set("node-a.internal", [primary.host], { ttl: 60 });
    const { code, codes, hosts: [answer] } = await report(runtime, urlOf());
    assertEquals([code, codes, answer!.ttl, answer!.exactTtl], [0, [], 2, 2]);
  },
);

onEach(
  "check fails if an address refuses, is silent, or rejects the password",
  async (runtime) => {
    const { dns, primary, standby } = lab;
    dns.set(HOST, [primary.host, standby.host], { ttl: 5 });
    await standby.stop({ keep: true });
    const refused = await report(runtime, urlOf());
    assertEquals([refused.code, refused.codes], [1, [`failure no-connection ${standby.host}`]]);
    assertEquals(refused.servers[1]!.error!.code, "ECONNREFUSED");
    assertEquals(refused.servers[1]!.connect, null);
    await standby.start();

    await standby.freeze();
    const silent = await report(runtime, urlOf(), "--connect-timeout", "0.7");
    assertEquals([silent.code, silent.codes], [1, [`failure no-connection ${standby.host}`]]);
    assertMatch(silent.servers[1]!.error!.message, /no connection within 0\.(?:7|6\d+) seconds/);
    await standby.thaw();

    const wrong = await report(runtime, urlOf({ password: "wr0ng-P@55" }));
    assertEquals([wrong.code, wrong.codes.length], [1, 2]);
    assertEquals(wrong.servers[0]!.error!.code, "28P01");
    const { out } = await check(runtime, [urlOf({ password: "wr0ng-P@55" })]);
    assertMatch(out, /\nfailure {2}.* said: password authentication failed for user "app"\n/);
  },
);

onEach(
  "check fails if no server has the required role",
  async (runtime) => {
    const { dns, primary, standby } = lab;
    dns.set(HOST, [standby.host], { ttl: 5 });
    const none = await report(runtime, urlOf(), "--target-session-attrs", "read-write");
    assertEquals([none.code, none.codes], [1, ["failure no-such-role"]]);
    dns.set(HOST, [primary.host], { ttl: 5 });
    const one = await report(runtime, urlOf(), "--target-session-attrs", "standby");
    assertEquals([one.code, one.codes], [1, ["failure no-such-role"]]);
  },
);

onEach("check fails if the name does not resolve", async (runtime) => {
  lab.dns.delete(HOST);
  const { code, out, err } = await check(runtime, [urlOf(), "--timeout", "2"]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^Cannot resolve "db\.internal": /);
  const json = await check(runtime, [urlOf(), "--timeout", "2", "--json"]);
  assertEquals([json.code, json.err, JSON.parse(json.out).error.code], [1, "", "RESOLVE_FAILED"]);
});

onEach("check warns if the URL names an IP address", async (runtime) => {
  const { primary } = lab;
  const { code, codes } = await report(runtime, primary.url());
  assertEquals([code, codes], [3, ["warning no-name"]]);
});

onEach("check connects to a Unix socket", async (runtime) => {
  const { primary } = lab;
  const login = `app:${encodeURIComponent(PASSWORD)}`;
  const query = new URLSearchParams({ host: primary.dataDir, port: String(primary.port) });
  const url = `postgresql://${login}@/orders?${query}`;
  const { code, codes, servers } = await report(runtime, url);
  assertEquals([code, codes], [3, ["warning no-name"]]);
  const [{ address, connect, tls, role }] = servers as [Report["servers"][0]];
  assertEquals(address, `${primary.dataDir}/.s.PGSQL.${primary.port}`);
  assertEquals([typeof connect, tls, role?.standby], ["number", "none", false]);
  const { out } = await check(runtime, [url]);
  assertStringIncludes(out, `${address}  `);
});

onEach("check reads the URL from DATABASE_URL", async (runtime) => {
  const { dns, primary } = lab;
  dns.set(HOST, [primary.host], { ttl: 5 });
  const { code, out, err } = await check(runtime, [], { DATABASE_URL: urlOf() });
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^postgresql:\/\/app:\*\*\*@db\.internal:/);
});

onEach("check logs in with the password of a file", async (runtime) => {
  const { dns, primary, port } = lab;
  dns.set(HOST, [primary.host], { ttl: 5 });
  const url = `postgresql://app@${HOST}:${port}/orders`;
  const dir = await Deno.makeTempDir({ prefix: "dnspool-@" });
  try {
    const file = `${dir}/password`;
    await Deno.writeTextFile(file, `${PASSWORD}\n`);
    const good = await report(runtime, url, "--password-file", file);
    assertEquals([good.code, good.codes], [0, []]);
    const both = await check(runtime, [urlOf(), "--password-file", file]);
    assertEquals(both.code, 2);
    assertMatch(both.err, /^"password of the database URL" must not be given: /);
    await Deno.writeTextFile(file, "wr0ng-P@55");
    const wrong = await report(runtime, url, "--password-file", file);
    assertEquals([wrong.code, wrong.servers[0]!.error!.code], [1, "28P01"]);
    await Deno.writeTextFile(file, "\n");
    for (const path of [file, `${dir}/missing`]) {
      const { code, err } = await check(runtime, [url, "--password-file", path]);
      assertEquals(code, 2);
      assertMatch(err, /^"--password-file" must be a file (with a password|that can be read)/);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

onEach(
  "check logs in with what a function gives, and reports it without the password",
  async (runtime) => {
    const { dns, primary, standby, port } = lab;
    dns.set(HOST, [primary.host, standby.host], { ttl: 5 });
    const url = `postgresql://nobody@${HOST}:${port}/orders`;
    const role = ["--target-session-attrs", "read-write"];
    const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
    const moduleOf = async (name: string, body: string) => {
      await Deno.writeTextFile(`${dir}/${name}.mjs`, body);
      return ["--credentials", `${dir}/${name}.mjs`];
    };
    try {
      const given = `user: "app", password: ${JSON.stringify(PASSWORD)}`;
      const good = await moduleOf(
        "good",
        `let calls = 0;
      export default ({ host, port, user, database }) => {
        if (++calls > 1) throw new Error("called twice");
        if (host + user + database !== "${HOST}nobodyorders" || port !== ${port}) throw new Error("wrong");
        return { ${given}, expiresAt: Date.now() + 900_000 };
      };`,
      );
      const { code, codes, credentials } = await report(runtime, url, ...good, ...role);
      assertEquals([code, codes], [0, []]);
      const [{ took, expiresIn, ...rest }] = credentials as [{ took: number; expiresIn: number }];
      assertEquals(rest, { host: HOST, port, user: "app" } as object);
      assert(took >= 0 && expiresIn > 800 && expiresIn < 900.1);
      const { out } = await check(runtime, [url, ...good, ...role]);
      assertMatch(
        out,
        /\n {2}password {3}for user app at db\.internal in \d+\.\d ms, expires in 1[45] min \d+ s\n/,
      );

      const fails = await moduleOf(
        "fails",
        `export default () => { throw new RangeError(${JSON.stringify(PASSWORD)}); };`,
      );
      const failed = await report(runtime, url, ...fails, ...role);
      assertEquals([failed.code, failed.codes], [1, ["failure no-credentials"]]);
      assertMatch(
        failed.findings[0]!.message,
        /the function "credentials" failed with RangeError$/,
      );
      const wrong = await moduleOf("wrong", `export default () => ({ password: 12345678 });`);
      const refused = await check(runtime, [url, ...wrong, ...role]);
      assertEquals(refused.code, 1);
      assertMatch(refused.out, /"password" must be a string, got a value of type number/);
      assertEquals(refused.out.includes("12345678"), false);

      for (
        const flags of [
          ["--credentials", `${dir}/missing.mjs`],
          await moduleOf("none", "export {}"),
        ]
      ) {
        const { code, err } = await check(runtime, [url, ...flags]);
        assertEquals(code, 2);
        assertMatch(err, /^"--credentials" must be a module whose default export is a function/);
      }
      const both = await check(runtime, [url, ...good, "--password-file", `${dir}/good.mjs`]);
      assertEquals([both.code, both.err.split(":")[0]], [2, '"--password-file" must not be given']);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

onEach(
  "check listens, and sets settings in a transaction, if flags ask for it",
  async (runtime) => {
    const { dns, primary, standby } = lab;
    dns.set(HOST, [primary.host, standby.host], { ttl: 5 });
    await execute(primary, "DROP ROLE IF EXISTS tenants");
    await execute(primary, "CREATE ROLE tenants");
    const role = ["--target-session-attrs", "read-write"];
    const settings = ["--setting", "role=tenants", "--setting", "app.tenant=a=b@c"];
    const flags = [...role, "--listen", "Orders; --", ...settings];
    const good = await report(runtime, urlOf(), ...flags);
    assertEquals([good.code, good.codes], [0, []]);
    const [first, second] = good.servers;
    for (const trial of [first!.listen, first!.settings, second!.settings]) {
      assertEquals(trial!.error, null);
      assert(trial!.took! > 0 && trial!.took! < 10, `${trial!.took}`);
    }
    assertEquals(second!.listen, null);
    const { out } = await check(runtime, [urlOf(), ...flags]);
    assertMatch(
      out,
      /\n(address) .* server +listen +settings\n.* \d+\.\d ms +\d+\.\d ms\n.* - +\d+\.\d ms\n/,
    );
    assertEquals(out.includes("a=b@c"), false);

    const wrong = await report(runtime, urlOf(), ...role, "--setting", "role=absent");
    assertEquals([wrong.code, wrong.codes], [
      1,
      [primary, standby].map(({ host }) => `failure no-setting ${host}`),
    ]);
    assertMatch(wrong.findings[0]!.message, /^The settings cannot be set at .*: .*"absent"/);
    assertEquals("listen" in wrong.servers[0]!, false);
    dns.set(HOST, [standby.host], { ttl: 5 });
    const none = await report(
      runtime,
      urlOf(),
      "--target-session-attrs",
      "standby",
      "--listen",
      "x",
    );
    assertEquals([none.code, none.codes], [1, ["failure no-notification"]]);
  },
);

mariadbTest("dnspool check --setting, on MariaDB with both drivers", async () => {
  await using deno = onDeno();
  await using server = await startMariadb({
    host: "127.0.0.1",
    port: await freePort(["127.0.0.1"]),
    ...WHO,
  });
  const checked = async (driver: string, ...settings: string[]) => {
    const url = `${driver}://app:${encodeURIComponent(PASSWORD)}@127.0.0.1:${server.port}/orders`;
    const flags = settings.flatMap((setting) => ["--setting", setting]);
    const { out, err } = await runProgram(deno, ["check", url, "--json", ...flags]);
    assertEquals(err, "");
    return (JSON.parse(out) as Report).servers[0]!.settings!;
  };
  await Promise.all(["mysql", "mariadb"].map(async (driver) => {
    const good = await checked(driver, "max_statement_time=1.5", "sql_mode=ANSI", "@tenant=7");
    assertEquals([typeof good.took, good.error], ["number", null]);
    const { error } = await checked(driver, "no_such_variable=1");
    assertStringIncludes(error!.message, "no_such_variable");
  }));
});

/** Checks without the driver, on Node only: Deno fetches it. */
async function withoutDriver(): Promise<void> {
  const { dns, primary } = lab;
  dns.set(HOST, [primary.host], { ttl: 5 });
  const node = runtimes.find(({ name }) => name === "node")!;
  const [program = "", bundle = ""] = node.command;
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    await Deno.copyFile(bundle, `${dir}/cli.mjs`);
    const bare = { ...node, command: [program, `${dir}/cli.mjs`] };
    const { code, out, err } = await check(bare, [urlOf()]);
    assertEquals([code, out], [1, ""]);
    assertMatch(
      err,
      /^Cannot load the driver "pg": it is not installed here, run "npm install pg"/,
    );
    const json = await check(bare, [urlOf(), "--json"]);
    assertEquals([json.code, JSON.parse(json.out).error.code], [1, "DRIVER_UNAVAILABLE"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

steps.push({ name: "check reports a driver that is not installed (node)", run: withoutDriver });

steps.push({
  name: "check reports whether TLS verifies the name, and if not, why",
  run: tlsSteps,
});

async function tlsSteps(t: Deno.TestContext): Promise<void> {
  const { dns, primary, standby } = lab;
  const authority = await makeAuthority();
  const ca = await Deno.makeTempFile({ suffix: ".pem" });
  await Deno.writeTextFile(ca, authority.cert);
  dns.set(HOST, [primary.host, standby.host], { ttl: 5 });
  const flags = ["--target-session-attrs", "read-write"];
  const query = "?sslmode=verify-full";
  const trusting = urlOf({ query: `${query}&sslrootcert=${ca}` });
  try {
    for (const runtime of runtimes) {
      await t.step(`${runtime.name}: servers without TLS`, async () => {
        const { code, servers } = await report(runtime, urlOf({ query }), ...flags);
        assertEquals([code, ...servers.map(({ tls }) => tls)], [1, "not offered", "not offered"]);
      });
    }
    await showCertificate(primary, await authority.issue({ names: [HOST] }));
    await showCertificate(standby, await authority.issue({ names: [HOST] }));
    for (const runtime of runtimes) {
      await t.step(`${runtime.name}: the right certificate on both`, async () => {
        const { code, codes, servers } = await report(runtime, trusting, ...flags);
        assertEquals([code, codes], [0, []]);
        assertEquals(servers.map(({ tls }) => tls), ["name", "name"]);
        const { out } = await check(runtime, [trusting, ...flags]);
        assertStringIncludes(out, "  name verified  primary  PostgreSQL");
      });
      await t.step(`${runtime.name}: an unknown authority`, async () => {
        const { code, servers } = await report(runtime, urlOf({ query }), ...flags);
        assertEquals([code, ...servers.map(({ tls }) => tls)], [1, "not trusted", "not trusted"]);
      });
    }
    await showCertificate(standby, await authority.issue({ names: ["other.internal"] }));
    for (const runtime of runtimes) {
      await t.step(`${runtime.name}: a certificate for another name on one address`, async () => {
        const { code, codes, servers } = await report(runtime, trusting, ...flags);
        assertEquals([code, codes], [1, [`failure certificate ${standby.host}`]]);
        assertEquals(servers.map(({ tls }) => tls), ["name", "wrong name"]);
        assertStringIncludes(servers[1]!.error!.message, "DNS:other.internal");
      });
      await t.step(
        `${runtime.name}: certificates that are not verified, or without the name`,
        async () => {
          const both = [primary.host, standby.host].map((host) =>
            `warning certificate-unchecked ${host}`
          );
          for (
            const [mode, expected] of [
              ["require", "nothing"],
              [`verify-ca&sslrootcert=${ca}`, "chain"],
            ]
          ) {
            const url = urlOf({ query: `?sslmode=${mode}` });
            const { code, codes, servers } = await report(runtime, url, ...flags);
            assertEquals([code, codes], [3, both]);
            assertEquals(servers.map(({ tls }) => tls), [expected, expected]);
          }
        },
      );
    }
    await showCertificate(standby, await authority.issue({ names: [HOST], expired: true }));
    for (const runtime of runtimes) {
      await t.step(`${runtime.name}: a certificate that has expired`, async () => {
        const { code, servers } = await report(runtime, trusting, ...flags);
        // Deno does not report the reason.
        const why = runtime.name === "deno" ? "not trusted" : "expired";
        assertEquals([code, ...servers.map(({ tls }) => tls)], [1, "name", why]);
      });
    }
  } finally {
    await Deno.remove(ca);
  }
}

onEach("check warns of several primaries", async (runtime) => {
  const { dns, primary, standby } = lab;
  dns.set(HOST, [primary.host, standby.host], { ttl: 5 });
  if (runtime === runtimes[0]) await execute(standby, "SELECT pg_promote()");
  const { code, codes } = await report(runtime, urlOf());
  assertEquals([code, codes], [3, ["warning several-primaries"]]);
});

Deno.test("dnspool check, on a primary and its standby", async (t) => {
  await using node = await onNode();
  runtimes = [onDeno(), node];
  await using servers = await startLab();
  lab = servers;
  for (const { name, run } of steps) await t.step(name, run);
  await t.step("no output of check holds a password", () => {
    assert(written.length > 50, `${written.length}`);
    const secrets = [PASSWORD, "wr0ng-P@55"].flatMap((text) => [text, encodeURIComponent(text)]);
    for (const text of written) {
      for (const secret of secrets) assertEquals(text.includes(secret), false, text);
    }
  });
});
