#!/usr/bin/env bash
# Deno.resolveDns(): a server that fails (SERVFAIL) or refuses (REFUSED) gives the error of a name that does not exist.
#
# RFC 2308 keeps the two apart: NXDOMAIN is an answer and may be cached, SERVFAIL is none. In Deno class, code and message of the
# error are the same for all three but for the name in it, so a program cannot tell an outage of DNS from a deleted name.
#
# What dnspool learned: a NotFound of Deno never counts as a negative answer.
. "$(dirname "$0")/common.sh"

install deno@2.9.6 dns-packet@5.6.1
name_server 15303 <<'EOF'
const RCODES = { "failing.test": 2, "missing.test": 3, "refused.test": 5 };
export default ({ name }) => ({ rcode: RCODES[name] });
EOF
cat >ask.ts <<'EOF'
const nameServer = { ipAddr: "127.0.0.1", port: 15303 };
for (const name of ["missing", "failing", "refused"]) {
  const said = await Deno.resolveDns(`${name}.test`, "A", { nameServer }).then(String, (error) =>
    `${error.name}, code ${error.code}, "${error.message.replace(`${name}.test`, "NAME")}"`);
  console.log(`${name}: ${said}`);
}
EOF
seen=$(deno run --allow-all ask.ts)
error='NotFound, code undefined, "proto error: no records found for Query { name: Name("NAME."), query_type: A, query_class: IN }"'
expect "missing: $error
failing: $error
refused: $error" "$seen"
