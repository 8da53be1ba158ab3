#!/usr/bin/env bash
# unbound with `serve-expired: yes`: the authority is well, and a client that obeys the TTLs is half a minute behind it.
#
# An expired record is answered at once, with TTL 30, and fetched anew behind the scenes. The client comes back after 30 seconds. By
# then the fetched one has expired as well, so it is answered, with TTL 30: the client gets what was true 30 seconds ago, and for
# another 30 seconds. The record's own TTL here is 2. Without `ede: yes` nothing in the answer tells that it is stale.
#
# What dnspool learned: an answer with a longer TTL than the name had before is suspected, and asked for again soon.
. "$(dirname "$0")/common.sh"

program unbound 1.17.1 unbound -V
install dns-packet@5.6.1
name_server 15403 <<'JS'
const startMs = performance.now();
export default ({ name, type }) => {
  const second = Math.floor((performance.now() - startMs) / 1000); // the address is the time
  return type === "A" ? { answers: [{ type, name, ttl: 2, data: `10.0.0.${second}` }] } : {};
};
JS
cat >unbound.conf <<CONF
server:
  directory: "$dir"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  interface: 127.0.0.1@15404
  do-not-query-localhost: no
  module-config: "iterator"
  serve-expired: yes
stub-zone:
  name: "lab.internal"
  stub-addr: 127.0.0.1@15403
CONF
serve unbound -d -p -c unbound.conf
cat >obey.mjs <<JS
import { ask, ready, sleep } from "$findings/dns_client.mjs";
await ready(15404, "first.lab.internal");
const ttls = [];
for (let n = 0; n < 6; n++) {
  const [[then], [now]] = await Promise.all([15404, 15403].map(async (port) => (await ask(port, "db.lab.internal")).answers));
  const behind = now.data.split(".")[3] - then.data.split(".")[3];
  ttls.push(then.ttl);
  if (ttls.filter((ttl) => ttl === 30).length === 2) {
    console.log(\`TTLs \${ttls.filter((ttl) => ttl > 0).join(", ")}; the last answer is \${behind >= 28 ? "30" : behind} s old\`);
    break;
  }
  await sleep(Math.max(then.ttl * 1000, 1000));
}
JS
expect "TTLs 2, 30, 30; the last answer is 30 s old" "$(node obey.mjs)"
