/**
 * Real proxies for tests and drills, PgBouncer and HAProxy, each on an address of its own. They leave nothing behind when
 * they are stopped or this process ends in any way. The programs must be installed: {@linkcode findProxies} tells whether
 * they are.
 *
 * @example
 * ```ts
 * import { onFreePort } from "./free_port.ts";
 * import { startPgbouncer } from "./proxies.ts";
 *
 * export async function test(server: { host: string; port: number }) {
 *   const login = { user: "app", password: "secret", database: "postgres" };
 *   await using proxy = await onFreePort("127.0.0.1", (place) =>
 *     startPgbouncer({ ...place, ...login, server }));
 * }
 * ```
 *
 * @module
 */

import net from "node:net";
import path from "node:path";
import { type Installed, installedPrograms } from "./installed_programs.ts";
import { pause } from "./processes.ts";
import type { Programs } from "./programs.ts";
import { type Kind, LabServer, launch, type ServerOptions } from "./server.ts";
import { makeOwned } from "./work_dir.ts";

/** PgBouncer. */
export const PGBOUNCER: Installed<"pgbouncer"> = installedPrograms({
  what: "PgBouncer",
  names: ["pgbouncer"],
  debian: "pgbouncer",
  users: ["postgres", "nobody"],
  version: ["--version"],
});

/** HAProxy. */
export const HAPROXY: Installed<"haproxy"> = installedPrograms({
  what: "HAProxy",
  names: ["haproxy"],
  debian: "haproxy",
  users: ["haproxy", "nobody"],
  version: ["-v"],
});

const SIGNALS: Kind["signals"] = { fast: "SIGTERM", immediate: "SIGKILL" };
const PGBOUNCER_KIND: Kind = { name: "PgBouncer", ready: /process up/, signals: SIGNALS };
const HAPROXY_KIND: Kind = { name: "HAProxy", ready: /Using \w+\(\) as the/, signals: SIGNALS };

/** Milliseconds after which a start has failed. */
const LIMIT_MS = 10_000;

/** Returns whether this machine has both. */
export function findProxies(): true | undefined {
  return [PGBOUNCER, HAPROXY].every((each) => each.find()) ? true : undefined;
}

/** Options of {@linkcode startPgbouncer}. */
export interface PgbouncerOptions extends ServerOptions {
  /** The server; its host may be a name, which PgBouncer asks the system's name server for. */
  server: { readonly host: string; readonly port: number };
  /** The user that it logs in as, whatever its clients say. */
  user: string;
  /** The password of that user; its clients need none. */
  password: string;
  /** The only database. */
  database: string;
  /** More lines of the section `pgbouncer` of its settings. Default: none. */
  settings?: Readonly<Record<string, string | number>>;
}

/** Options of {@linkcode startHaproxy}. */
export interface HaproxyOptions extends ServerOptions {
  /** The lines of the section `listen`, but for `bind`. */
  listen: readonly string[];
  /** The lines of the section `resolvers lab`. Default: there is no such section. */
  resolvers?: readonly string[];
}

/** A proxy. */
export class ProxyServer extends LabServer {
  readonly #command: readonly [string, string[]];

  /** Not for callers: see {@linkcode startPgbouncer} and {@linkcode startHaproxy}. */
  constructor(
    options: ServerOptions,
    { programs, kind, command }: {
      readonly programs: Programs<never>;
      readonly kind: Kind;
      readonly command: (dir: string) => [string, string[]];
    },
  ) {
    super(options, programs, kind);
    this.#command = command(this.dataDir);
  }

  /** Starts it; resolves when its port accepts connections: HAProxy reports nothing after it has opened it. */
  override async start(signal?: AbortSignal): Promise<void> {
    await super.start(signal);
    const endMs = performance.now() + LIMIT_MS;
    while (!await accepts(this.address)) {
      signal?.throwIfAborted();
      if (!this.running || performance.now() > endMs) {
        throw new Error(`Cannot start ${this.title} on ${this.where}: ${this.log}`);
      }
      await pause(5);
    }
  }

  protected override command(): [string, string[]] {
    const [program, args] = this.#command;
    return [program, [...args]];
  }
}

function accepts(where: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(where);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Starts a PgBouncer. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<ProxyServer> {
  const { host, port, server, user, password, database, settings = {} } = options;
  const programs = await PGBOUNCER.prepare(options);
  const proxy = new ProxyServer(options, {
    programs,
    kind: PGBOUNCER_KIND,
    command: (dir) => [programs.program("pgbouncer"), [path.join(dir, "pgbouncer.ini")]],
  });
  const all = {
    ...{ listen_addr: host, listen_port: port, unix_socket_dir: "", auth_type: "any" },
    ...settings,
  };
  const login = `user=${user} password=${password}`;
  const text = `[databases]
${database} = host=${server.host} port=${server.port} ${login}
[pgbouncer]
${Object.entries(all).map(([name, value]) => `${name} = ${value}`).join("\n")}
`;
  return await launch(proxy, options, async () => {
    await makeOwned(programs, proxy.dataDir);
    await proxy.put("pgbouncer.ini", text);
  });
}

/** Starts an HAProxy in TCP mode with one `listen`. */
export async function startHaproxy(options: HaproxyOptions): Promise<ProxyServer> {
  const { listen, resolvers } = options;
  const programs = await HAPROXY.prepare(options);
  const proxy = new ProxyServer(options, {
    programs,
    kind: HAPROXY_KIND,
    command: (dir) => [
      programs.program("haproxy"),
      ["-V", "-db", "-f", path.join(dir, "haproxy.cfg")],
    ],
  });
  const section = (name: string, lines: readonly string[]) =>
    [name, ...lines.map((line) => `  ${line}`), ""].join("\n");
  const text = [
    section("global", ["log stdout format raw local0"]),
    section("defaults", [
      ...["log global", "mode tcp", "timeout connect 2s", "timeout client 1h"],
      "timeout server 1h",
    ]),
    ...resolvers ? [section("resolvers lab", resolvers)] : [],
    section("listen database", [`bind ${proxy.where}`, ...listen]),
  ].join("\n");
  return await launch(proxy, options, async () => {
    await makeOwned(programs, proxy.dataDir);
    await proxy.put("haproxy.cfg", text);
  });
}
