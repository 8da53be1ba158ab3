/**
 * What the drill of Galera knows of the nodes: when each of them took statements, when the cluster took writes, and where
 * the writer's name points.
 *
 * @module
 */

import type { Authority } from "../../lab/authority.ts";
import type { GaleraCluster, GaleraNode } from "../../lab/galera.ts";
import { pause } from "../../lab/processes.ts";
import { type Gap, longestGap } from "../stacks/figures.ts";
import { inSessions, type SessionWork } from "../stacks/mysql_sessions.ts";

/** Milliseconds between two looks at the nodes by what keeps the writer's name. */
const KEEPER_MS = 250;

/** What a node is for its clients: it takes statements, it lets clients in and refuses them, or it does not answer. */
type Condition = "ready" | "refusing" | "down";

/** The time in which a node refused statements. */
export interface Refusal {
  readonly node: GaleraNode;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Watches the nodes of a cluster, and keeps the writer's name, from the start on. */
export class Watch {
  readonly #cluster: GaleraCluster;
  /** The times at which a node acknowledged a write. */
  readonly #writes: number[] = [];
  readonly #refusals: Refusal[] = [];
  readonly #conditions: Map<GaleraNode, { is: Condition; sinceMs: number }> = new Map();
  readonly #loops: Promise<void>[];
  #movedMs: number | undefined;
  #stopped = false;

  /** Starts it. */
  constructor(cluster: GaleraCluster, writer: { authority: Authority; name: string; ttl: number }) {
    this.#cluster = cluster;
    this.#loops = [
      ...cluster.nodes.flatMap((node) => [this.#write(node), this.#ask(node)]),
      this.#keep(writer),
    ];
  }

  /** When the writer's name was moved last. */
  get movedMs(): number | undefined {
    return this.#movedMs;
  }

  /** Returns the longest time without a write that was acknowledged, from `fromMs` to now. */
  outage(fromMs: number): Gap {
    return longestGap(this.#writes.toSorted((a, b) => a - b), fromMs, Date.now());
  }

  /** Stops it; returns when which node refused statements. */
  async stop(): Promise<readonly Refusal[]> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    for (const node of this.#cluster.nodes) this.#note(node, "down");
    return this.#refusals;
  }

  /** Points the writer's name to a node that is ready, whenever its present one is not. */
  async #keep({ authority, name, ttl }: { authority: Authority; name: string; ttl: number }) {
    let writer = this.#cluster.nodes[0]!;
    while (!this.#stopped) {
      await pause(KEEPER_MS);
      const isReady = (node: GaleraNode) =>
        this.#conditions.get(node)?.is !== "refusing" &&
        this.#conditions.get(node)?.is !== "down";
      const next = isReady(writer) ? writer : this.#cluster.nodes.find(isReady);
      if (next === undefined || next === writer) continue;
      writer = next;
      await authority.set(name, [writer.host], ttl);
      this.#movedMs = Date.now();
    }
  }

  #note(node: GaleraNode, is: Condition): void {
    const nowMs = Date.now();
    const known = this.#conditions.get(node);
    if (known?.is === is) return;
    if (known?.is === "refusing") {
      this.#refusals.push({ node, fromMs: known.sinceMs, untilMs: nowMs });
    }
    this.#conditions.set(node, { is, sinceMs: nowMs });
  }

  #ask(node: GaleraNode): Promise<void> {
    return this.#repeat(node, {
      work: async (ask) => {
        const [status] = await ask("SHOW STATUS LIKE 'wsrep_ready'");
        const [rejects] = await ask("SHOW GLOBAL VARIABLES LIKE 'wsrep_reject_queries'");
        const isReady = status?.Value === "ON" && rejects?.Value === "NONE";
        this.#note(node, isReady ? "ready" : "refusing");
      },
      onFailed: () => this.#note(node, "down"),
    });
  }

  #write(node: GaleraNode): Promise<void> {
    return this.#repeat(node, {
      work: async (ask) => {
        await ask("INSERT INTO watched VALUES (NULL)");
        this.#writes.push(Date.now());
      },
    });
  }

  #repeat(node: GaleraNode, work: Omit<SessionWork, "isStopped">): Promise<void> {
    return inSessions(node.adminUrl(), { ...work, isStopped: () => this.#stopped });
  }
}
