import { assert, assertEquals } from "@std/assert";
import dns from "node:dns/promises";
import { denoLookup } from "../../lookups/deno.ts";
import { systemServers } from "../../lookups/internal/system_servers.ts";
import { getIpWithTtl } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { denying, noDatagrams } from "../support/deno_permissions.ts";
import { systemFiles } from "../support/system_files.ts";

/** Runs a program with only these permissions; returns its log, and the seconds from the log to its exit. */
async function run(
  program: string,
  permissions: readonly string[],
): Promise<{ logged: unknown; lingered: number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-check", "--no-lock", "--config=deno.json"],
      ...[...permissions, "-"],
    ],
    cwd: new URL("../../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(20_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const errors = new Response(child.stderr).text();
  let output = "";
  let lastMs = performance.now();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    lastMs = performance.now();
  }
  const { code } = await child.status;
  const lingered = (performance.now() - lastMs) / 1000;
  if (code !== 0) throw new Error(`It exited with ${code}: ${await errors}`);
  await errors;
  return { logged: JSON.parse(output), lingered };
}

/** Returns a program that asks one question, and logs the answer or the error. */
function asking(
  choice: string,
  question: {
    name: string;
    family?: 4 | 6;
    server?: DnsServer;
    unref?: boolean;
    patience?: number;
  },
): string {
  const { name, family = 4, server, unref = false, patience = 5000 } = question;
  const at = server && JSON.stringify({ host: server.host, port: server.port });
  return `
    import { lookupByName } from "${new URL("../../lookups/system.ts", import.meta.url)}";
    setTimeout(() => {}, 300); // leaves time for an uncaught exception
    const controller = new AbortController();
    const limit = setTimeout(() => controller.abort("silence"), ${patience});
    Deno.unrefTimer(limit);
    const question = { name: "${name}", family: ${family}, server: ${at}, unref: ${unref} };
    lookupByName("${choice}").lookup({ ...question, signal: controller.signal }).then(
      (answer) => [answer.ttl, ...answer.addresses],
      (error) => [error.kind ?? error, error.message],
    ).then((logged) => console.log(JSON.stringify(logged)));
    ${unref ? 'console.log(JSON.stringify("asked"));' : ""}
  `;
}

async function servers(): Promise<{ v4: DnsServer; v6: DnsServer } & AsyncDisposable> {
  const v4 = await DnsServer.start();
  const v6 = await DnsServer.start({ host: "::1" });
  for (const server of [v4, v6]) {
    server.set("my_db.internal", ["127.0.0.2"], { ttl: 60 });
    server.set("db.internal", ["127.0.0.2"], { ttl: 60 });
  }
  const dispose = async () => {
    await v4.close();
    await v6.close();
  };
  return { v4, v6, [Symbol.asyncDispose]: dispose };
}

const READ = "--allow-read";

Deno.test("wire reports the permissions that it lacks, without an uncaught exception", async () => {
  await using all = await servers();
  for (const [server, any] of [[all.v4, "0.0.0.0:0"], [all.v6, "[::]:0"]] as const) {
    const { address } = server;
    const table = [
      [[], `${any},${address}`],
      [[`--allow-net=${any}`], address],
      [[`--allow-net=${address}`], any],
    ] as const;
    const program = asking("wire", { name: "db.internal", server });
    for (const [permissions, missing] of table) {
      const { logged } = await run(program, [READ, ...permissions]);
      const why = `the permission is missing, run with --allow-net=${missing}`;
      assertEquals(logged, ["config", `Cannot look up A of "db.internal" at ${address}: ${why}`]);
    }
    const { logged } = await run(program, [READ, `--allow-net=${any},${address}`]);
    assertEquals(logged, [60, "127.0.0.2"]);
  }
});

Deno.test("wire reports that it may not read the system's servers", async () => {
  const permissions = [READ, "--allow-net", "--deny-read=/etc/resolv.conf"];
  const { logged } = await run(asking("wire", { name: "db.internal" }), permissions);
  const why = "no server is known, and the system's configuration names none that may be read";
  assertEquals(logged, ["config", `Cannot look up A of "db.internal": ${why}`]);
});

Deno.test("doh reports the permission that it lacks", async () => {
  for (
    const [url, host] of [
      ["https://10.0.0.2/dns-query", "10.0.0.2:443"],
      ["http://127.0.0.1/dns-query", "127.0.0.1:80"],
      ["http://[::1]:8053/dns-query", "[::1]:8053"],
    ] as const
  ) {
    const { logged } = await run(asking(url, { name: "db.internal" }), [READ]);
    const why = `the permission is missing, run with --allow-net=${host}`;
    const server = new URL(url).host;
    assertEquals(logged, ["config", `Cannot look up A of "db.internal" at ${server}: ${why}`]);
  }
});

Deno.test("denoLookup asks for a name that Deno refuses with wire, if that is permitted", async () => {
  await using all = await servers();
  const server = all.v4;
  const program = asking("system", { name: "my_db.internal", server });
  const { logged } = await run(program, [READ, `--allow-net=0.0.0.0:0,${server.address}`]);
  assertEquals(logged, [60, "127.0.0.2"]);
  assertEquals(server.count("my_db.internal"), 1);
});

Deno.test("denoLookup asks over TCP for a name that Deno refuses, if datagrams are not permitted", async () => {
  await using all = await servers();
  const server = all.v4;
  const program = asking("system", { name: "my_db.internal", server });
  const { logged } = await run(program, [READ, `--allow-net=${server.address}`]);
  assertEquals(logged, [60, "127.0.0.2"]);
  assertEquals(server.queries.map(({ protocol }) => protocol), ["tcp"]);
});

Deno.test("denoLookup reports the permission that it lacks for a name that Deno refuses", async () => {
  await using all = await servers();
  const server = all.v4;
  const { logged } = await run(asking("system", { name: "my_db.internal", server }), [READ]);
  const why = `the permission is missing, run with --allow-net=${server.address}`;
  const message = `Cannot look up A of "my_db.internal" at ${server.address}: ${why}`;
  assertEquals(logged, ["config", message]);
});

Deno.test("denoLookup asks the operating system for a name that Deno refuses, if it knows no server", async () => {
  const permissions = [READ, "--deny-read=/etc/resolv.conf", "--allow-net"];
  const { logged } = await run(asking("system", { name: "my_db.invalid" }), permissions);
  const [kind, message] = logged as string[];
  // The reason depends on the machine.
  assert(message!.startsWith('Cannot look up A of "my_db.invalid" at the operating system: '));
  assert(kind === "ambiguous" || kind === "transient", kind);
});

Deno.test("denoLookup asks over TCP for a name in the hosts file, if that may not answer and datagrams are not permitted", async () => {
  await using all = await servers();
  using files = systemFiles();
  files.write("hosts", "10.0.0.66 db.internal\n");
  using _ = denying(noDatagrams);
  const { signal } = new AbortController();
  const question = { name: "db.internal", family: 4 as const, server: all.v4, signal };
  assertEquals((await denoLookup.lookup(question)).addresses, ["127.0.0.2"]);
  assertEquals(all.v4.queries.map(({ protocol }) => protocol), ["tcp"]);
});

Deno.test("wire keeps the process alive until a question is answered, unless the question has unref", async () => {
  await using all = await servers();
  const server = all.v4;
  server.fault("db.internal", { drop: true });
  server.fault("my_db.internal", [{ protocol: "udp", truncate: true }, { drop: true }]);
  const permissions = [READ, `--allow-net=0.0.0.0:0,${server.address}`];
  for (const name of ["db.internal", "my_db.internal"]) {
    const held = await run(asking("wire", { name, server, patience: 600 }), permissions);
    assertEquals(held.logged, ["silence", null]);
    const question = { name, server, unref: true };
    const free = await run(asking("wire", question), permissions);
    assertEquals(free.logged, "asked");
    assert(free.lingered < 2, `${free.lingered} s`);
  }
});

Deno.test("denoLookup asks for an absolute name with its trailing dot", async () => {
  using _ = denying((asked) => noDatagrams(asked) || asked.name === "sys");
  const real = Deno.resolveDns;
  const asked: string[] = [];
  try {
    Deno.resolveDns = ((name: string) => {
      asked.push(name);
      return Promise.resolve(["10.0.0.2"]);
    }) as unknown as typeof Deno.resolveDns;
    const { signal } = new AbortController();
    for (const absolute of [true, false]) {
      const server = { host: "127.0.0.1", port: 9 };
      await denoLookup.lookup({ name: "db.internal", absolute, family: 4, server, signal });
    }
  } finally {
    Deno.resolveDns = real;
  }
  assertEquals(asked, ["db.internal.", "db.internal"]);
});

Deno.test("denoLookup asks once, whatever the permissions", async () => {
  await using all = await servers();
  const server = all.v4;
  const { signal } = new AbortController();
  const question = { name: "db.internal", family: 4 as const, server, signal };
  const cases = [
    { denied: () => false, ttl: 60 },
    { denied: noDatagrams, ttl: 5 },
    { denied: (asked: Deno.PermissionDescriptor) => asked.name !== "read", ttl: undefined },
  ];
  for (const { denied, ttl } of cases) {
    using _ = denying(denied);
    const before = server.count("db.internal");
    const answer = await denoLookup.lookup(question);
    assertEquals([answer.addresses, answer.ttl], [["127.0.0.2"], ttl]);
    assertEquals(server.count("db.internal") - before, 1);
  }
});

Deno.test("denoLookup asks for AAAA once if there is no A record: two questions for a name with AAAA only", async () => {
  await using server = await DnsServer.start();
  server.set("v6.internal", ["::1"], { ttl: 60 });
  const options = { dnsNameservers: [server.address], dnsFallback: false };
  assertEquals(await getIpWithTtl("v6.internal", options), ["::1", 60]);
  assertEquals(server.queries.map(({ type }) => type), ["A", "AAAA"]);
});

Deno.test("systemServers() names no server that the machine is not configured with, as Deno's node:dns does", () => {
  // The file may not be read, and node:dns says what it names without one that it understands.
  using _ = denying((asked) => asked.name === "read");
  const real = dns.Resolver.prototype.getServers;
  const google = ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"];
  try {
    for (
      const [said, expected] of [
        [google.flatMap((server) => [server, server]), []],
        [["8.8.8.8", "8.8.8.8", "8.8.4.4", "8.8.4.4"], ["8.8.8.8", "8.8.4.4"]],
        [["10.0.0.2"], ["10.0.0.2"]],
      ] as [string[], string[]][]
    ) {
      dns.Resolver.prototype.getServers = () => said;
      assertEquals(systemServers().map(({ host }) => host), expected);
    }
  } finally {
    dns.Resolver.prototype.getServers = real;
  }
});
