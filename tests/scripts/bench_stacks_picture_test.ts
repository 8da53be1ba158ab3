/**
 * The picture of the drills of real stacks: no text reaches into another, whatever the lanes and figures are.
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { drawStacks, textWidth } from "../../bench/stacks/picture.ts";

/** Widths of the characters from space to tilde in DejaVu Sans Bold, in 2048ths of an em. */
const DEJAVU_BOLD = [
  ...[713, 934, 1067, 1716, 1425, 2052, 1786, 627, 936, 936, 1071, 1716, 778, 850, 778, 748],
  ...[1425, 1425, 1425, 1425, 1425, 1425, 1425, 1425, 1425, 1425, 819, 819, 1716, 1716, 1716, 1188],
  ...[2048, 1585, 1561, 1503, 1700, 1399, 1399, 1681, 1714, 762, 762, 1587, 1305, 2038, 1714, 1741],
  ...[1501, 1741, 1577, 1475, 1397, 1663, 1585, 2259, 1579, 1483, 1485, 936, 748, 936, 1716, 1024],
  ...[1024, 1382, 1466, 1214, 1466, 1389, 891, 1466, 1458, 702, 702, 1362, 702, 2134, 1458, 1407],
  ...[1466, 1466, 1010, 1219, 979, 1458, 1335, 1892, 1321, 1335, 1192, 1458, 748, 1458, 1716],
];

/** What takes up room in a picture. */
interface Box {
  readonly row: number;
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

const unescape = (text: string) =>
  text.replaceAll("&lt;", "<").replaceAll("&quot;", '"').replaceAll("&amp;", "&");

/** Returns the boxes of a picture, and its width. */
function boxesOf(svg: string): { boxes: Box[]; width: number } {
  const texts = [...svg.matchAll(/<text(?: class="(\w+)")? x="(\d+)" y="(\d+)">([^<]*)<\/text>/g)];
  const bars = [...svg.matchAll(/<rect class="\w+" x="(\d+)" y="(\d+)" width="(\d+)"/g)];
  return {
    boxes: [
      ...texts.map(([, kind, x, y, text]) => ({
        row: Number(y),
        from: Number(x),
        to: Number(x) + textWidth(unescape(text!), kind === "title" ? 14 : 12),
        what: text!,
      })),
      ...bars.map(([, x, y, width]) => ({
        row: Number(y) + 9, // the line of the text beside it
        from: Number(x),
        to: Number(x) + Number(width),
        what: "bar",
      })),
    ],
    width: Number(svg.match(/viewBox="0 0 (\d+) /)![1]),
  };
}

function assertApart(svg: string): void {
  const { boxes, width } = boxesOf(svg);
  for (const one of boxes) {
    assertLessOrEqual(one.to, width, one.what);
    for (const other of boxes) {
      const apart = one === other || one.row !== other.row || one.to <= other.from ||
        other.to <= one.from;
      assert(apart, `"${one.what}" and "${other.what}" overlap`);
    }
  }
}

const EVENTS = ["switchover", "kill-postgres", "kill", "pause", "etcd"];

/** Returns results in which each event has the same lanes. */
function results(lanes: readonly Record<string, unknown>[]) {
  return { patroni: EVENTS.map((event) => ({ event, title: event, lanes })) };
}

Deno.test("textWidth() is never below the width in the widest common font", () => {
  for (const [index, width] of DEJAVU_BOLD.entries()) {
    const character = String.fromCharCode(32 + index);
    const text = character.repeat(100);
    assertLessOrEqual(1000 * width / 2048, textWidth(text, 10), character);
  }
  assertLessOrEqual(20, textWidth("漢字", 10));
});

Deno.test("drawStacks() leaves room for the longest lane and the largest figures", () => {
  const names = ["dnspool", "W".repeat(80), 'a lane with <signs> & "quotes"', "i"];
  const figures = [
    { outageMs: 0, failed: 0 },
    { outageMs: 123_456_789, failed: 1_234_567 },
    { outageMs: 24_999, failed: 4 },
    {},
  ];
  const missed = ["The process ended, for a reason that is told at some length".repeat(3)];
  const svg = drawStacks(
    results(figures.map((each, index) => ({ lane: names[index], missed, ...each }))),
  );
  assertApart(svg);
  const { boxes } = boxesOf(svg);
  assertEquals(boxes.filter(({ what }) => what === "no report").length, EVENTS.length);
  assertEquals(boxes.filter(({ what }) => what === "bar").length, 3 * EVENTS.length);
});

Deno.test("drawStacks() of the stored results has no text that reaches into another", async () => {
  const url = new URL("../../bench/results/stacks.json", import.meta.url);
  const stored = JSON.parse(await Deno.readTextFile(url));
  const svg = drawStacks(stored);
  assertApart(svg);
  assertEquals(await Deno.readTextFile(new URL("stacks.svg", url)), svg);
});

Deno.test("drawStacks() puts an event without a lane beside one that has it", () => {
  const svg = drawStacks({
    patroni: [
      { event: "switchover", title: "", lanes: [{ lane: "a", outageMs: 1, failed: 0 }] },
      { event: "kill", title: "", lanes: [{ lane: "b", outageMs: 1, failed: 0 }] },
    ],
  });
  assertApart(svg);
  assertEquals(boxesOf(svg).boxes.filter(({ what }) => what === "bar").length, 2);
});
