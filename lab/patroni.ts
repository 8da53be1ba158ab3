/**
 * A real cluster of Patroni for tests and the drill: etcd and three members, each on an address of its own. Its callbacks
 * keep two names at an authority: `primary.lab.internal` and `replicas.lab.internal`. It leaves nothing behind when it is
 * stopped or this process ends in any way. The programs must be installed: {@linkcode findPatroni} tells whether they are.
 *
 * @example
 * ```ts
 * import { startAuthority } from "./authority.ts";
 * import { onFreePort } from "./free_port.ts";
 * import { startPatroni } from "./patroni.ts";
 *
 * export async function test() {
 *   await using authority = await onFreePort("127.0.0.1", startAuthority);
 *   await using cluster = await startPatroni({ authority, user: "app", password: "secret" });
 *   await cluster.switchover();
 * }
 * ```
 *
 * @module
 */

import { type Authority, ZONE } from "./authority.ts";
import { freePort, loopbackPair } from "./free_port.ts";
import {
  ETCD,
  type EtcdServer,
  PATRONI,
  type PatroniMember,
  POSTGRES_15,
  startEtcd,
  startMember,
} from "./patroni_member.ts";
import { pause } from "./processes.ts";
import type { Waiting } from "./programs.ts";
import { credentials } from "./server.ts";

export type { EtcdServer, PatroniMember } from "./patroni_member.ts";

/** The name of the leader. */
export const PRIMARY = `primary.${ZONE}`;
/** The name of the other members. */
export const REPLICAS = `replicas.${ZONE}`;

/** Options of {@linkcode startPatroni}. */
export interface PatroniOptions extends Waiting {
  /** The name server that the callbacks update. */
  authority: Authority;
  /** The superuser. */
  user: string;
  /** The superuser's password. */
  password: string;
  /** Seconds of the records of both names. Default: 1. */
  recordTtl?: number;
  /** Seconds after which a leader that does not renew its lock loses it, Patroni's `ttl`. Default: 6. */
  ttl?: number;
  /** More settings of PostgreSQL. Default: none. */
  settings?: Readonly<Record<string, string | number | boolean>>;
}

/** A member, as the REST API describes it. */
export interface MemberState {
  /** Its name. */
  readonly name: string;
  /** Such as `"leader"`, `"sync_standby"`, `"replica"`. */
  readonly role: string;
  /** Such as `"running"`. */
  readonly state: string;
  /** The address of its PostgreSQL. */
  readonly host: string;
  /** The timeline that it is on. */
  readonly timeline?: number;
}

/** Milliseconds that a change of the cluster may take on a busy machine. */
const LIMIT_MS = 60_000;
/** Milliseconds that a member has to answer a question. */
const ASK_LIMIT_MS = 2000;

/** Settings for a fast start; data that matter would not be safe with them. */
const SETTINGS = {
  autovacuum: false,
  dynamic_shared_memory_type: "mmap",
  fsync: false,
  jit: false,
  max_connections: 300,
  max_wal_size: "64MB",
  shared_buffers: "16MB",
  wal_keep_size: "64MB",
  wal_log_hints: true, // for pg_rewind
};

/** Returns whether this machine has all programs. */
export function findPatroni(): true | undefined {
  return [PATRONI, ETCD, POSTGRES_15].every((each) => each.find()) ? true : undefined;
}

/**
 * Starts a cluster with three members. Resolves when one leads it, two follow, a commit waits for one of them, and the names
 * say so.
 *
 * @throws {Error} if one does not start; nothing is left then.
 */
export async function startPatroni(options: PatroniOptions): Promise<PatroniCluster> {
  if (!findPatroni()) {
    const packages = [PATRONI, ETCD, POSTGRES_15].map(({ debian }) => debian).join(" ");
    throw new Error(`Cannot find Patroni on this machine: apt-get install ${packages}`);
  }
  const { authority, user, password, recordTtl = 1, ttl = 6, onProgress, signal } = options;
  const [first] = await loopbackPair();
  const hosts = [2, 3, 4, 5].map((last) => first.replace(/\d+$/, String(last)));
  const [port, apiPort] = [await freePort(hosts), await freePort(hosts)];
  await using stack = new AsyncDisposableStack();
  const waiting = { onProgress, signal };
  const etcd = stack.use(
    await startEtcd({ ...waiting, host: hosts[3]!, port, peerPort: apiPort }),
  );
  const start = async (host: string, index: number) =>
    stack.use(
      await startMember({
        ...waiting,
        name: `member${index + 1}`,
        ...{ host, port, apiPort, etcd, user, password },
        dcs: {
          ...{ ttl, loop_wait: 1, retry_timeout: 2, maximum_lag_on_failover: 1_048_576 },
          synchronous_mode: true,
        },
        settings: { ...SETTINGS, ...options.settings },
        callback: callbackText(host, authority, recordTtl),
      }),
    );
  const leader = await start(hosts[0]!, 0);
  const others = await Promise.all([1, 2].map((index) => start(hosts[index]!, index)));
  const cluster = new PatroniCluster([leader, ...others], etcd, { user, password });
  await cluster.settled();
  stack.move();
  return cluster;
}

/** A cluster, made by {@linkcode startPatroni}. */
export class PatroniCluster implements AsyncDisposable {
  /** The members. */
  readonly members: readonly PatroniMember[];
  /** The store that they elect the leader with. */
  readonly etcd: EtcdServer;
  readonly #login: { user: string; password: string };

  /** Not for callers: see {@linkcode startPatroni}. */
  constructor(
    members: readonly PatroniMember[],
    etcd: EtcdServer,
    login: { user: string; password: string },
  ) {
    this.members = members;
    this.etcd = etcd;
    this.#login = login;
  }

  /** The port of PostgreSQL on all members. */
  get port(): number {
    return this.members[0]!.port;
  }

  /** Returns a URL with the password, of one host or of several. */
  url(...hosts: string[]): string {
    const { user, password } = this.#login;
    const list = hosts.map((host) => `${host}:${this.port}`).join(",");
    return `postgresql://${credentials(user, password)}@${list}/postgres`;
  }

  /** Returns the members as the one that knows the latest leader describes them; none if none answers. */
  async states(): Promise<readonly MemberState[]> {
    const answers = await Promise.all(
      this.members.map(async ({ api }) => {
        const signal = AbortSignal.timeout(ASK_LIMIT_MS);
        const response = await fetch(`${api}/cluster`, { signal });
        return ((await response.json()) as { members: MemberState[] }).members;
      }).map((each) => each.catch((): MemberState[] => [])),
    );
    const timeline = (list: readonly MemberState[]) =>
      Math.max(0, ...list.filter(leads).map((each) => Number(each.timeline) || 0));
    return answers.reduce((best, next) => timeline(next) > timeline(best) ? next : best);
  }

  /** Returns the member that leads, or `undefined` while there is none. */
  async leader(): Promise<PatroniMember | undefined> {
    const state = (await this.states()).find((each) => leads(each) && each.state === "running");
    return this.members.find(({ name }) => name === state?.name);
  }

  /** Waits for a leader other than `old`, and returns it. */
  async newLeader(old: PatroniMember): Promise<PatroniMember> {
    return await this.#until(`a leader after ${old.name}`, async () => {
      const leader = await this.leader();
      return leader === old ? undefined : leader;
    });
  }

  /** Waits until one member leads, all others stream from it, and commits wait for one of them. */
  async settled(): Promise<PatroniMember> {
    return await this.#until("a leader with its replicas", async () => {
      const states = await this.states();
      const leader = states.find(leads);
      const whole = states.length === this.members.length &&
        states.every(({ state, timeline }) =>
          ["running", "streaming"].includes(state) && timeline === leader?.timeline
        ) && states.some(({ role }) => role === "sync_standby") &&
        (await Promise.all(this.members.map(isLive))).every(Boolean);
      return whole ? this.members.find(({ name }) => name === leader?.name) : undefined;
    });
  }

  /** Lets another member lead, as `patronictl switchover` does; returns it when it leads. */
  async switchover(): Promise<PatroniMember> {
    const states = await this.states();
    const old = states.find(leads);
    const next = states.find(({ role }) => role === "sync_standby");
    if (!old || !next) throw new Error("Cannot switch over: there is no synchronous standby");
    const member = this.members.find(({ name }) => name === old.name)!;
    await this.#post(member, "switchover", { leader: old.name, candidate: next.name });
    return await this.newLeader(member);
  }

  /** Restarts the PostgreSQL of a member, as `patronictl restart` does. */
  async restart(member: PatroniMember): Promise<void> {
    await this.#post(member, "restart", {});
  }

  /** Pauses the cluster, as `patronictl pause` does, or lets it go on; resolves when every member knows. */
  async pause(paused: boolean): Promise<void> {
    await this.#post(this.members[0]!, "config", { pause: paused }, "PATCH");
    await this.#until(paused ? "paused cluster" : "cluster that goes on", async () => {
      const states = await Promise.all(
        this.members.map(async ({ api }) => {
          const signal = AbortSignal.timeout(ASK_LIMIT_MS);
          const response = await fetch(`${api}/patroni`, { signal });
          return ((await response.json()) as { pause?: boolean }).pause ?? false;
        }).map((each) => each.catch(() => undefined)),
      );
      return states.every((each) => each === paused) ? true : undefined;
    });
  }

  /** Stops all and removes their data. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop({ mode: "immediate" })));
    await this.etcd.stop({ mode: "immediate" });
  }

  /** As {@linkcode PatroniCluster.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #post(
    { api }: PatroniMember,
    what: string,
    body: unknown,
    method: "POST" | "PATCH" = "POST",
  ): Promise<void> {
    const response = await fetch(`${api}/${what}`, { method, body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`Cannot ${what}: Patroni says ${response.status}, ${text}`);
  }

  async #until<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const endMs = performance.now() + LIMIT_MS;
    for (;;) {
      const result = await attempt();
      if (result !== undefined) return result;
      if (performance.now() > endMs) {
        const logs = this.members.map(({ name, log }) => `${name}: ${log.split("\n").at(-1)}`);
        const states = JSON.stringify(await this.states());
        const text = [`No ${what} within ${LIMIT_MS / 1000} seconds`, states, ...logs].join("\n");
        throw new Error(text);
      }
      await pause(50);
    }
  }
}

const leads = ({ role }: MemberState): boolean => role === "leader" || role === "master";

/** Returns whether the PostgreSQL of a member answers it; the states of a cluster are up to a second old. */
async function isLive({ api }: PatroniMember): Promise<boolean> {
  try {
    const response = await fetch(`${api}/patroni`, { signal: AbortSignal.timeout(ASK_LIMIT_MS) });
    return ((await response.json()) as { state: string }).state === "running";
  } catch {
    return false;
  }
}

/** Returns the script that a member runs: its arguments are the event, the role and the name of the cluster. */
function callbackText(host: string, { address }: Authority, ttl: number): string {
  return `#!/bin/sh
{
  echo "server ${address.host} ${address.port}"
  echo "zone ${ZONE}"
  case "$1 $2" in
  on_stop*)
    echo "update delete ${REPLICAS} A ${host}" ;;
  *" master" | *" primary" | *" promoted")
    echo "update delete ${REPLICAS} A ${host}"
    echo "update delete ${PRIMARY} A"
    echo "update add ${PRIMARY} ${ttl} A ${host}" ;;
  *)
    echo "update add ${REPLICAS} ${ttl} A ${host}" ;;
  esac
  echo send
} | nsupdate
`;
}
