/**
 * A consumer's program: it imports the package by its name and runs through a switchover and a failover.
 * `scripts/package/consumers.ts` writes it, as JavaScript, into an empty project, and runs it on every runtime.
 *
 * @module
 */

import process from "node:process";
import { getDnsEngine } from "@dnspool/dnspool";
import { DnsServer } from "@dnspool/dnspool/testing";

/** The program's argument, as JSON. */
export interface Task {
  /** The URL of the host `db.internal`, which resolves to the first address at first. */
  readonly url: string;
  /** The addresses of the two servers. */
  readonly hosts: readonly [string, string];
  /** A query whose row has the server's address as `who`. */
  readonly sql: string;
  /** The process and the signal that terminate the second server at once. */
  readonly kill: { readonly pid: number; readonly signal: "SIGQUIT" | "SIGKILL" };
}

/** The program's last line, as JSON. */
export interface Result {
  /** Number of answered queries. */
  readonly queries: number;
  /** Time from the move of the record to the first answer of the new server, while the old one stays up. */
  readonly switchoverMs: number;
  /** The same, if the old server is killed at the time of the move. */
  readonly failoverMs: number;
  /** Number of queries that began after the new server's first answer and were answered by the old one. */
  readonly misrouted: number;
  /** Number of queries that failed before a server was killed. */
  readonly failedBefore: number;
  /** Number of queries that failed after that; at most those that were running. */
  readonly failedAfter: number;
  /** Number of concurrent queries. */
  readonly workers: number;
}

/** Seconds. */
const TTL = 1;
const WORKERS = 4;
const PAUSE_MS = 5;
/** Maximum time of each of the two moves. */
const MOVE_TIMEOUT_MS = 10_000;
/** Maximum duration of the program. */
const TIMEOUT_MS = 40_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function main({ url, hosts: [first, second], sql, kill }: Task): Promise<Result> {
  const dns = await DnsServer.start();
  dns.set("db.internal", [first], { ttl: TTL });
  const engine = getDnsEngine(url, { dnsNameservers: [dns.address], poolSize: WORKERS });
  const answers: { who: string; beganMs: number; endedMs: number }[] = [];
  const failures: { error: unknown; atMs: number }[] = [];
  let stop = false;

  const work = async () => {
    while (!stop) {
      const beganMs = performance.now();
      try {
        const [row] = await engine.query(sql);
        answers.push({ ...(row as { who: string }), beganMs, endedMs: performance.now() });
      } catch (error) {
        failures.push({ error, atMs: performance.now() });
      }
      await pause(PAUSE_MS);
    }
  };
  /** Moves the record and waits for the first answer of the new server, then half a second for answers of the old one. */
  const move = async (to: string): Promise<{ tookMs: number; misrouted: number }> => {
    const startMs = performance.now();
    dns.set("db.internal", [to], { ttl: TTL });
    const arrived = () => answers.find(({ who, beganMs }) => who === to && beganMs > startMs);
    while (!arrived() && performance.now() - startMs < MOVE_TIMEOUT_MS) await pause(PAUSE_MS);
    await pause(500);
    const doneMs = arrived()?.endedMs ?? Infinity;
    const misrouted = answers.filter(({ who, beganMs }) => who !== to && beganMs > doneMs).length;
    return { tookMs: doneMs - startMs, misrouted };
  };

  const workers = Array.from({ length: WORKERS }, work);
  await pause(300);
  // A connection in use stays with its holder.
  const lease = await engine.connect();
  const switchover = await move(second);
  if (lease.address !== first || lease.released) throw new Error("The lease was taken away");
  await lease.release();
  const failedBefore = failures.length;
  process.kill(kill.pid, kill.signal);
  const failover = await move(first);
  stop = true;
  await Promise.all(workers);
  await engine.close();
  await dns.close();
  for (const { error } of failures) console.error(error);
  return {
    queries: answers.length,
    switchoverMs: Math.round(switchover.tookMs),
    failoverMs: Math.round(failover.tookMs),
    misrouted: switchover.misrouted + failover.misrouted,
    failedBefore,
    failedAfter: failures.length - failedBefore,
    workers: WORKERS,
  };
}

setTimeout(() => process.exit(3), TIMEOUT_MS).unref();
main(JSON.parse(process.argv[2]!)).then((result) => console.log(JSON.stringify(result)));
