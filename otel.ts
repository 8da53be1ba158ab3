/**
 * OpenTelemetry for engines: the metrics that the semantic conventions define for database connection pools, metrics of
 * dnspool, and spans. You install `@opentelemetry/api`.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { openTelemetry } from "@dnspool/dnspool/otel";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import * as api from "npm:@opentelemetry/api@^1.9";
 *
 * const engine = getDnsEngine("fake://127.0.0.1/orders", {
 *   adapter: fakeAdapter(),
 *   plugins: [openTelemetry(api)],
 * });
 * await engine.use(() => {}); // with an SDK set up, this is measured
 * await engine.close();
 * ```
 *
 * @module
 */

import { mustBe, mustNotBeGiven } from "./internal/argument_error.ts";
import { asError } from "./internal/thrown.ts";
import type { End, Ended, EngineObserver } from "./pool/observer.ts";
import type { Engine } from "./engine.ts";
import type { Plugin } from "./engine/options.ts";

/** The attributes of a measurement or a span. */
export type OtelAttributes = Record<string, string | number | boolean>;

/** A metric that is read at each collection. */
export type OtelObservable = object;

/** Receives the values of a collection. */
export interface OtelObservations {
  /** Reports the value of a metric. */
  observe(metric: OtelObservable, value: number, attributes?: OtelAttributes): void;
}

/** The part of a meter that is used. */
export interface OtelMeter {
  /** Creates a histogram. */
  createHistogram(
    name: string,
    options?: {
      description?: string;
      unit?: string;
      advice?: { explicitBucketBoundaries?: number[] };
    },
  ): { record(value: number, attributes?: OtelAttributes): void };
  /** Creates a counter, which only increases. */
  createCounter(
    name: string,
    options?: { description?: string; unit?: string },
  ): { add(value: number, attributes?: OtelAttributes): void };
  /** Creates a sum that is read at each collection. */
  createObservableUpDownCounter(
    name: string,
    options?: { description?: string; unit?: string },
  ): OtelObservable;
  /** Creates a value that is read at each collection. */
  createObservableGauge(
    name: string,
    options?: { description?: string; unit?: string },
  ): OtelObservable;
  /** Adds a callback that reads several metrics. */
  // deno-lint-ignore no-explicit-any -- the api's type of the list cannot be written here
  addBatchObservableCallback(callback: (to: OtelObservations) => void, metrics: any[]): void;
  /** Removes that callback. */
  // deno-lint-ignore no-explicit-any -- as above
  removeBatchObservableCallback(callback: (to: OtelObservations) => void, metrics: any[]): void;
}

/** The part of a span that is used. */
export interface OtelSpan {
  /** Adds an attribute. */
  setAttribute(name: string, value: string | number | boolean): unknown;
  /** Sets the status, for a failure. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** Ends the span. */
  end(): void;
}

/** The part of the module `@opentelemetry/api` that is used. */
export interface OtelApi {
  /** Metrics. */
  readonly metrics: { getMeter(name: string): OtelMeter };
  /** Traces. */
  readonly trace: {
    getTracer(name: string): {
      startSpan(
        name: string,
        options?: { attributes?: OtelAttributes; startTime?: number; root?: boolean },
      ): OtelSpan;
    };
  };
}

/** The options of {@linkcode openTelemetry}. */
export interface OtelOptions {
  /** The value of `db.client.connection.pool.name`. Default: `poolLoggingName`, or the URL's host. */
  poolName?: string;
  /** Whether to make spans for checkouts that wait, for connects and for resolutions. Default `true`. */
  spans?: boolean;
}

const SCOPE = "@dnspool/dnspool";
/** Bucket boundaries in seconds, from the semantic conventions: the SDK's defaults are for milliseconds. */
const BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/**
 * The errors of a checkout. Their counters start at 0, because `rate` in Prometheus misses the first increment of a new
 * one.
 */
const FAILURES = ["POOL_TIMEOUT", "CONNECT_FAILED", "RESOLVE_FAILED"];
/** SpanStatusCode.ERROR of the api. */
const ERROR = 2;

/** Makes the spans of one engine. */
type StartSpan = (name: string, options?: { startTime?: number; root?: boolean }) => OtelSpan;

/**
 * Makes a plugin that measures an engine.
 *
 * Metrics, each with `db.client.connection.pool.name`: `db.client.connection.count` (by `db.client.connection.state`),
 * `.idle.max`, `.idle.min`, `.max`, `.pending_requests`, `.timeouts`, `.create_time`, `.wait_time`, `.use_time`, as in
 * the semantic conventions; `dnspool.checkout.failures` (by `error.type`), `dnspool.resolve.duration`,
 * `dnspool.resolve.failures`, `dnspool.address.changes`, `dnspool.connections.retired`, `dnspool.lease.timeouts` and
 * `dnspool.answer.age`.
 * Durations are in seconds. Spans: `dnspool.checkout` for a checkout that waits, `dnspool.connect`, `dnspool.resolve`.
 *
 * @typeParam C The driver's client.
 * @param api The module: `import * as api from "@opentelemetry/api"`.
 * @param options The name of the pool, and whether to make spans.
 * @returns The plugin, for the option `plugins`.
 * @throws {TypeError} if `api` is not that module.
 */
export function openTelemetry<C = unknown>(api: OtelApi, options: OtelOptions = {}): Plugin<C> {
  if (typeof api?.metrics?.getMeter !== "function" || typeof api.trace?.getTracer !== "function") {
    throw mustBe("api", 'the module from `import * as api from "@opentelemetry/api"`', api);
  }
  return ({ url, options: given }) => {
    if (given.observer) {
      const reason = 'an engine has one observer, which is that of the plugin "openTelemetry"';
      throw mustNotBeGiven("observer", reason);
    }
    const name = options.poolName ?? given.poolLoggingName ?? url.host ?? url.database ?? "dnspool";
    const attributes = { "db.client.connection.pool.name": name };
    const meter = api.metrics.getMeter(SCOPE);
    const tracer = api.trace.getTracer(SCOPE);
    const span: StartSpan | undefined = options.spans === false
      ? undefined
      : (name, how) => tracer.startSpan(name, { ...how, attributes });
    return {
      options: { observer: observerFor(meter, attributes, span) },
      created: (engine) => watch(engine as Engine<C>, meter, attributes),
    };
  };
}

function observerFor(
  meter: OtelMeter,
  attributes: OtelAttributes,
  span: StartSpan | undefined,
): EngineObserver {
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, {
      unit: "s",
      description,
      advice: { explicitBucketBoundaries: BUCKETS },
    });
  const waits = seconds("db.client.connection.wait_time", "Time to obtain a connection");
  const creations = seconds("db.client.connection.create_time", "Time to open a connection");
  const uses = seconds("db.client.connection.use_time", "Time between checkout and checkin");
  const resolutions = seconds("dnspool.resolve.duration", "Time to resolve the host name");
  const sum = (name: string, unit: string, description: string) =>
    meter.createCounter(name, { unit, description });
  const timeouts = sum(
    "db.client.connection.timeouts",
    "{timeout}",
    "Checkouts that timed out",
  );
  const refusals = sum("dnspool.checkout.failures", "{failure}", "Checkouts that failed");
  const failures = sum("dnspool.resolve.failures", "{failure}", "Resolutions that failed");
  for (const one of [timeouts, failures]) one.add(0, attributes);
  const refuse = (type: string, count: number) =>
    refusals.add(count, { ...attributes, "error.type": type });
  for (const type of FAILURES) refuse(type, 0);
  return {
    served: () => waits.record(0, attributes),
    waiting() {
      const end = begin(span?.("dnspool.checkout"));
      return (ended) => {
        if (ended.error === undefined) {
          waits.record(ended.seconds, attributes);
        } else {
          const type = errorType(ended.error);
          refuse(type, 1);
          if (type === "POOL_TIMEOUT") timeouts.add(1, attributes);
        }
        end(ended);
      };
    },
    connecting() {
      const end = begin(span?.("dnspool.connect", { root: true }));
      return (ended) => {
        if (ended.error === undefined) creations.record(ended.seconds, attributes);
        end(ended);
      };
    },
    resolved(ended) {
      const startTime = Date.now() - ended.seconds * 1000;
      resolutions.record(ended.seconds, attributes);
      if (ended.error !== undefined) failures.add(1, attributes);
      begin(span?.("dnspool.resolve", { root: true, startTime }))(ended);
    },
    used: (ended) => uses.record(ended.seconds, attributes),
  };
}

/** Returns the function that ends a span. */
function begin(span: OtelSpan | undefined): End {
  return ({ address, error }: Ended) => {
    if (!span) return;
    if (address !== undefined) span.setAttribute("network.peer.address", address);
    if (error !== undefined) {
      span.setAttribute("error.type", errorType(error));
      span.setStatus({ code: ERROR, message: asError(error)?.message ?? "" });
    }
    span.end();
  };
}

/** Returns the value of the attribute `error.type`. */
function errorType(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  // The code of a DOMException is a number, which is of no use here.
  return String((typeof code === "string" ? code : name) ?? "error");
}

/** Adds the metrics that are read at each collection, until the engine is closed. */
function watch<C>(engine: Engine<C>, meter: OtelMeter, attributes: OtelAttributes): void {
  const connections = (name: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit: "{connection}", description });
  const count = connections("db.client.connection.count", "Connections by state");
  const idleMax = connections(
    "db.client.connection.idle.max",
    "Maximum number of idle connections",
  );
  const idleMin = connections(
    "db.client.connection.idle.min",
    "Minimum number of idle connections",
  );
  const max = connections("db.client.connection.max", "Maximum number of connections");
  const pending = meter.createObservableUpDownCounter("db.client.connection.pending_requests", {
    unit: "{request}",
    description: "Checkouts that are waiting",
  });
  const age = meter.createObservableGauge("dnspool.answer.age", {
    unit: "s",
    description: "Time since the query for the current answer",
  });
  let closed = false;
  const observe = (to: OtelObservations) => {
    const { idle, inUse, waiting, poolSize, maxOverflow, minIdle, answer } = engine.status();
    const state = (name: string) => ({ ...attributes, "db.client.connection.state": name });
    to.observe(count, idle, state("idle"));
    to.observe(count, inUse, state("used"));
    to.observe(pending, waiting, attributes);
    to.observe(idleMin, minIdle, attributes);
    if (poolSize < Infinity) to.observe(idleMax, poolSize, attributes);
    if (poolSize + maxOverflow < Infinity) to.observe(max, poolSize + maxOverflow, attributes);
    if (answer.age !== undefined) to.observe(age, answer.age, attributes);
    // A collector repeats the last values: those of a closed engine must be read once more, as zeros.
    if (closed) queueMicrotask(() => meter.removeBatchObservableCallback(observe, metrics));
  };
  const metrics = [count, idleMax, idleMin, max, pending, age];
  meter.addBatchObservableCallback(observe, metrics);
  const changes = meter.createCounter("dnspool.address.changes", {
    unit: "{change}",
    description: "Changes of the host's addresses",
  });
  const retired = meter.createCounter("dnspool.connections.retired", {
    unit: "{connection}",
    description: "Connections in use whose address departed",
  });
  const expired = meter.createCounter("dnspool.lease.timeouts", {
    unit: "{lease}",
    description: "Leases that took longer than leaseTimeout and were terminated",
  });
  for (const one of [changes, retired, expired]) one.add(0, attributes);
  engine.addEventListener("addresschange", () => changes.add(1, attributes));
  engine.addEventListener("retire", ({ detail }) => retired.add(detail.inUse, attributes));
  engine.addEventListener("leasetimeout", () => expired.add(1, attributes));
  engine.addEventListener("close", () => closed = true);
}
