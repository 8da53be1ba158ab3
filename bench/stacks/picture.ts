/**
 * The picture of the drills of real stacks, an SVG: a bar for the outage of each lane in each event, and its failed calls.
 * The drills write it with their results; this file as a program draws it again from them. Columns are as wide as their
 * widest text, so that no text reaches into the next one, whatever the lanes are called and the figures are.
 *
 * @module
 */

import type { LaneFigures } from "./figures.ts";

/** The results of a drill's event. */
interface EventResult {
  readonly event: string;
  readonly title: string;
  readonly lanes: readonly LaneFigures[];
}

/** The drills of the picture, and those of their events that it shows, with their heads. */
const PANELS: Readonly<
  Record<string, { readonly title: string; readonly events: Readonly<Record<string, string>> }>
> = {
  patroni: {
    title: "Patroni",
    events: {
      "switchover": "switchover",
      "kill-postgres": "kill -9: PostgreSQL",
      "kill": "PostgreSQL and Patroni",
      "pause": "kill -9 while paused",
      "etcd": "etcd gone for 20 s",
    },
  },
  postgres: {
    title: "PostgreSQL: a primary and its synchronous standby, which takes over",
    events: {
      "promote": "pg_promote(), old one runs on",
      "smart": "stop -m smart, fast after 15 s",
      "fast": "stop -m fast",
      "immediate": "stop -m immediate",
      "kill": "kill -9",
      "freeze": "SIGSTOP, SIGCONT",
      "read-only": "read-only for 3 s",
    },
  },
  mariadb: {
    title: "MariaDB with a replica",
    events: {
      "switchover": "switchover",
      "lock": "under a lock of 2.5 s",
      "kill": "kill -9",
      "freeze": "SIGSTOP, SIGCONT",
      "stop": "shut down",
    },
  },
  proxies: {
    title: "PgBouncer and HAProxy before a server whose name moves",
    events: {
      "move": "name moves, old lives",
      "kill": "kill -9, name moves",
      "read-only": "read-only, name moves",
      "outage": "stopped for 8 s",
      "silent": "name server silent 60 s",
    },
  },
};

const RESULTS = new URL("../results/stacks.json", import.meta.url);
const PICTURE = new URL("../results/stacks.svg", import.meta.url);

const FONT_SIZE = 12;
const TITLE_SIZE = 14;
const BAR_WIDTH = 90;
/** Between a bar and its figures. */
const BAR_GAP = 4;
/** Between a column and the next one. */
const COLUMN_GAP = 14;
const ROW_HEIGHT = 19;
const HEAD_HEIGHT = 56;
const MARGIN = 14;
/** Milliseconds of a full bar. */
const MAX_MS = 25_000;
/** Failed calls from which on a bar has the color of a failure: more than were in flight. */
const MANY = 5;

const STYLE = `
  svg { font: ${FONT_SIZE}px ui-sans-serif, system-ui, sans-serif; }
  .ground { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
  .good { fill: #2da44e; } .failed { fill: #cf222e; }
  .ours { font-weight: 600; } .title { font-weight: 600; font-size: ${TITLE_SIZE}px; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9198a1; }
    .good { fill: #3fb950; } .failed { fill: #f85149; }
  }`;

/** Widths of characters in ems, rounded up from DejaVu Sans Bold, the widest font that a reader is likely to see them in. */
const EMS: readonly (readonly [characters: RegExp, ems: number])[] = [
  [/[ijlI.,:;'|! ()[\]ftrJ-]/, 0.5],
  [/[mwMW%@]/, 1.11],
  [/[A-Z#&+<=>^~]/, 0.88],
  [/[\x20-\x7e]/, 0.73],
];
/** Width of any other character. */
const WIDEST_EMS = 1.2;

/** Returns a width in pixels that a text does not exceed. */
export function textWidth(text: string, size: number = FONT_SIZE): number {
  const ems = [...text].map((one) =>
    EMS.find(([characters]) => characters.test(one))?.[1] ?? WIDEST_EMS
  );
  return Math.ceil(ems.reduce((sum, each) => sum + each, 0) * size);
}

const widest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => textWidth(text)));

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** What a cell shows. */
interface Cell {
  /** Width of its bar; 0 if it has none. */
  readonly bar: number;
  readonly kind: "good" | "failed";
  readonly text: string;
}

function cellOf(figures: LaneFigures | undefined): Cell {
  const { outageMs, failed } = figures ?? {};
  if (outageMs === undefined || failed === undefined) {
    return { bar: 0, kind: "failed", text: figures ? "no report" : "" };
  }
  return {
    bar: Math.max(1, Math.round(Math.min(1, outageMs / MAX_MS) * BAR_WIDTH)),
    kind: failed >= MANY ? "failed" : "good",
    text: `${(outageMs / 1000).toFixed(1)} s, ${failed}`,
  };
}

const endOf = ({ bar, text }: Cell) => (bar && bar + BAR_GAP) + textWidth(text);

function drawCell(x: number, y: number, { bar, kind, text }: Cell): string {
  const rect = bar &&
    `<rect class="${kind}" x="${x}" y="${y + 3}" width="${bar}" height="11"/>`;
  return `${rect || ""}<text x="${x + (bar && bar + BAR_GAP)}" y="${y + 12}">${text}</text>`;
}

/** A column of a panel: its head, and a cell for each lane. */
interface Column {
  readonly head: string;
  readonly cells: readonly Cell[];
}

/** A drill of the picture. */
interface Panel {
  readonly title: string;
  readonly names: readonly string[];
  readonly columns: readonly Column[];
}

/** Returns what a drill's panel shows; nothing if there are no results. */
function panelsOf(results: Readonly<Record<string, unknown>>): Panel[] {
  return Object.entries(PANELS).flatMap(([drill, { title, events }]) => {
    const all = (results[drill] ?? []) as readonly EventResult[];
    const shown = Object.entries(events).flatMap(([key, head]) =>
      all.filter(({ event }) => event === key).map(({ lanes }) => ({ head, lanes }))
    );
    const names = [...new Set(shown.flatMap(({ lanes }) => lanes.map(({ lane }) => lane)))];
    const columns = shown.map(({ head, lanes }) => ({
      head,
      cells: names.map((name) => cellOf(lanes.find(({ lane }) => lane === name))),
    }));
    return columns.length > 0 ? [{ title, names, columns }] : [];
  });
}

/** Returns the picture of the results, of the drills that are in it. */
export function drawStacks(results: Readonly<Record<string, unknown>>): string {
  const panels = panelsOf(results);
  const first = MARGIN + widest(panels.flatMap(({ names }) => names)) + COLUMN_GAP;
  let [y, right] = [MARGIN, 0];
  const parts: string[] = [];
  const write = (text: string, at: readonly [x: number, y: number], kind = "", size?: number) => {
    const attribute = kind && ` class="${kind}"`;
    parts.push(`<text${attribute} x="${at[0]}" y="${at[1]}">${escape(text)}</text>`);
    right = Math.max(right, at[0] + textWidth(text, size));
  };
  for (const { title, names, columns } of panels) {
    write(title, [MARGIN, y + 16], "title", TITLE_SIZE);
    const top = y + HEAD_HEIGHT;
    for (const [row, name] of names.entries()) {
      write(name, [MARGIN, top + row * ROW_HEIGHT + 12], /^dns/i.test(name) ? "ours" : "");
    }
    let x = first;
    for (const { head, cells } of columns) {
      write(head, [x, y + 42], "faint");
      for (const [row, cell] of cells.entries()) {
        parts.push(drawCell(x, top + row * ROW_HEIGHT, cell));
      }
      const width = Math.max(textWidth(head), ...cells.map(endOf));
      right = Math.max(right, x + width);
      x += width + COLUMN_GAP;
    }
    y = top + names.length * ROW_HEIGHT + MARGIN;
  }
  const legend = "longest time without a call that succeeded, and the number of failed calls; " +
    `a bar is red from ${MANY} on, and full at ${MAX_MS / 1000} s`;
  write(legend, [MARGIN, y + 12], "faint");
  const [width, height] = [right + MARGIN, y + 12 + MARGIN];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>${STYLE}
</style>
<rect class="ground" width="100%" height="100%"/>
${parts.join("\n")}
</svg>
`;
}

/** Draws the picture of the results and writes it beside them. */
export async function savePicture(results: Readonly<Record<string, unknown>>): Promise<void> {
  await Deno.writeTextFile(PICTURE, drawStacks(results));
}

if (import.meta.main) await savePicture(JSON.parse(await Deno.readTextFile(RESULTS)));
