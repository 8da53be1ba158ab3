/**
 * The data that a new MariaDB server starts from: initialized once, then copied for each server.
 *
 * @module
 */

import { run } from "./processes.ts";
import type { Programs, Waiting } from "./programs.ts";
import { makeOwned } from "./work_dir.ts";

/** The programs, and the directory for everything that the lab makes with them. */
export type MariadbPrograms = Programs<"mariadbd" | "mariadb-install-db">;

/** The user, and the database to create. */
interface DataOptions extends Waiting {
  user: string;
  password: string;
  database: string;
}

/** The name of the administrator. */
export const ADMIN = "root";

/** Privileges that the user does not get, so that `read_only` and `max_connections` hold for it. */
const WITHHELD = "SUPER, READ ONLY ADMIN, CONNECTION ADMIN";

/** Returns a directory with the data of a new server, to be copied. */
export function freshData(
  options: DataOptions,
  programs: MariadbPrograms,
  settings: readonly string[],
): Promise<string> {
  const { user, password, database } = options;
  return programs.template(
    ["MariaDB", user, password, database],
    (dir) => initialize(dir, options, programs, settings),
  );
}

async function initialize(
  dir: string,
  options: DataOptions,
  programs: MariadbPrograms,
  settings: readonly string[],
): Promise<void> {
  const { onProgress, signal } = options;
  const { workDir: cwd, owner, version } = programs;
  onProgress?.(`Initializing a MariaDB ${version} database`);
  await makeOwned({ owner }, dir);
  // A directory of its own for temporary tables: a server that starts removes those of others that share it.
  const common = ["--no-defaults", `--datadir=${dir}`, `--tmpdir=${dir}`, ...settings];
  // "--force": it does not look up this machine's name, for users that are removed at once.
  const how = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"];
  await run(programs.program("mariadb-install-db"), [...common, ...how], { cwd, owner, signal });
  const args = [...common, "--bootstrap"];
  const input = statements(options);
  await run(programs.program("mariadbd"), args, { cwd, owner, signal, input });
}

/** Returns the statements for the two users and the database, one a line, as `--bootstrap` reads them. */
function statements({ user, password, database }: DataOptions): string {
  const secret = literal(password);
  const list = [
    // The grant tables are not in use yet: the first statement changes that, the last loads them without the others.
    "FLUSH PRIVILEGES",
    "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys'",
    "DELETE FROM mysql.proxies_priv",
    "FLUSH PRIVILEGES",
    `CREATE DATABASE ${"`"}${database.replaceAll("`", "``")}${"`"} CHARACTER SET utf8mb4`,
    `CREATE USER ${literal(ADMIN)}@'%' IDENTIFIED BY ${secret}`,
    `GRANT ALL PRIVILEGES ON *.* TO ${literal(ADMIN)}@'%' WITH GRANT OPTION`,
  ];
  if (user !== ADMIN) {
    list.push(
      `CREATE USER ${literal(user)}@'%' IDENTIFIED BY ${secret}`,
      `GRANT ALL PRIVILEGES ON *.* TO ${literal(user)}@'%'`,
      `REVOKE ${WITHHELD} ON *.* FROM ${literal(user)}@'%'`,
    );
  }
  return list.map((statement) => `${statement};\n`).join("");
}

/** Returns a text as a literal of SQL. */
function literal(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
