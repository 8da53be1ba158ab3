#!/usr/bin/env bash
# generic-pool: while one acquire() waits, a server that refuses connections gets thousands of attempts a second.
#
# A pool of one connection, and one caller. create() rejects with ECONNREFUSED. The caller is not told, and create() is called again
# at once, until acquireTimeoutMillis is over. No option sets a pause, and the caller's error is a time-out without a cause, which
# only an event tells. tarn, the pool of Knex, tries about five times in the same second if it is told to go on after a failure, and
# its error names the cause.
#
# What dnspool does: one attempt at a time after a failure, with growing pauses, and the caller's error has the last failure as its cause.
. "$(dirname "$0")/common.sh"

install node@22.23.3 generic-pool@3.9.0 tarn@3.1.2
cat >acquire.mjs <<'JS'
import net from "node:net";
import genericPool from "generic-pool";
import { Pool } from "tarn";
let attempts = 0;
const create = () =>
  new Promise((resolve, reject) => {
    attempts++;
    const socket = net.connect(15446, "127.0.0.1", () => resolve(socket)).on("error", reject);
  });
const destroy = (socket) => socket.destroy();
const tried = async (name, acquired) => {
  const said = await acquired.then(() => "acquired", ({ message }) => message);
  const many = attempts > 500 ? "more than 500" : attempts > 2 && attempts < 8 ? "3 to 7" : attempts;
  console.log(`${name}: ${many} attempts in a second, "${said}"`);
};
await tried("generic-pool", genericPool.createPool({ create, destroy }, { max: 1, acquireTimeoutMillis: 1000 }).acquire());
attempts = 0;
const tarn = new Pool({ create, destroy, min: 0, max: 1, acquireTimeoutMillis: 1000, propagateCreateError: false });
await tried("tarn", tarn.acquire().promise);
process.exit();
JS
expect 'generic-pool: more than 500 attempts in a second, "ResourceRequest timed out"
tarn: 3 to 7 attempts in a second, "connect ECONNREFUSED 127.0.0.1:15446"' "$(node acquire.mjs)"
