#!/usr/bin/env bash
# node:dns: name servers in /etc/resolv.conf that glibc reads in one way, and node:dns in another.
#
# `nameserver 127.1` is 127.0.0.1 for inet_aton(), and so for glibc. Node and Bun (c-ares) ask 127.1.0.0. Of a link-local
# address all runtimes lose the zone, without which it cannot be reached.
#
# What dnspool learned: it reads the file itself, and asks a server with a zone by messages of its own.
# Needs root on Linux: the file is replaced in a mount namespace of this script's own.
. "$(dirname "$0")/common.sh"

install deno@2.9.6 node@22.23.3 bun@1.4.5
cat >servers.mjs <<'EOF'
import { Resolver } from "node:dns";
console.log([...new Set(new Resolver().getServers())].join(" "));
EOF
run() { unshare --mount sh -c 'mount --bind resolv.conf /etc/resolv.conf && "$@"' sh "$@"; }
printf 'nameserver 127.1\n' >resolv.conf
seen="127.1 on Node: $(run node servers.mjs)
127.1 on Bun: $(run bun servers.mjs)"
printf 'nameserver fe80::53%%lo\n' >resolv.conf
seen="$seen
zone on Node: $(run node servers.mjs)
zone on Bun: $(run bun servers.mjs)
zone on Deno: $(run deno run --allow-all servers.mjs)"
expect "127.1 on Node: 127.1.0.0
127.1 on Bun: 127.1.0.0
zone on Node: fe80::53
zone on Bun: fe80::53
zone on Deno: fe80::53" "$seen"
