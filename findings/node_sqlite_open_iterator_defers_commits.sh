#!/usr/bin/env bash
# node:sqlite: while an iterator over a statement that writes is open, nothing that follows on its connection is committed.
#
# The iterator over INSERT ... RETURNING has given one of its two rows. The next INSERT on the same connection returns without
# an error, and `isTransaction` is false, but another connection does not see the row, and it would be lost with the process.
# Once the iterator has ended, all of it is there. (SQLite commits when the last statement that writes has ended.)
#
# What dnspool does: it ends the iterators of a connection at the checkin.
. "$(dirname "$0")/common.sh"

install node@22.23.3
cat >iterator.mjs <<'EOF'
import { DatabaseSync } from "node:sqlite";
const [own, other] = [1, 2].map(() => new DatabaseSync("things.db"));
own.exec("CREATE TABLE things (name TEXT)");
const seen = () => other.prepare("SELECT count(*) AS n FROM things").get().n;
const rows = own.prepare("INSERT INTO things VALUES ('a'), ('b') RETURNING name").iterate();
rows.next();
const { changes } = own.prepare("INSERT INTO things VALUES ('c')").run();
console.log(`changes ${changes}, in a transaction: ${own.isTransaction}, others see ${seen()}`);
rows.return();
console.log(`after the end of the iterator: others see ${seen()}`);
EOF
expect 'changes 1, in a transaction: false, others see 0
after the end of the iterator: others see 3' "$(node iterator.mjs)"
