/**
 * A real Galera cluster for tests and the drill: three nodes of MariaDB, each on an address of its own. It leaves nothing
 * behind when it is stopped or this process ends in any way. The programs must be installed: {@linkcode findGalera} tells
 * whether they are.
 *
 * @example
 * ```ts
 * import { startGalera } from "./galera.ts";
 *
 * export async function test() {
 *   await using cluster = await startGalera({ user: "app", password: "secret" });
 *   await cluster.nodes[0]!.kill();
 *   await cluster.settled(cluster.nodes.slice(1));
 * }
 * ```
 *
 * @module
 */

import { freePort, loopbackPair } from "./free_port.ts";
import { createNode, findLibrary, type GaleraNode } from "./galera_node.ts";
import { findMariadb, prepareMariadb } from "./mariadb.ts";
import { pause } from "./processes.ts";
import type { Waiting } from "./programs.ts";
import { credentials } from "./server.ts";

export type { GaleraNode, NodeState } from "./galera_node.ts";

/** Options of {@linkcode startGalera}. */
export interface GaleraOptions extends Waiting {
  /** A user with all privileges but those of an administrator, on all nodes. */
  user: string;
  /** The password of the user, and of the administrator `root`. */
  password: string;
  /** The database. Default: `"test"`. */
  database?: string;
  /** More settings of all nodes. Default: none. */
  settings?: Readonly<Record<string, string | number | boolean>>;
  /** Settings of the Galera library, such as `{ "evs.suspect_timeout": "PT1S" }`. Default: its own. */
  provider?: Readonly<Record<string, string | number>>;
}

/** Milliseconds that a change of the cluster may take on a busy machine. */
const LIMIT_MS = 60_000;

/** Returns whether this machine has all programs. */
export function findGalera(): true | undefined {
  return findMariadb() && findLibrary() ? true : undefined;
}

/**
 * Starts a cluster with three nodes. Resolves when all of them take statements.
 *
 * @throws {Error} if one does not start; nothing is left then.
 */
export async function startGalera(options: GaleraOptions): Promise<GaleraCluster> {
  if (!findGalera()) {
    throw new Error(
      "Cannot find Galera on this machine: apt-get install mariadb-server galera-4 rsync",
    );
  }
  await using _programs = await prepareMariadb(options); // what is prepared is kept for all of them
  const [firstHost] = await loopbackPair();
  const hosts = [2, 3, 4].map((last) => firstHost.replace(/\d+$/, String(last)));
  const port = await freePort(hosts);
  const groupPort = await freePort(hosts);
  const transferPorts = [await freePort(hosts), await freePort(hosts)] as const;
  const members = hosts.map((host) => `${host}:${groupPort}`);
  await using stack = new AsyncDisposableStack();
  const create = async (index: number, copyOf?: GaleraNode) =>
    stack.use(
      await createNode({
        ...{ ...options, host: hosts[index]!, port, members, groupPort, transferPorts, copyOf },
      }),
    );
  const first = await create(0);
  // The others begin with what it has done to its data as the first node of the cluster, and get only what follows.
  await first.begin();
  await new GaleraCluster([first], options).settled();
  await first.stop({ keep: true });
  const others = await Promise.all([1, 2].map((index) => create(index, first)));
  await first.begin();
  const cluster = new GaleraCluster([first, ...others], options);
  await Promise.all(others.map((node) => node.start()));
  await cluster.settled();
  stack.move();
  return cluster;
}

/** A cluster, made by {@linkcode startGalera}. */
export class GaleraCluster implements AsyncDisposable {
  /** The nodes. */
  readonly nodes: readonly GaleraNode[];
  readonly #login: GaleraOptions;

  /** Not for callers: see {@linkcode startGalera}. */
  constructor(nodes: readonly GaleraNode[], login: GaleraOptions) {
    this.nodes = nodes;
    this.#login = login;
  }

  /** The port of MariaDB on all nodes. */
  get port(): number {
    return this.nodes[0]!.port;
  }

  /** The addresses of the nodes. */
  get hosts(): readonly string[] {
    return this.nodes.map(({ host }) => host);
  }

  /** Returns a URL with the password, of these hosts. Default: all nodes. */
  url(...hosts: string[]): string {
    const { user, password, database = "test" } = this.#login;
    const list = (hosts.length > 0 ? hosts : this.hosts).map((host) => `${host}:${this.port}`);
    return `mysql://${credentials(user, password)}@${list.join(",")}/${database}`;
  }

  /** Waits until these nodes are a cluster of their own, which takes statements, with the same data. Default: all nodes. */
  async settled(nodes: readonly GaleraNode[] = this.nodes): Promise<void> {
    await this.#until(`cluster of ${nodes.length}`, async () => {
      const states = await Promise.all(nodes.map((node) => node.state()));
      return states.every((state) =>
        state?.ready && state.comment === "Synced" && state.size === nodes.length &&
        state.position === states[0]?.position
      );
    });
  }

  /** Waits until a node is up and refuses statements. */
  async refusing(node: GaleraNode): Promise<void> {
    await this.#until(`refusal by ${node.where}`, async () => {
      const state = await node.state();
      return state !== undefined && !state.ready;
    });
  }

  /** Stops all and removes their data. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop({ mode: "immediate" })));
  }

  /** As {@linkcode GaleraCluster.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #until(what: string, attempt: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + LIMIT_MS;
    while (!await attempt()) {
      if (performance.now() > endMs) {
        const states = await Promise.all(
          this.nodes.map(async (node) =>
            `${node.where}: ${JSON.stringify(await node.state())}, ${node.log.split("\n").at(-1)}`
          ),
        );
        throw new Error([`No ${what} within ${LIMIT_MS / 1000} seconds`, ...states].join("\n"));
      }
      await pause(50);
    }
  }
}
