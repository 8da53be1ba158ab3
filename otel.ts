/**
 * OpenTelemetry for engines: the semantic conventions' metrics of database connection pools, dnspool's own, and spans
 * for what takes time. `@opentelemetry/api` comes from you.
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

import type { End, Ended, EngineObserver } from "./pool/observer.ts";
import type { Engine } from "./engine.ts";
import type { Plugin } from "./engine/options.ts";

/** What is attached to a figure or a span. */
export type OtelAttributes = Record<string, string | number | boolean>;

/** A metric that is read when somebody collects. */
export type OtelObservable = object;

/** What a collection is told. */
export interface OtelObservations {
  /** Says what a metric is at this moment. */
  observe(metric: OtelObservable, value: number, attributes?: OtelAttributes): void;
}

/** The part of a meter that is needed. */
export interface OtelMeter {
  /** A distribution. */
  createHistogram(
    name: string,
    options?: {
      description?: string;
      unit?: string;
      advice?: { explicitBucketBoundaries?: number[] };
    },
  ): { record(value: number, attributes?: OtelAttributes): void };
  /** A sum that only grows. */
  createCounter(
    name: string,
    options?: { description?: string; unit?: string },
  ): { add(value: number, attributes?: OtelAttributes): void };
  /** A sum that is read. */
  createObservableUpDownCounter(
    name: string,
    options?: { description?: string; unit?: string },
  ): OtelObservable;
  /** A value that is read. */
  createObservableGauge(
    name: string,
    options?: { description?: string; unit?: string },
  ): OtelObservable;
  /** Reads several metrics at once. */
  // deno-lint-ignore no-explicit-any -- the api's own type of the list is narrower than any that is written here
  addBatchObservableCallback(callback: (to: OtelObservations) => void, metrics: any[]): void;
  /** Reads them no more. */
  // deno-lint-ignore no-explicit-any -- as above
  removeBatchObservableCallback(callback: (to: OtelObservations) => void, metrics: any[]): void;
}

/** The part of a span that is needed. */
export interface OtelSpan {
  /** Adds a fact. */
  setAttribute(name: string, value: string | number | boolean): unknown;
  /** Says that it failed. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** It is over. */
  end(): void;
}

/** The part of the module `@opentelemetry/api` that is needed. */
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

/** How an engine is measured. */
export interface OtelOptions {
  /** The value of `db.client.connection.pool.name`. Default: `poolLoggingName`, or the URL's host. */
  poolName?: string;
  /** Whether there are spans for checkouts that wait, for connects and for resolutions. Default `true`. */
  spans?: boolean;
}

const SCOPE = "@dnspool/dnspool";
/** Seconds, as the semantic conventions advise for what a pool does: the SDK's own are meant for milliseconds. */
const BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/** What a checkout may fail with: a sum is there before its first count, or `rate` in Prometheus would miss that. */
const FAILURES = ["POOL_TIMEOUT", "CONNECT_FAILED", "RESOLVE_FAILED"];
/** SpanStatusCode.ERROR of the api. */
const ERROR = 2;

/** Makes the spans of one engine. */
type StartSpan = (name: string, options?: { startTime?: number; root?: boolean }) => OtelSpan;

/**
 * A plugin that measures an engine.
 *
 * Metrics, each with `db.client.connection.pool.name`: `db.client.connection.count` (by `db.client.connection.state`),
 * `.idle.max`, `.idle.min`, `.max`, `.pending_requests`, `.timeouts`, `.create_time`, `.wait_time`, `.use_time`, as in
 * the semantic conventions; `dnspool.checkout.failures` (by `error.type`), `dnspool.resolve.duration`, `dnspool.resolve.failures`, `dnspool.address.changes`,
 * `dnspool.connections.retired` and `dnspool.answer.age`. Durations are in seconds. Spans: `dnspool.checkout` for one
 * that has to wait, `dnspool.connect`, `dnspool.resolve`.
 *
 * @typeParam C The driver's client.
 * @param api The module: `import * as api from "@opentelemetry/api"`.
 * @param options How the engine is measured.
 * @returns The plugin, for the option `plugins`.
 * @throws {TypeError} when `api` is not that module.
 */
export function openTelemetry<C = unknown>(api: OtelApi, options: OtelOptions = {}): Plugin<C> {
  if (typeof api?.metrics?.getMeter !== "function" || typeof api.trace?.getTracer !== "function") {
    throw new TypeError(
      'Cannot measure with this api: pass what `import * as api from "@opentelemetry/api"` gives',
    );
  }
  return ({ url, options: given }) => {
    if (given.observer) {
      throw new TypeError(
        'Cannot use the plugin "openTelemetry" beside the option "observer": an engine has one observer',
      );
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
    "Checkouts whose time was up",
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
          const type = codeOf(ended.error);
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

/** The end of a span. */
function begin(span: OtelSpan | undefined): End {
  return ({ address, error }: Ended) => {
    if (!span) return;
    if (address !== undefined) span.setAttribute("network.peer.address", address);
    if (error !== undefined) {
      span.setAttribute("error.type", codeOf(error));
      span.setStatus({ code: ERROR, message: error instanceof Error ? error.message : "" });
    }
    span.end();
  };
}

function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  // A DOMException has a number for its code, which says nothing.
  return String((typeof code === "string" ? code : name) ?? "error");
}

/** What is read when somebody collects, until the engine is closed. */
function watch<C>(engine: Engine<C>, meter: OtelMeter, attributes: OtelAttributes): void {
  const connections = (name: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit: "{connection}", description });
  const count = connections("db.client.connection.count", "Connections by state");
  const idleMax = connections("db.client.connection.idle.max", "Idle connections kept at most");
  const idleMin = connections("db.client.connection.idle.min", "Idle connections kept at least");
  const max = connections("db.client.connection.max", "Connections at most");
  const pending = meter.createObservableUpDownCounter("db.client.connection.pending_requests", {
    unit: "{request}",
    description: "Checkouts that wait",
  });
  const age = meter.createObservableGauge("dnspool.answer.age", {
    unit: "s",
    description: "Time since the answer in force was asked for",
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
    // A collector repeats what it was told last: of a closed engine, that there is nothing any more.
    if (closed) queueMicrotask(() => meter.removeBatchObservableCallback(observe, metrics));
  };
  const metrics = [count, idleMax, idleMin, max, pending, age];
  meter.addBatchObservableCallback(observe, metrics);
  const changes = meter.createCounter("dnspool.address.changes", {
    unit: "{change}",
    description: "Times that the host had other addresses than before",
  });
  const retired = meter.createCounter("dnspool.connections.retired", {
    unit: "{connection}",
    description: "Connections in use whose address departed",
  });
  for (const one of [changes, retired]) one.add(0, attributes);
  engine.addEventListener("addresschange", () => changes.add(1, attributes));
  engine.addEventListener("retire", ({ detail }) => retired.add(detail.inUse, attributes));
  engine.addEventListener("close", () => closed = true);
}
