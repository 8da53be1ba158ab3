/**
 * The process of one lane of the drill of proxies.
 *
 * @module
 */

import process from "node:process";
import type { LaneTask } from "../failover/lanes.ts";
import { runLane } from "../stacks/lane.ts";
import { PROXIES_LANES } from "./lanes.ts";

const task = JSON.parse(process.argv[2]!) as LaneTask;
const lane = PROXIES_LANES.find(({ name }) => name === task.lane)!;

await runLane({
  name: task.lane,
  client: await lane.create(task),
  first: "SELECT host(inet_server_addr()) AS server",
  text: (id) =>
    `INSERT INTO ledger VALUES ('${task.lane}', ${id}) RETURNING host(inet_server_addr()) AS server`,
});
