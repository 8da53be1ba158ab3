/**
 * What clients saw when something happened to their server, as `deno task record` keeps it, and what a pool has to do
 * about each event.
 *
 * @module
 */

import type { Verdict } from "../../adapters/adapter.ts";

/** An error as it is kept. */
export interface Portrait {
  readonly class: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly cause?: Portrait;
}

/** The recordings of one driver. */
export interface Fixture {
  readonly driver: string;
  readonly runtime: string;
  readonly errors: readonly Portrait[];
  /** Steps by server, event and state. */
  readonly seen: Readonly<
    Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>
  >;
}

/** A step. */
export interface Step {
  readonly what: string;
  readonly error: Portrait | undefined;
}

/** One connection in one event. */
export interface Recording {
  readonly server: string;
  readonly event: string;
  readonly state: string;
  readonly steps: readonly Step[];
}

/** Returns the recordings of a fixture. */
export function* recordingsOf({ seen, errors }: Fixture): Generator<Recording> {
  for (const [server, events] of Object.entries(seen)) {
    for (const [event, states] of Object.entries(events)) {
      for (const [state, text] of Object.entries(states)) {
        const steps = text.split(", ").filter((step) => step !== "").map((step) => {
          const [, what = step, number] = /^(.+?)(?: (\d+))?$/.exec(step) ?? [];
          return { what, error: number === undefined ? undefined : errors[Number(number)] };
        });
        yield { server, event, state, steps };
      }
    }
  }
}

/** Returns whether an error has the words of a server; all others are those of the driver or of the socket. */
export function isFromServer({ fields = {} }: Portrait): boolean {
  const { severity, severity_local, code, errno, sqlState } = fields;
  if (severity !== undefined || severity_local !== undefined) return true;
  if (/^ERR_MYSQL_SERVER_ERROR$/.test(String(code))) return true;
  return sqlState !== undefined && typeof errno === "number" && errno > 0 && errno < 45_000;
}

/** Returns the code by which documentation names an error of a server. */
export function codeOf({ fields = {} }: Portrait): string {
  const { code, errno, sqlState } = fields;
  return String(sqlState !== undefined || /^ERR_/.test(String(code)) ? errno : code);
}

/** What a pool has to make of the words of the server: in the session, and at a connect afterwards. */
export interface Expectation {
  readonly said?: Verdict;
  readonly connect?: Verdict;
}

/** The statement failed; the connection is as good as before. */
const STATEMENT: Expectation = {};
/** This session is over; the others may be as good as before, or about to end. */
const SESSION: Expectation = { said: "closed" };
/** There is no room: later there may be. */
const FULL: Expectation = { connect: "closed" };
/** The server is lost. */
const SERVER: Expectation = { said: "disconnect", connect: "disconnect" };
/** The server takes no writes. */
const READ_ONLY: Expectation = { said: "read-only" };
/** The login is refused, and will be. */
const REFUSED: Expectation = {};

/** What a pool has to do, by kind of server and event. What ends without a word is always "disconnect". */
export const EXPECTED: Readonly<Record<string, Readonly<Record<string, Expectation>>>> = {
  PostgreSQL: {
    "pg_ctl stop -m smart": { connect: "disconnect" },
    // The same words as those of pg_terminate_backend.
    "pg_ctl stop -m fast": { said: "closed", connect: "disconnect" },
    "pg_ctl stop -m immediate": SERVER,
    "kill -9 of the postmaster": SERVER,
    "kill -9 of another session": SERVER,
    "kill -9 of this session": SERVER,
    "pg_terminate_backend": SESSION,
    "pg_cancel_backend": STATEMENT,
    "statement_timeout": STATEMENT,
    "lock_timeout": STATEMENT,
    "deadlock": STATEMENT,
    "idle_session_timeout": SESSION,
    "idle_in_transaction_session_timeout": SESSION,
    "transaction_timeout": SESSION,
    "starting up": { connect: "disconnect" },
    "too many connections (max_connections)": FULL,
    "too many connections (CONNECTION LIMIT of the role)": FULL,
    "DROP DATABASE WITH (FORCE)": SESSION,
    "default_transaction_read_only": READ_ONLY,
    "wrong password": REFUSED,
    "no such role": REFUSED,
    "role without LOGIN": REFUSED,
    "no such database": REFUSED,
    "a write on a standby": READ_ONLY,
    "recovery conflict": SESSION,
    "recovery conflict, statement": STATEMENT,
    "DROP DATABASE on the primary": SESSION,
    "pg_promote": STATEMENT,
  },
  PgBouncer: {
    "its server is stopped": { said: "closed", connect: "closed" },
    "its server is killed": { said: "closed", connect: "closed" },
    "pg_terminate_backend of its session": SESSION,
    "query_wait_timeout": { said: "closed", connect: "closed" },
    "max_client_conn": FULL,
    "client_idle_timeout": SESSION,
    "idle_transaction_timeout": SESSION,
    "query_timeout": SESSION,
    "PAUSE": { said: "closed", connect: "closed" },
    "KILL": { said: "closed", connect: "closed" },
    "SHUTDOWN": SERVER,
    "kill -9": SERVER,
    // Its code is that of all that PgBouncer says.
    "no such database": FULL,
    "its server refuses its login": { said: "closed", connect: "closed" },
  },
  HAProxy: {
    "its server is killed": SERVER,
    "its server is frozen": STATEMENT,
    "stopped": SERVER,
    "kill -9": SERVER,
  },
  MariaDB: {
    "SHUTDOWN": SERVER,
    "kill -9 of the server": SERVER,
    "KILL CONNECTION": SERVER,
    "KILL QUERY": STATEMENT,
    "KILL QUERY of a statement on a table": STATEMENT,
    "wait_timeout": SERVER,
    "idle_transaction_timeout": SERVER,
    "max_statement_time": STATEMENT,
    "too many connections (max_connections)": FULL,
    "too many connections (max_user_connections)": FULL,
    "too many connections (MAX_USER_CONNECTIONS of the user)": FULL,
    "MAX_QUERIES_PER_HOUR of the user": STATEMENT,
    "read_only": READ_ONLY,
    "lock wait timeout": STATEMENT,
    "deadlock": STATEMENT,
    "wrong password": REFUSED,
    "no such database": REFUSED,
    "ACCOUNT LOCK": REFUSED,
    "max_connect_errors": REFUSED,
  },
  Galera: {
    "a node without its cluster": SERVER,
    "a commit on a node without its cluster": SERVER,
    "a commit while the cluster is lost": SERVER,
    "wsrep_reject_queries = ALL": SERVER,
    "wsrep_reject_queries = ALL_KILL": SERVER,
    "a conflict with another node": STATEMENT,
    "a node that is a donor": STATEMENT,
    "a node is stopped": SERVER,
  },
};

/** Returns what is expected of a recording; `undefined` if the event is unknown. */
export function expectationOf({ server, event }: Recording): Expectation | undefined {
  return EXPECTED[server.split(" ")[0]!]?.[event];
}

/** Returns the verdict that an error has to have. */
export function expectedVerdict(
  recording: Recording,
  step: Step,
): Verdict {
  if (!isFromServer(step.error!)) return "disconnect";
  // What fails behind the first error of a transaction is no news.
  if (step.what === "next" && codeOf(step.error!) === "25P02") return undefined;
  const expected = expectationOf(recording)!;
  return step.what === "connect" || step.what === "login" ? expected.connect : expected.said;
}

/** Rebuilds an error as the driver made it. */
export function rebuild(
  { class: name, message, fields = {}, cause }: Portrait,
  classes: Readonly<Record<string, (message: string, fields: Record<string, unknown>) => object>>,
): unknown {
  const { fields: nested, ...own } = fields;
  const error = classes[name]?.(message, own) ?? errorNamed(name, message);
  Object.defineProperty(error, "message", { value: message, configurable: true });
  Object.assign(error, own, nested !== undefined && { fields: nested });
  if (cause) Object.assign(error, { cause: rebuild(cause, classes) });
  return error;
}

function errorNamed(name: string, message: string): Error {
  if (name === "Error") return new Error(message);
  const own = class extends Error {};
  Object.defineProperty(own, "name", { value: name });
  return new own(message);
}

/** The words for states. */
const STATES: Readonly<Record<string, string>> = {
  "idle": "idle",
  "statement": "in a statement",
  "transaction": "in a transaction",
  "half a result": "half-way in a result",
  "login": "in a login",
};

/** Returns the steps that a client sees of its server, in their order, as text. */
function seenOf({ steps }: Recording): string {
  const seen: string[] = [];
  for (const { what, error } of steps) {
    if (what === "connect") break;
    if (what === "FIN" || what === "RST") seen.push(what);
    else if (what === "role") seen.push("a report of its role");
    else if (["notice", "reported", "login", "next"].includes(what) && error) {
      if (!isFromServer(error)) break;
      const isWarning = /^WARNING$/.test(String(error.fields?.severity));
      const word = `${codeOf(error)}${isWarning ? " as a warning" : ""}`;
      if (!seen.includes(word)) seen.push(word);
    } else if (what === "statement silent") seen.push("goes on");
    if (what === "next" || what === "next silent") break;
  }
  return seen.join(", ") || "nothing";
}

/** Returns what a connect ends with that is tried after the event. */
function connectOf({ steps }: Recording): string {
  const { what, error } = steps.at(-1)!;
  if (what === "connect silent") return "silence";
  if (!error) return "succeeds";
  if (isFromServer(error)) return codeOf(error);
  if (error.fields?.code === "ECONNREFUSED") return "refused";
  return steps.at(-2)?.what === "FIN" ? "FIN" : codeOf(error);
}

/** Returns the verdict of the first error, if there is one. */
function verdictOf(recording: Recording): string {
  const steps = recording.steps.filter(({ error, what }) => error && what !== "notice");
  const inSession = steps.filter(({ what }) => what !== "connect");
  const first = recording.state === "none" ? steps[0] : inSession[0];
  if (!first) return "none";
  const verdict = expectedVerdict(recording, first);
  return verdict === undefined ? "ordinary error" : `\`"${verdict}"\``;
}

/** Renders what the clients of one driver saw as a table; states that saw the same share a row. */
function renderTable(fixture: Fixture): string {
  const rows = [
    ["event", "the connection is", "its client sees", "a connect after it", "the verdict"],
    ["---", "---", "---", "---", "---"],
  ];
  const events = new Map<string, Map<string, string[]>>();
  for (const recording of recordingsOf(fixture)) {
    const { server, event, state } = recording;
    const title = server.startsWith("PostgreSQL") || server.startsWith("MariaDB")
      ? event
      : `${server.split(" ")[0]}: ${event}`;
    const states = events.get(title) ?? new Map<string, string[]>();
    events.set(title, states);
    const cells = [seenOf(recording), connectOf(recording), verdictOf(recording)];
    if (state === "none") cells[0] = "–";
    const key = cells.join("|");
    states.set(key, [...states.get(key) ?? [], STATES[state] ?? "not open"]);
  }
  for (const [title, states] of events) {
    for (const [key, names] of states) {
      const [seen = "", connect = "", verdict = ""] = key.split("|");
      rows.push([title, names.join(", "), seen, connect, verdict]);
    }
  }
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The marks around the tables in docs/reliability.md. */
const MARKS = ["<!-- recorded: written by `deno task record` -->", "<!-- /recorded -->"] as const;

/** Returns the part of a page that the tables stand in, without what formatting adds. */
export function tablesIn(page: string): string {
  const [from, to] = MARKS;
  const start = page.indexOf(from);
  const end = page.indexOf(to);
  if (start === -1 || end === -1) throw new Error("Cannot find the marks of the tables");
  return page.slice(start + from.length, end)
    .replaceAll(/ *\| */g, "|").replaceAll(/-{3,}/g, "---").trim();
}

/** Renders the tables, one for each of these drivers, with the versions. */
export function renderTables(fixtures: readonly Fixture[]): string {
  return fixtures.map((fixture) => {
    const servers = Object.keys(fixture.seen).map((name) => name.replace(/ before .*/, ""));
    const versions = [...new Set([...servers, fixture.driver, fixture.runtime])].join("; ");
    return `Versions: ${versions}.\n\n${renderTable(fixture)}`;
  }).join("\n\n");
}

/** Puts the tables into the page. */
export function putTables(page: string, fixtures: readonly Fixture[]): string {
  const [from, to] = MARKS;
  const before = page.slice(0, page.indexOf(from) + from.length);
  return `${before}\n\n${renderTables(fixtures)}\n\n${page.slice(page.indexOf(to))}`;
}
