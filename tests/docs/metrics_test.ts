/** The metrics in the documentation are those of the plugin, and Prometheus can read the rules. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { PrometheusExporter } from "npm:@opentelemetry/exporter-prometheus@^0.301";
import { MeterProvider } from "npm:@opentelemetry/sdk-metrics@^3.1";
import { TracerProvider } from "npm:@opentelemetry/sdk-trace@^3.1";
import { parser } from "npm:@prometheus-io/lezer-promql@^0.315";
import { parse } from "npm:yaml@^2.9";
import { getDnsEngine } from "../../mod.ts";
import { openTelemetry, type OtelApi } from "../../otel.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { blocksOf, codeIn, readPages, rowsOf, sectionOf } from "../support/docs.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

const pages = await readPages();
const monitoring = pages.find(({ path }) => path === "docs/monitoring.md")!;

/** Scrapes an engine after it has produced every metric. */
async function scrape(): Promise<string> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const metrics = new MeterProvider({ readers: [exporter] });
  const dns = fakeLookup(["10.0.0.1"], 0);
  const engine = getDnsEngine("fake://app@db.internal/orders", {
    adapter: fakeAdapter(),
    dnsLookup: dns,
    dnsMinTtl: 0,
    dnsFallback: false,
    dnsMaxRetries: 1,
    poolSize: 1,
    maxOverflow: 0,
    plugins: [openTelemetry({ metrics, trace: new TracerProvider() } as unknown as OtelApi)],
  });
  const lease = await engine.connect();
  await assertRejects(() => engine.connect({ timeout: 0 }));
  dns.addresses = ["10.0.0.2"];
  await engine.use(() => {});
  dns.failure = "transient";
  await engine.use(() => {});
  await lease.release();
  const { promise, resolve } = Promise.withResolvers<string>();
  const response = { statusCode: 0, setHeader() {}, end: resolve };
  exporter.getMetricsRequestHandler({} as never, response as never);
  const text = await promise;
  await engine.close();
  await metrics.shutdown();
  return text;
}

const text = await scrape();
/** The names of the metrics in Prometheus, and of the series that they consist of. */
const metrics = [...text.matchAll(/^# TYPE ((?:db_client|dnspool)_\w+) /gm)].map(([, name]) =>
  name!
);
const series = new Set([...text.matchAll(/^(\w+)\{/gm)].map(([, name]) => name!));
const labels = new Set([...text.matchAll(/[{,](\w+)=/g)].map(([, name]) => name!));

/** Converts a metric's name to the one in Prometheus. */
function promName(name: string): string {
  const plain = name.replaceAll(".", "_");
  return metrics.includes(`${plain}_total`) ? `${plain}_total` : plain;
}

Deno.test("openTelemetry(): the docs name every metric, and no other", () => {
  assert(metrics.length >= 14, metrics.join());
  const spans = ["dnspool.checkout", "dnspool.connect", "dnspool.resolve"];
  const named = new Set(
    pages.flatMap(({ text }) => codeIn(text)).filter((code) =>
      /^(db\.client\.connection|dnspool)\.[a-z_.]+$/.test(code)
    ),
  );
  const unknown = [...named].filter((name) =>
    !spans.includes(name) && !metrics.includes(promName(name))
  );
  assertEquals(unknown, []);
  const listed = rowsOf(sectionOf(monitoring.text, "## All metrics")).flatMap(([name]) =>
    codeIn(name!)
  );
  assertEquals(listed.map(promName).sort(), [...metrics].sort());
});

Deno.test("docs/monitoring.md: Prometheus can parse the rules, and they use existing series and labels", () => {
  const [block, more] = blocksOf(monitoring).filter(({ info }) => info === "yaml");
  assertEquals(more, undefined);
  const { groups: [{ rules }] } = parse(block!.text);
  assert(rules.length >= 5, `${rules.length}`);
  for (const rule of rules) {
    const { alert, expr, annotations: { summary }, labels: { severity }, for: wait = "0m" } = rule;
    assertEquals([/^Dnspool[A-Za-z]+$/.test(alert), /^\d+m$/.test(wait)], [true, true], alert);
    assert(["page", "ticket"].includes(severity), alert);
    parser.parse(expr).iterate({
      enter({ type, from }) {
        if (type.isError) throw new Error(`${alert} at ${from}: ${expr}`);
      },
    });
    const words = `${expr} ${summary}`.match(/\b(?:db_client|dnspool)_\w+/g)!;
    const unknown = words.filter((word) => !series.has(word) && !labels.has(word));
    assertEquals([alert, ...unknown], [alert]);
  }
});
