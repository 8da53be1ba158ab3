#!/usr/bin/env bash
# Bun: console.log() prints properties that are not enumerable, and so the password of a client of pg.
#
# node-postgres makes the password of a client not enumerable, so that it is not printed with the client. Node and Deno leave
# such a property out, and so do util.inspect() and JSON.stringify() on Bun. Its console.log() and Bun.inspect()
# do not. A getter is printed without its value.
#
# What dnspool learned: a password that a driver has to keep after the login becomes a getter.
. "$(dirname "$0")/common.sh"

install node@22.23.3 deno@2.9.6 bun@1.4.5 pg@8.23.0
cat >print.mjs <<'JS'
import process from "node:process";
const how = process.argv[2] === "value" ? { value: "hunter2" } : { get: () => "hunter2" };
console.log(Object.defineProperty({}, "password", { ...how, enumerable: false }));
JS
cat >client.mjs <<'JS'
import pg from "pg";
console.log(new pg.Client({ host: "127.0.0.1", user: "app", password: "hunter2" }));
JS
printed() {
  if "$@" | grep -q hunter2; then echo "printed"; else echo "not printed"; fi
}
seen="Node, a value: $(printed node print.mjs value)
Deno, a value: $(printed deno run print.mjs value)
Bun, a value: $(printed bun print.mjs value)
Bun, a getter: $(printed bun print.mjs getter)
Node, the client: $(printed node client.mjs)
Bun, the client: $(printed bun client.mjs)"
expect "Node, a value: not printed
Deno, a value: not printed
Bun, a value: printed
Bun, a getter: not printed
Node, the client: not printed
Bun, the client: printed" "$seen"
