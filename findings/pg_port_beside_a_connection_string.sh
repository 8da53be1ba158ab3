#!/usr/bin/env bash
# pg: `port` beside a connectionString that has none is not used, but PGPORT is, and so it is with the other parts.
#
# What the connection string leaves out counts as given, as empty, and takes the place of the option. An empty part is
# then looked up in the environment, and in the defaults: the option comes last of the three. So a program that overrides the port,
# the database or the password of its configuration connects to 5432, without a password, or to what the environment says.
#
# What dnspool does: DnsPgPool reads them as pg does.
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1
cat >parts.mjs <<'JS'
import pg from "pg";
const show = (what, options) => {
  const { host, port, user, database, password } = new pg.Client(options);
  console.log(`${what}: ${user}, ${password === "secret" ? "with" : "without"} the password, ${host}:${port}, ${database}`);
};
const options = { port: 6432, user: "app", password: "secret", database: "orders" };
show("a host", { host: "db.internal", ...options });
show("a connection string", { connectionString: "postgres://db.internal", ...options });
process.env.PGPORT = "7432";
show("a connection string, and PGPORT=7432", { connectionString: "postgres://db.internal", ...options });
show("a host, and PGPORT=7432", { host: "db.internal", ...options });
JS
seen=$(env -u PGHOST -u PGPORT -u PGUSER -u PGPASSWORD -u PGDATABASE USER=me node parts.mjs)
expect "a host: app, with the password, db.internal:6432, orders
a connection string: me, without the password, db.internal:5432, me
a connection string, and PGPORT=7432: me, without the password, db.internal:7432, me
a host, and PGPORT=7432: app, with the password, db.internal:6432, orders" "$seen"
