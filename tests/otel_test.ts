import { assert, assertEquals, assertFalse, assertRejects, assertThrows } from "@std/assert";
import * as api from "npm:@opentelemetry/api@^1.9";
import { PrometheusExporter } from "npm:@opentelemetry/exporter-prometheus@^0.301";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "npm:@opentelemetry/sdk-metrics@^3.1";
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from "npm:@opentelemetry/sdk-trace@^3.1";
import { getDnsEngine } from "../mod.ts";
import { openTelemetry, type OtelApi } from "../otel.ts";
import { fakeAdapter } from "../testing/mod.ts";
import { fakeLookup } from "./support/fake_lookup.ts";
import { fakeTime } from "./support/time.ts";
import { soon } from "./support/waiting.ts";

/** Makes an api with its own providers instead of the process's. */
function providers() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const metrics = new MeterProvider({ readers: [reader] });
  const spans = new InMemorySpanExporter();
  const trace = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: spans })],
  });
  const own = { metrics, trace } as unknown as OtelApi;
  return {
    own,
    spans,
    /** Collects the metrics by name, each a list of values, with the state if there is one. */
    async collect(): Promise<Record<string, unknown[]>> {
      exporter.reset();
      await reader.forceFlush();
      const all = exporter.getMetrics().flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) => metrics)
      );
      return Object.fromEntries(all.map(({ descriptor, dataPoints }) => [
        descriptor.name,
        dataPoints.map(({ value, attributes }) => {
          assertEquals(attributes["db.client.connection.pool.name"], "db.internal");
          const state = attributes["db.client.connection.state"];
          const shown = typeof value === "object" && value && "count" in value
            ? value.count
            : value;
          return state === undefined ? shown : [state, shown];
        }),
      ]));
    },
    async end() {
      await metrics.shutdown();
      await trace.shutdown();
    },
  };
}

function engineFor(own: OtelApi, options: Parameters<typeof openTelemetry>[1] = {}) {
  const dns = fakeLookup(["10.0.0.1"], 0);
  const engine = getDnsEngine("fake://app:s3cret@db.internal/orders", {
    adapter: fakeAdapter(),
    dnsLookup: dns,
    dnsMinTtl: 0,
    dnsFallback: false,
    poolSize: 1,
    maxOverflow: 1,
    plugins: [openTelemetry(own, options)],
  });
  return { dns, engine };
}

Deno.test("openTelemetry() reports the metrics of the semantic conventions, and those of dnspool", async () => {
  const { own, collect, end } = providers();
  const { dns, engine } = engineFor(own);
  const first = await engine.connect();
  const second = await engine.connect();
  await assertRejects(() => engine.connect({ timeout: 0 }));
  await second.release();
  dns.addresses = ["10.0.0.2"];
  await engine.use(() => {});
  const during = await collect();
  assertEquals(during["db.client.connection.count"], [["idle", 1], ["used", 1]]);
  assertEquals(during["db.client.connection.max"], [2]);
  assertEquals(during["db.client.connection.idle.max"], [1]);
  assertEquals(during["db.client.connection.idle.min"], [0]);
  assertEquals(during["db.client.connection.pending_requests"], [0]);
  assertEquals(during["db.client.connection.timeouts"], [1]);
  assertEquals(during["db.client.connection.wait_time"], [3]);
  assertEquals(during["db.client.connection.create_time"], [3]);
  assertEquals(during["db.client.connection.use_time"], [2]);
  assertEquals(during["dnspool.address.changes"], [1]);
  assertEquals(during["dnspool.connections.retired"], [1]);
  assert(during["dnspool.resolve.duration"]![0] as number >= 2);
  assertEquals(during["dnspool.answer.age"]!.length, 1);
  assertEquals(during["dnspool.resolve.failures"], [0]);
  assertEquals(during["dnspool.checkout.failures"], [1, 0, 0]);
  dns.failure = "transient";
  await engine.use(() => {});
  assert((await collect())["dnspool.resolve.failures"]![0] as number >= 1);
  await first.release();
  await engine.close();
  const nothing = [["idle", 0], ["used", 0]];
  assertEquals((await collect())["db.client.connection.count"], nothing);
  assertEquals((await collect())["db.client.connection.count"], nothing);
  await end();
});

Deno.test("openTelemetry() counts failed checkouts by their error, including the reason of a caller's signal", async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const metrics = new MeterProvider({ readers: [reader] });
  const own = { metrics, trace: new TracerProvider() } as unknown as OtelApi;
  const engine = getDnsEngine("fake://127.0.0.1/orders", {
    adapter: fakeAdapter({
      connect: () => Promise.reject(new Error("too many clients")),
    }),
    plugins: [openTelemetry(own)],
  });
  const failures = async () => {
    exporter.reset();
    await reader.forceFlush();
    const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics[0]!.metrics);
    const points = all.find(({ descriptor }) => descriptor.name === "dnspool.checkout.failures")!
      .dataPoints;
    return Object.fromEntries(points.map((one) => [one.attributes["error.type"], one.value]));
  };
  assertEquals(await failures(), { POOL_TIMEOUT: 0, CONNECT_FAILED: 0, RESOLVE_FAILED: 0 });
  await assertRejects(() => engine.connect());
  const controller = new AbortController();
  const gone = assertRejects(() => engine.connect({ signal: controller.signal }));
  controller.abort();
  await gone;
  assertEquals(await failures(), {
    POOL_TIMEOUT: 0,
    CONNECT_FAILED: 1,
    RESOLVE_FAILED: 0,
    AbortError: 1,
  });
  await engine.close();
  await metrics.shutdown();
});

Deno.test("openTelemetry() makes spans for checkouts that wait, connects and resolutions, with their errors", async () => {
  const { own, spans, end } = providers();
  const { engine } = engineFor(own);
  const leases = [await engine.connect(), await engine.connect()];
  await assertRejects(() => engine.connect({ timeout: 0 }));
  const names = spans.getFinishedSpans().map(({ name }) => name);
  assertEquals(new Set(names), new Set(["dnspool.resolve", "dnspool.connect", "dnspool.checkout"]));
  const failed = spans.getFinishedSpans().filter(({ status }) => status.code === 2);
  assertEquals(failed.map(({ name, attributes }) => [name, attributes["error.type"]]), [
    ["dnspool.checkout", "POOL_TIMEOUT"],
  ]);
  const connect = spans.getFinishedSpans().find(({ name }) => name === "dnspool.connect")!;
  assertEquals(connect.attributes, {
    "db.client.connection.pool.name": "db.internal",
    "network.peer.address": "10.0.0.1",
  });
  assertFalse(
    JSON.stringify(spans.getFinishedSpans().map(({ attributes, status }) => [attributes, status]))
      .includes("s3cret"),
  );
  for (const lease of leases) await lease.release();
  spans.reset();
  await engine.close();
  await end();

  const silent = providers();
  const { engine: measured } = engineFor(silent.own, { spans: false, poolName: "db.internal" });
  await measured.use(() => {});
  assertEquals(silent.spans.getFinishedSpans(), []);
  await measured.close();
  await silent.end();
});

Deno.test("openTelemetry() accepts the module of the api, and refuses anything else", async () => {
  const { engine } = engineFor(api); // no SDK: nothing is measured, and nothing fails
  await engine.use(() => {});
  await engine.close();
  for (const value of [undefined, null, {}, { metrics: {} }]) {
    assertThrows(
      () => openTelemetry(value as unknown as OtelApi),
      TypeError,
      '"api" must be the module from `import * as api from "@opentelemetry/api"`, got ',
    );
  }
  assertThrows(
    () =>
      getDnsEngine("fake://db.internal", {
        adapter: fakeAdapter(),
        observer: { served() {} },
        plugins: [openTelemetry(api)],
      }),
    TypeError,
    '"observer" must not be given: an engine has one observer',
  );
});

Deno.test("openTelemetry() exports to Prometheus as text", async () => {
  const exporter = new PrometheusExporter({ host: "127.0.0.1", port: 0, preventServerStart: true });
  const metrics = new MeterProvider({ readers: [exporter] });
  const trace = new TracerProvider();
  const { engine } = engineFor({ metrics, trace } as unknown as OtelApi);
  await engine.use(() => {});
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const response = { statusCode: 0, setHeader() {}, end: resolve };
    exporter.getMetricsRequestHandler({} as never, response as never);
    return new Response(await promise);
  });
  const text = await soon(
    fetch(`http://127.0.0.1:${server.addr.port}/metrics`).then((r) => r.text()),
  );
  const labels = 'db_client_connection_pool_name="db.internal"';
  assert(
    text.includes(`db_client_connection_count{${labels},db_client_connection_state="idle"`),
    text,
  );
  assert(/db_client_connection_create_time_count\{[^}]*\} 1/.test(text), text);
  assert(/wait_time_bucket\{[^}]*le="0.005"\}/.test(text), text);
  assert(/dnspool_answer_age\{/.test(text), text);
  await server.shutdown();
  await engine.close();
  await metrics.shutdown();
});

/** Makes an api that records the calls on it. */
function recordingApi() {
  const log: [name: string, value?: number][] = [];
  const readers: ((to: { observe(metric: object, value: number): void }) => void)[] = [];
  const pools = new Set<unknown>();
  const starts: { name: string; startTime?: number }[] = [];
  const put = (name: string) => (value: number, attributes?: Record<string, unknown>) => {
    log.push([name.replace("db.client.connection", "pool"), value]);
    pools.add(attributes?.["db.client.connection.pool.name"]);
  };
  const make = (name: string) => ({ name, record: put(name), add: put(name) });
  const meter = {
    createHistogram: make,
    createCounter: make,
    createObservableUpDownCounter: make,
    createObservableGauge: make,
    addBatchObservableCallback: (reader: typeof readers[0]) => void readers.push(reader),
    removeBatchObservableCallback: (reader: typeof readers[0]) =>
      void readers.splice(readers.indexOf(reader), 1),
  };
  const span = { setAttribute() {}, setStatus() {}, end() {} };
  const startSpan = (name: string, how: { startTime?: number }) => {
    starts.push({ name, ...how });
    return span;
  };
  const own = {
    metrics: { getMeter: () => meter },
    trace: { getTracer: () => ({ startSpan }) },
  } as unknown as OtelApi;
  /** Collects, and returns the names of the metrics. */
  const read = () => {
    const names: string[] = [];
    for (const reader of [...readers]) {
      reader({ observe: (metric) => void names.push((metric as { name: string }).name) });
    }
    return new Set(names);
  };
  return { own, log, pools, starts, read };
}

Deno.test("openTelemetry() counts only timeouts as timeouts, and only successful connects as connects", async () => {
  const { own, log, pools } = recordingApi();
  const adapter = fakeAdapter();
  const engine = getDnsEngine("fake://10.0.0.1", {
    adapter,
    poolSize: 1,
    maxOverflow: 0,
    poolLoggingName: "orders",
    plugins: [openTelemetry(own, { spans: false })],
  });
  const valuesOf = (name: string) =>
    log.filter(([noted]) => noted === name).map(([, value]) => value!);
  const count = (name: string) => valuesOf(name).length;
  const timeouts = () => valuesOf("pool.timeouts").reduce((sum, value) => sum + value, 0);
  const lease = await engine.connect();
  assertEquals([count("pool.create_time"), count("pool.wait_time")], [1, 1]);
  const given = AbortSignal.abort(new Error("no more"));
  const stop = new AbortController();
  const waiting = engine.connect({ signal: stop.signal });
  stop.abort(new Error("no more"));
  await assertRejects(() => waiting, Error, "no more");
  await assertRejects(() => engine.connect({ signal: given }), Error, "no more");
  assertEquals(timeouts(), 0);
  await assertRejects(() => engine.connect({ timeout: 0 }));
  assertEquals(timeouts(), 1);
  lease.invalidate();
  adapter.behavior.connect = () => Promise.reject(new Error("wrong password"));
  await assertRejects(() => engine.connect(), Error, "wrong password");
  assertEquals([count("pool.create_time"), count("pool.wait_time")], [1, 1]);
  assertEquals(pools, new Set(["orders"]));
  await engine.close();
});

Deno.test("openTelemetry() reports no limit that does not exist, and reads a closed engine once more, then never", async () => {
  const { own, read } = recordingApi();
  const options = { adapter: fakeAdapter(), poolSize: 0 };
  const engine = getDnsEngine("fake://10.0.0.1", { ...options, plugins: [openTelemetry(own)] });
  await engine.use(() => {});
  const metrics = read();
  assert(metrics.has("db.client.connection.count"));
  assertFalse(metrics.has("db.client.connection.max"));
  assertFalse(metrics.has("db.client.connection.idle.max"));
  await engine.close();
  assert(read().has("db.client.connection.count"));
  await Promise.resolve();
  assertEquals(read(), new Set());
});

Deno.test("openTelemetry() begins the span of a resolution at its query", async () => {
  using time = fakeTime();
  const { own, starts } = recordingApi();
  const { dns, engine } = engineFor(own);
  dns.delayMs = 2000;
  const beganMs = time.wallMs;
  const used = engine.use(() => {});
  await time.advance(10);
  await used;
  assertEquals(starts.find(({ name }) => name === "dnspool.resolve")!.startTime, beganMs);
  await engine.close();
});
