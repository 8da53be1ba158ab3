/**
 * The servers of a cluster of Patroni: etcd, and members that run a PostgreSQL each. They are those of Debian's packages.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { chmod, chown, readdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Installed, installedPrograms } from "./installed_programs.ts";
import { isRunning, pause, signalProcess, stopTree } from "./processes.ts";
import type { Programs } from "./programs.ts";
import { type Kind, LabServer, launch, type ServerOptions, type StopMode } from "./server.ts";
import { FROZEN_FILE, makeOwned } from "./work_dir.ts";

/** Debian's directory of the programs of PostgreSQL 15. */
const POSTGRES_DIR = "/usr/lib/postgresql/15/bin";

/** etcd's server. */
export const ETCD: Installed<"etcd"> = installedPrograms({
  what: "etcd",
  names: ["etcd"],
  debian: "etcd-server",
  users: ["etcd", "postgres"],
  version: ["--version"],
});

/** Patroni and what its members need. */
export const PATRONI: Installed<"patroni" | "nsupdate"> = installedPrograms({
  what: "Patroni",
  names: ["patroni", "nsupdate"],
  debian: "patroni bind9-dnsutils",
  users: ["postgres"],
  version: ["--version"],
});

/** PostgreSQL as Patroni runs it. */
export const POSTGRES_15: Installed<"postgres"> = installedPrograms({
  what: "PostgreSQL 15",
  names: ["postgres"],
  places: [POSTGRES_DIR],
  debian: "postgresql-15",
  users: ["postgres"],
  version: ["--version"],
});

const ETCD_KIND: Kind = {
  name: "etcd",
  ready: /ready to serve (insecure )?client requests/,
  signals: { fast: "SIGTERM", immediate: "SIGKILL" },
};

const PATRONI_KIND: Kind = {
  name: "Patroni",
  ready: /no action\. I am /,
  signals: { fast: "SIGTERM", immediate: "SIGKILL" },
};

/** Options of {@linkcode startEtcd}. */
export interface EtcdOptions extends ServerOptions {
  /** A second port of its address, for other members of its cluster; there are none. */
  peerPort: number;
}

/** An etcd that is a cluster by itself, made by {@linkcode startEtcd}. */
export class EtcdServer extends LabServer {
  readonly #programs: Programs<"etcd">;
  readonly #peerUrl: string;

  /** Not for callers: see {@linkcode startEtcd}. */
  constructor(options: EtcdOptions, programs: Programs<"etcd">) {
    super(options, programs, ETCD_KIND);
    this.#programs = programs;
    this.#peerUrl = `http://${options.host}:${options.peerPort}`;
  }

  protected override command(): [string, string[]] {
    const client = `http://${this.where}`;
    return [this.#programs.program("etcd"), [
      ...["--data-dir", path.join(this.dataDir, "etcd"), "--name", "lab"],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", this.#peerUrl, "--initial-advertise-peer-urls", this.#peerUrl],
      ...["--initial-cluster", `lab=${this.#peerUrl}`],
    ]];
  }
}

/** Starts an etcd without data. */
export async function startEtcd(options: EtcdOptions): Promise<EtcdServer> {
  const programs = await ETCD.prepare(options);
  const server = new EtcdServer(options, programs);
  return await launch(server, options, () => makeOwned(programs, server.dataDir));
}

/** Options of {@linkcode startMember}. */
export interface MemberOptions extends ServerOptions {
  /** Its name in the cluster. */
  name: string;
  /** The port of its REST API. */
  apiPort: number;
  /** The cluster's store. */
  etcd: EtcdServer;
  /** The superuser. */
  user: string;
  /** The superuser's password. */
  password: string;
  /** Patroni's `ttl`, `loop_wait` and `retry_timeout` in seconds, and other settings that all members share. */
  dcs: Readonly<Record<string, unknown>>;
  /** Settings of PostgreSQL. */
  settings: Readonly<Record<string, string | number | boolean>>;
  /** The text of the script that it runs at each start, stop and change of its role; it sees the commands of PATH. */
  callback: string;
}

/** A member, made by {@linkcode startMember}: host and port are those of its PostgreSQL. */
export class PatroniMember extends LabServer {
  /** Its name in the cluster. */
  readonly name: string;
  /** The URL of its REST API. */
  readonly api: string;
  readonly #programs: Programs<"patroni" | "nsupdate">;
  readonly #options: MemberOptions;
  #frozen: readonly number[] = [];

  /** Not for callers: see {@linkcode startMember}. */
  constructor(options: MemberOptions, programs: Programs<"patroni" | "nsupdate">) {
    super(options, programs, PATRONI_KIND);
    this.name = options.name;
    this.api = `http://${options.host}:${options.apiPort}`;
    this.#options = options;
    this.#programs = programs;
  }

  /** The process id of its PostgreSQL, which is no child of Patroni; `undefined` while it does not run. */
  get postgresPid(): number | undefined {
    const dir = this.#path("pgdata");
    try {
      const pid = Number(readFileSync(path.join(dir, "postmaster.pid"), "utf8").split("\n")[0]);
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dir) && isRunning(pid)
        ? pid
        : undefined;
    } catch {
      return undefined; // no such file, or no such process
    }
  }

  /** The log of its PostgreSQL. */
  get postgresLog(): string {
    return readFileSync(this.#path("postgres.log"), "utf8");
  }

  /** Kills its PostgreSQL alone; Patroni runs on. */
  async killPostgres(): Promise<void> {
    const pid = this.postgresPid;
    if (pid === undefined) return;
    const all = await stopTree(pid);
    for (const each of all) signalProcess(each, "SIGKILL");
    while (all.some(isRunning)) await pause(2);
  }

  /** Kills Patroni, and then its PostgreSQL. */
  override async kill(): Promise<void> {
    await super.kill();
    this.#frozen = [];
    await this.killPostgres();
  }

  /** Kills Patroni alone; its PostgreSQL runs on. */
  async killPatroni(): Promise<void> {
    await super.kill();
  }

  /** Freezes Patroni and its PostgreSQL. */
  override async freeze(): Promise<void> {
    await super.freeze();
    const pid = this.postgresPid;
    if (pid === undefined) return;
    this.#frozen = await stopTree(pid);
    const all = [this.pid, ...this.#frozen];
    await writeFile(path.join(this.dataDir, FROZEN_FILE), all.join(" "));
  }

  /** Resumes both. */
  override async thaw(): Promise<void> {
    for (const each of this.#frozen) signalProcess(each, "SIGCONT");
    this.#frozen = [];
    await super.thaw();
  }

  /** Fills the directory of its data. */
  async fill(): Promise<void> {
    const programs = this.#programs;
    await makeOwned(programs, this.dataDir);
    await makeOwned(programs, this.#path("bin"));
    for (const name of await readdir(POSTGRES_DIR)) {
      if (name !== "postgres") {
        await symlink(path.join(POSTGRES_DIR, name), this.#path("bin", name));
      }
    }
    await this.#putScript("bin/postgres", this.#postgresScript());
    await this.#putScript("callback", this.#options.callback);
    await this.put("patroni.yml", JSON.stringify(this.#settings(), null, 2)); // JSON is YAML
  }

  protected override command(): [string, string[]] {
    return [this.#programs.program("patroni"), [this.#path("patroni.yml")]];
  }

  protected override async signalStop(
    child: ChildProcess,
    mode: StopMode,
  ): Promise<void> {
    await this.thaw();
    if (mode === "immediate") return await this.kill();
    await super.signalStop(child, mode);
  }

  /** PostgreSQL inherits no pipe of Patroni's: the end of Patroni would not be seen while it runs on. */
  #postgresScript(): string {
    const exec = `exec ${POSTGRES_DIR}/postgres "$@"`;
    return `#!/bin/sh
[ "$1" = -D ] && ${exec} >>${this.#path("postgres.log")} 2>&1 </dev/null
${exec}
`;
  }

  #settings(): unknown {
    const { name, host, port, apiPort, etcd, user, password, dcs, settings } = this.#options;
    const login = { username: user, password };
    const api = `${host}:${apiPort}`;
    const callback = this.#path("callback");
    const events = ["on_start", "on_stop", "on_restart", "on_role_change"];
    return {
      scope: "lab",
      name,
      restapi: { listen: api, connect_address: api },
      etcd3: { host: etcd.where },
      bootstrap: {
        dcs: { ...dcs, postgresql: { use_pg_rewind: true, parameters: settings } },
        initdb: [{ encoding: "UTF8" }, "no-locale", "no-sync", "no-instructions"],
      },
      postgresql: {
        listen: `${host}:${port}`,
        connect_address: `${host}:${port}`,
        data_dir: this.#path("pgdata"),
        bin_dir: this.#path("bin"),
        pgpass: this.#path("pgpass"),
        authentication: { superuser: login, replication: login },
        basebackup: [{ checkpoint: "fast" }, "no-sync"],
        callbacks: Object.fromEntries(events.map((event) => [event, callback])),
        pg_hba: ["host all all all scram-sha-256", "host replication all all scram-sha-256"],
        parameters: { unix_socket_directories: "" },
      },
      watchdog: { mode: "off" },
    };
  }

  #path(...names: string[]): string {
    return path.join(this.dataDir, ...names);
  }

  async #putScript(name: string, text: string): Promise<void> {
    const file = this.#path(name);
    await writeFile(file, text);
    await chmod(file, 0o700);
    const { owner } = this.#programs;
    if (owner) await chown(file, owner.uid, owner.gid);
  }
}

/** Starts a member without data: it initializes the cluster, or copies the leader. Resolves when it knows the leader. */
export async function startMember(options: MemberOptions): Promise<PatroniMember> {
  const programs = await PATRONI.prepare(options);
  const member = new PatroniMember(options, programs);
  return await launch(member, options, () => member.fill());
}
