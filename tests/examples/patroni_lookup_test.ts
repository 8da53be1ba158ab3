import { assertEquals, assertRejects } from "@std/assert";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { patroniLookup } from "../../examples/patroni_lookup.ts";
import { getDnsEngine, getIpWithTtl, type LookupError, ResolveError } from "../../mod.ts";
import { clearDnsCache } from "../../resolver.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { until } from "../support/waiting.ts";

/** What Patroni 3.0 says of a member. */
function member(name: string, role: string, state = "running", timeline: number | string = 1) {
  const host = `10.0.0.${name.at(-1)}`;
  const urls = { api_url: `http://${host}:8008/patroni`, host, port: 5432 };
  return { name, role, state, ...urls, timeline, lag: 0 };
}

type Answer = { members: unknown[] } | "silent" | "503" | "slow";

/** Longer than a second, and shorter than the resolver waits for its first try. */
const SLOW_MS = 1200;

/** REST APIs that a test lets answer. */
class Members implements AsyncDisposable {
  readonly answers: Answer[];
  readonly urls: string[] = [];
  /** Number of requests that were not answered and whose client has gone. */
  left = 0;
  /** Number of requests. */
  asked = 0;
  readonly #servers: Server[] = [];

  private constructor(answers: readonly Answer[]) {
    this.answers = [...answers];
  }

  static async start(...answers: Answer[]): Promise<Members> {
    const members = new Members(answers);
    for (const index of answers.keys()) {
      const server = createServer((request, response) => {
        const answer = members.answers[index]!;
        assertEquals(request.url, "/cluster");
        members.asked++;
        if (answer === "silent") return request.on("close", () => members.left++);
        if (answer === "slow") {
          return setTimeout(() => response.end(JSON.stringify(CLUSTER)), SLOW_MS);
        }
        response.statusCode = answer === "503" ? 503 : 200;
        response.end(JSON.stringify(answer));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      members.#servers.push(server);
      members.urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    }
    return members;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearDnsCache();
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

const CLUSTER = {
  members: [
    member("pg1", "leader"),
    member("pg2", "sync_standby", "streaming"),
    member("pg3", "replica", "starting"),
  ],
};

const ask = (urls: string[], name: string, dnsTimeout = 60) =>
  getIpWithTtl(name, {
    ...{ dnsLookup: patroniLookup(urls), dnsFallback: false, dnsMaxRetries: 1, dnsTimeout },
  });

/** Begins a lookup, without a resolver and its timeouts: what it waits for, and how it is ended. */
function begin(urls: string[], name: string) {
  const waits: string[] = [];
  const end = new AbortController();
  const { lookup } = patroniLookup(urls);
  const question = {
    name,
    family: 4,
    signal: end.signal,
    onWait: (what: string) => void waits.push(what),
  } as const;
  return {
    waits,
    end: () => end.abort(new Error("over")),
    answer: Promise.resolve(lookup(question)),
  };
}

Deno.test("patroniLookup() answers with the leader, or with the replicas that take connections", async () => {
  await using members = await Members.start(CLUSTER);
  assertEquals(await ask(members.urls, "leader.orders"), ["10.0.0.1", 1]);
  assertEquals(await ask(members.urls, "replicas.orders"), ["10.0.0.2", 1]);
});

Deno.test("patroniLookup() needs one member that answers, and leaves nothing running at the others", async () => {
  await using members = await Members.start("silent", "503", CLUSTER);
  const urls = ["http://127.0.0.1:1", ...members.urls];
  assertEquals((await ask(urls, "leader.orders"))[0], "10.0.0.1");
  await until(() => members.left === 1);
  await using none = await Members.start("silent", "503");
  const { waits, end, answer } = begin(none.urls, "leader.orders");
  await until(() => none.asked >= 2);
  end();
  await assertRejects(() => answer, Error, "over");
  assertEquals(waits, ["no member of Patroni answered"]);
  await until(() => none.left === 1);
  const { asked } = none;
  await new Promise((resolve) => setTimeout(resolve, 600));
  assertEquals(none.asked, asked, "asked after the end");
});

Deno.test("patroniLookup() waits for a slow member for as long as the resolver does", async () => {
  await using members = await Members.start("slow");
  assertEquals(await ask(members.urls, "leader.orders"), ["10.0.0.1", 1]);
});

Deno.test("patroniLookup() believes the member that knows the later leader", async () => {
  const old = { members: [member("pg1", "leader"), member("pg2", "replica", "streaming")] };
  const later = {
    members: [member("pg1", "replica", "stopped"), member("pg2", "leader", "running", 2)],
  };
  await using members = await Members.start(old, later);
  assertEquals((await ask(members.urls, "leader.orders"))[0], "10.0.0.2");
});

Deno.test("patroniLookup() of a cluster without a leader waits for one, and says so if none comes", async () => {
  const leaderless = { members: [member("pg1", "replica"), member("pg2", "replica")] };
  await using members = await Members.start(leaderless);
  const answer = ask(members.urls, "leader.orders");
  await until(() => members.asked > 0);
  members.answers[0] = CLUSTER;
  assertEquals(await answer, ["10.0.0.1", 1]);
  members.answers[0] = "503";
  clearDnsCache();
  const later = ask(members.urls, "leader.orders");
  const before = members.asked;
  await until(() => members.asked > before);
  members.answers[0] = CLUSTER;
  assertEquals(await later, ["10.0.0.1", 1]);
  members.answers[0] = leaderless;
  clearDnsCache();
  const { waits, end, answer: none } = begin(members.urls, "leader.orders");
  await until(() => waits.at(-1) === "Patroni knows no such member");
  end();
  await assertRejects(() => none, Error, "over");
});

Deno.test("patroniLookup() of another name or a host that is no IP fails for good", async () => {
  const named = { members: [{ ...member("pg1", "leader"), host: "pg1.internal" }] };
  await using members = await Members.start(named);
  for (const name of ["orders", "leader.orders"]) {
    clearDnsCache();
    const error = await assertRejects(() => ask(members.urls, name), ResolveError);
    assertEquals((error.cause as LookupError).kind, "config", name);
  }
});

Deno.test("an engine with patroniLookup() follows a switchover", async () => {
  await using members = await Members.start(CLUSTER);
  const engine = getDnsEngine("fake://leader.orders/orders", {
    adapter: fakeAdapter(),
    dnsLookup: patroniLookup(members.urls, 0.25),
    dnsFallback: false,
  });
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  members.answers[0] = { members: [member("pg2", "leader", "running", 2)] };
  await until(async () => await engine.use(({ address }) => address) === "10.0.0.2");
  await engine.close();
});
