/**
 * A consumer's program: it uses the package by its name, as anybody would, and lives through a switchover and a
 * failover. `scripts/package/consumers.ts` puts it, as JavaScript, into an empty project, and runs it on every runtime.
 *
 * @module
 */

import process from "node:process";
import { getDnsEngine } from "@dnspool/dnspool";
import { DnsServer } from "@dnspool/dnspool/testing";

/** What the program is told, as JSON on its command line. */
export interface Task {
  /** With the host `db.internal`, which is at first on the first address. */
  readonly url: string;
  /** The two servers' addresses. */
  readonly hosts: readonly [string, string];
  /** Gives a row with `who`: the answering server's own word for which address it is on. */
  readonly sql: string;
  /** What ends the second server at once. */
  readonly kill: { readonly pid: number; readonly signal: "SIGQUIT" | "SIGKILL" };
}

/** The program's last line, as JSON; durations in milliseconds. */
export interface Result {
  /** Queries that were answered. */
  readonly queries: number;
  /** From the change of the record to the first answer of the new server, when the old one stays. */
  readonly switchoverMs: number;
  /** The same, when the old one was killed at that moment. */
  readonly failoverMs: number;
  /** Answers of the old server to queries that began after the new one's first answer. */
  readonly misrouted: number;
  /** Queries that failed while no server was killed. */
  readonly failedBefore: number;
  /** Queries that failed after the kill, which may be those in flight. */
  readonly failedAfter: number;
  /** How many query at a time. */
  readonly workers: number;
}

/** Seconds. */
const TTL = 1;
const WORKERS = 4;
const PAUSE_MS = 5;
/** For each of the two moves; it takes a TTL at the most. */
const PATIENCE_MS = 10_000;
/** The program ends by itself before that. */
const TOO_LONG_MS = 40_000;

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
  /** Waits for the first answer of a server; it goes on for a while, to see that nobody else answers any more. */
  const move = async (to: string): Promise<{ tookMs: number; misrouted: number }> => {
    const startMs = performance.now();
    dns.set("db.internal", [to], { ttl: TTL });
    const arrived = () => answers.find(({ who, beganMs }) => who === to && beganMs > startMs);
    while (!arrived() && performance.now() - startMs < PATIENCE_MS) await pause(PAUSE_MS);
    await pause(500);
    const doneMs = arrived()?.endedMs ?? Infinity;
    const misrouted = answers.filter(({ who, beganMs }) => who !== to && beganMs > doneMs).length;
    return { tookMs: doneMs - startMs, misrouted };
  };

  const workers = Array.from({ length: WORKERS }, work);
  await pause(300);
  // A connection in use is not taken away from its holder.
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

setTimeout(() => process.exit(3), TOO_LONG_MS).unref();
main(JSON.parse(process.argv[2]!)).then((result) => console.log(JSON.stringify(result)));
