/**
 * Several hosts, and services with SRV records, against a model of them: random sequences of callers, answers, failures,
 * address changes, changed records, clears and aborts. The model knows what DNS said of each host and when, and tells
 * which endpoints may be used; it does not know how they are resolved.
 *
 * `deno run -A tests/stress/hosts_model.ts [runs] [seed]`
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import fc from "npm:fast-check@^4";
import { answerFor } from "../../engine/answer.ts";
import { type DnsOptions, readDnsOptions } from "../../engine/options.ts";
import { ResolveError } from "../../errors.ts";
import { endpointOf } from "../../internal/endpoint.ts";
import type { Answer, Lookup, Question } from "../../lookups/lookup.ts";
import { clearDnsCache } from "../../resolver.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";
import { fail, seeded } from "../support/fake_lookup.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

const HOSTS = ["a.internal", "b.internal", "c.internal"];
const PORTS = [5001, 5002, 5003];
const SERVICE = "_db._tcp.internal";
/** The last host of a list, which needs no DNS. */
const FIXED = "10.9.9.9";

const GRACE_S = 4;
const TIMEOUT_S = 3;
const MAX_STALE_S = 60;
const OPTIONS: DnsOptions = {
  dnsFallback: false,
  dnsFamily: 4,
  dnsMaxRetries: 1,
  dnsTimeout: TIMEOUT_S,
  dnsGraceTtl: GRACE_S,
  dnsMaxStale: MAX_STALE_S,
  dnsMinTtl: 0.25,
};
/** Maximum wait of a caller for a host while another one can be used. */
const MOST_MS = 250;
/** An answer that is kept fresh may be used this long after its end, if the next one was asked for before. */
const LATE_ANSWER_MS = 1000;
/** The longest that the failures of a host may extend its grace. */
const MAX_GRACE_MS = GRACE_S * 1000 * 16;
/** Time after which a host that failed is asked for again, and everything it may depend on is over. */
const RECOVERY_MS = 200_000;

type Said = "answer" | "negative" | "transient" | "silence";

type Step =
  | { readonly do: "ask" | "keep" | "leave" | "refresh" | "clear" }
  | { readonly do: "abort"; readonly which: number }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "server"; readonly host: number; readonly says: Said; readonly delayMs: number }
  | {
    readonly do: "move";
    readonly host: number;
    readonly to: readonly number[];
    readonly ttl: number;
  }
  | {
    readonly do: "records";
    /** Indexes of hosts and ports. */
    readonly of: readonly (readonly [host: number, port: number])[];
    readonly along: boolean;
    readonly ttl: number;
  };

/** Index of the service among what DNS says. */
const OF_SERVICE = HOSTS.length;
const host = fc.nat(HOSTS.length - 1);
const ttl = fc.constantFrom(0, 1, 2, 5, 30);
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: "ask" as const }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.oneof(fc.nat(300), fc.nat(3000), fc.nat(20_000)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("server" as const),
      host: fc.nat(OF_SERVICE),
      says: fc.constantFrom<Said>("answer", "answer", "answer", "negative", "transient", "silence"),
      delayMs: fc.oneof(fc.constant(0), fc.nat(200), fc.nat(2500)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("move" as const),
      host,
      to: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 2 }),
      ttl,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("records" as const),
      of: fc.uniqueArray(fc.tuple(host, fc.nat(PORTS.length - 1)), {
        minLength: 1,
        maxLength: 4,
        selector: ([host, port]) => host * 10 + port,
      }),
      along: fc.boolean(),
      ttl,
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ do: "keep" }, { do: "leave" }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ do: "refresh" }, { do: "clear" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), which: fc.nat(9) }) },
);

/** An answer that was accepted. */
interface Taken {
  readonly askedMs: number;
  readonly atMs: number;
  readonly addresses: readonly string[];
  readonly ttl: number;
}

/** What DNS says of a name, and what came of it. */
interface Named {
  says: Said;
  delayMs: number;
  /** Addresses; for the service, its records as text. */
  addresses: readonly string[];
  ttl: number;
  /** The last answer that was accepted since the last clear. */
  taken: Taken | undefined;
  /** The answers before it, the newest first. */
  former: readonly Taken[];
  /** When the host left the records. */
  readonly leftMs: Set<number>;
  /** Time of the last failure since then. */
  failedMs: number;
  /** Number of times that a failure followed an answer, or the start. */
  outages: number;
  isFailing: boolean;
  /** Number of questions. */
  asked: number;
}

function named(addresses: readonly string[]): Named {
  return {
    says: "answer",
    delayMs: 0,
    addresses,
    ttl: 5,
    taken: undefined,
    former: [],
    leftMs: new Set(),
    failedMs: -Infinity,
    outages: 0,
    isFailing: false,
    asked: 0,
  };
}

/** A lookup that answers as the test says. */
class World implements Lookup {
  readonly name = "model";
  readonly hosts: readonly Named[] = HOSTS.map((_, index) => named([`10.0.${index}.0`]));
  readonly service: Named = named([`10 0 ${PORTS[0]} ${HOSTS[0]}`]);
  readonly #time: TestTime;

  constructor(time: TestTime) {
    this.#time = time;
  }

  of(name: string): Named {
    return name === SERVICE ? this.service : this.hosts[HOSTS.indexOf(name)]!;
  }

  clear(): void {
    for (const one of [...this.hosts, this.service]) {
      one.taken = undefined;
      one.former = [];
      one.failedMs = -Infinity;
    }
  }

  lookup({ name, signal }: Question): Promise<Answer> {
    const one = this.of(name);
    const { says, delayMs, addresses, ttl } = one;
    const askedMs = this.#time.nowMs;
    one.asked++;
    return new Promise((resolve, reject) => {
      const onFailure = () => {
        one.failedMs = this.#time.nowMs;
        if (!one.isFailing) one.outages++;
        one.isFailing = true;
      };
      const settle = () => {
        signal.removeEventListener("abort", onAbort);
        if (says === "answer") {
          const atMs = this.#time.nowMs;
          take(one, { askedMs, atMs, addresses, ttl });
          if (name === SERVICE) this.#takeAlong(askedMs, addresses, ttl);
          return resolve({ addresses, ttl });
        }
        onFailure();
        reject(fail(says === "silence" ? "transient" : says, 2));
      };
      const onAbort = () => {
        clearTimeout(wait);
        if ((signal.reason as DOMException).name === "TimeoutError") onFailure();
        reject(signal.reason);
      };
      const wait = says === "silence" ? undefined : setTimeout(settle, delayMs);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Addresses that come along with the records are an answer for their host. */
  #takeAlong(askedMs: number, records: readonly string[], ttl: number): void {
    const atMs = this.#time.nowMs;
    const targets = targetsOf(records);
    for (const name of HOSTS) if (!targets.includes(name)) this.of(name).leftMs.add(atMs);
    for (const record of records) {
      const [, , , target, ...addresses] = record.split(" ");
      if (addresses.length > 0) take(this.of(target!), { askedMs, atMs, addresses, ttl });
    }
  }
}

/** One run of steps. */
class Trial {
  readonly #time: TestTime = fakeTime();
  readonly #world: World = new World(this.#time);
  readonly #answer: AnswerSource;
  readonly #srv: boolean;
  readonly #hasFixed: boolean;
  readonly #open: Set<AbortController> = new Set();
  readonly #problems: unknown[] = [];
  readonly #heard: Set<string> = new Set();
  readonly #unwatch: () => void;
  #errors = 0;
  #clears = 0;
  /** Number of changes of the records. */
  #changes = 0;
  #leave: (() => void) | undefined;
  /** When the answer was last kept fresh. */
  #keptUntilMs = -Infinity;

  constructor({ srv, fixed }: Kind) {
    clearDnsCache();
    this.#srv = srv;
    this.#hasFixed = fixed && !srv;
    const { settings } = readDnsOptions({ ...OPTIONS, dnsLookup: this.#world }, "the test");
    const names = this.#hasFixed ? [...HOSTS, FIXED] : HOSTS;
    const hosts = srv
      ? [{ name: SERVICE, host: SERVICE, port: 0 }]
      : names.map((name, index) => ({ name, host: name, port: PORTS[index] ?? 5004 }));
    this.#answer = answerFor(hosts, { dns: settings, local: false, srv });
    if (this.#hasFixed) this.#heard.add(`${FIXED}:5004`);
    this.#unwatch = this.#answer.watch({
      onChange: ({ added, removed }) => {
        try {
          assert(added.length + removed.length > 0, "a change of nothing");
          for (const name of removed) assert(this.#heard.delete(name), `gone twice: ${name}`);
          for (const name of added) assert(!this.#heard.has(name), `came twice: ${name}`);
          for (const name of added) this.#heard.add(name);
        } catch (problem) {
          this.#problems.push(problem);
        }
      },
      onError: () => this.#errors++,
    });
  }

  async run(path: readonly Step[]): Promise<void> {
    try {
      for (const step of path) {
        await this.#take(step);
        this.#check();
      }
      await this.#recover();
    } finally {
      this.#leave?.();
      this.#unwatch();
      for (const caller of this.#open) caller.abort(new Error("the run is over"));
      await this.#time.settle();
      clearDnsCache();
      await this.#time.settle();
      this.#time.restore();
    }
  }

  async #take(step: Step): Promise<void> {
    const world = this.#world;
    if (step.do === "ask") this.#ask();
    else if (step.do === "keep") this.#leave ??= this.#answer.keepFresh();
    else if (step.do === "leave") this.#stopKeeping();
    else if (step.do === "refresh") this.#answer.refresh().catch(() => {});
    else if (step.do === "clear") {
      world.clear();
      this.#clears++;
      clearDnsCache();
    } else if (step.do === "abort") {
      const open = [...this.#open];
      open[step.which % open.length]?.abort(new Error("changed its mind"));
    } else if (step.do === "advance") return await this.#time.tick(step.ms);
    else if (step.do === "server") {
      const { says, delayMs } = step;
      Object.assign(step.host === OF_SERVICE ? world.service : world.hosts[step.host]!, {
        says,
        delayMs,
      });
    } else if (step.do === "move") {
      const addresses = step.to.map((n) => `10.0.${step.host}.${n}`);
      Object.assign(world.hosts[step.host]!, { addresses, ttl: step.ttl });
    } else if (step.do === "records") {
      const addresses = step.of.map(([host, port], index) => {
        const along = step.along ? world.hosts[host]!.addresses : [];
        return [`${index} 0 ${PORTS[port]} ${HOSTS[host]}`, ...along].join(" ");
      });
      Object.assign(world.service, { addresses, ttl: step.ttl });
      if (this.#srv) this.#changes++;
    }
    await this.#time.settle();
  }

  #stopKeeping(): void {
    if (this.#leave) this.#keptUntilMs = this.#time.nowMs;
    this.#leave?.();
    this.#leave = undefined;
  }

  /** Waits as a caller does. */
  async #ask(): Promise<void> {
    const beganMs = this.#time.nowMs;
    const controller = new AbortController();
    this.#open.add(controller);
    // All the time from here on, however the others fare.
    const certain = this.#certain(beganMs + MOST_MS);
    const clears = this.#clears;
    let refused: unknown;
    try {
      if (!this.#answer.isFresh()) await this.#answer.waitUntilFresh(controller.signal);
    } catch (error) {
      refused = error;
    }
    this.#open.delete(controller);
    if (controller.signal.aborted) return;
    const tookMs = this.#time.nowMs - beganMs;
    const usable = clears === this.#clears ? certain : [];
    try {
      if (refused) {
        assert(refused instanceof ResolveError, String(refused));
        assert(!this.#hasFixed && usable.length === 0, `refused in spite of ${usable}: ${refused}`);
      }
      if (usable.length > 0) assert(tookMs <= MOST_MS + 1, `waited ${tookMs} ms beside ${usable}`);
      assert(tookMs <= 2 * TIMEOUT_S * 1000 + 500, `waited ${tookMs} ms`);
      if (!refused) this.#checkUsable(usable);
    } catch (problem) {
      this.#problems.push(problem);
    }
  }

  /** The hosts that are certainly usable until a time, whatever happens. */
  #certain(untilMs: number): string[] {
    if (this.#srv && !isFresh(this.#world.service, untilMs)) return [];
    const current = this.#srv ? targetsOf(this.#world.service.taken!.addresses) : HOSTS;
    const fresh = current.filter((name) => isFresh(this.#world.of(name), untilMs));
    return this.#hasFixed ? [...fresh, FIXED] : fresh;
  }

  /** Checks that every endpoint that can be used now may be used. */
  #checkUsable(certain: readonly string[] = []): void {
    const nowMs = this.#time.nowMs;
    if (!this.#answer.isFresh()) return;
    const { addresses } = this.#answer;
    assertEquals(new Set(addresses).size, addresses.length, "an endpoint is listed twice");
    for (const name of addresses) {
      const { host, address } = endpointOf(name);
      if (host === FIXED) continue;
      const one = this.#world.of(host);
      // An answer of this moment may be on its way through the resolver.
      if (one.taken?.atMs === nowMs) continue;
      const given = possible(one).filter(({ addresses }) => addresses.includes(address));
      assert(given.length > 0, `${name} is not in the last answer`);
      const mayServe = given.some((taken) => this.#mayServe({ ...one, taken }, nowMs));
      assert(mayServe, `${name} is in use past its time`);
    }
    if (this.#srv) {
      assert(this.#mayServe(this.#world.service, nowMs), "the records are in use past their time");
    }
    for (const name of certain) {
      assert(addresses.some((each) => endpointOf(each).host === name), `${name} is missing`);
    }
  }

  #mayServe({ taken, failedMs }: Named, nowMs: number): boolean {
    if (!taken) return false;
    const endMs = endOf(taken);
    const isKept = this.#leave !== undefined || this.#keptUntilMs >= endMs;
    if (nowMs < endMs + (isKept ? LATE_ANSWER_MS : 0)) return true;
    // A caller that waits for longer than 1.8 s is a failure as well, which the model does not see.
    return nowMs < endMs + MAX_STALE_S * 1000 &&
      (nowMs < Math.max(failedMs, endMs) + MAX_GRACE_MS);
  }

  #check(): void {
    if (this.#problems.length > 0) throw this.#problems[0];
    this.#checkUsable();
    const all = [...this.#world.hosts, this.#world.service];
    // A host that leaves the records and comes back is reported again.
    const outages = all.reduce((sum, { outages }) => sum + outages, 0) +
      this.#changes * HOSTS.length;
    assert(this.#errors <= outages, `${this.#errors} errors for ${outages} outages`);
    // What watchers heard is what can be used, and what cannot be used for now.
    for (const name of this.#answer.addresses) {
      assert(this.#heard.has(name), `${name} was not told`);
    }
    const ports = this.#srv
      ? new Set(this.#world.service.taken?.addresses.map(placeOf))
      : undefined;
    if (ports === undefined || this.#world.service.taken === undefined) return;
    for (const name of this.#heard) {
      const { host, port } = endpointOf(name);
      assert(ports.has(`${host} ${port}`), `${name} is gone, and that was not told`);
    }
  }

  /** When DNS answers again, callers get all hosts. */
  async #recover(): Promise<void> {
    for (const one of [...this.#world.hosts, this.#world.service]) {
      Object.assign(one, { says: "answer", delayMs: 0, ttl: Math.max(one.ttl, 1) });
    }
    const endMs = this.#time.nowMs + RECOVERY_MS;
    while (this.#time.nowMs < endMs) {
      await this.#time.tick(RECOVERY_MS / 8);
      this.#ask();
      await this.#time.tick(1000);
      this.#check();
    }
    assertEquals(this.#open.size, 0, "a caller was never told");
    const wanted = this.#srv
      ? this.#world.service.addresses.flatMap((text) => {
        const [, , port, target, ...along] = text.split(" ");
        const addresses = along.length > 0 ? along : this.#world.of(target!).addresses;
        return addresses.map((address) => `${address}:${port} (${target})`);
      })
      : this.#world.hosts.flatMap(({ addresses }, index) =>
        addresses.map((address) => `${address}:${PORTS[index]} (${HOSTS[index]})`)
      );
    if (this.#hasFixed) wanted.push(`${FIXED}:5004`);
    let isReady = false;
    const ready = this.#answer.waitUntilFresh().then(() => isReady = true);
    await this.#time.tick(MOST_MS);
    assert(isReady, "a caller waits");
    await ready;
    assertEquals([...this.#answer.addresses].sort(), wanted.sort());
    assertEquals([...this.#heard].sort(), wanted.sort());
    this.#stopKeeping();
    this.#unwatch();
    const questions = () => this.#world.hosts.reduce((sum, { asked }) => sum + asked, 0);
    await this.#time.tick(20_000);
    const asked = questions();
    await this.#time.tick(100_000);
    assertEquals(questions(), asked, "a question without a caller");
  }
}

function take(one: Named, taken: Taken): void {
  if (one.taken) one.former = [one.taken, ...one.former];
  one.taken = taken;
  one.failedMs = -Infinity;
  one.isFailing = false;
}

/**
 * Returns the answers of which one is the last that was accepted. The query of a host ends when the host leaves the
 * records: of an answer that comes in that moment, the model cannot tell whether it was before.
 */
function possible({ taken, former, leftMs }: Named): Taken[] {
  const all = taken ? [taken, ...former] : [];
  const sure = all.findIndex(({ atMs }) => !leftMs.has(atMs));
  return sure < 0 ? all : all.slice(0, sure + 1);
}

function endOf({ askedMs, ttl }: Taken): number {
  return askedMs + Math.max(ttl, 0.25) * 1000;
}

/** Returns whether an answer is certainly fresh until a time. */
function isFresh({ taken, leftMs }: Named, untilMs: number): boolean {
  // It may not have been accepted.
  if (!taken || leftMs.has(taken.atMs)) return false;
  // A longer TTL after a shorter one may be in doubt for all but its first second.
  return untilMs < Math.min(endOf(taken), taken.askedMs + 1000);
}

function placeOf(record: string): string {
  const [, , port, target] = record.split(" ");
  return `${target} ${port}`;
}

function targetsOf(records: readonly string[]): string[] {
  return [...new Set(records.map((record) => record.split(" ")[3]!))];
}

/** What a run is about. */
interface Kind {
  /** A service in place of a list. */
  readonly srv: boolean;
  /** Whether the list ends with an IP address. */
  readonly fixed: boolean;
}

async function run(path: readonly Step[], kind: Kind, seed: number): Promise<void> {
  const random = Math.random;
  Math.random = seeded(seed);
  try {
    await new Trial(kind).run(path);
  } finally {
    Math.random = random;
  }
}

/**
 * Runs random sequences; the error of a failure tells the seed and the shortest sequence.
 *
 * @param runs The number of sequences.
 * @param seed The first seed; random by default.
 */
export async function checkHosts(runs: number, seed?: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { maxLength: 30, size: "max" }),
      fc.record({ srv: fc.boolean(), fixed: fc.boolean() }),
      fc.nat(),
      run,
    ),
    { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
  );
}

if (import.meta.main) {
  const runs = Number(process.argv[2] ?? 20_000);
  const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${runs} runs, seed ${seed}`);
  await checkHosts(runs, seed);
  console.log("ok");
}
