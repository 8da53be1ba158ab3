/**
 * Stands in for tests/test.js of postgres.js, which ends at the first failure: runs all tests, and writes what became of
 * each to the file that `DNSPOOL_OUTCOMES` names.
 */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { inspect } from "node:util";

/** What a failed test has left behind. */
const LEFT = ["-c", "drop table if exists test", "-c", "drop publication if exists alltables"];

const tests = [];
const outcomes = {};
let fail;

export const t = (...args) => add(...args);
t.timeout = 5;
export const ot = t;
export const nt = () => {};

function add(name, ...rest) {
  const fn = rest.pop();
  const { timeout = t.timeout } = rest[0] ?? {};
  tests.push({ name, fn, timeout });
}

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error) => fail?.(error));
}

setTimeout(async () => {
  for (const { name, fn, timeout } of tests) {
    let limit;
    let key = name;
    for (let number = 2; key in outcomes; number++) key = `${name} (${number})`;
    try {
      const pair = await new Promise((resolve, reject) => {
        fail = reject;
        limit = setTimeout(() => reject(new Error("timed out")), timeout * 1000);
        Promise.resolve(fn()).then((pair) => Promise.all(pair)).then(resolve, reject);
      });
      if (pair[0] !== pair[1]) throw new Error(`${inspect(pair[0])} != ${inspect(pair[1])}`);
      outcomes[key] = "passed";
    } catch (error) {
      outcomes[key] = "failed";
      if (process.env.DNSPOOL_SHOW) console.error(key, error);
    }
    clearTimeout(limit);
    if (outcomes[key] === "failed") spawnSync("psql", [...LEFT, "postgres_js_test"]);
    writeFileSync(process.env.DNSPOOL_OUTCOMES, JSON.stringify(outcomes));
  }
  process.exit();
}, 0);
