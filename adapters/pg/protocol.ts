/**
 * Follows the messages of a `pg.Client`: the client knows which query is running, but not whether its answer can end.
 *
 * @module
 */

import type { Activity } from "../adapter.ts";
import { ProtocolState } from "../shared/postgres_protocol.ts";
import { ReportedRole } from "../shared/postgres_role.ts";
import { internalsOf, type PgClient } from "./driver.ts";

const STATES = new WeakMap<PgClient, ProtocolState>();

/** The letters of the messages that begin or end a COPY, by the driver's names for their events. */
const COPY_EVENTS: Readonly<Record<string, string>> = {
  copyInResponse: "G",
  copyOutResponse: "H",
  replicationStart: "W",
  copyDone: "c",
  errorMessage: "E",
};

const ROLES = new WeakMap<PgClient, ReportedRole>();

/**
 * Follows what the server of a client reports about its role.
 *
 * @param client A client that is not connected yet: the login has the first reports.
 */
export function followReports(client: PgClient): void {
  const { connection } = internalsOf(client);
  if (!connection?.prependListener) return;
  const role = new ReportedRole();
  ROLES.set(client, role);
  connection.prependListener(
    "parameterStatus",
    ({ parameterName, parameterValue }) => role.note(parameterName, parameterValue),
  );
}

/** Returns what the server of a client has reported about its role; `undefined` if that is not followed. */
export function reportedRoleOf(client: PgClient): ReportedRole | undefined {
  return ROLES.get(client);
}

/** Follows the messages of a client from now on; it has just connected. */
export function followMessages(client: PgClient): void {
  const { connection } = internalsOf(client);
  const send = connection?._send;
  if (!connection?.prependListener || typeof send !== "function") return;
  const state = new ProtocolState();
  state.onReady("I");
  STATES.set(client, state);
  connection._send = (message) => {
    state.sent(message);
    return send.call(connection, message);
  };
  // First, because the client calls callbacks of the user in its own listener.
  connection.prependListener("readyForQuery", ({ status }) => state.onReady(status));
  for (const [event, letter] of Object.entries(COPY_EVENTS)) {
    connection.prependListener(event, () => state.onCopy(letter.charCodeAt(0)));
  }
}

/** Returns what a client has still to do; `undefined` if that cannot be seen. */
export function activityOf(client: PgClient): Activity | undefined {
  const { readyForQuery, _ending, _queryable, connection, _queryQueue, _sentQueryQueue } =
    internalsOf(client);
  if (_ending || _queryable === false || connection?.stream?.writable === false) return "ended";
  if (readyForQuery === undefined) return undefined;
  const activity = STATES.get(client)?.activity;
  if (activity === "stuck") return activity;
  const isBusy = !readyForQuery || _queryQueue?.length || _sentQueryQueue?.length;
  return isBusy || activity === "running" ? "running" : "none";
}

/** Waits until a client has no query any more: pg warns of a query that has to wait for another one. */
export async function untilIdle(client: PgClient): Promise<void> {
  const { once, off } = internalsOf(client);
  if (!once || !off || activityOf(client) !== "running") return;
  await new Promise<void>((resolve) => {
    const onIdle = () => {
      off.call(client, "drain", onIdle);
      off.call(client, "end", onIdle);
      resolve();
    };
    once.call(client, "drain", onIdle);
    once.call(client, "end", onIdle);
  });
}

/** Forgets the named statements of a client, which the server has just dropped. */
export function forgetStatements(client: PgClient): void {
  const { connection } = internalsOf(client);
  if (!connection) return;
  connection.parsedStatements = {};
  connection.submittedNamedStatements = {};
}
