/**
 * The programs of `bench/cold.ts`: each connects once, as its pool's documentation says, and prints that it has a row.
 *
 * @module
 */

/** A contender. */
export interface Contender {
  /** Its name in the tables. */
  readonly name: string;
  readonly database: "postgres" | "mariadb";
  /** The contender that it is compared with: the pool of the same driver. */
  readonly peer: string;
  /** Imports, and code that sets `row`. `HOST`, `PORT` and `URL` are set, `@dnspool/dnspool` is ours. */
  readonly program: string;
}

const CONFIG = `{ host: HOST, port: PORT, user: USER, password: PASSWORD, database: DATABASE }`;
const STATEMENT = `"SELECT 1 AS one"`;

const engine = (driver: string) => `
import { getDnsEngine } from "@dnspool/dnspool";
const engine = getDnsEngine(\`${driver}://\${USER}:\${PASSWORD}@\${HOST}:\${PORT}/\${DATABASE}\`);
const [row] = await engine.query(${STATEMENT});
`;

const pg = (imports: string, pool: string) => `
import pg from "pg";
${imports}
const { rows: [row] } = await new ${pool}(${CONFIG}).query(${STATEMENT});
`;

const postgresjs = (imports: string, postgres: string) => `
import postgres from "postgres";
${imports}
const [row] = await ${postgres}(${CONFIG})\`SELECT 1 AS one\`;
`;

const mysql2 = (imports: string, pool: string) => `
import mysql from "mysql2/promise";
${imports}
const [[row]] = await ${pool}.query(${STATEMENT});
`;

const mariadb = (imports: string, pool: string) => `
import mariadb from "mariadb";
${imports}
const [row] = await ${pool}.query(${STATEMENT});
`;

const dropIn = (name: string, file: string) =>
  `import { ${name} } from "@dnspool/dnspool/drop_in/${file}";`;

const PG = { database: "postgres", peer: "pg.Pool" } as const;
const POSTGRESJS = { database: "postgres", peer: "postgres.js" } as const;
const MYSQL2 = { database: "mariadb", peer: "mysql2's pool" } as const;
const MARIADB = { database: "mariadb", peer: "mariadb's pool" } as const;

/** All contenders. */
export const CONTENDERS: readonly Contender[] = [
  { name: "pg.Pool", ...PG, program: pg("", "pg.Pool") },
  { name: "dnspool, pg", ...PG, program: engine("postgresql+pg") },
  {
    name: "dnspool's drop-in, pg",
    ...PG,
    program: pg(dropIn("dnsPg", "pg_pool"), "(dnsPg(pg).Pool)"),
  },
  { name: "postgres.js", ...POSTGRESJS, program: postgresjs("", "postgres") },
  { name: "dnspool, postgres.js", ...POSTGRESJS, program: engine("postgresql+postgresjs") },
  {
    name: "dnspool's drop-in, postgres.js",
    ...POSTGRESJS,
    program: postgresjs(dropIn("dnsPostgres", "postgresjs"), "dnsPostgres(postgres)"),
  },
  { name: "mysql2's pool", ...MYSQL2, program: mysql2("", `mysql.createPool(${CONFIG})`) },
  { name: "dnspool, mysql2", ...MYSQL2, program: engine("mysql+mysql2") },
  {
    name: "dnspool's drop-in, mysql2",
    ...MYSQL2,
    program: mysql2(dropIn("dnsMysql2", "mysql2_pool"), `dnsMysql2(mysql).createPool(${CONFIG})`),
  },
  { name: "mariadb's pool", ...MARIADB, program: mariadb("", `mariadb.createPool(${CONFIG})`) },
  { name: "dnspool, mariadb", ...MARIADB, program: engine("mariadb+mariadb") },
  {
    name: "dnspool's drop-in, mariadb",
    ...MARIADB,
    program: mariadb(
      dropIn("dnsMariadb", "mariadb_pool"),
      `dnsMariadb(mariadb).createPool(${CONFIG})`,
    ),
  },
];

/**
 * Returns the text of a contender's program. It prints a line when it has its row, with the CPU time of the process in
 * milliseconds.
 */
export function programOf({ program }: Contender, login: Readonly<Record<string, string>>): string {
  const [imports, code] = [/^import .*$/gm, /^(?!import ).*$/gm].map((lines) =>
    program.match(lines)!.join("\n")
  );
  return `import process from "node:process";
${imports}
const [HOST, port] = process.argv.slice(2);
const PORT = Number(port);
const [USER, PASSWORD, DATABASE] = ${JSON.stringify([login.user, login.password, login.database])};
${code}
if (Number(row.one) !== 1) throw new Error("not the row");
const { user, system } = process.cpuUsage();
process.stdout.write(\`\${(user + system) / 1000}\\n\`);
process.exit(0);
`;
}
