import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@^4";
import { type Chunk, ChunkedQueue, type Queued } from "../../pool/chunked_queue.ts";

class Member implements Queued<Member> {
  chunk: Chunk<Member> | undefined = undefined;
  index = 0;
  constructor(readonly id: number) {}
}

/** Creates a queue and an array on which the same operations are performed. */
function setup() {
  const queue = new ChunkedQueue<Member>();
  let model: Member[] = [];
  let last = 0;
  const check = () => {
    assertEquals(queue.toArray().map(({ id }) => id), model.map(({ id }) => id));
    assertEquals([queue.first?.id, queue.size], [model[0]?.id, model.length]);
  };
  return {
    check,
    add(how: "push" | "unshift", count: number) {
      for (let i = 0; i < count; i++) {
        const member = new Member(++last);
        queue[how](member);
        model[how](member);
        assertEquals(queue.first?.id, model[0]!.id);
      }
    },
    /** Removes `count` items: from the beginning if `share` is 0, from the end if it is 1, or from between. */
    remove(share: number, count: number) {
      const from = Math.floor(share * Math.max(0, model.length - count));
      const leaving = model.slice(from, from + count);
      model = model.filter((member) => !leaving.includes(member));
      for (const member of leaving) {
        queue.remove(member);
        assertEquals(member.chunk, undefined);
      }
    },
    again(share: number) {
      const member = model[Math.floor(share * (model.length - 1))];
      if (!member) return;
      queue.remove(member);
      queue.unshift(member);
      model = [member, ...model.filter((other) => other !== member)];
    },
  };
}

Deno.test("ChunkedQueue behaves like an array, however many items are added at either end and removed from anywhere", () => {
  const share = fc.constantFrom(0, 0.1, 0.25, 0.5, 0.75, 1);
  // A chunk has room for 64 items.
  const count = fc.oneof(fc.constantFrom(1, 1, 63, 64, 65), fc.integer({ min: 1, max: 200 }));
  const act = fc.oneof(
    fc.record({ how: fc.constantFrom("push" as const, "unshift" as const), count }),
    fc.record({ how: fc.constant("remove" as const), share, count }),
    fc.record({ how: fc.constant("again" as const), share }),
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 30 }), (acts) => {
      const both = setup();
      for (const act of acts) {
        if (act.how === "remove") both.remove(act.share, act.count);
        else if (act.how === "again") both.again(act.share);
        else both.add(act.how, act.count);
        both.check();
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});

Deno.test("ChunkedQueue.toArray() returns an array that does not change with the queue", () => {
  const queue = new ChunkedQueue<Member>();
  for (let id = 1; id <= 100; id++) queue.push(new Member(id));
  const visited: number[] = [];
  for (const member of queue.toArray()) {
    visited.push(member.id);
    queue.remove(member);
    queue.push(new Member(1000 + member.id));
  }
  assertEquals(visited, Array.from({ length: 100 }, (_, i) => i + 1));
  assertEquals(queue.toArray().map(({ id }) => id - 1000), visited);
});

Deno.test("ChunkedQueue keeps no chunk without items", () => {
  const queue = new ChunkedQueue<Member>();
  const members = Array.from({ length: 10_000 }, (_, id) => new Member(id));
  for (const member of members) queue.push(member);
  const chunks = () => new Set(queue.toArray().map(({ chunk }) => chunk)).size;
  assertEquals(chunks(), 157);
  // One in each hundred stays, and then none but the first and the last.
  for (const [id, member] of members.entries()) if (id % 100 !== 0) queue.remove(member);
  assertEquals(linked(queue.first!.chunk), chunks());
  for (const member of queue.toArray().slice(1, -1)) queue.remove(member);
  assertEquals([queue.size, linked(queue.first!.chunk)], [2, 2]);
  for (const member of queue.toArray()) queue.remove(member);
  queue.unshift(new Member(1));
  assertEquals(linked(queue.first!.chunk), 1);
});

/** Counts the chunks from one on. */
function linked(chunk: Chunk<Member> | undefined): number {
  let count = 0;
  for (; chunk; chunk = chunk.after) count++;
  return count;
}
