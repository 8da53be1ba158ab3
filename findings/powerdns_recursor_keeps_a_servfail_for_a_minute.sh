#!/usr/bin/env bash
# PowerDNS Recursor: one SERVFAIL of the authority is repeated for a minute, though the authority is well again at once.
#
# RFC 9520 asks resolvers to keep a failure for at least 1 second, and at most for 5 minutes. The default here is
# packetcache-servfail-ttl=60. The authority fails once; it is not asked again until the minute is over.
#
# What dnspool learned: a SERVFAIL is no reason to wait for longer, but a second name server should be asked.
. "$(dirname "$0")/common.sh"

program pdns_recursor 4.8.8 pdns-recursor --version
install dns-packet@5.6.1
name_server 15409 <<'JS'
let count = 0;
export default ({ name, type }) => {
  if (name === "db.lab.internal" && count++ === 0) return { rcode: 2 };
  return type === "A" ? { answers: [{ type, name, ttl: 1, data: "10.0.0.1" }] } : {};
};
JS
cat >recursor.conf <<CONF
local-address=127.0.0.1
local-port=15410
forward-zones=lab.internal=127.0.0.1:15409
dont-query=
dnssec=off
daemon=no
disable-syslog=yes
write-pid=no
socket-dir=$dir
hint-file=no
security-poll-suffix=
CONF
serve pdns_recursor --config-dir="$dir"
cat >watch.mjs <<JS
import { ask, ready, sleep } from "$findings/dns_client.mjs";
await ready(15410, "first.lab.internal");
const startMs = performance.now();
let failures = 0;
for (; failures < 100; failures++) {
  if ((await ask(15410, "db.lab.internal")).rcode !== "SERVFAIL") break;
  await sleep(1000);
}
const seconds = (performance.now() - startMs) / 1000;
console.log(\`SERVFAIL for \${Math.round(seconds / 5) * 5} s, then an address\`);
JS
expect "SERVFAIL for 60 s, then an address" "$(node watch.mjs)"
