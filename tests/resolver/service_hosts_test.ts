import { assertEquals } from "@std/assert";
import type { KnownAnswer } from "../../resolver/cache_entry.ts";
import { ServiceHosts } from "../../resolver/service_hosts.ts";
import { FakeAnswer } from "../support/fake_answer.ts";
import { fakeTime } from "../support/time.ts";

/** The answer for a service, with what came along. */
class FakeServices extends FakeAnswer {
  readonly known: KnownAnswer = {} as KnownAnswer;
}

/** The answer for a server, which takes over what comes along. */
class FakeTarget extends FakeAnswer {
  takes = true;

  takeOver(addresses: readonly string[]): boolean {
    if (this.takes) this.answer(addresses);
    return this.takes;
  }
}

function setup(records: readonly string[] = ["10 0 1 a", "20 0 2 b"]) {
  const services = new FakeServices(records);
  const targets: Record<string, FakeTarget> = {};
  const asked: string[] = [];
  const hosts = new ServiceHosts(services, (target) => {
    asked.push(target);
    return targets[target] ??= new FakeTarget([`10.0.0.${asked.length}`]);
  });
  return { services, targets, asked, hosts };
}

const [A, B] = ["10.0.0.1:1 (a)", "10.0.0.2:2 (b)"];

Deno.test("ServiceHosts: an endpoint is listed while its record is there, with the answer for each server", () => {
  const { services, hosts, asked } = setup(["20 0 2 b", "not a record", "10 0 1 a"]);
  assertEquals([asked, hosts.addresses], [["a", "b"], [A, B]]);
  hosts.watch({});
  services.answer(["10 0 7 a"]);
  assertEquals(hosts.addresses, ["10.0.0.1:7 (a)"]);
  assertEquals(asked, ["a", "b", "a"]);
});

Deno.test("ServiceHosts.isFresh() if both the records and the servers are", async () => {
  using time = fakeTime();
  const { services, targets, hosts } = setup();
  assertEquals(hosts.isFresh(), true);
  services.fresh = false;
  assertEquals(hosts.isFresh(), false);
  let isReady = false;
  const ready = hosts.waitUntilFresh().then(() => isReady = true);
  await time.settle();
  assertEquals([isReady, services.waiting], [false, 1]);
  services.answer(["10 0 1 c"]);
  await ready;
  assertEquals(hosts.addresses, ["10.0.0.3:1 (c)"]);
  targets.c!.fresh = false;
  assertEquals(hosts.isFresh(), false);
});

Deno.test("ServiceHosts.inOrder() is by priority; among equals, all come first at times", () => {
  const { hosts, targets, services } = setup();
  assertEquals(hosts.inOrder(), [A, B]);
  targets.a!.fresh = false;
  targets.a!.failures = 1;
  assertEquals(hosts.inOrder(), [B]);
  targets.a!.answer(["10.0.0.1"]);
  hosts.watch({});
  services.answer(["10 1 1 a", "10 1 2 b"]);
  const first = new Set(Array.from({ length: 200 }, () => hosts.inOrder()[0]));
  assertEquals(first, new Set([A, B]));
});

Deno.test("ServiceHosts.watch() tells each outage of the records once, and passes on what the servers tell", () => {
  const { services, targets, hosts } = setup();
  const told: unknown[] = [];
  const unwatch = hosts.watch({
    onChange: ({ added, removed }) => told.push([added, removed]),
    onAnswer: (askedAtMs) => told.push(askedAtMs),
    onError: (error) => told.push(error),
  });
  const error = new Error("SERVFAIL");
  services.fail(error);
  services.fail(error);
  services.answer(["10 0 1 a"]);
  services.fail(error);
  targets.a!.fail(error);
  targets.a!.answer(["10.0.0.9"]);
  assertEquals(told.splice(0), [
    error,
    [[], [B]],
    1,
    error,
    error,
    [["10.0.0.9:1 (a)"], [A]],
    1,
  ]);
  unwatch();
  services.fail(error);
  assertEquals([told, services.watchers.size, targets.a!.watchers.size], [[], 0, 0]);
  // A watcher that wants nothing.
  hosts.watch({});
  services.fail(error);
  services.answer(["10 0 1 a"]);
});

Deno.test("ServiceHosts.refresh(), keepFresh() and switchFamily() reach the records and the servers", async () => {
  const { services, targets, hosts } = setup();
  await hosts.refresh();
  assertEquals([services.refreshes, targets.a!.refreshes, targets.b!.refreshes], [1, 1, 1]);
  const stop = hosts.keepFresh();
  assertEquals([services.kept, targets.a!.kept, targets.b!.kept], [1, 1, 1]);
  stop();
  assertEquals([services.kept, targets.a!.kept, targets.b!.kept], [0, 0, 0]);
  assertEquals(await hosts.switchFamily(4, true, new AbortController().signal), true);
  assertEquals([targets.a!.switched, targets.b!.switched], [[4], [4]]);
});

Deno.test("ServiceHosts: a server whose addresses come along is neither refreshed nor kept fresh by itself", async () => {
  const { services, targets, hosts } = setup(["10 0 1 a 10.0.0.8", "20 0 2 b"]);
  const stop = hosts.keepFresh();
  hosts.watch({});
  assertEquals(hosts.addresses, ["10.0.0.8:1 (a)", B]);
  assertEquals([targets.a!.kept, targets.b!.kept], [0, 1]);
  await hosts.refresh();
  assertEquals([targets.a!.refreshes, targets.b!.refreshes], [0, 1]);
  // They no longer do.
  services.answer(["10 0 1 a", "20 0 2 b"]);
  assertEquals([targets.a!.kept, targets.b!.kept], [1, 1]);
  services.answer(["10 0 1 a 10.0.0.9", "20 0 2 b"]);
  assertEquals([targets.a!.kept, hosts.addresses[0]], [0, "10.0.0.9:1 (a)"]);
  // Nothing comes with records that do not resolve.
  services.fail(new Error("SERVFAIL"));
  assertEquals(targets.a!.kept, 1);
  services.answer(["10 0 1 a 10.0.0.9", "20 0 2 b"]);
  assertEquals(targets.a!.kept, 0);
  // Nor with records that are stale, or if the server's own options need more.
  services.freshFor = 0;
  services.answer(["10 0 1 a 10.0.0.7", "20 0 2 b"]);
  assertEquals([targets.a!.kept, hosts.addresses[0]], [1, "10.0.0.9:1 (a)"]);
  services.freshFor = 5;
  targets.a!.takes = false;
  services.answer(["10 0 1 a 10.0.0.6", "20 0 2 b"]);
  assertEquals([targets.a!.kept, hosts.addresses[0]], [1, "10.0.0.9:1 (a)"]);
  stop();
  assertEquals([targets.a!.kept, targets.b!.kept], [0, 0]);
});

Deno.test("ServiceHosts.status() is that of the worst", () => {
  const { services, targets, hosts } = setup(["10 0 1 a"]);
  Object.assign(services, { age: 1, freshFor: 3, failures: 2 });
  Object.assign(targets.a!, { age: 4, freshFor: 5, failures: 1, inGrace: true });
  const own = {
    host: "a",
    port: 1,
    addresses: ["10.0.0.1"],
    age: 4,
    freshFor: 5,
    inGrace: true,
    failures: 1,
  };
  assertEquals(hosts.status(), {
    addresses: [A],
    age: 4,
    freshFor: 3,
    inGrace: true,
    failures: 2,
    hosts: [own],
  });
  Object.assign(services, { age: 9, freshFor: 9, failures: 0, inGrace: true });
  Object.assign(targets.a!, { age: undefined, inGrace: false });
  const { age, freshFor, inGrace, failures } = hosts.status();
  assertEquals([age, freshFor, inGrace, failures], [9, 5, true, 1]);
  services.age = undefined;
  assertEquals(hosts.status().age, undefined);
  const none = setup([]);
  none.services.failures = 1;
  assertEquals(none.hosts.status(), {
    addresses: [],
    age: 1,
    freshFor: 5,
    inGrace: false,
    failures: 1,
    hosts: [],
  });
});

Deno.test("ServiceHosts uses at most 64 servers, those with the lowest priorities", () => {
  const records = Array.from({ length: 70 }, (_, index) => `${70 - index} 0 1 h${index}`);
  const { hosts } = setup(records);
  assertEquals(hosts.addresses.length, 64);
  assertEquals(hosts.addresses.some((name) => name.includes("(h69)")), true);
  assertEquals(hosts.addresses.some((name) => name.includes("(h5)")), false);
});
