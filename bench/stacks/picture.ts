/**
 * The picture of the drills of real stacks, an SVG: a bar for the outage of each lane in each event, and its failed calls.
 * The drills write it with their results; this file as a program draws it again from them.
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

const NAME_WIDTH = 420;
const CELL = { width: 160, bar: 90 };
const ROW_HEIGHT = 19;
const HEAD_HEIGHT = 56;
const MARGIN = 14;
/** Milliseconds of a full bar. */
const MAX_MS = 25_000;
/** Failed calls from which on a bar has the color of a failure: more than were in flight. */
const MANY = 5;

const STYLE = `
  svg { font: 12px ui-sans-serif, system-ui, sans-serif; }
  .ground { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
  .good { fill: #2da44e; } .failed { fill: #cf222e; }
  .ours { font-weight: 600; } .title { font-weight: 600; font-size: 14px; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9198a1; }
    .good { fill: #3fb950; } .failed { fill: #f85149; }
  }`;

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

function cell(x: number, y: number, { outageMs, failed, missed }: LaneFigures): string {
  if (outageMs === undefined || failed === undefined) {
    return `<text x="${x}" y="${y + 12}">${escape(missed[0] ?? "no report")}</text>`;
  }
  const width = Math.max(1, Math.round(Math.min(1, outageMs / MAX_MS) * CELL.bar));
  const kind = failed >= MANY ? "failed" : "good";
  const text = `${(outageMs / 1000).toFixed(1)} s, ${failed}`;
  return `<rect class="${kind}" x="${x}" y="${y + 3}" width="${width}" height="11"/>` +
    `<text x="${x + width + 4}" y="${y + 12}">${text}</text>`;
}

/** Returns the picture of the results, of the drills that are in it. */
export function drawStacks(results: Readonly<Record<string, unknown>>): string {
  let y = MARGIN;
  const parts: string[] = [];
  for (const [name, { title, events }] of Object.entries(PANELS)) {
    const all = results[name] as readonly EventResult[] | undefined;
    const shown = Object.keys(events).flatMap((key) =>
      all?.filter(({ event }) => event === key) ?? []
    );
    const [first] = shown;
    if (first === undefined) continue;
    parts.push(`<text class="title" x="${MARGIN}" y="${y + 16}">${escape(title)}</text>`);
    for (const [column, { event }] of shown.entries()) {
      const x = NAME_WIDTH + column * CELL.width;
      parts.push(`<text class="faint" x="${x}" y="${y + 42}">${escape(events[event]!)}</text>`);
    }
    y += HEAD_HEIGHT;
    for (const [row, { lane }] of first.lanes.entries()) {
      const ours = /^dns/i.test(lane) ? ` class="ours"` : "";
      parts.push(`<text${ours} x="${MARGIN}" y="${y + 12}">${escape(lane)}</text>`);
      for (const [column, { lanes }] of shown.entries()) {
        parts.push(cell(NAME_WIDTH + column * CELL.width, y, lanes[row]!));
      }
      y += ROW_HEIGHT;
    }
    y += MARGIN;
  }
  const legend = "longest time without a call that succeeded, and the number of failed calls; " +
    `a bar is red from ${MANY} on, and full at ${MAX_MS / 1000} s`;
  parts.push(`<text class="faint" x="${MARGIN}" y="${y + 12}">${legend}</text>`);
  const [width, height] = [NAME_WIDTH + 5 * CELL.width + MARGIN, y + 12 + MARGIN];
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
