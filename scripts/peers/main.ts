/**
 * `deno task peers`: the tests of drivers and ORMs, each suite once with the driver's own pool and once with the drop-in
 * in its place, and the difference. Fetches nothing: it is given checkouts of their repositories, with their
 * dependencies installed and, for Kysely and Drizzle, built.
 *
 *     deno task peers --node-postgres=DIR --mysql2=DIR --kysely=DIR --knex=DIR --postgresjs=DIR
 *         --drizzle=DIR --mariadb=DIR
 *
 * Node is that of the PATH, the servers are those of the lab. Exit status: 0; 1 if a test has another outcome with the
 * drop-in that `differences.ts` does not list, and a second time the same.
 *
 * @module
 */

import { makeAuthority } from "../../lab/certificates.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { bundleForPrograms } from "../test/runtimes/bundle.ts";
import { DIFFERENCES } from "./differences.ts";
import { type Checkouts, type Outcomes, type Suite, suitesOf } from "./suites.ts";

const OPTIONS = [
  "node-postgres",
  "mysql2",
  "kysely",
  "knex",
  "postgresjs",
  "drizzle",
  "mariadb",
] as const;

function readCheckouts(args: readonly string[]): Checkouts {
  const checkouts: Record<string, string> = {};
  for (const arg of args) {
    const [, name, dir] = /^--([\w-]+)=(.+)$/.exec(arg) ?? [];
    if (!name || !dir || !OPTIONS.includes(name as typeof OPTIONS[number])) {
      console.error(
        `Cannot read "${arg}": give ${OPTIONS.map((each) => `--${each}=DIR`).join(", ")}`,
      );
      Deno.exit(2);
    }
    checkouts[name] = Deno.realPathSync(dir);
  }
  return checkouts;
}

/** Runs a suite, with the drop-in if there is a preload. */
async function run(suite: Suite, preload: Record<string, string>): Promise<Outcomes> {
  const outcomes: Record<string, string> = {};
  for (const part of suite.parts) Object.assign(outcomes, await part(preload));
  return outcomes;
}

const count = (outcomes: Outcomes, wanted: string) =>
  Object.values(outcomes).filter((outcome) => outcome === wanted).length;

/** Compares two runs of a suite; returns the tests with another outcome for which no reason is listed, and both outcomes. */
function compare({ name }: Suite, original: Outcomes, dropIn: Outcomes): Map<string, string> {
  const describe = (outcomes: Outcomes) =>
    `${count(outcomes, "passed")} passed, ${count(outcomes, "failed")} failed`;
  console.log(`${name}: original ${describe(original)}; drop-in ${describe(dropIn)}`);
  const unlisted = new Map<string, string>();
  for (const test of new Set([...Object.keys(original), ...Object.keys(dropIn)])) {
    const [before = "missing", now = "missing"] = [original[test], dropIn[test]];
    if (before === now) continue;
    const reason = DIFFERENCES[name]?.[test];
    if (reason === undefined) unlisted.set(test, `${before}, ${now}`);
    console.log(`  ${test}: ${before}, ${now}${reason ? ` (${reason})` : ""}`);
  }
  return unlisted;
}

const checkouts = readCheckouts(Deno.args);
const dir = await Deno.makeTempDir({ prefix: "dnspool-peers-" });
await bundleForPrograms(`${dir}/package`);
// The tests connect to localhost.
const place = async () => ({ host: "127.0.0.1", port: await freePort(["127.0.0.1"]) });
await using postgres = await startPostgres({
  ...await place(),
  user: "kysely",
  password: "kysely",
  database: "kysely_test",
});
await using mariadb = await startMariadb({
  ...await place(),
  user: "kysely",
  password: "kysely",
  database: "kysely_test",
});
await using replicating = await startPostgres({
  ...await place(),
  user: "postgres",
  password: "postgres",
  settings: {
    wal_level: "logical",
    max_wal_senders: 10,
    max_prepared_transactions: 10,
    synchronous_commit: true,
    unix_socket_directories: "/tmp", // its tests have the path in their text
  },
  tls: await (await makeAuthority()).issue({ names: ["localhost"], ips: ["127.0.0.1"] }),
  hba: [
    "local all all trust",
    "host all postgres samehost trust",
    "host postgres_js_test postgres_js_test samehost trust",
    "host postgres_js_test postgres_js_test_md5 samehost md5",
    "host postgres_js_test postgres_js_test_scram samehost scram-sha-256",
  ],
});
await using second = await startPostgres({
  ...await place(),
  user: "postgres",
  password: "postgres",
  hba: ["host all postgres samehost trust"],
});
let unlisted = 0;
for (const suite of suitesOf(checkouts, { postgres, mariadb, replicating, second, dir })) {
  const original = await run(suite, {});
  const used = await Deno.makeTempFile({ dir });
  const preload = {
    NODE_OPTIONS: `--import ${new URL("substitute.mjs", import.meta.url)}`,
    DNSPOOL_PEERS: JSON.stringify({ package: `${dir}/package`, targets: suite.targets, used }),
  };
  const differing = compare(suite, original, await run(suite, preload));
  if (differing.size > 0) {
    // On a busy machine, tests with short times fail with the original as well: what counts is the same difference twice.
    console.log(`${suite.name}: once more`);
    const again = compare(suite, await run(suite, {}), await run(suite, preload));
    unlisted += [...again].filter(([test, both]) => differing.get(test) === both).length;
  }
  const replaced = (await Deno.readTextFile(used)).split("\n");
  for (const kind of suite.replaces) {
    if (replaced.includes(kind)) continue;
    console.log(`${suite.name}: the drop-in for ${kind} was never used`);
    unlisted++;
  }
}
await Deno.remove(dir, { recursive: true });
if (unlisted > 0) Deno.exitCode = 1;
