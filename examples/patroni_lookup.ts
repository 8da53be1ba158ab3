/**
 * A lookup that asks Patroni itself: the REST API of the members says which of them is the leader and which are replicas,
 * so that an engine follows a switchover without any DNS record.
 *
 *     MEMBERS=http://10.0.0.1:8008,http://10.0.0.2:8008,http://10.0.0.3:8008 DATABASE_URL=postgresql://app:secret@leader.orders/orders deno run -A examples/patroni_lookup.ts
 *
 * The host in the URL is no DNS name. Its first label is the role: `leader` or `replicas`.
 */

import { getDnsEngine, type Lookup, LookupError } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import { isIP } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

/** A member in the answer to `GET /cluster` (Patroni 2.1 to 4.0). */
interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  /** The address in `postgresql.connect_address`. */
  readonly host: string;
  readonly timeline?: number | string;
}

/** Roles by the first label of the name. A leader of a standby cluster takes no writes. */
const ROLES: Readonly<Record<string, (member: Member) => boolean>> = {
  leader: ({ role }) => role === "leader" || role === "master",
  replicas: ({ role }) => ["replica", "sync_standby", "quorum_standby"].includes(role),
};
/** States in which a member takes connections. */
const READY = ["running", "streaming", "in archive recovery"];
/** Milliseconds after the first answer in which another member may know a later leader. */
const LATER_MS = 50;
/** Milliseconds after which a member that did not answer, or a cluster without such a member, is asked again. */
const AGAIN_MS = 250;

/**
 * Makes the lookup. While the cluster has no leader, it waits for one, for as long as the resolver lets it.
 *
 * @param members The URLs of the REST API of the members, as far as they are known.
 * @param ttl Seconds for which an answer is good: a switchover is followed within them. Default 1.
 */
export function patroniLookup(members: readonly string[], ttl = 1): Lookup {
  return {
    name: "patroni",
    async lookup({ name, family, signal, onWait }) {
      const isWanted = ROLES[name.split(".")[0]!];
      if (!isWanted) throw new LookupError(`No role of Patroni: "${name}"`, { kind: "config" });
      onWait?.("no member of Patroni answered");
      for (;;) {
        const cluster = await latestCluster(members, signal);
        const hosts = cluster.filter((member) => isWanted(member) && READY.includes(member.state))
          .map(({ host }) => host);
        const addresses = hosts.filter((host) => isIP(host) === family);
        if (addresses.length > 0) return { addresses: [...new Set(addresses)], ttl };
        const named = hosts.find((host) => isIP(host) === 0);
        if (named !== undefined) {
          const message = `Patroni's connect_address must be an IP address, got "${named}"`;
          throw new LookupError(message, { kind: "config" });
        }
        if (hosts.length > 0) { // of the other family
          throw new LookupError(`Patroni knows no such member: "${name}"`, { kind: "negative" });
        }
        onWait?.("Patroni knows no such member");
        await pause(signal);
      }
    },
  };
}

/** Asks all members; of those that answer in time, the one that knows the latest leader is right. */
async function latestCluster(urls: readonly string[], signal: AbortSignal): Promise<Member[]> {
  const over = new AbortController();
  const limit = AbortSignal.any([signal, over.signal]);
  const answers: Member[][] = [];
  const asked = urls.map(async (url) => void answers.push(await ask(url, limit)));
  const all = Promise.allSettled(asked);
  try {
    await Promise.race(asked);
    let timer;
    await Promise.race([all, new Promise((resolve) => timer = setTimeout(resolve, LATER_MS))]);
    clearTimeout(timer);
  } finally {
    over.abort();
    await all;
  }
  return answers.reduce((best, next) => timelineOf(next) > timelineOf(best) ? next : best);
}

/** Asks a member until it answers. */
async function ask(url: string, signal: AbortSignal): Promise<Member[]> {
  for (;;) {
    try {
      const response = await fetch(new URL("/cluster", url), { signal });
      if (response.ok) return ((await response.json()) as { members: Member[] }).members;
      await response.body?.cancel();
    } catch { /* it may answer the next time */ }
    await pause(signal);
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(AGAIN_MS, undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
}

/** Each leader begins a timeline. */
function timelineOf(members: readonly Member[]): number {
  return Math.max(0, ...members.filter(ROLES.leader!).map(({ timeline }) => Number(timeline) || 0));
}

if (import.meta.main) {
  const engine = getDnsEngine(process.env.DATABASE_URL!, {
    adapter: pgAdapter(pg),
    dnsLookup: patroniLookup(process.env.MEMBERS!.split(",")),
    dnsFallback: false,
    targetSessionAttrs: "read-write",
  });
  engine.addEventListener("addresschange", ({ detail }) => console.log("leader", detail.addresses));
  const [row] = await engine.query<{ server: string }>("SELECT inet_server_addr() AS server");
  console.log("written by", row!.server);
  await engine.close();
}
