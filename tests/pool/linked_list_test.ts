import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@^4";
import { type Linked, LinkedList } from "../../pool/linked_list.ts";

class Member implements Linked<Member> {
  before: Member | undefined = undefined;
  after: Member | undefined = undefined;
  constructor(readonly id: number) {}
}

/** Reads the list in both directions, with its ends. */
function seen(list: LinkedList<Member>) {
  const backwards: number[] = [];
  for (let member = list.last; member; member = member.before) backwards.push(member.id);
  return {
    forwards: list.toArray().map(({ id }) => id),
    backwards: backwards.reverse(),
    ends: [list.first?.id, list.last?.id],
    size: list.size,
  };
}

Deno.test("LinkedList behaves like an array, whatever is added and removed", () => {
  const act = fc.oneof(fc.constant("push" as const), fc.nat(20));
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const list = new LinkedList<Member>();
      let model: Member[] = [];
      let last = 0;
      for (const act of acts) {
        if (act === "push") {
          const member = new Member(++last);
          list.push(member);
          model.push(member);
        } else if (model.length > 0) {
          const member = model[act % model.length]!;
          list.remove(member);
          model = model.filter((other) => other !== member);
          assertEquals([member.before, member.after], [undefined, undefined]);
        }
        const ids = model.map(({ id }) => id);
        assertEquals(seen(list), {
          forwards: ids,
          backwards: ids,
          ends: [ids[0], ids.at(-1)],
          size: ids.length,
        });
      }
    }),
    { seed: 4 },
  );
});

Deno.test("LinkedList accepts a member again that was removed, also in another list", () => {
  const [one, two] = [new LinkedList<Member>(), new LinkedList<Member>()];
  const [a, b] = [new Member(1), new Member(2)];
  one.push(a);
  one.push(b);
  one.remove(a);
  two.push(a);
  one.remove(b);
  one.push(b);
  assertEquals([seen(one).forwards, seen(two).forwards], [[2], [1]]);
});

Deno.test("LinkedList.toArray() returns an array that does not change with the list", () => {
  const list = new LinkedList<Member>();
  for (let id = 1; id <= 4; id++) list.push(new Member(id));
  const visited: number[] = [];
  for (const member of list.toArray()) {
    visited.push(member.id);
    list.remove(member);
    list.push(new Member(10 + member.id));
  }
  assertEquals(visited, [1, 2, 3, 4]);
  assertEquals(seen(list).forwards, [11, 12, 13, 14]);
});
