#!/usr/bin/env bash
# dnsmasq: a name in its hosts file is answered at once for A, and never for AAAA while the server behind it is silent.
#
# The hosts file has an IPv4 address for the name. For AAAA dnsmasq could say "no such record", but it asks the server behind it. While
# that is silent, dnsmasq is too. A client that waits for both families waits for its time-out, with the answer at hand.
#
# What dnspool learned: one family that answered serves; the silent one is not waited for.
. "$(dirname "$0")/common.sh"

program dnsmasq 2.90 dnsmasq-base --version
install dns-packet@5.6.1
name_server 15407 <<'JS'
export default () => undefined; // silent
JS
echo "10.0.0.9 db.lab.internal" >lab_hosts
chmod 755 "$dir" && chmod 644 lab_hosts
serve dnsmasq --keep-in-foreground --conf-file=/dev/null --port=15408 --listen-address=127.0.0.1 \
  --bind-interfaces --no-resolv --no-hosts --addn-hosts="$dir/lab_hosts" --pid-file= --server=127.0.0.1#15407
cat >both.mjs <<JS
import { ask, ready } from "$findings/dns_client.mjs";
await ready(15408, "db.lab.internal");
const [a, aaaa] = await Promise.all(["A", "AAAA"].map((type) => ask(15408, "db.lab.internal", type, 6000)));
console.log(\`A: \${a.answers[0].data}, AAAA: \${aaaa ? aaaa.rcode : "silence for 6 s"}\`);
JS
expect "A: 10.0.0.9, AAAA: silence for 6 s" "$(node both.mjs)"
