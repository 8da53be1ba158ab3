#!/usr/bin/env bash
# Knot Resolver: a record with a TTL of 1 second is answered with TTL 5 at first, then with 1, then for seconds with 0, and is
# fetched again after more than 5 seconds.
#
# The default of cache.min_ttl() is 5. The first answer has the raised TTL, the later ones count down from the record's own and
# stop at 0: three answers of one copy, and the lower numbers come from the same raised copy.
#
# What dnspool learned: the lower TTL of two answers is no promise either. `cache.min_ttl(0)` mends it.
. "$(dirname "$0")/common.sh"

program kresd 5.6.0 knot-resolver --version
install dns-packet@5.6.1
name_server 15405 <<'JS'
let count = 0;
export default ({ name, type }) =>
  type === "A" ? { answers: [{ type, name, ttl: 1, data: `10.0.0.${count++ % 250 + 1}` }] } : {};
JS
cat >kresd.conf <<'CONF'
net.listen("127.0.0.1", 15406, { kind = "dns" })
net.ipv6 = false
cache.size = 10 * MB
trust_anchors.remove(".")
modules.unload("ta_signal_query")
modules.unload("priming")
modules.unload("detect_time_skew")
policy.add(policy.suffix(policy.STUB("127.0.0.1@15405"), policy.todnames({"lab.internal."})))
CONF
mkdir rundir
serve kresd --noninteractive --config "$dir/kresd.conf" rundir
cat >watch.mjs <<JS
import { ask, ready, sleep } from "$findings/dns_client.mjs";
await ready(15406, "first.lab.internal");
const spans = new Map();
const startMs = performance.now();
while (spans.size < 4 && performance.now() - startMs < 30_000) {
  const [{ data, ttl }] = (await ask(15406, "db.lab.internal")).answers;
  const nowMs = performance.now();
  const span = spans.get(data) ?? { fromMs: nowMs, ttls: new Set() };
  spans.set(data, { ...span, untilMs: nowMs, ttls: span.ttls.add(ttl) });
  await sleep(100);
}
// The first and the last one were not seen in full.
const [, ...full] = [...spans.values()].slice(0, -1);
const least = Math.min(...full.map(({ fromMs, untilMs }) => untilMs - fromMs));
const ttls = new Set(full.map(({ ttls }) => [...ttls].join(", then ")));
console.log(\`TTLs \${[...ttls].join(" or ")}; served for \${least > 5000 ? "more than 5" : least / 1000} s\`);
JS
expect "TTLs 5, then 1, then 0; served for more than 5 s" "$(node watch.mjs)"
