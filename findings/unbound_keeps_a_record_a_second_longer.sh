#!/usr/bin/env bash
# unbound: a record with a TTL of 1 second is served for 2 seconds, and any other for up to a second more than its TTL.
#
# unbound counts in whole seconds and lets the last one pass: in it, the answers say TTL 0. So a client that obeys the TTL, and
# asks when it is over, gets the old record once more. The server here changes the record with each question.
#
# What dnspool learned: an answer whose TTL is 0 is no new one, and is asked for again soon.
. "$(dirname "$0")/common.sh"

program unbound 1.17.1 unbound -V
install dns-packet@5.6.1
name_server 15401 <<'JS'
let count = 0;
export default ({ name, type }) =>
  type === "A" ? { answers: [{ type, name, ttl: 1, data: `10.0.0.${count++ % 250 + 1}` }] } : {};
JS
cat >unbound.conf <<CONF
server:
  directory: "$dir"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  interface: 127.0.0.1@15402
  do-not-query-localhost: no
  module-config: "iterator"
stub-zone:
  name: "lab.internal"
  stub-addr: 127.0.0.1@15401
CONF
serve unbound -d -p -c unbound.conf
cat >watch.mjs <<JS
import { ask, ready, sleep } from "$findings/dns_client.mjs";
await ready(15402, "first.lab.internal");
const spans = new Map();
const startMs = performance.now();
while (performance.now() - startMs < 9000) {
  const [{ data, ttl }] = (await ask(15402, "db.lab.internal")).answers;
  const nowMs = performance.now();
  const span = spans.get(data) ?? { fromMs: nowMs, ttls: new Set() };
  spans.set(data, { ...span, untilMs: nowMs, ttls: span.ttls.add(ttl) });
  await sleep(20);
}
// The first and the last one were not seen in full.
const full = [...spans.values()].slice(1, -1);
const longest = Math.max(...full.map(({ fromMs, untilMs }) => untilMs - fromMs));
const ttls = new Set(full.flatMap(({ ttls }) => [...ttls]));
console.log(\`TTL 1, served for \${Math.round(longest / 1000)} s, with the TTLs \${[...ttls].join(", then ")}\`);
JS
expect "TTL 1, served for 2 s, with the TTLs 1, then 0" "$(node watch.mjs)"
