#!/usr/bin/env bash
# Deno.resolveDns() with a name server of its own still answers from /etc/hosts.
#
# The option `nameServer` says whom to ask. A name that stands in the hosts file is never asked there: the call succeeds
# with the file's address although nothing listens at the name server. Node's Resolver with setServers() asks the server
# and fails. So "what does this server say of the name" cannot be asked with Deno.resolveDns().
#
# What dnspool learned: a list of name servers and the hosts file need one rule for all runtimes.
# Needs root on Linux: the file is replaced in a mount namespace of this script's own.
. "$(dirname "$0")/common.sh"

install deno@2.9.6 node@22.23.1
printf '127.0.0.77 db.internal.test\n' >hosts
cat >deno.ts <<'EOF'
const nameServer = { ipAddr: "127.0.0.99", port: 9 };
console.log(await Deno.resolveDns("db.internal.test", "A", { nameServer }).then(String, (error) => error.name));
EOF
cat >node.mjs <<'EOF'
import { promises } from "node:dns";
const resolver = new promises.Resolver({ timeout: 500, tries: 1 });
resolver.setServers(["127.0.0.99:9"]);
console.log(await resolver.resolve4("db.internal.test").then(String, (error) => error.code));
EOF
run() { unshare --mount sh -c 'mount --bind hosts /etc/hosts && "$@"' sh "$@"; }
seen="Deno.resolveDns: $(run deno run --allow-all deno.ts)
Node's Resolver: $(run node node.mjs)"
expect "Deno.resolveDns: 127.0.0.77
Node's Resolver: ECONNREFUSED" "$seen"
