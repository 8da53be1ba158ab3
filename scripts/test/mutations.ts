/**
 * Small faults that the tests have to notice, one at a time, and the tests that should.
 *
 * @module
 */

/** One fault. */
export interface Mutation {
  readonly file: string;
  /** What is there, exactly once in the file. */
  readonly find: string;
  /** What is put in its place. */
  readonly put: string;
  /** Why no test can notice it: it makes no difference to anybody. */
  readonly why?: string;
}

const QUEUE = [["tests/pool/chunked_queue_test.ts"]];
const FAST = ["tests/pool/scenarios_test.ts", "tests/pool/wait_queue_test.ts"];
const ENGINE = [
  "tests/pool/connection/departures_test.ts",
  "tests/pool/connection/dialer_test.ts",
  "tests/engine/close_test.ts",
  "tests/engine/dns_test.ts",
  "tests/engine/hooks_test.ts",
  "tests/engine/lease_test.ts",
  "tests/engine/options_driver_test.ts",
  "tests/engine/options_pool_test.ts",
  "tests/engine/promise_test.ts",
  "tests/engine/reported_errors_test.ts",
  "tests/engine/transaction_test.ts",
  "tests/pool/spike_test.ts",
  "tests/pool/static_test.ts",
];
const STRESS = ["tests/pool/stress_test.ts"];
const POOL = [FAST, ENGINE, STRESS];
const RESOLVER = [
  [
    "tests/resolver/resolution_test.ts",
    "tests/resolver/fallback_test.ts",
    "tests/resolver/flight_test.ts",
    "tests/resolver/freshness_test.ts",
    "tests/resolver/get_ip_test.ts",
    "tests/resolver/grace_test.ts",
    "tests/resolver/memory_test.ts",
    "tests/resolver/plan_test.ts",
    "tests/resolver/refresh_test.ts",
    "tests/resolver/resolver_test.ts",
    "tests/resolver/allow_address_test.ts",
  ],
  ["tests/resolver/model_test.ts", "tests/engine/dns_test.ts", "tests/internal/clock_test.ts"],
];

/** The tests of each file, group by group: a fault that one notices is not shown to the next. */
export const TESTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "pool/connection/departures.ts": [ENGINE],
  "resolver/allow_address.ts": [[
    "tests/resolver/allow_address_test.ts",
    "tests/engine/options_test.ts",
  ]],
  "resolver/cache_entry.ts": RESOLVER,
  "resolver/cidr.ts": [[
    "tests/resolver/cidr_test.ts",
    "tests/resolver/allow_address_test.ts",
    "tests/engine/options_test.ts",
  ]],
  "internal/clock.ts": POOL,
  "engine/core.ts": [ENGINE, STRESS],
  "resolver/freshness.ts": RESOLVER,
  "pool/lease.ts": POOL,
  "resolver/view.ts": RESOLVER,
  "pool/connect_limiter.ts": POOL,
  "resolver/refresh_schedule.ts": RESOLVER,
  "resolver/resolution.ts": RESOLVER,
  "pool/slots.ts": POOL,
  "pool/connection/source.ts": [ENGINE, FAST, STRESS],
  "pool/housekeeper.ts": POOL,
  "pool/chunked_queue.ts": QUEUE,
  "pool/wait_queue.ts": POOL,
  "pool/connection/dialer.ts": [ENGINE],
  "engine.ts": [ENGINE],
  "pool/pool.ts": POOL,
  "resolver.ts": RESOLVER,
};

/** The faults. */
export const MUTATIONS: readonly Mutation[] = [
  // Slots: capacity, wake-ups, what is closed and what is not.
  { file: "pool/slots.ts", find: "if (slot.retired) this.retired--;", put: "" },
  { file: "pool/slots.ts", find: "    this.retired++;", put: "" },
  { file: "pool/slots.ts", find: "    this.closed++;", put: "" },
  { file: "pool/slots.ts", find: "    this.opened++;", put: "" },
  { file: "pool/slots.ts", find: "    this.detached++;", put: "" },
  { file: "pool/pool.ts", find: "slot.uses >= maxUses", put: "slot.uses > maxUses" },
  {
    file: "pool/pool.ts",
    find: "this.#idle.size >= poolSize;",
    put: "this.#idle.size > poolSize;",
  },
  {
    file: "pool/pool.ts",
    find: "return this.#limit - this.#slots.counted - this.#dials.size;",
    put: "return this.#limit - this.#slots.counted;",
  },
  {
    file: "pool/pool.ts",
    find: "    lease?.abort(reason);\n    this.#pump();",
    put: "    lease?.abort(reason);",
  },
  { file: "pool/pool.ts", find: "    lease?.abort(reason);", put: "" },
  {
    file: "pool/pool.ts",
    find: "    this.#source.part(slot);\n    this.#pump();",
    put: "    this.#source.part(slot);",
  },
  {
    file: "pool/pool.ts",
    find: "return !slot.spent && this.#isYoung(slot) && this.#source.isCurrent(slot.address);",
    put: "return !slot.spent && this.#isYoung(slot);",
  },
  {
    file: "pool/pool.ts",
    find: "if (this.#source.isCurrent(address)) this.#return(slot);",
    put: "if (address) this.#return(slot);",
  },
  {
    file: "pool/pool.ts",
    find: "if (!siblings || slot.condemned) return;",
    put: "if (!siblings) return;",
  },
  { file: "pool/pool.ts", find: "if (!siblings || slot.condemned) return;", put: "return;" },
  {
    file: "pool/pool.ts",
    find: "if (++waiter.tries >= MOST_TRIES)",
    put: "if (++waiter.tries > MOST_TRIES)",
  },
  {
    file: "pool/pool.ts",
    find: "      this.#waiters.reject(waiter, error);\n      this.#return(slot);",
    put: "      this.#waiters.reject(waiter, error);",
  },
  {
    file: "pool/pool.ts",
    find: "    this.#waiters.unshift(waiter);",
    put: "    this.#waiters.push(waiter);",
  },
  {
    file: "pool/pool.ts",
    find: "if (!unfit && waiter.waiting && !this.#source.isFresh()) {",
    put: "if (false) {",
  },
  {
    file: "pool/pool.ts",
    find: "if (!passing && this.#waiters.size > this.#dials.size) {",
    put: "if (!passing) {",
  },
  {
    file: "pool/pool.ts",
    find:
      "    for (const waiter of this.#examined) this.#waiters.reject(waiter, new PoolClosedError(why));",
    put: "",
  },
  {
    file: "pool/pool.ts",
    find: "nowMs - slot.idleSinceMs >= idleTimeoutMs && this.#idle.size > minIdle &&",
    put: "nowMs - slot.idleSinceMs >= idleTimeoutMs &&",
  },
  {
    file: "pool/pool.ts",
    find: "if (!this.#source.isFresh() || !this.#fit(slot)) return false;",
    put: "",
  },
  {
    file: "pool/pool.ts",
    find: "useLifo ? this.#idle.last : this.#idle.first",
    put: "useLifo ? this.#idle.first : this.#idle.first",
  },
  {
    file: "pool/pool.ts",
    find: "return this.opened > 0 ? Math.max(0, missing) : 0;",
    put: "return Math.max(0, missing);",
  },
  {
    file: "pool/pool.ts",
    find: "      slot.spent = slot.dead = true;",
    put: "      slot.spent = true;",
  },
  {
    file: "pool/pool.ts",
    find: "if (newest !== waiter.since || this.#free > 0) this.#pump();",
    put: "if (newest !== waiter.since) this.#pump();",
  },
  {
    file: "pool/pool.ts",
    find: "if (newest !== waiter.since || this.#free > 0) this.#pump();",
    put: "if (newest === undefined || this.#free > 0) this.#pump();",
  },
  { file: "pool/pool.ts", find: "      onLeave?.();\n", put: "" },
  { file: "pool/pool.ts", find: "      end();\n", put: "" },
  // Opening.
  {
    file: "pool/connect_limiter.ts",
    find: "this.failing || this.#suspect ? 1 : this.#concurrency",
    put: "this.#suspect ? 1 : this.#concurrency",
  },
  {
    file: "pool/connect_limiter.ts",
    find: "this.failing || this.#suspect ? 1 : this.#concurrency",
    put: "this.failing ? 1 : this.#concurrency",
  },
  {
    file: "pool/connect_limiter.ts",
    find: "Math.min(waiting + ahead, this.size + free, most)",
    put: "Math.min(waiting + ahead, most)",
  },
  { file: "pool/connect_limiter.ts", find: "        this.#failures = 0;", put: "" },
  {
    file: "pool/connect_limiter.ts",
    find: "    this.#notBeforeMs = -Infinity;\n    this.idle();",
    put: "    this.idle();",
  },
  { file: "pool/connect_limiter.ts", find: "      this.#events.onReady();", put: "" },
  // Waiting.
  {
    file: "pool/wait_queue.ts",
    find: "return this.since.ms + this.timeoutMs;",
    put: "return this.since.ms + this.timeoutMs * 2;",
  },
  {
    file: "pool/wait_queue.ts",
    find: "this.#timer === undefined || waiter.timeoutMs < this.#spanMs",
    put: "this.#timer === undefined",
  },
  {
    file: "pool/wait_queue.ts",
    find: "const nowMs = Moment.present.ms;",
    put: "const nowMs = now();",
  },
  {
    file: "internal/clock.ts",
    find: "      if (present === this) present = undefined;",
    put: "",
  },
  {
    file: "pool/wait_queue.ts",
    find: "if (endMs <= nowMs) this.reject",
    put: "if (endMs < nowMs) this.reject",
  },
  { file: "pool/wait_queue.ts", find: "index < covered ? moreMs : 0", put: "moreMs" },
  { file: "pool/wait_queue.ts", find: "    this.newest = undefined;\n", put: "" },
  { file: "pool/wait_queue.ts", find: "    waiter.onLeave?.();", put: "" },
  { file: "pool/wait_queue.ts", find: "    this.#onEmpty();", put: "" },
  // Queues.
  {
    file: "pool/chunked_queue.ts",
    find: "if (this.size === 0) return this.push(member);",
    put: "",
  },
  { file: "pool/chunked_queue.ts", find: "if (row.taken === 0) this.#leaveRow(row);", put: "" },
  {
    file: "pool/chunked_queue.ts",
    find: "if (before) before.after = after;",
    put: "if (before) {}",
  },
  { file: "pool/chunked_queue.ts", find: "if (!before) this.#begin = 0;", put: "" },
  {
    file: "pool/chunked_queue.ts",
    find: "if (!after) this.#end = before ? SEATS : 0;",
    put: "if (!after) this.#end = 0;",
  },
  {
    file: "pool/chunked_queue.ts",
    find: "if (!after) this.#end = before ? SEATS : 0;",
    put: "if (!after) this.#end = SEATS;",
  },
  {
    file: "pool/chunked_queue.ts",
    find: "while (seats[this.#begin] === undefined) this.#begin++;",
    put: "if (seats[this.#begin] === undefined) this.#begin++;",
  },
  // Leases.
  { file: "pool/lease.ts", find: "    if (slot.lease !== this) return DONE;\n", put: "" },
  {
    file: "pool/lease.ts",
    find: "if (this.#controller?.signal.aborted) reject(this.#controller.signal.reason);",
    put: "",
  },
  {
    file: "pool/lease.ts",
    find: "    for (const watcher of this.#watchers ?? []) watcher(reason);\n",
    put: "",
  },
  // Where connections come from.
  {
    file: "pool/connection/source.ts",
    find: "if (end.come) throw this.#dialer.endedEarly(address, end.error);",
    put: "",
  },
  {
    file: "pool/connection/source.ts",
    find: "running.catch(() => this.#first = undefined);",
    put: "running.catch(() => {});",
  },
  {
    file: "pool/connection/source.ts",
    find: "if (this.#interests++ > 0 || !this.#settings.refreshAhead) return;",
    put: "if (this.#interests++ > 0) return;",
  },
  {
    file: "pool/connection/source.ts",
    find: "    if (--this.#interests > 0) return;",
    put: "    this.#interests--;",
  },
  {
    file: "pool/connection/source.ts",
    find: `if (verdict === "read-only" && !needsWrites) return undefined;`,
    put: "",
  },
  { file: "pool/connection/source.ts", find: "    this.#work.get(slot)?.abort();\n", put: "" },
  { file: "pool/connection/source.ts", find: "!== false;\n", put: "=== true;\n" },
  { file: "pool/connection/source.ts", find: "      slot.isolationLevel = undefined;", put: "" },
  {
    file: "pool/connection/source.ts",
    find: "nowMs - slot.idleSinceMs >= prePingAfterMs",
    put: "nowMs - slot.idleSinceMs > prePingAfterMs",
  },
  {
    file: "pool/connection/source.ts",
    find: "if (!addresses.some((address) => this.isCurrent(address))) continue;",
    put: "",
  },
  // Dialling.
  { file: "pool/connection/dialer.ts", find: "if (dial.departed.has(address)) continue;", put: "" },
  {
    file: "pool/connection/dialer.ts",
    find: "dialling?.then((client) => this.discard(client), () => {});",
    put: "dialling?.catch(() => {});",
  },
  {
    file: "pool/connection/dialer.ts",
    find: "return !isTimeout(error) && !SILENT_CODES.has(codeOf(error));",
    put: "return !isTimeout(error);",
  },
  {
    file: "pool/connection/dialer.ts",
    find: "(waitsForRole || connectedBefore) && reasons.length > 0",
    put: "reasons.length > 0",
  },
  {
    file: "pool/connection/dialer.ts",
    find: "return !standby && !readOnly;",
    put: "return !standby;",
  },
  {
    file: "pool/connection/dialer.ts",
    find: "    if (count > 0) this.#counts.set(address, count);",
    put: "    if (count > 1) this.#counts.set(address, count);",
  },
  // The engine.
  { file: "engine/core.ts", find: "    for (const pool of this.#pools) pool.kick();", put: "" },
  { file: "engine/core.ts", find: "    this.#dialer.abandon(address);", put: "" },
  { file: "engine/core.ts", find: "    this.#departures.watch(address);", put: "" },
  { file: "engine/core.ts", find: "    this.#unwatch();\n", put: "" },
  {
    file: "engine/core.ts",
    find: "slot.retired && slot.retiredAtMs <= retiredByMs",
    put: "slot.retired",
  },
  {
    file: "engine/core.ts",
    find: "if (alive || this.#end.signal.aborted) return;",
    put: "if (this.#end.signal.aborted) return;",
  },
  {
    file: "engine.ts",
    find: "      await lease.release(error);\n      throw error;",
    put: "      throw error;",
  },
  {
    file: "pool/connection/departures.ts",
    find: "return entry !== undefined && now() < entry.untilMs;",
    put: "return entry !== undefined;",
  },
  {
    file: "pool/connection/departures.ts",
    find: "    this.#until.get(address)?.timer.clear();\n",
    put: "",
  },
  {
    file: "pool/connection/departures.ts",
    find: "if (oldestMs <= retiredByMs) {",
    put: "if (oldestMs < retiredByMs) {",
  },
  // The resolver.
  {
    file: "resolver/freshness.ts",
    find: "    this.#graces = 0;\n    return ttlMs;",
    put: "    return ttlMs;",
  },
  { file: "resolver/freshness.ts", find: "if (nowMs < this.graceUntilMs) return;", put: "" },
  { file: "resolver/freshness.ts", find: "Math.min(untilMs, this.staleUntilMs)", put: "untilMs" },
  {
    file: "resolver/freshness.ts",
    find: "this.freshUntilMs = askedAtMs + ttlMs;",
    put: "this.freshUntilMs = askedAtMs + ttlMs + 100;",
  },
  {
    file: "resolver/view.ts",
    find: "if (nowMs >= this.#life.graceUntilMs) return false;",
    put: "",
  },
  { file: "resolver/view.ts", find: "if (nowMs >= this.#plan.dueMs) this.#fly();", put: "" },
  { file: "resolver/view.ts", find: "if (landing?.kept && landing.found) return;", put: "" },
  {
    file: "resolver/view.ts",
    find: "if (this.entry.flight || now() >= earliestMs) {",
    put: "if (true) {",
  },
  { file: "resolver/view.ts", find: "if (changed) this.#tell", put: "this.#tell" },
  {
    file: "resolver/view.ts",
    find: "const removed = this.addresses.filter((address) => !addresses.includes(address));",
    put: "const removed: string[] = [];",
  },
  { file: "resolver/cache_entry.ts", find: "if (this.flight !== flight) return false;", put: "" },
  {
    file: "resolver/cache_entry.ts",
    find: "if (--this.#holders === 0) this.giveUp();",
    put: "--this.#holders;",
  },
  {
    file: "resolver/cache_entry.ts",
    find: `kindOf(error) === "negative" && flight.exhaustive`,
    put: `kindOf(error) === "negative"`,
  },
  {
    file: "resolver/cache_entry.ts",
    find: "Math.min(given ?? NEGATIVE_TTL.unknown, NEGATIVE_TTL.most)",
    put: "given ?? NEGATIVE_TTL.unknown",
  },
  {
    file: "resolver/cache_entry.ts",
    find: "    return this.flight ??= new Flight(this, effort, helpless);",
    put: "    return this.flight = new Flight(this, effort, helpless);",
  },
  {
    file: "resolver/resolution.ts",
    find: "if (allow) checkAllowed(addresses, name, lookup, allow);",
    put: "",
  },
  {
    file: "resolver/resolution.ts",
    find: `if (kind === "negative" || kind === "config") throw error;`,
    put: `if (kind === "negative") throw error;`,
  },
  {
    file: "resolver/resolution.ts",
    find: "ttl >= TOP_BIT || ttl < 0 ? 0 : ttl",
    put: "ttl < 0 ? 0 : ttl",
  },
  { file: "resolver/resolution.ts", find: "if (refused !== undefined) throw refused;", put: "" },
  {
    file: "resolver/resolution.ts",
    find: "reasonOf(second) === NOT_ALLOWED ? second : error",
    put: "error",
  },
  {
    file: "resolver/refresh_schedule.ts",
    find: "this.dueMs = Math.max(askedAtMs + GAP_MS, dueMs);",
    put: "this.dueMs = dueMs;",
  },
  {
    file: "resolver/refresh_schedule.ts",
    find: "Math.min(LEAD_MS + tookMs, ttlMs / 2)",
    put: "Math.min(LEAD_MS, ttlMs / 2)",
  },
  {
    file: "resolver.ts",
    find: "idOf(lookup), fallback !== undefined, allow?.key",
    put: "idOf(lookup), fallback !== undefined",
  },
  { file: "resolver.ts", find: "if (!entry.disposable) continue;", put: "" },
  { file: "resolver.ts", find: "known.lists !== listsOf(options)", put: "false" },
  // Which addresses are allowed.
  { file: "resolver/cidr.ts", find: "widthOf(ip) === width && valueOf(ip)", put: "valueOf(ip)" },
  {
    file: "resolver/cidr.ts",
    find: "if (bits << BigInt(width - prefix) !== valueOf(ip)) return undefined;",
    put: "",
  },
  {
    file: "resolver/allow_address.ts",
    find: "value(withoutMapping(ip)) === true",
    put: "value(withoutMapping(ip))",
  },
  {
    file: "resolver/allow_address.ts",
    find: "inCidr(range, withoutMapping(ip))",
    put: "inCidr(range, ip)",
  },
];
