/**
 * OpenTelemetry with its SDK: metrics for Prometheus, and spans for any exporter.
 *
 *     DATABASE_URL=postgresql://app:secret@db.internal/orders deno run -A examples/open_telemetry.ts
 *     curl http://localhost:9464/metrics
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import { openTelemetry } from "@dnspool/dnspool/otel";
import process from "node:process";
import * as api from "npm:@opentelemetry/api@^1.9";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@^3.1";
import { PrometheusExporter } from "npm:@opentelemetry/exporter-prometheus@^0.301";
import { MeterProvider } from "npm:@opentelemetry/sdk-metrics@^3.1";
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  type SpanExporter,
  TracerProvider,
} from "npm:@opentelemetry/sdk-trace@^3.1";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

/** Starts telemetry; call it before opening an engine. Returns a function that exports the remaining spans and stops. */
export function startTelemetry(
  port: number,
  spans: SpanExporter, // such as OTLPTraceExporter of @opentelemetry/exporter-trace-otlp-http
): () => Promise<void> {
  const metrics = new MeterProvider({ readers: [new PrometheusExporter({ port })] });
  const traces = new TracerProvider({
    spanProcessors: [new BatchSpanProcessor({ exporter: spans })],
  });
  api.metrics.setGlobalMeterProvider(metrics);
  api.trace.setGlobalTracerProvider(traces);
  // Makes the span of a waiting checkout a child of the current span.
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return async () => {
    await traces.shutdown();
    await metrics.shutdown();
  };
}

export function openEngine(url: string, options: EngineOptions<pg.Client> = {}): Engine<pg.Client> {
  return getDnsEngine(url, {
    adapter: pgAdapter(pg),
    poolLoggingName: "orders", // `db.client.connection.pool.name`; by default the host
    plugins: [openTelemetry(api)],
    ...options,
  });
}

/** Runs a query in a custom span. */
export function countTables(engine: Engine<pg.Client>): Promise<readonly unknown[]> {
  return api.trace.getTracer("shop").startActiveSpan("count tables", async (span) => {
    try {
      return await engine.query("SELECT count(*)::int AS n FROM pg_tables");
    } finally {
      span.end();
    }
  });
}

if (import.meta.main) {
  const { OTEL_EXPORTER_PROMETHEUS_PORT = "9464" } = process.env;
  const stopTelemetry = startTelemetry(
    Number(OTEL_EXPORTER_PROMETHEUS_PORT),
    new ConsoleSpanExporter(),
  );
  const engine = openEngine(process.env.DATABASE_URL!);
  const interval = setInterval(async () => console.log(await countTables(engine)), 1000);
  process.once("SIGINT", async () => {
    clearInterval(interval);
    await engine.close();
    await stopTelemetry();
  });
}
