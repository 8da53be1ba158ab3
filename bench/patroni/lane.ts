/**
 * The process of one lane of the drill of Patroni.
 *
 * @module
 */

import process from "node:process";
import { runLane } from "../stacks/lane.ts";
import { PATRONI_LANES, type PatroniTask } from "./lanes.ts";

const READ = "SELECT host(inet_server_addr()) AS server";

const task = JSON.parse(process.argv[2]!) as PatroniTask;
const lane = PATRONI_LANES.find(({ name }) => name === task.lane)!;
const key = `'${task.lane.replaceAll("'", "''")}'`;

await runLane({
  name: task.lane,
  client: await lane.create(task),
  first: READ,
  text: (id) =>
    lane.reads
      ? READ
      : `INSERT INTO ledger VALUES (${key}, ${id}) RETURNING host(inet_server_addr()) AS server`,
});
