/**
 * Numbers, colours and tables as people read them.
 *
 * @module
 */

/** What colours stand for. */
export type Tone = "good" | "warning" | "bad" | "dim" | "bold";

const CODES: Readonly<Record<Tone, string>> = {
  good: "32",
  warning: "33",
  bad: "31",
  dim: "2",
  bold: "1",
};

/** Paints a text, or leaves it as it is. */
export type Paint = (text: string, tone: Tone | undefined) => string;

/** A painter; without colours, one that changes nothing. */
export function painter(colour: boolean): Paint {
  return (text, tone) => colour && tone !== undefined ? `\x1b[${CODES[tone]}m${text}\x1b[0m` : text;
}

/** A span of time: milliseconds below a second, seconds below a minute. */
export function span(seconds: number): string {
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Seconds for JSON, to a tenth of a millisecond. */
export function rounded(seconds: number): number {
  return Number(seconds.toFixed(4));
}

/** A cell of a table. */
export interface Cell {
  readonly text: string;
  readonly tone?: Tone | undefined;
  /** Whether it stands at the right end of its column. */
  readonly right?: boolean;
}

/** A table's lines; the columns are as wide as they have to be. */
export function table(rows: readonly (readonly Cell[])[], paint: Paint): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from(
    { length: columns },
    (_, at) => Math.max(...rows.map((row) => row[at]?.text.length ?? 0)),
  );
  return rows.map((row) =>
    row.map(({ text, tone, right }, at) => {
      const space = " ".repeat(at < row.length - 1 || right ? widths[at]! - text.length : 0);
      return right ? space + paint(text, tone) : paint(text, tone) + space;
    }).join("  ").trimEnd()
  );
}

/** A text from elsewhere on one line, with nothing in it that a terminal would obey. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- those are what it is about
  return text.replace(/\s+/g, " ").replace(/[\x00-\x1f\x7f-\x9f]/g, "\u{fffd}").trim();
}
