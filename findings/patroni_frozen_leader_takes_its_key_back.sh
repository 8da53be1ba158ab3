#!/usr/bin/env bash
# Patroni 3.0.2 with etcd's API 3: a leader that was frozen takes its key back from the member that was promoted meanwhile.
#
# The old leader asks etcd for a new lease and writes its name over that of the new leader, without a look at who has the key, if it
# goes on with the state of the cluster that it knew. Whether it does is chance; here what etcd says comes half a second after
# it goes on, as when its network is slower to come back. The new leader is demoted, and what it has acknowledged is rewound.
# Patroni 3.0.3 writes the key only if it is its own or gone (pull request 2689).
#
# What dnspool learned: no client can prevent that loss. Callbacks do not run for a member that never was told of another role, so a
# record in DNS stays at the wrong member, and only a pool that knows all members goes on.
. "$(dirname "$0")/common.sh"

program patroni 3.0.2 "patroni postgresql-15" --version
program etcd 3.4.23 etcd-server --version
postgres=/usr/lib/postgresql/15/bin
[[ -x $postgres/postgres ]] || { echo "Needs $postgres: apt-get install --no-install-recommends postgresql-15" && exit 2; }
if [[ $EUID -eq 0 ]]; then
  chmod 755 "$dir"
  mkdir etcd a b && chown nobody etcd a b
else
  mkdir etcd a b
fi
declare -A port=([a]=15452 [b]=15454) etcd=([a]=15456 [b]=15450) pid=()
serve_as_user etcd --data-dir "$dir/etcd" --listen-client-urls http://127.0.0.1:15450 \
  --advertise-client-urls http://127.0.0.1:15450 --listen-peer-urls http://127.0.0.1:15451 \
  --initial-advertise-peer-urls http://127.0.0.1:15451 --initial-cluster default=http://127.0.0.1:15451
# The way of the first member to etcd.
cat >relay.py <<'PY'
import asyncio
async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def client(reader, writer):
    from_etcd, to_etcd = await asyncio.open_connection("127.0.0.1", 15450)
    await asyncio.gather(pass_on(reader, to_etcd), pass_on(from_etcd, writer), return_exceptions=True)
async def main():
    async with await asyncio.start_server(client, "127.0.0.1", 15456) as server:
        await server.serve_forever()
asyncio.run(main())
PY
serve python3 relay.py
relay=${pids[-1]}
for member in a b; do
  cat >"$member.yml" <<YML
scope: lab
name: $member
restapi: {listen: "127.0.0.1:$((port[$member] + 1))", connect_address: "127.0.0.1:$((port[$member] + 1))"}
etcd3: {hosts: ["127.0.0.1:${etcd[$member]}"], use_proxies: true}
bootstrap:
  dcs: {ttl: 6, loop_wait: 1, retry_timeout: 2, postgresql: {use_pg_rewind: true, parameters: {fsync: "off", wal_log_hints: "on"}}}
  initdb: [no-locale, no-sync]
postgresql:
  listen: 127.0.0.1:${port[$member]}
  connect_address: 127.0.0.1:${port[$member]}
  data_dir: $dir/$member/data
  pgpass: $dir/$member/pgpass
  bin_dir: $postgres
  authentication: {superuser: {username: app}, replication: {username: app}}
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  parameters: {unix_socket_directories: ""}
YML
done
chmod -R a+rX "$dir"/*.yml

# Whether a member leads, by its own REST API.
leads() { [[ $(curl -s -o /dev/null -w '%{http_code}' -m 2 "http://127.0.0.1:$((port[$1] + 1))/primary") == 200 ]]; }
# Whether a member leads and the other one streams from it.
leads_both() { leads "$1" && [[ $(sql "$1" "SELECT state FROM pg_stat_replication" 2>/dev/null) == streaming ]]; }
until_true() {
  local try
  for try in {1..600}; do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  echo "no end of: $*" && exit 1
}
sql() { "$postgres/psql" -XqAt -h 127.0.0.1 -p "${port[$1]}" -U app -d postgres -c "$2"; }
# Prints the processes of a member: Patroni's, and those of its PostgreSQL.
processes() {
  local main
  echo "${pid[$1]-}"
  if main=$(sed -n 1p "$1/data/postmaster.pid" 2>/dev/null); then pgrep -P "$main" && echo "$main"; fi
}
# Ends PostgreSQL, which outlives Patroni, before the folder goes.
stop_all() {
  local status=$? member
  kill -CONT "$relay" 2>/dev/null || true
  for member in a b; do
    # shellcheck disable=SC2046 # several processes
    kill -CONT $(processes "$member") 2>/dev/null || true
    kill -KILL "${pid[$member]-}" 2>/dev/null || true
    as_user "$postgres/pg_ctl" stop -D "$dir/$member/data" -m immediate >>server.log 2>&1 || true
  done
  set +e
  (exit "$status")
  clean_up
}
trap stop_all EXIT

for member in a b; do
  serve_as_user patroni "$dir/$member.yml"
  pid[$member]=${pids[-1]}
  if [[ $member == a ]]; then until_true leads a; fi
done
until_true leads_both a
sql a "CREATE TABLE t (id int)"
frozen=$(processes a)
# shellcheck disable=SC2086 # several processes
kill -STOP $frozen "$relay" 2>/dev/null || true # one that ended meanwhile
until_true leads b
sleep 1
sql b "INSERT INTO t VALUES (1)"
# shellcheck disable=SC2086
kill -CONT $frozen 2>/dev/null || true
sleep 0.5
kill -CONT "$relay"
sleep 2
settled() { leads_both a || leads_both b; }
until_true settled
seen="another member was promoted, and has acknowledged a row"
if leads a; then
  seen+="
the old leader leads again, and has $(sql a "SELECT count(*) FROM t") rows"
fi
expect "another member was promoted, and has acknowledged a row
the old leader leads again, and has 0 rows" "$seen"
