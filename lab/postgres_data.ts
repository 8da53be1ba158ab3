/**
 * The data that a new PostgreSQL server starts from: initialized once, then copied for each server.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import path from "node:path";
import type { PostgresBinaries } from "./postgres_binaries.ts";
import { run } from "./processes.ts";
import type { Waiting } from "./programs.ts";
import { makeOwned, writeOwned } from "./work_dir.ts";

/** The superuser, and the database to create besides `postgres`. */
interface DataOptions extends Waiting {
  user: string;
  password: string;
  database?: string | undefined;
}

/** Turns a copy of a stopped server's data into the data of its hot standby. */
export async function makeStandby(
  dir: string,
  primary: { host: string; port: number; user: string; password: string },
  binaries: PostgresBinaries,
): Promise<void> {
  const names = ["host", "port", "user", "password"] as const;
  const info = names.map((name) => `${name}='${String(primary[name]).replace(/[\\']/g, "\\$&")}'`);
  const settings = {
    primary_conninfo: info.join(" "),
    wal_retrieve_retry_interval: "100ms", // not 5 s: the primary may start after it
  };
  const lines = Object.entries(settings).map(([name, value]) =>
    `${name} = '${value.replace(/[\\']/g, "$&$&")}'\n`
  );
  await writeOwned(binaries, path.join(dir, "postgresql.auto.conf"), lines.join(""));
  await writeOwned(binaries, path.join(dir, "standby.signal"), "");
}

/** Returns a directory with the data of a new server, to be copied: `initdb` takes longer than a copy. */
export function freshData(options: DataOptions, binaries: PostgresBinaries): Promise<string> {
  const { user, password, database } = options;
  return binaries.template(
    ["PostgreSQL", user, password, database],
    (dir) => initialize(dir, options, binaries),
  );
}

/** Returns the text of pg_hba.conf: `first`, then lines that let all users in by password. */
export function hbaText(first: readonly string[]): string {
  const own = ["host all all all scram-sha-256", "host replication all all scram-sha-256"];
  return [...first, ...own].map((line) => `${line}\n`).join("");
}

async function initialize(
  dir: string,
  options: DataOptions,
  binaries: PostgresBinaries,
): Promise<void> {
  const { user, password, database, onProgress, signal } = options;
  const { workDir: cwd, owner, version } = binaries;
  onProgress?.(`Initializing a PostgreSQL ${version} database`);
  await makeOwned({ owner }, dir);
  const pwfile = path.join(cwd, `password-${path.basename(dir)}`);
  await writeOwned(binaries, pwfile, password);
  try {
    const how = ["--auth=scram-sha-256", `--username=${user}`, `--pwfile=${pwfile}`];
    const what = ["--no-locale", "--encoding=UTF8", "--no-data-checksums", "--wal-segsize=1"];
    await run(
      binaries.program("initdb"),
      ["-D", dir, ...how, ...what, "--no-sync", "--no-instructions"],
      { cwd, owner, signal },
    );
  } finally {
    await rm(pwfile, { force: true });
  }
  await writeOwned(binaries, path.join(dir, "pg_hba.conf"), hbaText([]));
  if (database !== undefined && database !== "postgres") {
    const input = `CREATE DATABASE "${database.replaceAll('"', '""')}";\n`;
    const args = ["--single", "-D", dir, "-c", "fsync=off", "postgres"];
    await run(binaries.program("postgres"), args, { cwd, owner, signal, input });
  }
}
