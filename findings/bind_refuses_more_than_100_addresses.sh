#!/usr/bin/env bash
# BIND: a name with 101 addresses has none. A resolver answers SERVFAIL for it, and an authority does not load its zone.
#
# max-records-per-type is 100 by default, since a security update of 2024. The same name with 100 addresses works, so a fleet that grows by
# one machine loses its name, behind each BIND on the way. Other resolvers pass such an answer on.
#
# What dnspool learned: nothing to do here; docs/production.md names the setting.
. "$(dirname "$0")/common.sh"

program named 9.18.49 bind9 -v
install dns-packet@5.6.1
name_server 15411 <<'JS'
export default ({ name, type }) => {
  const size = Number(name.split(".")[0].slice(1));
  const answers = Array.from({ length: size }, (_, i) => ({ type, name, ttl: 60, data: `10.0.0.${i + 1}` }));
  return type === "A" ? { answers } : {};
};
JS
settings() {
  cat <<CONF
options {
  directory "$dir";
  listen-on port $1 { 127.0.0.1; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  managed-keys-directory "$dir";
  dnssec-validation no;
};
controls {};
CONF
}
{
  settings 15412
  echo 'zone "lab.internal" { type forward; forward only; forwarders { 127.0.0.1 port 15411; }; };'
} >resolver.conf
for size in 100 101; do
  {
    echo '$TTL 60'
    echo '@ IN SOA ns hostmaster 1 3600 600 86400 1'
    echo '@ IN NS ns'
    echo 'ns IN A 127.0.0.1'
    for ((i = 1; i <= size; i++)); do echo "db IN A 10.0.0.$i"; done
  } >"zone$size.db"
done
{
  settings 15413
  for size in 100 101; do echo "zone \"zone$size.internal\" { type primary; file \"zone$size.db\"; };"; done
} >authority.conf
serve named -g -n 1 -c resolver.conf
serve named -g -n 1 -c authority.conf
cat >sizes.mjs <<JS
import { ask, ready } from "$findings/dns_client.mjs";
await ready(15412, "n1.lab.internal");
await ready(15413, "db.zone100.internal");
for (const size of [100, 101]) {
  const passed = await ask(15412, \`n\${size}.lab.internal\`);
  const own = await ask(15413, \`db.zone\${size}.internal\`);
  console.log(\`\${size} addresses: resolver \${passed.rcode}, authority \${own.rcode}\`);
}
JS
expect "100 addresses: resolver NOERROR, authority NOERROR
101 addresses: resolver SERVFAIL, authority SERVFAIL" "$(node sizes.mjs)"
