#!/usr/bin/env bash
# mariadb for Node: with a `stream` that is connected to an IP address, the server's right certificate is refused: it is none for
# `localhost`.
#
# The option `host` names the server, and its socket was opened to an address, as for an SSH tunnel. The name is not passed on
# to node:tls, which then checks for its own default, `localhost`. With `ssl.servername` it checks for the right name.
#
# What dnspool learned: the adapter always gives `servername`.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mariadb@3.5.4
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=lab -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=db.internal -keyout server.key -out server.csr 2>/dev/null
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
  -extfile <(echo "subjectAltName=DNS:db.internal") -out server.pem 2>/dev/null
chmod a+r server.key
mariadb_server 15435 --ssl-ca="$dir/ca.pem" --ssl-cert="$dir/server.pem" --ssl-key="$dir/server.key"
cat >stream.mjs <<'JS'
import { readFileSync } from "node:fs";
import net from "node:net";
import * as mariadb from "mariadb";
const ca = readFileSync("ca.pem", "utf8");
const connect = async (ssl) => {
  for (let tries = 0;; tries++) {
    try {
      const stream = () => net.connect(15435, "127.0.0.1");
      const connection = await mariadb.createConnection({ host: "db.internal", user: "root", stream, ssl });
      await connection.end();
      return "accepted";
    } catch (error) {
      const [, host] = /Host: ([\w.]+)\. is not in the cert's altnames/.exec(error.message) ?? [];
      if (host) return `refused, as none for ${host}`;
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
};
console.log("host:", await connect({ ca }));
console.log("host and servername:", await connect({ ca, servername: "db.internal" }));
JS
expect "host: refused, as none for localhost
host and servername: accepted" "$(node stream.mjs)"
