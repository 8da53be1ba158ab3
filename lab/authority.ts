/**
 * A real authoritative name server for tests: BIND with one zone that dynamic updates (RFC 2136) change. It leaves nothing
 * behind when it is stopped or this process ends in any way. The program must be installed: {@linkcode findBind} tells
 * whether it is.
 *
 * @example
 * ```ts
 * import { startAuthority } from "./authority.ts";
 * import { onFreePort } from "./free_port.ts";
 *
 * export async function test() {
 *   await using server = await onFreePort("127.0.0.1", startAuthority);
 *   await server.set("db.lab.internal", ["10.0.0.1"], 5);
 * }
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { networkInterfaces } from "node:os";
import path from "node:path";
import { sendUpdate } from "./dns_update.ts";
import { type Installed, installedPrograms } from "./installed_programs.ts";
import type { Programs } from "./programs.ts";
import { type Kind, LabServer, launch, type ServerOptions } from "./server.ts";
import { makeOwned } from "./work_dir.ts";

/** The only zone of the authority. */
export const ZONE = "lab.internal";

/** BIND's server. */
export const BIND: Installed<"named"> = installedPrograms({
  what: "BIND",
  names: ["named"],
  debian: "bind9",
  users: ["bind", "named"],
  version: ["-v"],
});

/** Returns the path of BIND's server; `undefined` if this machine has none. */
export const findBind: () => Readonly<Record<string, string>> | undefined = BIND.find;

/** How BIND starts and stops. */
export const BIND_KIND: Kind = {
  name: "BIND",
  ready: /\brunning$/m,
  signals: { fast: "SIGTERM", immediate: "SIGKILL" },
};

/** Options of {@linkcode startAuthority}. */
export interface AuthorityOptions extends ServerOptions {
  /** Seconds that resolvers may keep a negative answer. Default: 1. */
  negativeTtl?: number;
  /** More lines for the block `options` of its settings. Default: none. */
  settings?: readonly string[];
  /** More blocks of its settings. Default: none. */
  blocks?: readonly string[];
}

/** The file that it writes the questions to, a line each. */
const QUESTIONS_FILE = "questions.log";
/** The file of the zone. */
const ZONE_FILE = "zone.db";
/** A file that there is not: BIND answers SERVFAIL for such a zone. */
const NO_FILE = "none.db";

/**
 * Starts an authority for {@linkcode ZONE}, without names in it.
 *
 * @throws {Error} with the end of its log if it does not start; nothing is left then.
 */
export async function startAuthority(options: AuthorityOptions): Promise<Authority> {
  const programs = await BIND.prepare(options);
  const server = new Authority(options, programs);
  return await launch(server, options, async () => {
    await makeOwned(programs, server.dataDir);
    await server.put(ZONE_FILE, zoneText(options.negativeTtl ?? 1));
    await server.configure(ZONE_FILE);
  });
}

/** An authority, made by {@linkcode startAuthority}. */
export class Authority extends LabServer {
  readonly #programs: Programs<"named">;
  readonly #settings: readonly string[];
  /** The questions in the part of the file that was read. */
  readonly #questions = new Map<string, number>();
  #readBytes = 0;
  readonly #blocks: readonly string[];

  /** Not for callers: see {@linkcode startAuthority}. */
  constructor(options: AuthorityOptions, programs: Programs<"named">) {
    super(options, programs, BIND_KIND);
    this.#programs = programs;
    this.#settings = options.settings ?? [];
    this.#blocks = options.blocks ?? [];
  }

  /**
   * Gives a name these A records, and no other; none: the name is deleted. Resolves when the authority answers so.
   *
   * @throws {Error} if it refuses the update or does not answer it.
   */
  async set(name: string, addresses: readonly string[], ttl: number): Promise<void> {
    await sendUpdate({ server: this.address, zone: ZONE, name, addresses, ttl });
  }

  /** Restarts it with a zone that it cannot load, so that it answers SERVFAIL; `false`: it is well again. */
  async fail(fails: boolean): Promise<void> {
    await this.stop({ keep: true });
    await this.configure(fails ? NO_FILE : ZONE_FILE);
    await this.start();
  }

  /** Returns the number of questions that it was asked for each name, since it was made. */
  questions(): ReadonlyMap<string, number> {
    const file = openSync(path.join(this.dataDir, QUESTIONS_FILE), "r");
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#readBytes);
      const length = readSync(file, bytes, 0, bytes.length, this.#readBytes);
      const text = bytes.toString("latin1", 0, length);
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      this.#readBytes += whole.length;
      for (const [, name = ""] of whole.matchAll(/ query: (\S+) IN /g)) {
        const key = name.toLowerCase();
        this.#questions.set(key, (this.#questions.get(key) ?? 0) + 1);
      }
    } finally {
      closeSync(file);
    }
    return this.#questions;
  }

  /** Writes its settings. */
  async configure(zoneFile: string): Promise<void> {
    await this.put(
      "named.conf",
      `${this.#blocks.join("\n")}
options {
  ${bindAddress(this.address, this.dataDir)}
  recursion no;
  notify no;
  ${this.#settings.join("\n  ")}
};
controls {};
logging {
  category default { default_stderr; };
  channel questions { file "${QUESTIONS_FILE}"; print-time iso8601; };
  category queries { questions; };
};
zone "${ZONE}" {
  type primary;
  file "${zoneFile}";
  allow-update { 127.0.0.0/8; };
};
`,
    );
  }

  protected override command(): [string, string[]] {
    return bindCommand(this.#programs, this.dataDir);
  }
}

/** Returns the program and the arguments that run BIND in the foreground. */
export function bindCommand(programs: Programs<"named">, dir: string): [string, string[]] {
  return [programs.program("named"), ["-f", "-n", "1", "-c", path.join(dir, "named.conf")]];
}

/**
 * Returns the settings of BIND for one address and one directory.
 *
 * @throws {Error} if no network interface has the address: BIND would run, and listen nowhere.
 */
export function bindAddress({ host, port }: { host: string; port: number }, dir: string): string {
  const known = Object.values(networkInterfaces()).flat().map((each) => each?.address);
  if (!known.includes(host)) {
    throw new Error(`Cannot run BIND on ${host}: no network interface has it, take 127.0.0.1`);
  }
  return `directory "${dir}";
  listen-on port ${port} { ${host}; };
  listen-on-v6 { none; };
  query-source address ${host};
  pid-file none;
  session-keyfile none;
  managed-keys-directory "${dir}";
  dnssec-validation no;`;
}

function zoneText(negativeTtl: number): string {
  return `$TTL 1
@ ${negativeTtl} IN SOA ns.${ZONE}. hostmaster.${ZONE}. 1 3600 600 86400 ${negativeTtl}
@ 3600 IN NS ns.${ZONE}.
ns 3600 IN A 127.0.0.1
`;
}
