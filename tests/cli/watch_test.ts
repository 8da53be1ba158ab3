import { assert, assertEquals, assertMatch } from "@std/assert";
import { watch } from "../../cli/watch.ts";
import { painter } from "../../cli/format.ts";
import { type CommandContext, Interrupted } from "../../cli/context.ts";
import { type DnsOptions, readDnsOptions } from "../../engine/options.ts";
import { clearDnsCache } from "../../resolver.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

/** Watches `db.internal` on fake time; collects the lines. */
async function watching(
  json: boolean,
  test: (lines: string[], dns: FakeLookup, time: TestTime) => Promise<void>,
  { failure, ...dnsOptions }: DnsOptions & Pick<FakeLookup, "failure"> = { failure: undefined },
): Promise<void> {
  using time = fakeTime("2026-01-02T03:04:05Z");
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.failure = failure;
  const lines: string[] = [];
  const stop = new AbortController();
  const context: CommandContext = {
    out: (line) => void lines.push(line),
    err: () => {},
    paint: painter(false),
    env: () => undefined,
    signal: stop.signal,
  };
  const { settings } = readDnsOptions(
    { dnsLookup: dns, dnsFallback: false, dnsMaxRetries: 1, ...dnsOptions },
    "watch",
  );
  const ended = watch("db.internal", { settings, json }, context);
  await time.advance(0);
  await test(lines, dns, time);
  stop.abort(new Interrupted(130));
  assertEquals(await ended, 0);
  assertEquals(dns.running, 0);
  clearDnsCache();
}

Deno.test("watch writes the first answer, and each change once", async () => {
  await watching(false, async (lines, dns, time) => {
    assertEquals(lines, ["2026-01-02T03:04:05.000Z  10.0.0.1  TTL 10 s, age 0.0 ms"]);
    await time.advance(100);
    assertEquals(lines.length, 1);
    assert(dns.questions.length >= 10, `${dns.questions.length}`);
    dns.addresses = ["10.0.0.2", "10.0.0.1"];
    await time.advance(11);
    dns.addresses = ["10.0.0.1", "10.0.0.2"];
    await time.advance(11);
    assertEquals(lines.length, 2);
    assertMatch(
      lines[1]!,
      /^2026-01-02T03:05:[45]\d\.\d{3}Z {2}10\.0\.0\.2, 10\.0\.0\.1 {2}TTL 10 s, age 0\.0 ms {2}after 1 min 4\d s of 10\.0\.0\.1$/,
    );
  });
});

Deno.test("watch writes the beginning of a failure, a change of its reason, and its end", async () => {
  await watching(false, async (lines, dns, time) => {
    dns.failure = "transient";
    await time.advance(25);
    dns.failure = "negative";
    await time.advance(6);
    dns.failure = undefined;
    await time.advance(6);
    await time.advance(60);
    assertEquals(lines.length, 4);
    const [, first = "", second = "", third = ""] = lines.map((line) => line.slice(26));
    assertMatch(
      first,
      /^failed: Scripted: transient; {2}10\.0\.0\.1 stays in use, age \d\.\d s$/,
    );
    assertMatch(
      second,
      /^failed: Scripted: negative; {2}10\.0\.0\.1 stays in use, age [23]\d\.\d s$/,
    );
    assertMatch(third, /^10\.0\.0\.1 {2}TTL 10 s, age 0\.0 ms {2}recovered after 2\d\.\d s$/);
  });
});

Deno.test("watch waits for a name that does not resolve yet", async () => {
  await watching(false, async (lines, dns, time) => {
    assertEquals(lines.map((line) => line.slice(26)), [
      "failed: Scripted: negative;  no address is known",
    ]);
    dns.failure = undefined;
    await time.advance(6);
    assertEquals(lines.length, 2);
    assertMatch(
      lines[1]!,
      / {2}10\.0\.0\.1 {2}TTL 10 s, age 0\.0 ms {2}recovered after \d+\.\d m?s$/,
    );
  }, { failure: "negative" });
});

Deno.test("watch --json writes an object on each line, with seconds, and null for unknown values", async () => {
  await watching(true, async (lines, dns, time) => {
    dns.addresses = ["10.0.0.2"];
    await time.advance(11);
    dns.failure = "transient";
    await time.advance(10);
    dns.failure = undefined;
    dns.addresses = ["10.0.0.3"];
    dns.ttl = undefined;
    await time.advance(6);
    const events = lines.map((line) => JSON.parse(line));
    for (const event of events) {
      assertMatch(event.time, /^2026-01-02T03:04:\d\d\.\d{3}Z$/);
      assertEquals(event.host, "db.internal");
      delete event.time;
      delete event.host;
    }
    const [answer, change, failure, recovered] = events;
    assertEquals(events.length, 4);
    assertEquals(answer, { event: "answer", addresses: ["10.0.0.1"], ttl: 10, age: 0 });
    const { former, ...rest } = change;
    assertEquals(rest, { event: "change", addresses: ["10.0.0.2"], ttl: 10, age: 0 });
    assertEquals(former.addresses, ["10.0.0.1"]);
    assert(former.lasted > 8 && former.lasted < 10, `${former.lasted}`);
    assertEquals([failure.event, failure.addresses], ["failure", ["10.0.0.2"]]);
    assertEquals(failure.error, { message: "Scripted: transient" });
    assert(failure.age > 8 && failure.age < 10, JSON.stringify(failure));
    assertEquals([recovered.event, recovered.addresses, recovered.ttl], [
      "change",
      ["10.0.0.3"],
      null,
    ]);
    assert(recovered.failed > 0 && recovered.failed <= 16, `${recovered.failed}`);
  });
});

Deno.test("watch replaces control characters in errors", async () => {
  await watching(false, async (lines, dns, time) => {
    dns.respond = () => {
      throw new Error("red \x1b[31m, a bell \x07 and a new\n  line");
    };
    await time.advance(12);
    assertMatch(lines[1]!, / {2}failed: red \ufffd\[31m, a bell \ufffd and a new line; {2}/);
  });
});
