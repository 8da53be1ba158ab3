/**
 * The resolver against a model of it: random sequences of callers, answers, failures, address changes, clears, aborts,
 * stalls of the event loop, sleeps of the machine, steps of the wall clock, lost packets and caches that serve expired data. The
 * model knows what the servers answered and when, and tells which addresses a caller may get; it does not know how the
 * resolver works.
 *
 * `deno run -A tests/stress/resolver_model.ts [runs] [seed]`
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import fc from "npm:fast-check@^4";
import { ResolveError } from "../../errors.ts";
import type { DnsOptions } from "../../engine/options.ts";
import { clearDnsCache, getIpWithTtl, type View } from "../../resolver.ts";
import { seeded, viewBy } from "../support/fake_lookup.ts";
import { fakeTime, type TestTime } from "../support/time.ts";
import {
  type CacheState,
  Clock,
  type Kind,
  NEGATIVE_MS,
  type Said,
  Server,
  SERVERS,
  type Taken,
} from "./resolver_servers.ts";

/** The options of one caller. */
type Options = Required<
  Pick<
    DnsOptions,
    "dnsTimeout" | "dnsGraceTtl" | "dnsExtendGrace" | "dnsMaxStale" | "dnsMinTtl" | "dnsMaxTtl"
  >
>;

const USUAL = { dnsExtendGrace: true, dnsMinTtl: 0.25, dnsMaxTtl: 300 };
/** How the callers differ. */
const CALLERS: readonly Options[] = [
  { ...USUAL, dnsTimeout: 3, dnsGraceTtl: 4, dnsMaxStale: 60 },
  { ...USUAL, dnsTimeout: 0.6, dnsGraceTtl: 2, dnsMaxStale: 10, dnsExtendGrace: false },
  { ...USUAL, dnsTimeout: 8, dnsGraceTtl: 0, dnsMaxStale: 60, dnsMaxTtl: 2, dnsMinTtl: 1 },
];
/** One query per resolution, so that the server sees how each ended. */
const COMMON = { dnsFallback: false, dnsFamily: 4, dnsMaxRetries: 1 } as const;
/** A caller is rejected this long after its timeout. */
const SLACK_MS = 50;
/** Maximum wait of a caller that may use a stale answer. */
const RESPONSE_MS = 1800;
/** An answer that is not the first may be in doubt, and then be used for this long. */
const DOUBTFUL_MS = 1000;
/** An answer that is kept fresh may be used this long after its end, if the next one was asked for before. */
const LATE_ANSWER_MS = 1000;
/** Time by which the timer of a query may be late. */
const TIMER_LATE_MS = 50;
/** A timer that a blocked event loop delays waits this long for answers that were received meanwhile. */
const LATE_TURN_MS = 10;
/** One that counts only time in which the loop ran then waits for a whole turn of a loop that is not blocked. */
const WHOLE_TURN_MS = 50;
/** Time after which a failure of before is over for every caller. */
const FAILURE_MS = 20_000;
/** Time after which nothing that went wrong before has an effect: the largest TTL of an expired copy, and the longest pause. */
const RECOVERY_MS = 330_000;
/** Maximum time beyond the TTL after which a record is followed that is kept fresh. */
const PROMPT_MS = 300;
/** The same behind a cache that serves expired data. */
const EXPIRED_MS = 1300;

/** One step. */
export type Step =
  | { readonly do: "ask" | "keep" | "leave" | "refresh"; readonly who: number }
  | { readonly do: "abort"; readonly which: number }
  | { readonly do: "advance" | "stall"; readonly ms: number }
  | { readonly do: "step"; readonly seconds: number }
  | { readonly do: "clear" }
  | {
    readonly do: "lose";
    readonly what: "question" | "answer";
    /** Index of the server. */
    readonly at: number;
    /** How many of the next messages are lost. */
    readonly count: number;
  }
  | { readonly do: "cache"; readonly state: CacheState }
  | { readonly do: "move"; readonly to: readonly number[]; readonly ttl: number | undefined }
  | {
    readonly do: "server";
    readonly says: Said;
    readonly delayMs: number;
    /** Whether it ignores the abort, and answers late. */
    readonly deaf: boolean;
  };

const who = fc.nat(CALLERS.length - 1);
const briefMs = fc.oneof(fc.nat(300), fc.nat(3000), fc.nat(20_000));
const ask = fc.record({ do: fc.constant("ask" as const), who });
const advance = fc.record({ do: fc.constant("advance" as const), ms: briefMs });
const server = fc.record({
  do: fc.constant("server" as const),
  says: fc.constantFrom<Said>(
    "answer",
    "answer",
    "answer",
    "negative",
    "ambiguous",
    "transient",
    "config",
    "silence",
  ),
  delayMs: fc.oneof(fc.constant(0), fc.nat(200), fc.nat(5000)),
  deaf: fc.boolean(),
});
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: ask },
  { weight: 6, arbitrary: advance },
  { weight: 4, arbitrary: server },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("keep", "leave", "refresh"), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), which: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("move" as const),
      to: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }),
      ttl: fc.constantFrom(0, 1, 2, 5, 30, 2 ** 31, undefined),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stall" as const), ms: briefMs }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("step" as const),
      seconds: fc.integer({ min: -4000, max: 4000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "clear" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("lose" as const),
      what: fc.constantFrom("question" as const, "answer" as const),
      at: fc.nat(SERVERS.length - 1),
      count: fc.oneof(fc.nat(2), fc.nat(30)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("cache" as const),
      state: fc.record({
        keeps: fc.boolean(),
        staleTtl: fc.constantFrom(undefined, 1, 30, 30, 300),
        marks: fc.boolean(),
        fetchMs: fc.oneof(fc.constant(0), fc.nat(300), fc.nat(3000)),
        fails: fc.boolean(),
      }),
    }),
  },
);

/** A change of the record while all is well. */
export interface Move {
  /** Time after the change before. */
  readonly afterMs: number;
  /** The TTL from then on. */
  readonly ttl: number;
}

const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.record({ afterMs: fc.nat(3000), ttl: fc.constantFrom(1, 2, 5, 30) }),
  { maxLength: 3 },
);

const kinds: fc.Arbitrary<Kind> = fc.record({
  repeats: fc.boolean(),
  servers: fc.constantFrom(1, 1, 2),
});

/** One set of options, and what the model knows about its callers. */
class Party {
  readonly view: View;
  /** The answer at the last call of `refresh()`: it may expire early. */
  refreshed: Taken | undefined;
  leave: (() => void) | undefined;
  /** The last answer that was asked for again ahead of its end. */
  #renewed: Taken | undefined;
  readonly unwatch: () => void;
  readonly #server: Server;
  readonly #options: Options;
  /** When callers timed out, and the answer at that time. */
  readonly #late: { readonly taken: Taken | undefined; readonly atMs: number }[] = [];
  readonly #heard: Set<string> = new Set();
  #errors = 0;

  constructor(server: Server, options: Options) {
    this.#server = server;
    this.#options = options;
    this.view = viewBy(server, this.#all);
    this.unwatch = this.view.watch({
      onChange: ({ added, removed, addresses }) => {
        assert(added.length + removed.length > 0, "a change of nothing");
        for (const ip of removed) assert(this.#heard.delete(ip), "gone twice");
        for (const ip of added) assert(!this.#heard.has(ip), "came twice");
        for (const ip of added) this.#heard.add(ip);
        assertEquals([...this.#heard].sort(), [...addresses].sort());
      },
      onError: () => this.#errors++,
    });
  }

  get #all(): DnsOptions {
    return { ...COMMON, ...this.#options, ...this.#server.options };
  }

  get timeoutMs(): number {
    return this.#options.dnsTimeout * 1000;
  }

  /** Returns whether the last answer could be used if resolution failed now. */
  mayFallBack(nowMs: number): boolean {
    const { dnsGraceTtl, dnsMaxStale } = this.#options;
    const { taken } = this.#server;
    return taken !== undefined && dnsGraceTtl > 0 &&
      nowMs < this.#endMs(taken) + dnsMaxStale * 1000;
  }

  ask(signal: AbortSignal): Promise<[string, number]> {
    const options = { ...this.#all, dnsLookup: this.#server, signal };
    return getIpWithTtl("db.internal", options);
  }

  /** Notes that the answer is to be renewed, ahead of its end or not. */
  noteAsked(askedMs: number): void {
    const { taken } = this.#server;
    if (this.leave && taken && askedMs < this.#endMs(taken) + TIMER_LATE_MS) this.#renewed = taken;
  }

  /** Notes that a caller timed out. */
  late(nowMs: number): void {
    this.#late.push({ taken: this.#server.taken, atMs: nowMs });
  }

  /** Returns whether the answer is certainly fresh. */
  mustBeFresh(nowMs: number): boolean {
    const { taken } = this.#server;
    return taken !== undefined && this.refreshed !== taken && nowMs < this.#endMs(taken) &&
      (!this.#mayBeDoubted || nowMs < taken.askedMs + DOUBTFUL_MS);
  }

  /** Whether the last answer may come from a copy past its end: then it is certain for a second only. */
  get #mayBeDoubted(): boolean {
    return this.#server.before !== undefined && (this.#server.taken?.ttl ?? 0) > 1;
  }

  /** Returns whether the last answer may be in use: it is fresh, or stale after a failure and within its grace. */
  mayServe(nowMs: number): boolean {
    const { taken, failedMs } = this.#server;
    if (!taken) return false;
    const endMs = this.#endMs(taken);
    if (nowMs < endMs) return true;
    const isRenewed = this.#renewed === taken || this.#server.live > 0;
    if (this.leave && isRenewed && nowMs < endMs + LATE_ANSWER_MS) return true;
    const { dnsGraceTtl, dnsExtendGrace, dnsMaxStale } = this.#options;
    const lateMs = this.#late.filter((late) => late.taken === taken).map(({ atMs }) => atMs);
    const missesMs = [...failedMs, ...lateMs];
    const factor = dnsExtendGrace ? 2 ** Math.min(missesMs.length - 1, 4) : 1;
    const longestMs = dnsGraceTtl * 1000 * factor;
    return nowMs < endMs + dnsMaxStale * 1000 &&
      missesMs.some((missMs) => nowMs < Math.max(missMs, endMs) + longestMs);
  }

  /** Checks the addresses that a caller got. */
  checkServed([ip, seconds]: [string, number], startMs: number, nowMs: number): void {
    const { taken } = this.#server;
    assert(taken, `was given ${ip}, but there is no answer`);
    assertEquals(ip, taken.addresses[0]);
    const waited = startMs <= taken.atMs;
    assert(waited || this.mayServe(nowMs), `was given ${ip} past its time`);
    assert(seconds >= 0 && Number.isInteger(seconds));
    const leftMs = this.#endMs(taken) - nowMs;
    if (!this.mustBeFresh(nowMs)) return;
    if (this.#mayBeDoubted) assert(seconds <= Math.ceil(leftMs / 1000));
    else assertEquals(seconds, Math.ceil(leftMs / 1000));
  }

  /** Checks that a caller had to be rejected. */
  checkRefused(error: unknown, startMs: number, nowMs: number, tookMs: number): void {
    const { failedMs, noAtMs } = this.#server;
    assert(error instanceof ResolveError, String(error));
    const why = tookMs >= this.timeoutMs || nowMs < noAtMs + NEGATIVE_MS ||
      failedMs.some((atMs) => atMs >= startMs);
    assert(why, `refused without a reason: ${error}`);
    assert(!this.mayFallBack(nowMs), `refused in spite of a stale answer: ${error}`);
  }

  /** Checks the invariants. */
  check(nowMs: number): void {
    const { view } = this;
    const { taken, failedMs, failures } = this.#server;
    assertEquals([view.entry.failures, this.#errors], [failedMs.length, failures]);
    assertEquals([...this.#heard].sort(), [...view.addresses].sort());
    if (taken) assertEquals(view.addresses, taken.addresses);
    if (this.mustBeFresh(nowMs)) assert(nowMs < view.freshUntilMs, "a fresh answer is not in use");
    const inUse = nowMs < Math.max(view.freshUntilMs, view.graceUntilMs);
    assert(!inUse || this.mayServe(nowMs), "an answer is in use past its time");
  }

  #endMs({ askedMs, atMs, tookMs, ttl, hadExpired }: Taken): number {
    if (hadExpired) return askedMs;
    const { dnsMinTtl, dnsMaxTtl } = this.#options;
    const seconds = ttl === undefined ? 5 : ttl >= 2 ** 31 ? 0 : ttl;
    const ttlMs = Math.min(Math.max(seconds, dnsMinTtl), dnsMaxTtl) * 1000;
    // A TTL that is over by the time the answer comes counts from there.
    return (ttlMs <= tookMs ? atMs : askedMs) + ttlMs;
  }
}

/** One run of steps. */
class Trial {
  readonly #time: TestTime = fakeTime();
  readonly #clock: Clock = new Clock(this.#time);
  readonly #server: Server;
  readonly #parties: Party[];
  readonly #open: Set<AbortController> = new Set();
  readonly #problems: unknown[] = [];
  #stalledMs = 0;
  /** When callers timed out. */
  readonly #leftMs: Set<number> = new Set();

  constructor(kind: Kind) {
    this.#server = new Server(this.#clock, kind);
    this.#parties = CALLERS.map((options) => new Party(this.#server, options));
  }

  async run(path: readonly Step[], moves: readonly Move[]): Promise<void> {
    try {
      this.#parties[0]!.view.status();
      this.#server.onAsked = (askedMs) => {
        for (const party of this.#parties) party.noteAsked(askedMs);
      };
      for (const step of path) {
        await this.#take(step);
        if (this.#tied) return;
        this.#check();
      }
      await this.#follow(moves);
      if (!this.#tied) await this.#end();
    } finally {
      for (const { leave, unwatch } of this.#parties) {
        leave?.();
        unwatch();
      }
      // A run that ends early leaves callers behind: they are settled before the real clock is back.
      for (const caller of this.#open) caller.abort(new Error("the run is over"));
      await this.#time.settle();
      clearDnsCache();
      await this.#time.settle();
      this.#time.restore();
    }
  }

  async #take(step: Step): Promise<void> {
    const party = "who" in step ? this.#parties[step.who]! : undefined;
    if (step.do === "ask") this.#call(party!);
    else if (step.do === "keep") party!.leave ??= party!.view.keepFresh();
    else if (step.do === "leave") {
      party!.leave?.();
      party!.leave = undefined;
    } else if (step.do === "refresh") {
      party!.refreshed = this.#server.taken;
      this.#server.mayRepeat = true;
      party!.view.refresh();
    } else if (step.do === "abort") {
      const open = [...this.#open];
      open[step.which % open.length]?.abort(new Error("changed its mind"));
    } else if (step.do === "advance") return await this.#time.tick(step.ms);
    else if (step.do === "stall") {
      this.#stalledMs += step.ms + LATE_TURN_MS + WHOLE_TURN_MS;
      this.#time.stall(step.ms / 1000);
      this.#server.stalledMs = this.#time.nowMs;
    } else if (step.do === "step") {
      this.#clock.step(step.seconds);
      // The resolver notices only what happened since its last reading.
      this.#parties[0]!.view.status();
    } else if (step.do === "clear") {
      this.#server.clear();
      clearDnsCache();
    } else if (step.do === "move") {
      this.#server.addresses = step.to.map((n) => `10.0.0.${n}`);
      this.#server.ttl = step.ttl;
    } else if (step.do === "lose") this.#server.lose(step.what, step.at, step.count);
    else if (step.do === "cache") this.#server.cache = step.state;
    else Object.assign(this.#server, step);
    await this.#time.settle();
  }

  /** Runs one caller to its result. */
  async #call(party: Party): Promise<void> {
    const startMs = this.#clock.nowMs;
    const beganMs = this.#time.nowMs;
    const silentSinceMs = this.#server.live > 0 ? this.#server.openSinceMs : beganMs;
    const stalledMs = this.#stalledMs;
    const fresh = party.mustBeFresh(startMs);
    const { taken } = this.#server;
    const controller = new AbortController();
    this.#open.add(controller);
    let served: [string, number] | undefined;
    let refused: unknown;
    try {
      served = await party.ask(controller.signal);
    } catch (error) {
      refused = error;
    }
    this.#open.delete(controller);
    if (controller.signal.aborted && refused === controller.signal.reason) return;
    const nowMs = this.#clock.nowMs;
    const tookMs = this.#time.nowMs - beganMs;
    // The stale answer was usable all the time.
    const waitsLong = taken === undefined || this.#server.taken !== taken ||
      !party.mayFallBack(nowMs);
    const isSilent = this.#time.nowMs - silentSinceMs >= RESPONSE_MS;
    if (tookMs >= Math.min(party.timeoutMs, RESPONSE_MS) || isSilent) party.late(nowMs);
    if (tookMs >= party.timeoutMs + SLACK_MS || isSilent || refused) this.#leftMs.add(nowMs);
    try {
      if (fresh) assertEquals([tookMs, refused], [0, undefined], "waited for a fresh answer");
      const timeoutMs = party.timeoutMs + SLACK_MS;
      const mostMs = waitsLong ? timeoutMs : Math.min(timeoutMs, RESPONSE_MS);
      const longestMs = mostMs + 1 + this.#stalledMs - stalledMs;
      assert(tookMs <= longestMs, `was told after ${tookMs} ms`);
      if (served) party.checkServed(served, startMs, nowMs);
      else party.checkRefused(refused, startMs, nowMs, tookMs);
    } catch (problem) {
      this.#problems.push(problem);
    }
  }

  /**
   * Returns whether a caller timed out in the millisecond in which a query ended. Then the order is open, and the query
   * may be canceled with its last caller: the model does not tell what is right.
   */
  get #tied(): boolean {
    return this.#server.isTied || [...this.#leftMs].some((atMs) => this.#server.endedMs.has(atMs));
  }

  #check(): void {
    if (this.#problems.length > 0) throw this.#problems[0];
    for (const party of this.#parties) party.check(this.#clock.nowMs);
    this.#server.checkRepeats();
  }

  /** Checks that an answer that is kept fresh follows the record once all is well, whatever the cache in between serves. */
  async #follow(moves: readonly Move[]): Promise<void> {
    const server = this.#server;
    // The first answer of a lookup that is no DNS is not doubted.
    const isUnknown = server.hidExpired || server.servesExpired && !server.repeats;
    if (moves.length === 0 || isUnknown) return;
    const [party] = this.#parties;
    for (const { leave } of this.#parties) leave?.();
    party!.leave = party!.view.keepFresh();
    server.heal();
    server.ttl = 5;
    // Without an answer, nothing is asked for ahead of expiry. The first question may be one that was lost.
    for (const waitMs of [FAILURE_MS, RECOVERY_MS]) {
      this.#call(party!);
      await this.#time.tick(waitMs);
    }
    for (const [index, { afterMs, ttl }] of moves.entries()) {
      await this.#time.tick(afterMs);
      if (this.#tied || server.hidExpired) return;
      this.#check();
      const limitMs = server.ttl * 1000 + (server.servesExpired ? EXPIRED_MS : PROMPT_MS);
      Object.assign(server, { addresses: [`10.1.0.${index}`], ttl });
      await this.#time.tick(limitMs);
      if (this.#tied) return;
      const { addresses } = party!.view;
      assertEquals(addresses, server.addresses, `not followed after ${limitMs} ms`);
    }
  }

  /** Waits for all callers; once they are settled, nothing goes on. */
  async #end(): Promise<void> {
    const server = this.#server;
    for (const party of this.#parties) party.leave?.();
    server.heal();
    await this.#time.tick(20_000);
    if (this.#tied) return;
    this.#check();
    assertEquals(this.#open.size, 0, "a caller was never told");
    assertEquals(server.live, 0, "a query goes on");
    for (const { unwatch } of this.#parties) unwatch();
    const { asked } = server;
    await this.#time.tick(1_000_000);
    assertEquals(server.asked, asked, "a query without a caller");
  }
}

/** Runs the steps; the resolver's random numbers come from the seed. */
async function run(
  path: readonly Step[],
  kind: Kind,
  moves: readonly Move[],
  seed: number,
): Promise<void> {
  const random = Math.random;
  Math.random = seeded(seed);
  try {
    await new Trial(kind).run(path, moves);
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
export async function checkResolver(runs: number, seed?: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { maxLength: 40, size: "max" }),
      kinds,
      moves,
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
  await checkResolver(runs, seed);
  console.log("ok");
}
