/**
 * Runs the processes of lanes of the drills of real stacks.
 *
 * @module
 */

import type { LaneTask } from "../failover/lanes.ts";
import { LaneProcess } from "../failover/run.ts";
import { NODE, PREPARED } from "../namespace.ts";
import type { Call } from "./lane.ts";

/**
 * Lets lanes work, each in a process of its own.
 *
 * @param bundle The name of the lanes' program.
 * @param tasks The task of each lane.
 * @param during Runs while they work.
 * @returns The calls of each lane, or an error for one that did not start or report; and the result of `during`.
 */
export async function runLanes<Seen>(
  bundle: string,
  tasks: readonly LaneTask[],
  during: () => Promise<Seen>,
): Promise<{ readonly reports: readonly (Call[] | Error)[]; readonly seen: Seen }> {
  const processes = tasks.map((task) =>
    new LaneProcess<Call[]>(NODE, [PREPARED + bundle, JSON.stringify(task)])
  );
  try {
    await Promise.all(processes.map((each) => each.ready()));
    for (const each of processes) each.send("go");
    const seen = await during();
    for (const each of processes) each.send("stop");
    return { reports: await Promise.all(processes.map((each) => each.report())), seen };
  } finally {
    await Promise.all(processes.map((each) => each.terminate()));
  }
}
