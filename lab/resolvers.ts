/**
 * Real caching resolvers for tests, each on an address of its own, that ask an authority of the lab. They leave nothing
 * behind when they are stopped or this process ends in any way. The programs must be installed:
 * {@linkcode findResolver} tells whether one is.
 *
 * @example
 * ```ts
 * import { startAuthority } from "./authority.ts";
 * import { onFreePort } from "./free_port.ts";
 * import { startResolver } from "./resolvers.ts";
 *
 * export async function test() {
 *   await using authority = await onFreePort("127.0.0.1", startAuthority);
 *   const options = { upstream: authority.address, settings: ["serve-expired: yes"] };
 *   await using resolver = await onFreePort("127.0.0.2", (place) =>
 *     startResolver("unbound", { ...place, ...options }));
 * }
 * ```
 *
 * @module
 */

import path from "node:path";
import { BIND, BIND_KIND, bindAddress, bindCommand, ZONE } from "./authority.ts";
import { type Installed, installedPrograms } from "./installed_programs.ts";
import type { Programs } from "./programs.ts";
import { type Kind, LabServer, launch, type ServerOptions } from "./server.ts";
import { makeOwned } from "./work_dir.ts";

/** A resolver program. */
export type ResolverName = "BIND" | "unbound" | "dnsmasq" | "knot" | "PowerDNS" | "dnsdist";

/** Options of {@linkcode startResolver}. */
export interface ResolverOptions extends ServerOptions {
  /** The authority of {@linkcode ZONE}, which is all that it is asked for. */
  upstream: { readonly host: string; readonly port: number };
  /** More lines of its settings, in its own language. Default: none, so its defaults hold. */
  settings?: readonly string[];
  /** A listener for DNS over HTTPS, which BIND and unbound have. Default: none. */
  https?: HttpsListener;
}

/** A listener for DNS over HTTPS at the path `/dns-query`. */
export interface HttpsListener {
  /** TCP port. */
  port: number;
  /** Paths of the certificate and of its key as PEM, which the program's user can read. */
  cert: string;
  key: string;
}

/** How one program is run. */
interface Resolver {
  readonly installed: Installed<string>;
  readonly kind: Kind;
  /** The name of its file of settings. */
  readonly file: string;
  /** Returns the text of that file. */
  configuration(options: Required<Place>): string;
  /** Returns the settings of a listener for DNS over HTTPS: some at the top level, some beside the others. */
  https?(host: string, listener: HttpsListener): { blocks: string[]; settings: string[] };
  /** Returns program and arguments. */
  command(programs: Programs<string>, dir: string): [string, string[]];
}

/** What a file of settings depends on. */
interface Place extends Pick<ResolverOptions, "host" | "port" | "upstream" | "settings"> {
  /** Its directory. */
  readonly dir: string;
  /** More settings at the top level. */
  readonly blocks: readonly string[];
}

const SIGNALS: Kind["signals"] = { fast: "SIGTERM", immediate: "SIGKILL" };

const RESOLVERS: Readonly<Record<ResolverName, Resolver>> = {
  BIND: {
    installed: BIND,
    kind: BIND_KIND,
    file: "named.conf",
    https: (host, { port, cert, key }) => ({
      blocks: [`tls lab { cert-file "${cert}"; key-file "${key}"; };`],
      settings: [`listen-on port ${port} tls lab http default { ${host}; };`],
    }),
    configuration: ({ host, port, upstream, settings, blocks, dir }) =>
      `${blocks.join("\n")}
options {
  ${bindAddress({ host, port }, dir)}
  recursion yes;
  ${lines(settings)}
};
controls {};
logging { category default { default_stderr; }; };
zone "${ZONE}" {
  type forward;
  forward only;
  forwarders { ${upstream.host} port ${upstream.port}; };
};
`,
    command: bindCommand,
  },
  unbound: {
    installed: installedPrograms({
      what: "unbound",
      names: ["unbound"],
      debian: "unbound",
      users: ["unbound"],
      version: ["-V"],
    }),
    kind: { name: "unbound", ready: /start of service/, signals: SIGNALS },
    file: "unbound.conf",
    https: (host, { port, cert, key }) => ({
      blocks: [],
      settings: [
        `interface: ${host}@${port}`,
        `https-port: ${port}`,
        `tls-service-pem: "${cert}"`,
        `tls-service-key: "${key}"`,
      ],
    }),
    configuration: ({ host, port, upstream, settings, dir }) =>
      `server:
  directory: "${dir}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  interface: ${host}@${port}
  outgoing-interface: ${host}
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  ${lines(settings)}
stub-zone:
  name: "${ZONE}"
  stub-addr: ${upstream.host}@${upstream.port}
`,
    command: (programs, dir) => [
      programs.program("unbound"),
      ["-d", "-p", "-c", path.join(dir, "unbound.conf")],
    ],
  },
  dnsmasq: {
    installed: installedPrograms({
      what: "dnsmasq",
      names: ["dnsmasq"],
      debian: "dnsmasq-base",
      users: ["dnsmasq"],
      version: ["--version"],
    }),
    kind: { name: "dnsmasq", ready: /started, version/, signals: SIGNALS },
    file: "dnsmasq.conf",
    configuration: ({ host, port, upstream, settings }) =>
      `port=${port}
listen-address=${host}
bind-interfaces
no-resolv
no-hosts
pid-file=
server=/${ZONE}/${upstream.host}#${upstream.port}@${host}
${settings.join("\n")}
`,
    command: (programs, dir) => [
      programs.program("dnsmasq"),
      ["--keep-in-foreground", "--log-facility=-", `--conf-file=${path.join(dir, "dnsmasq.conf")}`],
    ],
  },
  knot: {
    installed: installedPrograms({
      what: "Knot Resolver",
      names: ["kresd"],
      debian: "knot-resolver",
      users: ["knot-resolver"],
      version: ["--version"],
    }),
    kind: { name: "Knot Resolver", ready: /^the lab's settings were read$/m, signals: SIGNALS },
    file: "kresd.conf",
    configuration: ({ host, port, upstream, settings, dir }) =>
      `net.listen("${host}", ${port}, { kind = "dns" })
net.ipv6 = false
net.outgoing_v4("${host}")
cache.size = 10 * MB
trust_anchors.remove(".")
modules.unload("ta_signal_query")
modules.unload("priming")
modules.unload("detect_time_skew")
${settings.join("\n")}
policy.add(policy.suffix(policy.FLAGS({"NO_0X20", "NO_EDNS"}), policy.todnames({"${ZONE}."})))
policy.add(policy.suffix(policy.STUB("${upstream.host}@${upstream.port}"), policy.todnames({"${ZONE}."})))
io.stderr:write("the lab's settings were read\\n")
-- ${dir}
`,
    command: (programs, dir) => [
      programs.program("kresd"),
      ["--noninteractive", "--config", path.join(dir, "kresd.conf"), dir],
    ],
  },
  PowerDNS: {
    installed: installedPrograms({
      what: "PowerDNS Recursor",
      names: ["pdns_recursor"],
      debian: "pdns-recursor",
      users: ["pdns"],
      version: ["--version"],
    }),
    kind: { name: "PowerDNS Recursor", ready: /Enabled multiplexer/, signals: SIGNALS },
    file: "recursor.conf",
    configuration: ({ host, port, upstream, settings, dir }) =>
      `local-address=${host}
local-port=${port}
query-local-address=${host}
forward-zones=${ZONE}=${upstream.host}:${upstream.port}
dont-query=
dnssec=off
daemon=no
disable-syslog=yes
write-pid=no
socket-dir=${dir}
hint-file=no
security-poll-suffix=
threads=1
${settings.join("\n")}
`,
    command: (programs, dir) => [programs.program("pdns_recursor"), [`--config-dir=${dir}`]],
  },
  dnsdist: {
    installed: installedPrograms({
      what: "dnsdist",
      names: ["dnsdist"],
      debian: "dnsdist",
      users: ["_dnsdist"],
      version: ["--version"],
    }),
    kind: { name: "dnsdist", ready: /Marking downstream .* as 'up'/, signals: SIGNALS },
    file: "dnsdist.conf",
    configuration: ({ host, port, upstream, settings }) =>
      `setSecurityPollSuffix("")
setLocal("${host}:${port}")
newServer({
  address = "${upstream.host}:${upstream.port}",
  source = "${host}",
  checkName = "${ZONE}.",
  checkType = "SOA",
})
${settings.join("\n")}
`,
    command: (programs, dir) => [
      programs.program("dnsdist"),
      ["--supervised", "--disable-syslog", "--config", path.join(dir, "dnsdist.conf")],
    ],
  },
};

/** Returns whether this machine has a resolver's program, and the Debian package that contains it. */
export function findResolver(
  name: ResolverName,
): { readonly found: boolean; readonly debian: string } {
  const { installed } = RESOLVERS[name];
  return { found: installed.find() !== undefined, debian: installed.debian };
}

/** Returns whether a resolver has a listener for DNS over HTTPS in the lab. */
export function speaksHttps(name: ResolverName): boolean {
  return RESOLVERS[name].https !== undefined;
}

/**
 * Starts a resolver with an empty cache.
 *
 * @throws {Error} with the end of its log if it does not start; nothing is left then.
 */
export async function startResolver(
  name: ResolverName,
  options: ResolverOptions,
): Promise<ResolverServer> {
  const resolver = RESOLVERS[name];
  const programs = await resolver.installed.prepare(options);
  const server = new ResolverServer(options, programs, resolver);
  const { settings = [], host, https } = options;
  const more = https && resolver.https?.(host, https);
  if (https && !more) throw new Error(`Cannot start ${name} with DNS over HTTPS: it has none here`);
  return await launch(server, options, async () => {
    await makeOwned(programs, server.dataDir);
    const place = {
      ...options,
      settings: [...settings, ...more?.settings ?? []],
      blocks: more?.blocks ?? [],
      dir: server.dataDir,
    };
    await server.put(resolver.file, resolver.configuration(place));
  });
}

/** A resolver, made by {@linkcode startResolver}. */
export class ResolverServer extends LabServer {
  readonly #programs: Programs<string>;
  readonly #resolver: Resolver;

  /** Not for callers: see {@linkcode startResolver}. */
  constructor(options: ResolverOptions, programs: Programs<string>, resolver: Resolver) {
    super(options, programs, resolver.kind);
    this.#programs = programs;
    this.#resolver = resolver;
  }

  protected override command(): [string, string[]] {
    return this.#resolver.command(this.#programs, this.dataDir);
  }
}

/** Joins lines of a block. */
function lines(settings: readonly string[]): string {
  return settings.join("\n  ");
}
