import { assertEquals } from "@std/assert";
import type { HostAnswer } from "../../cli/answer.ts";
import { type Facts, type Finding, findingsOf, type HostFacts } from "../../cli/findings.ts";
import { type ServerReport, versionOf } from "../../cli/servers.ts";

const ANSWER: HostAnswer = {
  host: "db.internal",
  addresses: ["10.0.0.1"],
  ttl: 30,
  chain: [],
  server: "10.0.0.53:53",
  source: "dns",
  lookup: "system",
  took: 0.001,
};

const PRIMARY: ServerReport = {
  host: "db.internal",
  address: "10.0.0.1",
  port: 5432,
  connect: 0.01,
  tls: "name",
  role: { standby: false, readOnly: false },
  version: "PostgreSQL 18.4",
  error: undefined,
};
const STANDBY: ServerReport = {
  ...PRIMARY,
  address: "10.0.0.2",
  role: { standby: true, readOnly: true },
};
const REFUSING: ServerReport = {
  ...PRIMARY,
  address: "10.0.0.3",
  connect: undefined,
  tls: "unknown",
  role: undefined,
  version: undefined,
  error: { code: "ECONNREFUSED", message: "it refused" },
};

/** Changes of the facts: those of the one host are given by themselves. */
type Changes = Partial<Facts & HostFacts>;

function judge({ answer = ANSWER, exactTtl, ...changes }: Changes): readonly Finding[] {
  return findingsOf({
    hosts: [{ answer, exactTtl }],
    servers: [PRIMARY],
    wanted: "any",
    ...changes,
  });
}

/** Returns the findings as `"warning long-ttl"`, with the address if there is one. */
function codes(changes: Changes): string[] {
  return judge(changes).map(({ level, code, address }) =>
    [level, code, address].filter((part) => part !== undefined).join(" ")
  );
}

Deno.test("findingsOf() finds nothing for one primary with a short TTL and a valid certificate", () => {
  assertEquals(codes({}), []);
  assertEquals(codes({ wanted: "read-write" }), []);
  assertEquals(codes({ servers: [{ ...PRIMARY, tls: "none" }] }), []);
  assertEquals(codes({ servers: [{ ...PRIMARY, tls: "unknown", role: undefined }] }), []);
});

Deno.test("findingsOf() warns of a TTL over 60 seconds, and uses the exact one if it is known", () => {
  const table: [ttl: number | undefined, exactTtl: number | undefined, expected: string[]][] = [
    [60, undefined, []],
    [61, undefined, ["warning long-ttl"]],
    [undefined, undefined, []],
    [5, 300, ["warning long-ttl"]],
    [5, 60, []],
    [undefined, 300, ["warning long-ttl"]],
  ];
  for (const [ttl, exactTtl, expected] of table) {
    assertEquals(codes({ answer: { ...ANSWER, ttl }, exactTtl }), expected);
  }
  const [{ message }] = judge({ exactTtl: 300 }) as [Finding];
  assertEquals(message.startsWith("The TTL is 300 seconds: "), true);
});

Deno.test("findingsOf() warns if the runtime reports a longer TTL than that of the chain", () => {
  assertEquals(codes({ answer: { ...ANSWER, ttl: 5 }, exactTtl: 2 }), ["warning chain-ttl"]);
  assertEquals(codes({ answer: { ...ANSWER, ttl: 5 }, exactTtl: 5 }), []);
  assertEquals(codes({ answer: { ...ANSWER, ttl: 300 }, exactTtl: 61 }), [
    "warning long-ttl",
    "warning chain-ttl",
  ]);
});

Deno.test("findingsOf() warns of a URL without a name, and of a name that DNS does not have", () => {
  assertEquals(codes({ answer: { ...ANSWER, source: "none", ttl: undefined } }), [
    "warning no-name",
  ]);
  assertEquals(codes({ answer: { ...ANSWER, source: "os", ttl: 5 } }), ["warning not-in-dns"]);
  assertEquals(codes({ answer: { ...ANSWER, source: "hosts", ttl: 5 } }), ["warning in-hosts"]);
  // Among several hosts, an address is as good as a name.
  const answer: HostAnswer = { ...ANSWER, source: "none", ttl: undefined };
  const address = { answer, exactTtl: undefined };
  assertEquals(codes({ hosts: [address, address] }), []);
});

Deno.test("findingsOf() reports an address without a connection as a failure, before warnings", () => {
  assertEquals(codes({ answer: { ...ANSWER, ttl: 300 }, servers: [PRIMARY, STANDBY, REFUSING] }), [
    "failure no-connection 10.0.0.3",
    "warning long-ttl",
    "warning standby 10.0.0.2",
  ]);
});

Deno.test("findingsOf() reports a certificate that fails the handshake as a failure of its own", () => {
  for (const tls of ["wrong name", "expired", "not trusted", "not offered"] as const) {
    assertEquals(codes({ servers: [PRIMARY, { ...REFUSING, tls }] }), [
      "failure certificate 10.0.0.3",
    ]);
  }
});

Deno.test("findingsOf() warns of a certificate that is not verified", () => {
  const servers = [{ ...PRIMARY, tls: "chain" }, { ...STANDBY, tls: "nothing" }] as const;
  assertEquals(codes({ servers, wanted: "read-write" }), [
    "warning certificate-unchecked 10.0.0.1",
    "warning certificate-unchecked 10.0.0.2",
  ]);
});

Deno.test("findingsOf() warns of a standby if the pool accepts any server", () => {
  const servers = [PRIMARY, STANDBY];
  assertEquals(codes({ servers }), ["warning standby 10.0.0.2"]);
  for (const wanted of ["read-write", "primary", "standby", "prefer-standby"] as const) {
    assertEquals(codes({ servers, wanted }), []);
  }
  const readOnly = { ...PRIMARY, role: { standby: false, readOnly: true } };
  assertEquals(codes({ servers: [readOnly] }), ["warning standby 10.0.0.1"]);
});

Deno.test("findingsOf() reports that no server has the required role, unless no role is known", () => {
  assertEquals(codes({ servers: [STANDBY], wanted: "read-write" }), ["failure no-such-role"]);
  assertEquals(codes({ servers: [PRIMARY], wanted: "standby" }), ["failure no-such-role"]);
  assertEquals(codes({ servers: [PRIMARY], wanted: "prefer-standby" }), []);
  assertEquals(codes({ servers: [{ ...PRIMARY, role: undefined }], wanted: "standby" }), []);
  assertEquals(codes({ servers: [REFUSING], wanted: "standby" }), [
    "failure no-connection 10.0.0.3",
  ]);
});

Deno.test("findingsOf() warns of several primaries, whatever role the pool requires", () => {
  const servers = [PRIMARY, { ...PRIMARY, address: "10.0.0.9" }];
  for (const wanted of ["any", "read-write"] as const) {
    assertEquals(codes({ servers, wanted }), ["warning several-primaries"]);
  }
  assertEquals(judge({ servers })[0]!.message.includes("10.0.0.1, 10.0.0.9"), true);
});

Deno.test("versionOf() returns name and version of each server", () => {
  const table: [unknown, string | undefined][] = [
    ["PostgreSQL 18.4 on x86_64-pc-linux-gnu, compiled by gcc", "PostgreSQL 18.4"],
    ["PostgreSQL 15.4 (Debian 15.4-1) on x86_64", "PostgreSQL 15.4"],
    ["CockroachDB CCL v23.1.0 (x86_64-linux)", "CockroachDB CCL v23.1.0"],
    ["8.4.2", "MySQL 8.4.2"],
    ["8.0.36-0ubuntu0.22.04.1", "MySQL 8.0.36"],
    ["11.4.3-MariaDB-1", "MariaDB 11.4.3"],
    ["red \x1b[31m", "red \u{fffd}[31m"],
    ["", undefined],
    [undefined, undefined],
    [5, undefined],
  ];
  for (const [version, expected] of table) assertEquals(versionOf(version), expected);
});

Deno.test("findingsOf() reports trials that failed, and that no server has notifications", () => {
  const failed = { error: { code: undefined, message: "no answer" } };
  const done = { took: 0.1 };
  const wanted = "standby";
  const servers = [{ ...STANDBY, settings: failed }, {
    ...PRIMARY,
    listen: failed,
    settings: done,
  }];
  assertEquals(codes({ servers, wanted, listens: true }), [
    "failure no-setting 10.0.0.2",
    "failure no-notification 10.0.0.1",
  ]);
  assertEquals(codes({ servers: [STANDBY], wanted, listens: true }), ["failure no-notification"]);
  assertEquals(codes({ servers: [STANDBY], wanted }), []);
  assertEquals(codes({ servers: [REFUSING], listens: true }), ["failure no-connection 10.0.0.3"]);
});
