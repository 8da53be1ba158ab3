/**
 * Formats times, colors and tables for terminals.
 *
 * @module
 */

/** The meaning of a color. */
export type Tone = "good" | "warning" | "bad" | "dim" | "bold";

const CODES: Readonly<Record<Tone, string>> = {
  good: "32",
  warning: "33",
  bad: "31",
  dim: "2",
  bold: "1",
};

/** Colors a text. */
export type Paint = (text: string, tone: Tone | undefined) => string;

/** Makes a painter; without colors, one that returns the text. */
export function painter(color: boolean): Paint {
  return (text, tone) => color && tone !== undefined ? `\x1b[${CODES[tone]}m${text}\x1b[0m` : text;
}

/** Formats a duration: milliseconds below a second, seconds below a minute. */
export function span(seconds: number): string {
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Rounds seconds for JSON output, to a tenth of a millisecond. */
export function rounded(seconds: number): number {
  return Number(seconds.toFixed(4));
}

/** A cell of a table. */
export interface Cell {
  readonly text: string;
  readonly tone?: Tone | undefined;
  /** Whether it is aligned right. */
  readonly right?: boolean;
}

/** Returns the lines of a table, each column as wide as its widest cell. */
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

/** Returns a text of another program as one line without control characters, which a terminal would obey. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are replaced
  return text.replace(/\s+/g, " ").replace(/[\x00-\x1f\x7f-\x9f]/g, "\u{fffd}").trim();
}
