/**
 * The demo's picture: pure functions from a scene to lines of text.
 *
 * @module
 */

import { countBetween, type Counts, type Servers, SLACK_MS, SLICE_MS } from "./measure.ts";

/** The content of the picture. Times are milliseconds since the start of the run. */
export interface Scene {
  /** The heading, one line. */
  readonly title: string;
  /** The host name whose record moves. */
  readonly host: string;
  readonly servers: Servers;
  /** The TTL of the record. */
  readonly ttlMs: number;
  /** The current time. */
  readonly elapsedMs: number;
  /** The duration of the run. */
  readonly totalMs: number;
  /** The time of the move; `undefined` before it. */
  readonly movedAtMs: number | undefined;
  /** The lanes, from top to bottom. */
  readonly lanes: readonly LaneScene[];
}

/** One lane of the picture: the counts of one pool, such as a `Lane`. */
export interface LaneScene {
  readonly name: string;
  readonly slices: readonly (Counts | undefined)[];
  readonly total: Readonly<Counts>;
}

/** The screen that the picture is drawn for. */
export interface Screen {
  /** Characters in a line. */
  readonly columns: number;
  /** Whether to use ANSI colors. */
  readonly color: boolean;
}

/** The look of each result, distinct without color too. */
const LOOK = {
  old: { glyph: "░", code: "33" },
  new: { glyph: "█", code: "32" },
  misrouted: { glyph: "▚", code: "31" },
  failed: { glyph: "×", code: "1;35" },
} as const satisfies Record<keyof Counts, { glyph: string; code: string }>;

const KINDS = ["old", "misrouted", "new", "failed"] as const;
const BOLD = "1";
const DIM = "2";

/** Number of columns left of the lanes. */
const MARGIN = 10;

/** The possible durations of one character. */
const CELL_MS = [100, 125, 200, 250, 500, 1000, 2000];

type Paint = (code: string, text: string) => string;

function painter(color: boolean): Paint {
  return color ? (code, text) => text && `\x1b[${code}m${text}\x1b[0m` : (_code, text) => text;
}

/** Returns the shortest duration of one character, in milliseconds, with which the whole run fits. */
export function cellMs(totalMs: number, columns: number): number {
  const width = Math.max(columns - MARGIN - 1, 1);
  return CELL_MS.find((ms) => totalMs / ms <= width) ??
    Math.ceil(totalMs / width / SLICE_MS) * SLICE_MS;
}

/** Draws the picture. No line is longer than the screen is wide. */
export function frame(scene: Scene, screen: Screen): string[] {
  const paint = painter(screen.color);
  const cell = cellMs(scene.totalMs, screen.columns);
  const lanes = scene.lanes.flatMap((lane) => [...laneLines(lane, scene, cell, paint), ""]);
  const lines = [
    paint(BOLD, scene.title),
    "",
    recordLine(scene, paint),
    "",
    " ".repeat(MARGIN) + markers(scene, cell, paint),
    ...lanes,
    " ".repeat(MARGIN) + paint(DIM, ruler(scene.totalMs, cell)),
    "",
    ...legend(scene, screen.columns, paint),
  ];
  return lines.map((line) => cut(line, screen.columns));
}

function recordLine(scene: Scene, paint: Paint): string {
  const { host, ttlMs, elapsedMs, movedAtMs } = scene;
  const value = record(scene);
  const moved = movedAtMs !== undefined;
  const painted = paint(moved ? LOOK.new.code : LOOK.old.code, value);
  const ago = moved ? `   moved ${seconds(elapsedMs - movedAtMs)} ago` : "";
  return `  ${paint(BOLD, host)}  ${recordType(value)}  ${painted}   TTL ${ttlMs / 1000} s${ago}`;
}

/** Returns the address in the record. */
function record({ servers, movedAtMs }: Scene): string {
  return movedAtMs === undefined ? servers.old : servers.new;
}

/** Returns the type of the record for an address. */
function recordType(address: string): "A" | "AAAA" {
  return address.includes(":") ? "AAAA" : "A";
}

/** Marks the time of the move, and the time from which answers of the old server are mistakes. */
function markers({ movedAtMs, ttlMs }: Scene, cell: number, paint: Paint): string {
  if (movedAtMs === undefined) return "";
  const move = Math.floor(movedAtMs / cell);
  const limit = Math.floor((movedAtMs + ttlMs + SLACK_MS) / cell);
  const gap = limit - move;
  const label = "▼ moved".slice(0, Math.max(gap - 1, 1)).trimEnd();
  const text = paint(BOLD, label) + " ".repeat(Math.max(gap - label.length, 0));
  return " ".repeat(move) + text + paint(DIM, `┆ TTL + ${SLACK_MS} ms`);
}

function laneLines(
  lane: LaneScene,
  { elapsedMs, servers }: Scene,
  cell: number,
  paint: Paint,
): string[] {
  const cells = Array.from(
    { length: Math.floor(elapsedMs / cell) },
    (_, at) => look(countBetween(lane.slices, at * cell, (at + 1) * cell)),
  );
  const { old, new: fresh, misrouted, failed } = lane.total;
  const loud = (kind: "misrouted" | "failed", count: number) =>
    paint(count > 0 ? LOOK[kind].code : DIM, `${kind} ${thousands(count)}`);
  const counts = [
    paint(LOOK.old.code, `${servers.old} ${thousands(old + misrouted)}`),
    paint(LOOK.new.code, `${servers.new} ${thousands(fresh)}`),
    loud("misrouted", misrouted),
    loud("failed", failed),
  ].join("   ");
  const label = ` ${lane.name}`.padEnd(MARGIN - 1).slice(0, MARGIN - 1);
  return [
    `${paint(BOLD, label)} ${row(cells.map(([top]) => top), paint)}`,
    `${" ".repeat(MARGIN)}${row(cells.map(([, bottom]) => bottom), paint)}`,
    `${" ".repeat(MARGIN)}${counts}`,
  ];
}

type Kind = keyof Counts | undefined;

/** Returns the two results that a cell shows, one above the other. Of three results, the middle one is omitted. */
function look(counts: Counts): readonly [top: Kind, bottom: Kind] {
  const kinds = KINDS.filter((kind) => counts[kind] > 0);
  return [kinds[0], kinds.at(-1)];
}

/** Draws one row, with one color code for a run of equal cells. */
function row(kinds: readonly Kind[], paint: Paint): string {
  let text = "";
  for (let at = 0; at < kinds.length;) {
    const kind = kinds[at];
    let end = at + 1;
    while (end < kinds.length && kinds[end] === kind) end++;
    const { glyph, code } = kind ? LOOK[kind] : { glyph: "·", code: DIM };
    text += paint(code, glyph.repeat(end - at));
    at = end;
  }
  return text;
}

/** Draws the scale in seconds. */
function ruler(totalMs: number, cell: number): string {
  let text = "";
  for (let second = 0; second * 1000 <= totalMs; second++) {
    const at = Math.round(second * 1000 / cell);
    if (second > 0 && at < text.length + 2) continue; // no room
    text = text.padEnd(at) + second;
  }
  return `${text} s`;
}

function legend({ servers }: Scene, columns: number, paint: Paint): string[] {
  const entries: [keyof Counts, string][] = [
    ["old", `old ${servers.old}`],
    ["new", `new ${servers.new}`],
    ["misrouted", "misrouted: old, too late"],
    ["failed", "failed"],
  ];
  const width = entries.reduce((sum, [, text]) => sum + text.length + 5, 0);
  const shown = entries.map(([kind, text]) =>
    `${paint(LOOK[kind].code, LOOK[kind].glyph)} ${text}`
  );
  return width <= columns
    ? [`  ${shown.join("   ")}`]
    : [`  ${shown.slice(0, 2).join("   ")}`, `  ${shown.slice(2).join("   ")}`];
}

/** Describes the results between two times in one line, for an output that cannot be redrawn. */
export function plainLine(scene: Scene, fromMs: number, toMs: number): string {
  const { servers } = scene;
  const lanes = scene.lanes.map((lane) => {
    const { old, new: fresh, misrouted, failed } = countBetween(lane.slices, fromMs, toMs);
    const parts = [
      old > 0 && `${old} from ${servers.old}`,
      misrouted > 0 && `${misrouted} from ${servers.old} (misrouted)`,
      fresh > 0 && `${fresh} from ${servers.new}`,
      failed > 0 && `${failed} failed`,
    ].filter((part) => part !== false);
    return `${lane.name}: ${parts.join(", ") || "no answer"}`;
  });
  return `${clock(toMs)}  ${lanes.join("   ")}`;
}

/** Describes the record in one line, for an output that cannot be redrawn. */
export function recordChange(scene: Scene): string {
  const { host, ttlMs, movedAtMs } = scene;
  const value = record(scene);
  const what = movedAtMs === undefined ? "The record" : "The record moves";
  return `${clock(movedAtMs ?? 0)}  ${what}: ${host} ${recordType(value)} ${value}, TTL ${
    ttlMs / 1000
  } s`;
}

function clock(atMs: number): string {
  return seconds(atMs).padStart(6);
}

/** Formats seconds: `"1.4 s"`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Formats a count: `"12,345"`. */
export function thousands(count: number): string {
  return count.toLocaleString("en-US");
}

/** Returns the first `columns` visible characters; color codes have no width. */
function cut(line: string, columns: number): string {
  let left = columns;
  // deno-lint-ignore no-control-regex
  return line.replace(/\x1b\[[\d;]*m|[^\x1b]/g, (part) => {
    if (part.startsWith("\x1b")) return part;
    return left-- > 0 ? part : "";
  });
}
