/**
 * The demo's picture: a pure function from what is known to lines of text.
 *
 * @module
 */

import { countBetween, type Counts, type Servers, SLACK_MS, SLICE_MS } from "./measure.ts";

/** All that the picture shows. Times are milliseconds since the run began. */
export interface Scene {
  /** What is being shown, in one line. */
  readonly title: string;
  /** The host name whose record moves. */
  readonly host: string;
  /** What the record holds before and after. */
  readonly servers: Servers;
  /** The record's TTL. */
  readonly ttlMs: number;
  /** Now. */
  readonly elapsedMs: number;
  /** How long the run takes. */
  readonly totalMs: number;
  /** When the record moved, once it has. */
  readonly movedAtMs: number | undefined;
  /** The lanes, from top to bottom. */
  readonly lanes: readonly LaneScene[];
}

/** One lane of the picture; a `Lane` is one. */
export interface LaneScene {
  readonly name: string;
  readonly slices: readonly (Counts | undefined)[];
  readonly total: Readonly<Counts>;
}

/** The screen that it is made for. */
export interface Screen {
  /** Characters in a line. */
  readonly columns: number;
  /** Whether to use ANSI colours. */
  readonly colour: boolean;
}

/** Each way to end has a look of its own without colour too. */
const LOOK = {
  old: { glyph: "░", code: "33" },
  new: { glyph: "█", code: "32" },
  misrouted: { glyph: "▚", code: "31" },
  failed: { glyph: "×", code: "1;35" },
} as const satisfies Record<keyof Counts, { glyph: string; code: string }>;

const KINDS = ["old", "misrouted", "new", "failed"] as const;
const BOLD = "1";
const DIM = "2";

/** Columns to the left of the strips. */
const MARGIN = 10;

/** Milliseconds that one character may stand for. */
const CELL_MS = [100, 125, 200, 250, 500, 1000, 2000];

type Paint = (code: string, text: string) => string;

function painter(colour: boolean): Paint {
  return colour ? (code, text) => text && `\x1b[${code}m${text}\x1b[0m` : (_code, text) => text;
}

/** How many milliseconds one character stands for, so that the whole run fits. */
export function cellMs(totalMs: number, columns: number): number {
  const width = Math.max(columns - MARGIN - 1, 1);
  return CELL_MS.find((ms) => totalMs / ms <= width) ??
    Math.ceil(totalMs / width / SLICE_MS) * SLICE_MS;
}

/** The picture, line by line; none is longer than the screen is wide. */
export function frame(scene: Scene, screen: Screen): string[] {
  const paint = painter(screen.colour);
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

/** What the record holds now. */
function record({ servers, movedAtMs }: Scene): string {
  return movedAtMs === undefined ? servers.old : servers.new;
}

/** The type of the record that holds an address. */
function recordType(address: string): "A" | "AAAA" {
  return address.includes(":") ? "AAAA" : "A";
}

/** Where the record moved, and where answers of the old server begin to be mistakes. */
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

/** A cell is two characters high, so that it can show two ways to end; with three, the last matters more. */
function look(counts: Counts): readonly [top: Kind, bottom: Kind] {
  const kinds = KINDS.filter((kind) => counts[kind] > 0);
  return [kinds[0], kinds.at(-1)];
}

/** Draws one row, with one colour code for each stretch of one colour. */
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

/** The seconds, each at its cell. */
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
    ["misrouted", "misrouted: old, and too late"],
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

/** For a screen that cannot be redrawn: one line for what happened between two moments. */
export function plainLine(scene: Scene, fromMs: number, toMs: number): string {
  const { servers } = scene;
  const lanes = scene.lanes.map((lane) => {
    const { old, new: fresh, misrouted, failed } = countBetween(lane.slices, fromMs, toMs);
    const said = [
      old > 0 && `${old} from ${servers.old}`,
      misrouted > 0 && `${misrouted} from ${servers.old} (misrouted)`,
      fresh > 0 && `${fresh} from ${servers.new}`,
      failed > 0 && `${failed} failed`,
    ].filter((part) => part !== false);
    return `${lane.name}: ${said.join(", ") || "no answer"}`;
  });
  return `${clock(toMs)}  ${lanes.join("   ")}`;
}

/** For a screen that cannot be redrawn: what the record holds from now on. */
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

/** `"1.4 s"`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** `"12,345"`. */
export function thousands(count: number): string {
  return count.toLocaleString("en-US");
}

/** The first `columns` visible characters; colour codes count for nothing. */
function cut(line: string, columns: number): string {
  let left = columns;
  // deno-lint-ignore no-control-regex
  return line.replace(/\x1b\[[\d;]*m|[^\x1b]/g, (part) => {
    if (part.startsWith("\x1b")) return part;
    return left-- > 0 ? part : "";
  });
}
