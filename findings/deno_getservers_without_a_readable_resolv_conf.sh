#!/usr/bin/env bash
# Deno's node:dns: one option that it does not know in /etc/resolv.conf, and getServers() names public servers that
# the file does not have.
#
# `options no-aaaa` is an option of glibc since 2.36. With it in the file beside `nameserver 127.0.0.53`, Node answers
# 127.0.0.53. Deno drops the whole file and answers its built-in default, the servers of Google, each twice. A program that
# takes its list of servers from there sends internal names to a third party.
#
# What dnspool learned: it must not take a default that the file does not name.
# Needs root on Linux: the file is replaced in a mount namespace of this script's own.
. "$(dirname "$0")/common.sh"

install deno@2.9.6 node@22.23.1
printf 'nameserver 127.0.0.53\noptions no-aaaa\n' >resolv.conf
cat >servers.mjs <<'EOF'
import { getServers } from "node:dns";
console.log(getServers().join(" "));
EOF
run() { unshare --mount sh -c 'mount --bind resolv.conf /etc/resolv.conf && "$@"' sh "$@"; }
seen="Node: $(run node servers.mjs)
Deno: $(run deno run --allow-all servers.mjs)"
expect "Node: 127.0.0.53
Deno: 8.8.8.8 8.8.8.8 8.8.4.4 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8888 2001:4860:4860::8844 2001:4860:4860::8844" "$seen"
