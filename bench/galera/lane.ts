/**
 * The process of one lane of the drill of Galera.
 *
 * @module
 */

import process from "node:process";
import { runLane } from "../stacks/lane.ts";
import { GALERA_LANES, type GaleraTask } from "./lanes.ts";

const task = JSON.parse(process.argv[2]!) as GaleraTask;
const lane = GALERA_LANES.find(({ name }) => name === task.lane)!;
const key = `'${task.lane.replaceAll("'", "''")}'`;

await runLane({
  name: task.lane,
  client: await lane.create(task),
  first: "SELECT @@bind_address AS server",
  // Writes and reads in turn.
  text: (id) =>
    id % 2 === 1
      ? `INSERT INTO ledger VALUES (${key}, ${id}) RETURNING @@bind_address AS server`
      : "SELECT @@bind_address AS server FROM ledger LIMIT 1",
});
