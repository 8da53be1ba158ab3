/**
 * The picture of the drill, an SVG: lanes over time, colored by the server that answered.
 *
 * It contains its background and the colors of both modes, so that it is readable in light and dark mode everywhere. Its
 * labels are text.
 *
 * @module
 */

import { KINDS, type Slice } from "./figures.ts";

/** The row of one lane. */
export interface Row {
  readonly name: string;
  readonly ours: boolean;
  readonly slices: readonly Slice[];
  /** The text behind the row, such as "moved after 0.9 s". */
  readonly note: string;
}

/** The rows of one scenario. */
export interface Panel {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** The period that all panels show, in milliseconds after the move of the record. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
}

const NAME_WIDTH = 170;
const PLOT_WIDTH = 560;
const NOTE_WIDTH = 190;
const ROW = { height: 15, gap: 5 };
const PANEL = { head: 30, foot: 26 };
const LEGEND_HEIGHT = 34;
const MARGIN = 14;

/** Number of steps of the shares within a slice. */
const SHADES = 5;

const LEGEND: readonly (readonly [kind: string, text: string])[] = [
  ["old", "old server, in time"],
  ["new", "new server"],
  ["misrouted", "old server, too late"],
  ["failed", "failed"],
  ["none", "no answer"],
];

const STYLE = `
  svg { font: 12px ui-sans-serif, system-ui, sans-serif; }
  .ground { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
  .line { stroke: #59636e; } .none { fill: #d8dee4; }
  .old { fill: #8c959f; } .new { fill: #2da44e; } .misrouted { fill: #d4a72c; } .failed { fill: #cf222e; }
  .ours { font-weight: 600; } .title { font-weight: 600; font-size: 13px; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9198a1; }
    .line { stroke: #9198a1; } .none { fill: #2a313c; }
    .old { fill: #6e7681; } .new { fill: #3fb950; } .misrouted { fill: #e3b341; } .failed { fill: #f85149; }
  }
`;

/** Draws the picture. */
export function picture(panels: readonly Panel[], span: Span): string {
  const width = MARGIN * 2 + NAME_WIDTH + PLOT_WIDTH + NOTE_WIDTH;
  const parts: string[] = [legend()];
  let top = MARGIN + LEGEND_HEIGHT;
  for (const panel of panels) {
    parts.push(`<g transform="translate(${MARGIN} ${top})">${drawPanel(panel, span)}</g>`);
    top += panelHeight(panel);
  }
  const height = top + MARGIN / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="The server that answered, by pool, before and after the record moved">`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${width}" height="${height}" rx="6"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function legend(): string {
  let x = 0;
  const items = LEGEND.map(([kind, text]) => {
    const item = `<rect class="${kind}" x="${x}" y="2" width="12" height="12" rx="2"/>` +
      `<text x="${x + 17}" y="12">${escape(text)}</text>`;
    x += 32 + Math.ceil(text.length * 6.3);
    return item;
  });
  return `<g transform="translate(${MARGIN} ${MARGIN})">${items.join("")}</g>`;
}

function panelHeight({ rows }: Panel): number {
  return PANEL.head + rows.length * (ROW.height + ROW.gap) + PANEL.foot;
}

function drawPanel({ title, rows }: Panel, span: Span): string {
  const bottom = PANEL.head + rows.length * (ROW.height + ROW.gap);
  const drawn = rows.map((row, index) => drawRow(row, PANEL.head + index * (ROW.height + ROW.gap)));
  const moved = xOf(0, span);
  return [
    `<text class="title" x="0" y="15">${escape(title)}</text>`,
    ...drawn,
    `<line class="line" x1="${moved}" x2="${moved}" y1="${
      PANEL.head - 5
    }" y2="${bottom}" stroke-dasharray="3 2"/>`,
    ...ticks(span, bottom),
  ].join("\n");
}

function ticks(span: Span, y: number): string[] {
  const texts: string[] = [];
  const first = Math.ceil(span.fromMs / 1000);
  for (let second = first; second * 1000 <= span.toMs; second++) {
    const text = second === 0 ? "the move" : second < 0 ? `\u2212${-second}` : `${second} s`;
    texts.push(
      `<text class="faint" x="${xOf(second * 1000, span)}" y="${
        y + 12
      }" text-anchor="middle">${text}</text>`,
    );
  }
  return texts;
}

function xOf(ms: number, { fromMs, toMs }: Span): number {
  return round(NAME_WIDTH + (ms - fromMs) / (toMs - fromMs) * PLOT_WIDTH);
}

function drawRow({ name, ours, slices, note }: Row, y: number): string {
  const step = PLOT_WIDTH / slices.length;
  const base = y + ROW.height - 3;
  const blocks = blocksOf(slices).map(({ kind, from, to, low, high }) =>
    `<rect class="${kind}" x="${round(NAME_WIDTH + from * step)}" y="${
      round(y + ROW.height * (1 - high))
    }" width="${round((to - from) * step)}" height="${round(ROW.height * (high - low))}"/>`
  );
  return [
    `<text${ours ? ' class="ours"' : ""} x="0" y="${base}">${escape(name)}</text>`,
    `<rect class="none" x="${NAME_WIDTH}" y="${
      y + ROW.height - 2
    }" width="${PLOT_WIDTH}" height="2"/>`,
    ...blocks,
    `<text class="faint" x="${NAME_WIDTH + PLOT_WIDTH + 10}" y="${base}">${escape(note)}</text>`,
  ].join("");
}

interface Block {
  readonly kind: string;
  readonly from: number;
  to: number;
  readonly low: number;
  readonly high: number;
}

/** Merges equal shares of adjacent slices into blocks. */
function blocksOf(slices: readonly Slice[]): Block[] {
  const blocks: Block[] = [];
  let open: Block[] = [];
  slices.forEach((slice, at) => {
    const now = shares(slice).map(({ kind, low, high }) => {
      const before = open.find((one) =>
        one.kind === kind && one.low === low && one.high === high && one.to === at
      );
      if (before) {
        before.to = at + 1;
        return before;
      }
      const block = { kind, from: at, to: at + 1, low, high };
      blocks.push(block);
      return block;
    });
    open = now;
  });
  return blocks;
}

/** Returns the share of each kind in the height, in few steps; at least one step for each kind that occurs. */
function shares(slice: Slice): { kind: string; low: number; high: number }[] {
  const present = KINDS.filter((kind) => slice[kind] > 0);
  const total = present.reduce((sum, kind) => sum + slice[kind], 0);
  const steps = present.map((kind) => Math.max(1, Math.round(slice[kind] / total * SHADES)));
  const all = steps.reduce((a, b) => a + b, 0);
  let low = 0;
  return present.map((kind, index) => {
    const part = { kind, low: low / all, high: (low + steps[index]!) / all };
    low += steps[index]!;
    return part;
  });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
