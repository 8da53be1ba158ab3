#!/usr/bin/env bash
# Bun: a connection to an address to which there is no route fails with ECONNREFUSED, as if a server had refused it.
#
# In a network namespace that has the loopback interface only, connect() to 10.1.2.3 returns ENETUNREACH at once. Node and Deno
# report that code. Bun reports ECONNREFUSED, so that a program cannot tell a server that is down from a network without
# IPv4, where the AAAA record of the same name would do.
#
# What dnspool learned: on Bun, a refused connection is followed by connect() of a datagram socket, which sends nothing and
# fails without a route.
# Needs root on Linux, for the namespace.
. "$(dirname "$0")/common.sh"

install deno@2.9.6 node@22.23.3 bun@1.4.5
cat >connect.mjs <<'EOF'
import { connect } from "node:net";
connect(5432, "10.1.2.3").on("error", ({ code }) => console.log(code));
EOF
run() { unshare --net sh -c 'ip link set lo up && "$@"' sh "$@"; }
seen="Node: $(run node connect.mjs)
Deno: $(run deno run --allow-all connect.mjs)
Bun: $(run bun connect.mjs)"
expect "Node: ENETUNREACH
Deno: ENETUNREACH
Bun: ECONNREFUSED" "$seen"
