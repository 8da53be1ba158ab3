/**
 * One node of a Galera cluster: a MariaDB server with the Galera library.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { type MariadbOptions, MariadbServer, prepareMariadb } from "./mariadb.ts";
import type { MariadbPrograms } from "./mariadb_data.ts";
import { run } from "./processes.ts";

/** Where packages put the library. */
const LIBRARIES = [
  "/usr/lib/galera/libgalera_smm.so",
  "/usr/lib64/galera-4/libgalera_smm.so",
  "/usr/lib64/galera/libgalera_smm.so",
];
/** The programs with which a node that joins gets what it misses from another one. */
const TRANSFER = ["/usr/bin/wsrep_sst_rsync", "/usr/bin/rsync"];

/** What a node knows of its position in the history of its cluster. */
const STATE_FILE = "grastate.dat";

/** Settings that Galera needs, and those for a small node. */
const SETTINGS = {
  binlog_format: "ROW",
  default_storage_engine: "InnoDB",
  innodb_autoinc_lock_mode: 2,
  wsrep_on: true,
  wsrep_slave_threads: 2,
  wsrep_sst_method: "rsync",
};
const PROVIDER = { "gcache.size": "8M", "gcache.page_size": "8M" };

/** Returns the path of the library; `undefined` if this machine lacks it, or what a node joins with. */
export function findLibrary(): string | undefined {
  return TRANSFER.every((file) => existsSync(file))
    ? LIBRARIES.find((file) => existsSync(file))
    : undefined;
}

/** Options of {@linkcode createNode}. */
export interface NodeOptions extends MariadbOptions {
  /** Addresses and ports at which the nodes speak with each other. */
  members: readonly string[];
  /** The port of its own address for that. */
  groupPort: number;
  /** Ports of its own address for the missing changes, and for a copy of all data, when it joins. */
  transferPorts: readonly [changes: number, all: number];
  /** Settings of the Galera library. */
  provider?: Readonly<Record<string, string | number>>;
}

/** The state of a node, as it says itself. */
export interface NodeState {
  /** `wsrep_ready`: whether it takes statements. */
  readonly ready: boolean;
  /** `wsrep_local_state_comment`, such as `"Synced"`, `"Donor/Desynced"`, `"Initialized"`. */
  readonly comment: string;
  /** `wsrep_cluster_status`: `"Primary"` for the majority. */
  readonly status: string;
  /** `wsrep_cluster_size`. */
  readonly size: number;
  /** `wsrep_last_committed`. */
  readonly position: string;
}

/** A node, made by {@linkcode createNode}. */
export class GaleraNode extends MariadbServer {
  readonly #options: NodeOptions;
  readonly #programs: MariadbPrograms;
  /** Arguments of the next start. */
  #joining: readonly string[] = [];

  /** Not for callers: see {@linkcode createNode}. */
  constructor(options: NodeOptions, programs: MariadbPrograms) {
    super({ ...options, settings: { ...SETTINGS, ...options.settings } }, programs);
    this.#options = options;
    this.#programs = programs;
  }

  get #member(): string {
    return `${this.host}:${this.#options.groupPort}`;
  }

  /** Returns its state; `undefined` if it does not answer. */
  async state(): Promise<NodeState | undefined> {
    try {
      const rows = await this.ask("SHOW GLOBAL STATUS LIKE 'wsrep%'");
      const values = new Map(rows.map((row) => [row.Variable_name, String(row.Value)]));
      return {
        ready: values.get("wsrep_ready") === "ON",
        comment: values.get("wsrep_local_state_comment") ?? "",
        status: values.get("wsrep_cluster_status") ?? "",
        size: Number(values.get("wsrep_cluster_size")),
        position: values.get("wsrep_last_committed") ?? "",
      };
    } catch {
      return undefined;
    }
  }

  /** Cuts it off from the other nodes, or ends that. Clients still reach it. */
  async isolate(isolated: boolean): Promise<void> {
    await this.ask(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${isolated ? 1 : 0}'`);
  }

  /** Starts it on its data; it joins the others. Resolves when it accepts connections, perhaps before it takes statements. */
  override async start(signal?: AbortSignal): Promise<void> {
    await super.start(signal);
    this.#joining = [];
  }

  /** Starts it after a stop or a kill; it gets the changes that it missed. */
  async join(): Promise<void> {
    this.#joining = [`--wsrep-start-position=${await this.#recoveredPosition()}`];
    await this.start();
  }

  /** Starts it after a stop or a kill, without data: another node becomes the donor of a copy of all of its data. */
  async joinEmpty(): Promise<void> {
    await rm(path.join(this.dataDir, STATE_FILE), { force: true });
    this.#joining = [];
    await this.start();
  }

  /** Starts it on its data after a stop, as the first node of a cluster. */
  async begin(): Promise<void> {
    this.#joining = ["--wsrep-new-cluster"];
    await this.start();
  }

  protected override command(): [string, string[]] {
    const [program, args] = super.command();
    const { host, members, groupPort, transferPorts: [changes, all], provider } = this.#options;
    const options = {
      ...PROVIDER,
      ...provider,
      "gmcast.listen_addr": `tcp://${host}:${groupPort}`,
      "ist.recv_addr": `${host}:${changes}`,
    };
    const list = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    return [program, [
      ...args,
      `--wsrep-provider=${findLibrary()}`,
      `--wsrep-provider-options=${list.join(";")}`,
      `--wsrep-cluster-address=gcomm://${members.join(",")}`,
      `--wsrep-node-address=${this.#member}`,
      `--wsrep-sst-receive-address=${host}:${all}`,
      ...this.#joining,
    ]];
  }

  /** Returns its position in the history: a node that was killed has not written it down. */
  async #recoveredPosition(): Promise<string> {
    const [program, args] = this.command();
    const { workDir: cwd, owner } = this.#programs;
    const text = await run(program, [...args, "--wsrep-recover"], { cwd, owner });
    const position = /Recovered position: (\S+)/.exec(text)?.[1];
    if (position === undefined) {
      throw new Error(`Cannot find the position of ${this.where}: ${text.slice(-1000)}`);
    }
    return position;
  }
}

/** Creates a node with its data, and does not start it. */
export async function createNode(options: NodeOptions): Promise<GaleraNode> {
  const node = new GaleraNode(options, await prepareMariadb(options));
  try {
    await node.fill();
    return node;
  } catch (error) {
    await node.stop();
    throw error;
  }
}
