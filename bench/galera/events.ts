/**
 * The events of the drill of Galera.
 *
 * @module
 */

import type { GaleraCluster, GaleraNode } from "../../lab/galera.ts";
import { pause } from "../../lab/processes.ts";

/** An event. */
export interface GaleraEvent {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  /** Causes it; resolves when all of it is over. */
  run(cluster: GaleraCluster, node: GaleraNode): Promise<void>;
}

/** Milliseconds that a node stays away, or refuses statements, after the others noticed. */
const AWAY_MS = 3000;

/** All events: what happens to the node that has the writer's name. */
export const GALERA_EVENTS: readonly GaleraEvent[] = [
  {
    name: "kill",
    title: "kill -9 of a node, which joins again 3 s after the others went on",
    async run(cluster, node) {
      await node.kill();
      await without(cluster, node);
      await node.join();
      await cluster.settled();
    },
  },
  {
    name: "stop",
    title: "a node is shut down, and joins again after 3 s",
    async run(cluster, node) {
      await node.stop({ keep: true });
      await without(cluster, node);
      await node.join();
      await cluster.settled();
    },
  },
  {
    name: "freeze",
    title: "SIGSTOP of a node, SIGCONT 3 s after the others went on",
    async run(cluster, node) {
      await node.freeze();
      await without(cluster, node);
      await node.thaw();
      await cluster.settled();
    },
  },
  {
    name: "minority",
    title: "a node is cut off from the others, and is back 3 s after it refused statements",
    async run(cluster, node) {
      await node.isolate(true);
      await cluster.refusing(node);
      await without(cluster, node);
      await node.isolate(false);
      await cluster.settled();
    },
  },
  {
    name: "reject",
    title: "wsrep_reject_queries = ALL on a node for 3 s",
    async run(_cluster, node) {
      await node.ask("SET GLOBAL wsrep_reject_queries = ALL");
      await pause(AWAY_MS);
      await node.ask("SET GLOBAL wsrep_reject_queries = NONE");
    },
  },
  {
    name: "desync",
    title: "wsrep_desync = ON on a node for 3 s",
    async run(cluster, node) {
      await node.ask("SET GLOBAL wsrep_desync = ON");
      await pause(AWAY_MS);
      await node.ask("SET GLOBAL wsrep_desync = OFF");
      await cluster.settled();
    },
  },
  {
    name: "donor",
    title: "a node joins without data: another one is the donor of all of it (rsync)",
    async run(cluster, node) {
      await node.stop({ keep: true });
      await without(cluster, node);
      await node.joinEmpty();
      await cluster.settled();
    },
  },
];

async function without(cluster: GaleraCluster, node: GaleraNode): Promise<void> {
  await cluster.settled(cluster.nodes.filter((each) => each !== node));
  await pause(AWAY_MS);
}
