/**
 * Real Redis servers for tests, each on an address of its own. They leave nothing behind when they are stopped or this
 * process ends in any way. The program must be installed: {@linkcode findRedis} tells whether it is.
 *
 * @example
 * ```ts
 * import { freePort } from "./free_port.ts";
 * import { startRedis } from "./redis.ts";
 *
 * export async function test() {
 *   await using server = await startRedis({ host: "127.0.0.2", port: await freePort(["127.0.0.2"]) });
 * }
 * ```
 *
 * @module
 */

import path from "node:path";
import { installedPrograms } from "./installed_programs.ts";
import type { Programs } from "./programs.ts";
import {
  bracketed,
  credentials,
  type Kind,
  LabServer,
  launch,
  type ServerOptions,
} from "./server.ts";
import { makeOwned } from "./work_dir.ts";

/** Options of {@linkcode startRedis}. */
export interface RedisOptions extends ServerOptions {
  /** The password of the user `default`. Default: none, and none is needed. */
  password?: string | undefined;
}

const INSTALLED = installedPrograms({
  what: "Redis",
  names: ["redis-server"],
  debian: "redis-server",
  users: ["redis", "_redis"],
  version: ["--version"],
});

/** Returns the path of the program; `undefined` if this machine has none. */
export const findRedis: () => Readonly<Record<string, string>> | undefined = INSTALLED.find;

const KIND: Kind = {
  name: "Redis",
  ready: /ready to accept connections/i,
  signals: { fast: "SIGTERM", immediate: "SIGKILL" },
};

/**
 * Starts an empty Redis server, which loses everything with a restart.
 *
 * @throws {Error} with the end of its log if it does not start; nothing is left then.
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const programs = await INSTALLED.prepare(options);
  const server = new RedisServer(options, programs);
  return await launch(server, options, async () => {
    await makeOwned(programs, server.dataDir);
    await server.put("redis.conf", configuration(options, server.dataDir));
  });
}

/** A Redis server, made by {@linkcode startRedis}. */
export class RedisServer extends LabServer {
  readonly #password: string | undefined;
  readonly #programs: Programs<"redis-server">;

  /** Not for callers: see {@linkcode startRedis}. */
  constructor(options: RedisOptions, programs: Programs<"redis-server">) {
    super(options, programs, KIND);
    this.#password = options.password;
    this.#programs = programs;
  }

  /** Returns its URL, with the password. `host` replaces the address by a name. */
  url(host: string = bracketed(this.host)): string {
    const who = this.#password === undefined ? "" : `${credentials("default", this.#password)}@`;
    return `redis://${who}${host}:${this.port}`;
  }

  protected override command(): [string, string[]] {
    return [this.#programs.program("redis-server"), [path.join(this.dataDir, "redis.conf")]];
  }
}

/** Returns the text of redis.conf, for a server that writes nothing to disk. */
function configuration({ host, port, password }: RedisOptions, dir: string): string {
  const settings = { bind: host, port, dir, save: "", appendonly: "no", databases: 16 };
  const all = { ...settings, ...password === undefined ? {} : { requirepass: password } };
  return Object.entries(all).map(([name, value]) => `${name} ${JSON.stringify(String(value))}\n`)
    .join("");
}
