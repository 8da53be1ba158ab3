/**
 * The process of one lane of the drill of PostgreSQL.
 *
 * @module
 */

import process from "node:process";
import { pause } from "../../lab/processes.ts";
import { runLane } from "../stacks/lane.ts";
import { type Ask, POSTGRES_LANES, type PostgresTask, SLOW_RESULT, TRANSACTION } from "./lanes.ts";

/** The server that answers. */
const SERVER = "host(inet_server_addr()) AS server";
/** Rows of 2 KB, one every 20 ms for two seconds: a result that is read while it is made. */
const SLOW_ROWS = `${SERVER}, repeat('x', 2000) AS text, pg_sleep(0.02) AS pause`;
/** Parts of a cursor's result that a transaction reads, and milliseconds between two of them. */
const FETCHES = 20;
const FETCH_EVERY_MS = 100;

const task = JSON.parse(process.argv[2]!) as PostgresTask;
const lane = POSTGRES_LANES.find(({ name }) => name === task.lane)!;
const key = `'${task.lane.replaceAll("'", "''")}'`;
const client = await lane.create(task);

const statement = (id: number) =>
  lane.reads
    ? `SELECT ${SERVER} FROM rows LIMIT 1`
    : `INSERT INTO ledger VALUES (${key}, ${id}) RETURNING ${SERVER}`;

/** Reads a cursor's result in parts, with pauses in which its transaction is idle. */
async function readCursor(ask: Ask): Promise<void> {
  await ask("DECLARE half NO SCROLL CURSOR FOR SELECT id, repeat('x', 1000) AS text FROM rows");
  for (let count = 0; count < FETCHES; count++) {
    await ask("FETCH 20 FROM half");
    await pause(FETCH_EVERY_MS);
  }
}

/** Works in a transaction that is idle at times; with a snapshot that it keeps, if it is a reader's. */
function transaction(id: number): Promise<string> {
  return client.transaction!(async (ask) => {
    if (lane.reads) await ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    const server = await ask(statement(id));
    await readCursor(ask);
    return server;
  });
}

await runLane({
  name: task.lane,
  client,
  first: `SELECT ${SERVER}`,
  text: statement,
  long: {
    [SLOW_RESULT]: () => client.query(`SELECT ${SLOW_ROWS} FROM rows LIMIT 100`),
    ...(client.transaction && { [TRANSACTION]: transaction }),
  },
});
