/**
 * Listeners under random accidents, from a seed: servers that move, refuse, hang and die, and listeners that come and go.
 * What is sent on the server that the name has is heard, or a gap is told after it.
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { delay } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import type { ChannelListener } from "../../mod.ts";
import { balanced, fakeEngine } from "../support/fake_engine.ts";
import { seeded } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const RUNS = Number(process.env.DNSPOOL_LISTEN_RUNS ?? 40);
const STEPS = 60;

/** A listener, and what it was told. */
interface Subject {
  readonly channel: string;
  readonly heard: Set<string>;
  readonly gaps: number[];
  readonly stop: AbortController;
  handle: ChannelListener | undefined;
  startedAtMs: number;
  over: boolean;
}

async function run(seed: number): Promise<void> {
  using time = fakeTime();
  const random = seeded(seed);
  const chance = (share: number) => random() < share;
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)]!;
  let calm = true;
  const accident = async (): Promise<void> => {
    if (calm) return;
    if (chance(0.2)) await delay(random() * 12_000);
    else if (chance(0.3)) await delay(random() * 30);
    if (!calm && chance(0.15)) {
      throw Object.assign(new Error("refused"), { code: "ECONNREFUSED", verdict: "disconnect" });
    }
  };
  const { engine, adapter, dns } = fakeEngine({
    connectTimeout: 3,
    poolTimeout: 60,
    logger: { debug() {}, info() {}, warn() {} },
  }, { connect: accident, query: async () => (await accident(), []), ping: accident });
  await engine.use(() => {});
  calm = false;
  dns.ttl = 1;
  const subjects: Subject[] = [];
  const sent: { id: string; channel: string; atMs: number }[] = [];
  let ids = 0;
  const send = () => {
    const message = { id: String(++ids), channel: pick(["a", "b"]), atMs: now() };
    sent.push(message);
    adapter.notify(message.channel, message.id, dns.addresses[0]);
  };
  const listen = () => {
    const subject: Subject = {
      channel: pick(["a", "b"]),
      heard: new Set(),
      gaps: [],
      stop: new AbortController(),
      handle: undefined,
      startedAtMs: Infinity,
      over: false,
    };
    subjects.push(subject);
    void engine.listen(subject.channel, (payload) => {
      assert(!subject.over, `seed ${seed}: heard ${payload} after the end`);
      subject.heard.add(payload);
      if (chance(0.05)) throw new Error("a callback");
      if (!calm && chance(0.03)) listen();
    }, {
      onGap: () => {
        subject.gaps.push(now());
        if (chance(0.05)) return Promise.reject(new Error("a callback"));
      },
      signal: subject.stop.signal,
    }).then((handle) => {
      subject.handle = handle;
      subject.startedAtMs = now();
    }, () => subject.over = true);
  };
  const end = (subject: Subject) => {
    subject.over = true;
    if (subject.handle && chance(0.5)) void subject.handle.close();
    else subject.stop.abort();
  };
  let movedAtMs = now();
  for (let step = 0; step < STEPS; step++) {
    await time.advance(random() * (chance(0.2) ? 20 : 0.5));
    const action = random();
    if (action < 0.2) listen();
    else if (action < 0.3 && subjects.length > 0) end(pick(subjects));
    else if (action < 0.45) {
      // A name that is back within its TTL has never moved, for all that a client can know.
      if (now() - movedAtMs < 3000) continue;
      movedAtMs = now();
      dns.addresses = [pick(["10.0.0.1", "10.0.0.2"])];
    } else if (action < 0.6 && adapter.open.length > 0) adapter.kill(pick(adapter.open));
    else send();
    if (chance(0.3)) send();
  }
  calm = true;
  await time.advance(60);
  for (const subject of subjects.filter(({ over, handle }) => !over && handle)) {
    const last = { id: String(++ids), channel: subject.channel, atMs: now() };
    sent.push(last);
    adapter.notify(last.channel, last.id, dns.addresses[0]);
    for (const { id, channel, atMs } of sent) {
      if (channel !== subject.channel || atMs <= subject.startedAtMs) continue;
      const told = subject.heard.has(id) || subject.gaps.some((gapMs) => gapMs >= atMs);
      assert(told, `seed ${seed}: ${id} of ${channel} was neither heard nor followed by a gap`);
    }
    assert(subject.heard.has(last.id), `seed ${seed}: ${last.id} was not heard in the calm`);
  }
  const live = subjects.filter(({ over }) => !over);
  assert(adapter.open.length <= engine.status().size + 1, `seed ${seed}: too many connections`);
  for (const subject of live) {
    subject.over = true;
    await subject.handle?.close();
  }
  assertEquals(adapter.open.length, engine.status().size, `seed ${seed}: a connection is left`);
  assert(balanced(engine.status()));
  await engine.close();
  assertEquals(adapter.open, [], `seed ${seed}`);
}

Deno.test("Engine.listen(): under random accidents, each message is heard or followed by a gap, and nothing is left", async () => {
  const first = Number(process.env.DNSPOOL_SEED ?? Math.floor(Math.random() * 1e9));
  for (let seed = first; seed < first + RUNS; seed++) {
    await run(seed).catch((error) => {
      throw new Error(`DNSPOOL_SEED=${seed}`, { cause: error });
    });
  }
});
