/**
 * What `--help` says.
 *
 * @module
 */

import type { CommandName } from "./args.ts";

const GENERAL =
  `dnspool shows what a database's host name points at, and what a failover would meet.

  dnspool resolve HOST   the addresses that a name has now, their TTL, who said so
  dnspool watch HOST     a line each time that they change, until Ctrl-C
  dnspool check URL      connects to every address of a database URL, and tells what
                         would go wrong at a failover

  dnspool COMMAND --help   all about one command
  dnspool --version        the version

For example:

  dnspool resolve db.internal
  dnspool watch db.internal --nameserver 10.0.0.2
  dnspool check postgresql://app:secret@db.internal/orders

Exit status: 0 if all is well; 1 if it is not; 2 if the command line is wrong; 3 if
"check" has warnings only; 130 after Ctrl-C, but 0 for "watch", which ends that way.

Colours are for terminals: --no-color or NO_COLOR takes them away, FORCE_COLOR=1 asks
for them. They are never in --json.`;

const DNS_FLAGS =
  `  --nameserver ADDRESS   the DNS server to ask, such as 10.0.0.2, 10.0.0.2:5353 or
                         "[fd00::2]:53"; may be given several times, in order.
                         Default: the system's
  --lookup WAY           "system": the runtime's own resolver, as an engine has it;
                         "wire": exact, with the CNAME chain; or the URL of a DNS
                         server over HTTPS. Default: system
  --family FAMILY        4, 6, both, or auto: IPv6 where there is no IPv4.
                         Default: auto
  --no-fallback          DNS only; otherwise the operating system (hosts file, search
                         domains) is asked where DNS has no answer`;

const OUTPUT_FLAGS = `  --no-color             no colours
  -h, --help             this text`;

const RESOLVE = `Shows the addresses that a host name has now, as an engine would find them.

  dnspool resolve HOST [flags]

${DNS_FLAGS}
  --timeout SECONDS      for everything together. Default: 12
  --json                 one JSON object; times in it are seconds
${OUTPUT_FLAGS}

The TTL is how long the answer may be used. A DNS server in between says how much of
it is left, which may be less than the record's own.

Exit status: 0; 1 if there is no address, with the reason; 2 if the command line is
wrong; 130 after Ctrl-C.`;

const WATCH =
  `Follows a host name: a line for its addresses, and another each time they change, fail
to resolve, or can be resolved again. It asks as an engine does, shortly before each
answer expires. Ctrl-C ends it.

  dnspool watch HOST [flags]

${DNS_FLAGS}
  --timeout SECONDS      for one resolution. Default: 12
  --json                 a JSON object a line; times in it are seconds
${OUTPUT_FLAGS}

"age" is how long ago the answer was asked for. While resolution fails, the last answer
serves on, as it does in an engine: in grace (dnsGraceTtl), for a day at most.

Exit status: 0 after Ctrl-C or SIGTERM; 2 if the command line is wrong.`;

const CHECK = `Connects to every address of a database URL, and tells what would go wrong at a
failover: a TTL that is too long, an address that lets nobody in, a certificate for
another name, a standby where writes would land.

  dnspool check URL [flags]

The URL is dialect[+driver]://[user[:password]@]host[:port][/database][?query]. Where it
is left out, the environment variable DATABASE_URL is read: what stands on the command
line can be seen by other users of the machine. No output ever shows the password.

  --target-session-attrs ROLE
                         the role that your pool asks for: any, read-write, read-only,
                         primary, standby or prefer-standby. Default: any
  --connect-timeout SECONDS
                         for each address. Default: 10
${DNS_FLAGS}
  --timeout SECONDS      for the resolution. Default: 12
  --json                 one JSON object; times in it are seconds
${OUTPUT_FLAGS}

For TLS, the URL has sslmode=verify-full, and sslrootcert=FILE for an authority of your own.

The driver that the URL names has to be installed, such as by "npm install pg". The check
reads the server's role and version, and changes nothing.

Exit status: 0 if nothing was found; 1 if an address let nobody in or the name has none;
2 if the command line is wrong; 3 if there are warnings only; 130 after Ctrl-C.`;

const BY_COMMAND: Readonly<Record<CommandName, string>> = {
  resolve: RESOLVE,
  watch: WATCH,
  check: CHECK,
};

/**
 * The help text.
 *
 * @param about The command; without it, what there is.
 */
export function helpText(about: CommandName | undefined): string {
  return about === undefined ? GENERAL : BY_COMMAND[about];
}
