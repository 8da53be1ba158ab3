/**
 * Runs events on real servers, and records what the clients of drivers see.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import { type Driver, type Login, Session, type State, type Step } from "./session.ts";

/** What an event works on. */
export interface Scene {
  /** The connections that are recorded. */
  readonly sessions: readonly Session[];
}

/** Something that happens to a server. */
export interface EventCase {
  readonly name: string;
  /** Name and version of the server. */
  readonly server: string;
  /** The states that it is recorded in. */
  readonly states: readonly State[];
  /** Where the clients connect to. */
  readonly login: Login;
  /** Statements of each session before it enters its state. */
  readonly prepare?: readonly string[];
  /** The statement that runs in the state `statement`, in place of a sleep. */
  readonly statement?: string;
  /** The statements of the state `transaction`, in place of a BEGIN and a read. */
  readonly transaction?: readonly string[];
  /** The statement after the event. */
  readonly next?: string;
  /** Prepares the server. */
  before?(): Promise<unknown>;
  /** Makes it happen. */
  run(scene: Scene): Promise<unknown>;
  /** Brings the server back. */
  after?(): Promise<unknown>;
  /** For the state `login`: keeps the server from answering. */
  freeze?(): Promise<unknown>;
  /** Whether the sessions of several drivers are in each other's way. */
  readonly alone?: boolean;
}

/** Statements in the SQL of one kind of server. */
export interface Dialect {
  readonly id: string;
  readonly sleep: string;
  readonly begin: readonly string[];
  readonly rows: string;
  readonly next: string;
}

/** The recordings of one driver: steps by server, event and state. */
export type Recordings = Record<string, Record<string, Record<string, Step[]>>>;

/** Milliseconds after which an event is over, whatever happens. */
const MAX_EVENT_MS = 12_000;

/** Records one event, with all drivers at once if possible. */
export async function record(
  event: EventCase,
  drivers: readonly Driver[],
  dialect: Dialect,
  into: (driver: Driver) => Recordings,
): Promise<void> {
  const groups = event.alone ? drivers.map((driver) => [driver]) : [drivers];
  for (const group of groups) await recordGroup(event, group, dialect, into);
}

async function recordGroup(
  event: EventCase,
  drivers: readonly Driver[],
  dialect: Dialect,
  into: (driver: Driver) => Recordings,
): Promise<void> {
  await event.before?.();
  const sessions: Session[] = [];
  try {
    for (const driver of drivers) {
      for (const state of event.states) {
        if (state === "half a result" && driver.name.startsWith("bun")) continue;
        const session = new Session(driver, event.login, state);
        sessions.push(session);
        await enter(session, event, dialect);
      }
    }
    if (event.states.includes("login")) {
      await event.freeze!();
      for (const session of sessions) if (session.state === "login") await session.startLogin();
    }
    await event.run({ sessions });
    await pause(300);
    for (const session of sessions) session.resume();
    const endMs = performance.now() + MAX_EVENT_MS;
    while (!sessions.every((session) => session.isQuiet) && performance.now() < endMs) {
      await pause(50);
    }
    for (const session of sessions) {
      await session.follow(event.next ?? dialect.next);
      const events = into(session.driver)[event.server] ??= {};
      (events[event.name] ??= {})[session.state] = session.steps;
    }
  } finally {
    for (const session of sessions) session.end();
    await event.after?.();
  }
}

async function enter(session: Session, event: EventCase, dialect: Dialect): Promise<void> {
  if (session.state === "none" || session.state === "login") return;
  await session.open();
  const [row] = await session.ask(dialect.id) as [{ id: unknown }];
  session.id = row.id;
  for (const text of event.prepare ?? []) await session.ask(text);
  session.steps.length = 0;
  if (session.state === "transaction") {
    for (const text of event.transaction ?? dialect.begin) await session.ask(text);
  } else if (session.state === "half a result") {
    await session.startHalf(dialect.rows);
  } else if (session.state === "statement") {
    session.start(event.statement ?? dialect.sleep);
    await pause(150);
  }
}
