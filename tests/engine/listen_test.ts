import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectError, getDnsEngine, type ListenGap, PoolClosedError } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

const lost = () => Object.assign(new Error("gone"), { verdict: "disconnect" });
const refused = () => Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
const quiet = { logger: { debug() {}, info() {}, warn() {} } };

/** A callback that writes down what it is called with. */
function recorder(): { heard: string[]; onNotify: (payload: string) => void } {
  const heard: string[] = [];
  return { heard, onNotify: (payload) => void heard.push(payload) };
}

const statements = (client: FakeClient | undefined) =>
  client?.log.filter((entry) => entry.includes("LISTEN"));

Deno.test("Engine.listen() shares one connection outside the pool among channels and listeners", async () => {
  const { engine, adapter } = fakeEngine();
  const [first, second, other] = [recorder(), recorder(), recorder()];
  const listeners = await Promise.all([
    engine.listen("orders", first.onNotify),
    engine.listen("orders", second.onNotify),
    engine.executionOptions({ loggingToken: "x" }).listen('Other "one"', other.onNotify),
  ]);
  assertEquals(adapter.clients.length, 1);
  assertEquals(engine.status().size, 0);
  assertEquals(statements(adapter.clients[0]), ["LISTEN orders", 'LISTEN Other "one"']);
  adapter.notify("orders", "1");
  adapter.notify('Other "one"', "2");
  await listeners[0]!.close();
  adapter.notify("orders", "3");
  await listeners[1]!.close();
  assertEquals(statements(adapter.clients[0])?.at(-1), "UNLISTEN orders");
  adapter.notify("orders", "4");
  assertEquals([first.heard, second.heard, other.heard], [["1"], ["1", "3"], ["2"]]);
  await listeners[2]!.close();
  assertEquals(adapter.open, []);
  assertEquals(adapter.clients[0]!.log.at(-1), "close");
  assertEquals(listeners.map(({ closed }) => closed), [true, true, true]);
  await engine.close();
});

Deno.test("Engine.listen() listens again where the name moved to, and tells each listener of the gap", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  const gaps: ListenGap[] = [];
  const { heard, onNotify } = recorder();
  await engine.listen("orders", onNotify, { onGap: (gap) => void gaps.push(gap) });
  await engine.listen("orders", onNotify, { onGap: (gap) => void gaps.push(gap) });
  dns.addresses = ["10.0.0.2"];
  await time.advance(11);
  assertEquals(adapter.open.map(({ address }) => address), ["10.0.0.2"]);
  assertEquals(gaps.length, 2);
  const { reason, seconds, ...rest } = gaps[0]!;
  assertEquals(rest, { channel: "orders", address: "10.0.0.2", previousAddress: "10.0.0.1" });
  assertEquals((reason as Error).message, "The address 10.0.0.1 departed");
  assert(seconds >= 0 && seconds < 1);
  adapter.notify("orders", "there");
  assertEquals(heard, ["there", "there"]);
  await engine.close();
});

Deno.test("Engine.listen() follows the name although dnsRefresh is on demand and there is no checkout", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine({ dnsRefresh: "on-demand" });
  await engine.listen("orders", () => {});
  dns.addresses = ["10.0.0.2"];
  await time.advance(11);
  assertEquals(adapter.open.map(({ address }) => address), ["10.0.0.2"]);
  await engine.close();
});

Deno.test("Engine.listen() goes on trying, reports an outage once, and pauses for 5 seconds at most", async () => {
  using time = fakeTime();
  let down = false;
  const { engine, adapter } = fakeEngine(quiet, {
    connect: () => {
      if (down) throw refused();
    },
  });
  const errors: unknown[] = [];
  engine.addEventListener("listenerror", ({ detail }) => void errors.push(detail));
  const gaps: ListenGap[] = [];
  await engine.listen("orders", () => {}, { onGap: (gap) => void gaps.push(gap) });
  down = true;
  adapter.kill(adapter.clients[0]!, lost());
  await time.advance(600);
  assertEquals(errors.length, 1);
  assert((errors[0] as { error: unknown }).error instanceof ConnectError);
  const tries = adapter.dials.length;
  assert(tries > 120 && tries < 300, `${tries} connects in 10 minutes`);
  assertEquals(gaps, []);
  down = false;
  await time.advance(5);
  assertEquals(gaps.length, 1);
  assert(gaps[0]!.seconds >= 600);
  assertEquals((gaps[0]!.reason as Error).message, "gone");
  // The next outage is another one.
  down = true;
  await time.advance(5);
  adapter.kill(adapter.open[0]!, lost());
  await time.advance(60);
  assertEquals(errors.length, 2);
  await engine.close();
});

Deno.test("Engine.listen() replaces a connection at once that is lost soon after it was opened, and pauses when the next one is", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine(quiet);
  const gaps: ListenGap[] = [];
  await engine.listen("orders", () => {}, { onGap: (gap) => void gaps.push(gap) });
  adapter.kill(adapter.open[0]!, lost());
  await time.advance(0);
  assertEquals(gaps.length, 1);
  adapter.kill(adapter.open[0]!, lost());
  await time.advance(0.02);
  assertEquals(gaps.length, 1);
  await time.advance(0.1);
  assertEquals(gaps.length, 2);
  await engine.close();
});

Deno.test("Engine.listen() notices a server that is silent within 10 seconds and connectTimeout", async () => {
  using time = fakeTime();
  let silent = false;
  const { engine, adapter } = fakeEngine({ connectTimeout: 3 }, {
    ping: () => silent ? new Promise<void>(() => {}) : undefined,
  });
  const gaps: ListenGap[] = [];
  await engine.listen("orders", () => {}, { onGap: (gap) => void gaps.push(gap) });
  await time.advance(25);
  assertEquals(adapter.clients[0]!.log.filter((entry) => entry === "ping").length, 2);
  silent = true;
  await time.advance(7);
  assertEquals(gaps, []);
  await time.advance(1);
  assertEquals(gaps.length, 1);
  assertEquals(
    (gaps[0]!.reason as Error).message,
    "no answer of 10.0.0.1 to the ping within 3 seconds",
  );
  assertEquals(adapter.clients[0]!.log.at(-1), "terminate");
  await engine.close();
});

Deno.test("Engine.listen() leaves a server that has lost its role", async () => {
  using time = fakeTime();
  let isStandby = (_: FakeClient) => false;
  const { engine, adapter, dns } = fakeEngine({ targetSessionAttrs: "primary" }, {
    role: (client) => ({ standby: isStandby(client), readOnly: isStandby(client) }),
  });
  dns.addresses = ["10.0.0.1", "10.0.0.2"];
  const gaps: ListenGap[] = [];
  await engine.listen("orders", () => {}, { onGap: (gap) => void gaps.push(gap) });
  assertEquals(adapter.open.map(({ address }) => address), ["10.0.0.1"]);
  isStandby = ({ address }) => address === "10.0.0.1";
  adapter.reportRole(adapter.open[0]!);
  await time.advance(1);
  assertEquals(adapter.open.map(({ address }) => address), ["10.0.0.2"]);
  // Not reported: found out by the ping.
  isStandby = ({ address }) => address === "10.0.0.2";
  await time.advance(11);
  assertEquals(adapter.open.map(({ address }) => address), ["10.0.0.1"]);
  assertEquals(gaps.length, 2);
  await engine.close();
});

Deno.test("Engine.listen() calls the other callbacks when one throws, and reports it", async () => {
  const { engine, adapter } = fakeEngine(quiet);
  const errors: { error: unknown; channel: string | undefined }[] = [];
  engine.addEventListener("listenerror", ({ detail }) => void errors.push(detail));
  const { heard, onNotify } = recorder();
  await engine.listen("orders", () => {
    throw new Error("first");
  });
  await engine.listen("orders", () => Promise.reject(new Error("second")));
  await engine.listen("orders", onNotify);
  adapter.notify("orders", "1");
  assertEquals(heard, ["1"]);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(errors.map(({ error, channel }) => [channel, (error as Error).message]), [
    ["orders", "first"],
    ["orders", "second"],
  ]);
  await engine.close();
});

Deno.test("Engine.listen() may be called, and listeners closed, in callbacks", async () => {
  const { engine, adapter } = fakeEngine();
  const heard: string[] = [];
  const inner: Promise<unknown>[] = [];
  const third = await engine.listen("orders", (payload) => void heard.push(`third ${payload}`));
  const first = await engine.listen("orders", (payload) => {
    heard.push(`first ${payload}`);
    inner.push(first.close(), third.close());
    inner.push(engine.listen("orders", (payload) => void heard.push(`new ${payload}`)));
  });
  adapter.notify("orders", "1");
  await Promise.all(inner);
  adapter.notify("orders", "2");
  assertEquals(heard, ["third 1", "first 1", "new 2"]);
  const onNotify = () => void inner.push(engine.close());
  await engine.listen("end", onNotify);
  adapter.notify("end");
  await Promise.all(inner);
  assertEquals(adapter.open, []);
});

Deno.test("A listener that is closed and opened anew while UNLISTEN is under way hears all from its LISTEN on", async () => {
  let go!: () => void;
  const { engine, adapter } = fakeEngine({}, {
    query: (_, text) =>
      text.startsWith("UNLISTEN") ? new Promise<[]>((resolve) => go = () => resolve([])) : [],
  });
  await engine.listen("other", () => {});
  const first = await engine.listen("orders", () => {});
  const closing = first.close();
  while (!go) await new Promise((resolve) => setTimeout(resolve));
  const { heard, onNotify } = recorder();
  const second = engine.listen("orders", onNotify);
  adapter.notify("orders", "0"); // the server has not forgotten the first
  go();
  await closing;
  await second;
  adapter.notify("orders", "1");
  assertEquals(heard, ["0", "1"]);
  assertEquals(statements(adapter.clients[0]), [
    "LISTEN other",
    "LISTEN orders",
    "UNLISTEN orders",
    "LISTEN orders",
  ]);
  await engine.close();
});

Deno.test("Engine.listen() rejects at its end, and leaves no connection", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine({ poolTimeout: 2 }, {
    connect: () => new Promise(() => {}),
  });
  const late = assertRejects(
    () => engine.listen("a", () => {}),
    DOMException,
    '"a" within 2 seconds',
  );
  const stop = new AbortController();
  const aborted = assertRejects(
    () => engine.listen("b", () => {}, { signal: stop.signal, timeout: 600 }),
    Error,
    "stop",
  );
  await time.advance(1);
  stop.abort(new Error("stop"));
  await aborted;
  await time.advance(1.1);
  await late;
  const closed = assertRejects(() => engine.listen("c", () => {}), PoolClosedError);
  await time.advance(0.1);
  await engine.close();
  await closed;
  await assertRejects(() => engine.listen("d", () => {}), PoolClosedError, "Cannot listen");
  assertEquals(adapter.open, []);
});

Deno.test("Engine.listen() rejects with a connect that cannot succeed, and with a LISTEN that is refused", async () => {
  using time = fakeTime();
  const { engine, adapter } = fakeEngine({}, {
    query: (_, text) => {
      if (text === "LISTEN bad") throw new Error("no such channel");
      return [];
    },
  });
  await engine.listen("good", () => {});
  await assertRejects(() => engine.listen("bad", () => {}), Error, "no such channel");
  assertEquals(adapter.open.length, 1);
  await engine.close();

  const other = fakeEngine({}, { connect: () => Promise.reject(new Error("wrong password")) });
  await assertRejects(
    () => other.engine.listen("orders", () => {}),
    ConnectError,
    "wrong password",
  );
  await time.advance(60);
  assertEquals(other.adapter.dials.length, 1);
  await other.engine.close();
});

Deno.test("Engine.listen() tells of the gap although the first connection was lost between two LISTENs", async () => {
  using time = fakeTime();
  let lose = true;
  const { engine, adapter } = fakeEngine({}, {
    query: (client, text) => {
      if (text === "LISTEN b" && lose) {
        lose = false;
        adapter.kill(client, lost());
        throw lost();
      }
      return [];
    },
  });
  const gaps: string[] = [];
  const onGap = ({ channel }: ListenGap) => void gaps.push(channel);
  const both = ["a", "b"].map((channel) => engine.listen(channel, () => {}, { onGap }));
  await time.advance(1);
  await Promise.all(both);
  assertEquals(gaps, ["a"]);
  await engine.close();
});

Deno.test("Engine.listen() ends by its signal, and with the engine", async () => {
  const { engine, adapter } = fakeEngine();
  const stop = new AbortController();
  const first = await engine.listen("orders", () => {}, { signal: stop.signal });
  const second = await engine.listen("orders", () => {});
  stop.abort();
  assertEquals([first.closed, second.closed], [true, false]);
  await first.close();
  await engine.dispose();
  assertEquals(adapter.open.length, 1);
  await engine.close();
  assertEquals([second.closed, adapter.open], [true, []]);
  await second.close();
});

Deno.test("Engine.listen() that is aborted at any moment leaves nothing", async () => {
  let started = 0;
  for (let turns = 0; turns < 60; turns++) {
    const { engine, adapter } = fakeEngine();
    const stop = new AbortController();
    const listening = engine.listen("orders", () => {}, { signal: stop.signal });
    const outcome = listening.then(() => "started", (error) => error);
    for (let turn = 0; turn < turns; turn++) await undefined;
    stop.abort("stop");
    const settled = await outcome;
    assert(settled === "stop" || settled === "started", `after ${turns} turns: ${settled}`);
    if (settled === "started") started++;
    const again = await engine.listen("orders", () => {});
    await again.close();
    assertEquals(adapter.open, []);
    await engine.close();
  }
  assert(started > 0 && started < 60, `${started} had started`);
});

Deno.test("Engine.listen() refuses what it cannot do", async () => {
  const { notifications: _, ...deaf } = fakeAdapter();
  const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: { ...deaf, name: "deaf" } });
  await assertRejects(
    () => engine.listen("orders", () => {}),
    TypeError,
    'Cannot listen: the adapter "deaf" has no "notifications"',
  );
  await engine.close();
  const standby = fakeEngine({ targetSessionAttrs: "prefer-standby" });
  await assertRejects(() => standby.engine.listen("a", () => {}), TypeError, "a standby has no");
  await standby.engine.close();
  const { engine: good, adapter } = fakeEngine();
  const wrong: [unknown, unknown, unknown, string][] = [
    ["", () => {}, undefined, '"channel" must be a non-empty string, got ""'],
    [undefined, () => {}, undefined, '"channel" must be a non-empty string, got undefined'],
    ["a", undefined, undefined, '"onNotify" must be a function, got undefined'],
    ["a", () => {}, { onGap: 1 }, '"onGap" must be a function, got 1'],
    ["a", () => {}, { timeout: 0 }, '"timeout" must be a number of seconds above 0'],
    ["a", () => {}, { timeout: NaN }, '"timeout" must be'],
    ["a", () => {}, { keepAlive: true }, '"keepAlive" is not an option of listen()'],
    ["a", () => {}, { signal: {} }, '"signal" must be an AbortSignal'],
    ["a", () => {}, 5, '"options of listen()" must be an object'],
  ];
  for (const [channel, onNotify, options, message] of wrong) {
    const call = () => good.listen(channel as never, onNotify as never, options as never);
    await assertRejects(call, Error, message);
  }
  assertEquals(adapter.clients, []);
  await good.close();
});

Deno.test("Engine.listen() with an infinite timeout waits for weeks", async () => {
  using time = fakeTime();
  let down = false;
  const { engine } = fakeEngine({}, {
    connect: () => {
      if (down) throw refused();
    },
  });
  await engine.use(() => {});
  down = true;
  let settled = false;
  const listening = engine.listen("orders", () => {}, { timeout: Infinity })
    .catch(() => {}).finally(() => settled = true);
  await time.advance(30);
  for (let part = 0; part < 2; part++) {
    time.stall(20 * 86400); // a timer lasts for 24.8 days at most
    await time.advance(1);
  }
  assertEquals(settled, false);
  await engine.close();
  await listening;
});
