/**
 * The data that a new MariaDB server starts from: initialised once, then copied for each server.
 *
 * @module
 */

import path from "node:path";
import { run } from "./processes.ts";
import type { Programs, Waiting } from "./programs.ts";
import { makeOwned } from "./work_dir.ts";

/** The programs and the directory for all that the lab makes with them. */
export type MariadbPrograms = Programs<"mariadbd" | "mariadb-install-db">;

/** For whom. */
interface DataOptions extends Waiting {
  user: string;
  password: string;
  database: string;
}

/** Whoever may do all. */
export const ADMIN = "root";

/** What the user may not do, so that `read_only` and `max_connections` hold for it as for anybody. */
const WITHHELD = "SUPER, READ ONLY ADMIN, CONNECTION ADMIN";

let count = 0;

/** A directory with the data that a new server starts from, to be copied. */
export function freshData(
  options: DataOptions,
  programs: MariadbPrograms,
  settings: readonly string[],
): Promise<string> {
  const { user, password, database } = options;
  const key = JSON.stringify([user, password, database]);
  return programs.template(key, () => initialise(options, programs, settings));
}

async function initialise(
  options: DataOptions,
  programs: MariadbPrograms,
  settings: readonly string[],
): Promise<string> {
  const { onProgress, signal } = options;
  const { workDir: cwd, owner, version } = programs;
  onProgress?.(`Initialising a MariaDB ${version} database`);
  const dir = path.join(cwd, `template-${++count}`);
  await makeOwned({ owner }, dir);
  // A directory of its own for temporary tables: a server that starts removes those of others that share it.
  const common = ["--no-defaults", `--datadir=${dir}`, `--tmpdir=${dir}`, ...settings];
  // "--force": it does not look up this machine's name, for users that are removed at once.
  const how = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"];
  await run(programs.program("mariadb-install-db"), [...common, ...how], { cwd, owner, signal });
  const input = users(options);
  await run(programs.program("mariadbd"), [...common, "--bootstrap"], {
    cwd,
    owner,
    signal,
    input,
  });
  return dir;
}

/** Statements, one a line, as `--bootstrap` reads them, for the two users and the database. */
function users({ user, password, database }: DataOptions): string {
  const secret = text(password);
  const statements = [
    // The grant tables are not in use yet: the first statement changes that, the last finds nobody else in them.
    "FLUSH PRIVILEGES",
    "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys'",
    "DELETE FROM mysql.proxies_priv",
    "FLUSH PRIVILEGES",
    `CREATE DATABASE ${"`"}${database.replaceAll("`", "``")}${"`"} CHARACTER SET utf8mb4`,
    `CREATE USER ${text(ADMIN)}@'%' IDENTIFIED BY ${secret}`,
    `GRANT ALL PRIVILEGES ON *.* TO ${text(ADMIN)}@'%' WITH GRANT OPTION`,
  ];
  if (user !== ADMIN) {
    statements.push(
      `CREATE USER ${text(user)}@'%' IDENTIFIED BY ${secret}`,
      `GRANT ALL PRIVILEGES ON *.* TO ${text(user)}@'%'`,
      `REVOKE ${WITHHELD} ON *.* FROM ${text(user)}@'%'`,
    );
  }
  return statements.map((statement) => `${statement};\n`).join("");
}

/** A string literal. */
function text(value: string): string {
  return `'${value.replace(/[\\']/g, "\\$&")}'`;
}
