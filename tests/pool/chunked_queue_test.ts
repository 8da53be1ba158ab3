import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@^4";
import { Queue, type Queued, type Row } from "../../pool/chunked_queue.ts";

class Member implements Queued<Member> {
  row: Row<Member> | undefined = undefined;
  seat = 0;
  constructor(readonly id: number) {}
}

/** A queue and an array that everything is done to alike. */
function setup() {
  const queue = new Queue<Member>();
  let model: Member[] = [];
  let last = 0;
  const check = () => {
    assertEquals(queue.members().map(({ id }) => id), model.map(({ id }) => id));
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
    /** Takes out so many, at the beginning (0), at the end (1) or in between. */
    remove(share: number, count: number) {
      const from = Math.floor(share * Math.max(0, model.length - count));
      const leaving = model.slice(from, from + count);
      model = model.filter((member) => !leaving.includes(member));
      for (const member of leaving) {
        queue.remove(member);
        assertEquals(member.row, undefined);
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

Deno.test("Queue behaves like an array, however many are added at either end and leave from anywhere", () => {
  const share = fc.constantFrom(0, 0.1, 0.25, 0.5, 0.75, 1);
  // A row has 64 seats.
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

Deno.test("Queue.members() stays as it was when the queue changes meanwhile", () => {
  const queue = new Queue<Member>();
  for (let id = 1; id <= 100; id++) queue.push(new Member(id));
  const visited: number[] = [];
  for (const member of queue.members()) {
    visited.push(member.id);
    queue.remove(member);
    queue.push(new Member(1000 + member.id));
  }
  assertEquals(visited, Array.from({ length: 100 }, (_, i) => i + 1));
  assertEquals(queue.members().map(({ id }) => id - 1000), visited);
});

Deno.test("Queue keeps no row that nobody sits in", () => {
  const queue = new Queue<Member>();
  const members = Array.from({ length: 10_000 }, (_, id) => new Member(id));
  for (const member of members) queue.push(member);
  const rows = () => new Set(queue.members().map(({ row }) => row)).size;
  assertEquals(rows(), 157);
  // One in each hundred stays, and then none but the first and the last.
  for (const [id, member] of members.entries()) if (id % 100 !== 0) queue.remove(member);
  assertEquals(linked(queue.first!.row), rows());
  for (const member of queue.members().slice(1, -1)) queue.remove(member);
  assertEquals([queue.size, linked(queue.first!.row)], [2, 2]);
  for (const member of queue.members()) queue.remove(member);
  queue.unshift(new Member(1));
  assertEquals(linked(queue.first!.row), 1);
});

/** How many rows there are from that one on. */
function linked(row: Row<Member> | undefined): number {
  let count = 0;
  for (; row; row = row.after) count++;
  return count;
}
