#!/usr/bin/env bash
# Node: the first `setServers()` of a process costs milliseconds of CPU time if a server is named with its port.
#
# Node asks whether "127.0.0.1:53" is an IPv4 address, and then, whether it is an IPv6 one: with a large regular
# expression, which is compiled then. "127.0.0.1" is found to be an IPv4 address before that. 53 is the default.
#
# What dnspool learned: it names a server without the port 53, which costs a tenth.
. "$(dirname "$0")/common.sh"

install node@22.23.3
cat >first.mjs <<'EOF'
import { Resolver } from "node:dns";
import process from "node:process";
const resolver = new Resolver();
const start = process.cpuUsage();
resolver.setServers([process.argv[2]]);
const { user, system } = process.cpuUsage(start);
console.log(user + system);
EOF
# Prints the median of the CPU times of nine new processes, in microseconds.
median() {
  for _ in {1..9}; do node first.mjs "$1"; done | sort -n | sed -n 5p
}
without=$(median 127.0.0.1)
with=$(median 127.0.0.1:53)
echo "CPU time in microseconds: $without without the port, $with with it"
expect "with the port, it is at least three times as long: yes" \
  "with the port, it is at least three times as long: $([[ $with -ge $((3 * without)) ]] && echo yes || echo no)"
