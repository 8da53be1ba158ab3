/**
 * The help texts.
 *
 * @module
 */

import type { CommandName } from "./args.ts";

const GENERAL = `dnspool shows the addresses of a database's host name, and what would go wrong at a
failover.

  dnspool resolve HOST   shows the addresses of a name, their TTL, and the server that
                         answered
  dnspool watch HOST     writes a line each time the addresses change, until Ctrl-C
  dnspool check URL      connects to every address of a database URL, and reports what
                         would go wrong at a failover

  dnspool COMMAND --help   explains one command
  dnspool --version        shows the version

For example:

  dnspool resolve db.internal
  dnspool watch db.internal --nameserver 10.0.0.2
  dnspool check postgresql://app:secret@db.internal/orders

Exit status: 0 for success; 1 for a failure; 2 if the command line is wrong; 3 if "check"
has only warnings; 130 after Ctrl-C, except for "watch", which succeeds with 0.

Output to a terminal has colors: --no-color or NO_COLOR turns them off, FORCE_COLOR=1
turns them on. Output of --json never has any.`;

const DNS_FLAGS =
  `  --nameserver ADDRESS   the DNS server to ask, such as 10.0.0.2, 10.0.0.2:5353 or
                         "[fd00::2]:53"; may be given several times, in order.
                         Default: the system's
  --lookup LOOKUP        "system": the runtime's own resolver, which engines use;
                         "wire": exact, with the CNAME chain; or the URL of a DNS
                         server over HTTPS. Default: system
  --family FAMILY        4, 6, both, or auto: IPv6 if there is no IPv4 address.
                         Default: auto
  --no-hosts             never read the hosts file; without --nameserver, it is read
                         before DNS is asked
  --no-fallback          never ask the operating system (search domains); otherwise it
                         is asked if DNS has no answer`;

const OUTPUT_FLAGS = `  --no-color             no colors
  -h, --help             this text`;

const RESOLVE = `Shows the addresses of a host name, as an engine would resolve it.

  dnspool resolve HOST [flags]

${DNS_FLAGS}
  --timeout SECONDS      for the whole resolution. Default: 12
  --json                 one JSON object; times in it are seconds
${OUTPUT_FLAGS}

The TTL is the time for which the answer may be used. A DNS server with a cache reports
the remaining TTL, which may be less than the record's own.

Exit status: 0; 1 if there is no address, with the reason; 2 if the command line is
wrong; 130 after Ctrl-C.`;

const WATCH =
  `Watches a host name: writes a line for its addresses, and another each time they change,
fail to resolve, or resolve again. It asks as an engine does, shortly before each answer
expires. Ctrl-C ends it.

  dnspool watch HOST [flags]

${DNS_FLAGS}
  --timeout SECONDS      for each resolution. Default: 12
  --json                 a JSON object on each line; times in it are seconds
${OUTPUT_FLAGS}

"age" is the time since the query for the answer. While resolution fails, the last answer
stays in use, as in an engine: in grace (dnsGraceTtl), for at most a day.

Exit status: 0 after Ctrl-C or SIGTERM; 2 if the command line is wrong.`;

const CHECK = `Connects to every address of a database URL, and reports what would go wrong at a
failover: a TTL that is too long, an address that refuses connections, a certificate for
another name, a standby that would receive writes.

  dnspool check URL [flags]

The URL is dialect[+driver]://[user[:password]@]host[:port][/database][?query]. Default:
the environment variable DATABASE_URL, which is safer, because other users of the machine
can see the command line. No output shows the password.

  --target-session-attrs ROLE
                         the role that your pool requires: any, read-write, read-only,
                         primary, standby or prefer-standby. Default: any
  --connect-timeout SECONDS
                         for each address. Default: 10
  --password-file FILE   a file with the password, in place of one in the URL
  --credentials MODULE   a module whose default export is the function of the option
                         "credentials". It is called once for each host
  --listen CHANNEL       listens on the channel, by a connection of its own to each server
                         but standbys, and sends a notification to it
  --setting NAME=VALUE   sets it in a transaction, which is rolled back, such as
                         role=tenants or app.tenant=7; may be given several times
${DNS_FLAGS}
  --timeout SECONDS      for the resolution. Default: 12
  --json                 one JSON object; times in it are seconds
${OUTPUT_FLAGS}

For TLS, the URL has sslmode=verify-full, and sslrootcert=FILE for your own authority.

The driver that the URL names must be installed, for example with "npm install pg". The
check reads the server's role and version, and changes nothing. The notification of
--listen reaches other listeners of the channel too; its payload is "dnspool check", and
an ID.

Exit status: 0 without findings; 1 if a connection, a notification or a setting failed, no
server has the required role or the name has no address; 2 if the command line is wrong; 3
with only warnings; 130 after Ctrl-C.`;

const BY_COMMAND: Readonly<Record<CommandName, string>> = {
  resolve: RESOLVE,
  watch: WATCH,
  check: CHECK,
};

/**
 * Returns a help text.
 *
 * @param about The command. Default: all commands.
 */
export function helpText(about: CommandName | undefined): string {
  return about === undefined ? GENERAL : BY_COMMAND[about];
}
