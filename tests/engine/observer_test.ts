import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Ended, EngineObserver } from "../../mod.ts";
import { refused, verdict } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** An observer that records its calls: `"waited 0.5 10.0.0.1"`. */
function noting(): { heard: string[]; observer: EngineObserver } {
  const heard: string[] = [];
  const line = (what: string, { seconds, address, error }: Ended) => {
    const why = error === undefined
      ? undefined
      : (error as { code?: string }).code ?? String(error);
    heard.push(
      [what, seconds.toFixed(1), address, why].filter((part) => part !== undefined).join(" "),
    );
  };
  return {
    heard,
    observer: {
      served: () => void heard.push("served"),
      waiting: () => (ended) => line("waited", ended),
      connecting: () => (ended) => line("connected", ended),
      resolved: (ended) => line("resolved", ended),
      used: (ended) => line("used", ended),
    },
  };
}

Deno.test("observer measures the wait of checkouts, connects, resolutions and the use of connections", async () => {
  using time = fakeTime();
  const { heard, observer } = noting();
  const slow = { ms: 300 };
  const { engine, dns } = fakeEngine({ observer, poolSize: 1, maxOverflow: 0 }, {
    connect: () => new Promise((resolve) => setTimeout(resolve, slow.ms)),
  });
  dns.delayMs = 200;
  const coming = engine.connect();
  await time.advance(0.5);
  const lease = await coming;
  assertEquals(heard.splice(0), [
    "resolved 0.2",
    "connected 0.3 10.0.0.1",
    "waited 0.5 10.0.0.1",
  ]);
  const next = engine.connect();
  await time.advance(2);
  await lease.release();
  await (await next).release();
  assertEquals(heard.splice(0), ["used 2.0 10.0.0.1", "waited 2.0 10.0.0.1", "used 0.0 10.0.0.1"]);
  const third = await engine.connect();
  await time.advance(1);
  third.detach();
  assertEquals(heard.splice(0), ["served", "used 1.0 10.0.0.1"]);
  await engine.close();
});

Deno.test("observer gets the errors of checkouts, connects and resolutions", async () => {
  using time = fakeTime();
  const { heard, observer } = noting();
  const { engine, dns } = fakeEngine({ observer, poolSize: 1, maxOverflow: 0, poolTimeout: 1 });
  const lease = await engine.connect();
  heard.length = 0;
  const late = assertRejects(() => engine.connect());
  const controller = new AbortController();
  const aborted = assertRejects(() => engine.connect({ signal: controller.signal }));
  await time.advance(0.5);
  controller.abort("enough");
  await aborted;
  await time.advance(0.5);
  await late;
  await lease.release(verdict("disconnect"));
  await time.settle();
  assertEquals(heard.filter((line) => !line.startsWith("resolved")), [
    "waited 0.5 enough",
    "waited 1.0 POOL_TIMEOUT",
    "used 1.0 10.0.0.1 Error: disconnect",
  ]);
  heard.length = 0;
  dns.failure = "transient";
  await time.advance(10);
  const served = engine.use(() => {});
  await time.advance(12);
  await served; // by the stale answer
  assert(heard.some((line) => /^resolved \d\.\d LOOKUP_FAILED/.test(line)), heard.join());
  await engine.close();

  const failing = fakeEngine({ observer }, { connect: () => Promise.reject(refused()) });
  heard.length = 0;
  await assertRejects(() => failing.engine.connect());
  assertEquals(heard.filter((line) => !line.startsWith("resolved")), [
    "connected 0.0 CONNECT_FAILED",
    "waited 0.0 CONNECT_FAILED",
  ]);
  await failing.engine.close();
});

Deno.test("observer is called once for a lease that the pool terminates", async () => {
  using time = fakeTime();
  const { heard, observer } = noting();
  const { engine } = fakeEngine({ observer });
  const lease = await engine.connect();
  heard.length = 0;
  await time.advance(3);
  const closing = engine.close({ drain: 0 });
  await time.advance(0.1);
  await closing;
  await lease.release();
  assertEquals(heard.filter((line) => line.startsWith("used")), [
    "used 3.0 10.0.0.1 CONNECTION_LOST",
  ]);
});

Deno.test("observer: what it throws is ignored", async () => {
  using _time = fakeTime();
  const fail = () => {
    throw new Error("not today");
  };
  const observer = { served: fail, waiting: fail, connecting: fail, resolved: fail, used: fail };
  const { engine } = fakeEngine({ observer });
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  await engine.close();
});

Deno.test("the event close is dispatched once, when everything is closed", async () => {
  using _time = fakeTime();
  const { engine, adapter } = fakeEngine();
  await engine.use(() => {});
  const open: number[] = [];
  engine.addEventListener("close", () => open.push(adapter.open.length));
  await engine.dispose();
  await engine.use(() => {});
  await Promise.all([engine.close(), engine.close()]);
  assertEquals(open, [0]);
});
