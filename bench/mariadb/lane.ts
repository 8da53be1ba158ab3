/**
 * The process of one lane of the drill of a replicated MariaDB.
 *
 * @module
 */

import process from "node:process";
import { runLane } from "../stacks/lane.ts";
import { MARIADB_LANES, type MariadbTask } from "./lanes.ts";

const task = JSON.parse(process.argv[2]!) as MariadbTask;
const lane = MARIADB_LANES.find(({ name }) => name === task.lane)!;
const key = `'${task.lane.replaceAll("'", "''")}'`;

await runLane({
  name: task.lane,
  client: await lane.create(task),
  first: "SELECT @@bind_address AS server",
  text: (id) =>
    lane.reads
      // With the time of the last write that the server has.
      ? "SELECT CONCAT(@@bind_address, ' ', at) AS server FROM heartbeat"
      : `INSERT INTO ledger VALUES (${key}, ${id}) RETURNING @@bind_address AS server`,
});
