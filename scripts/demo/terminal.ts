/**
 * Where the demo writes: a terminal, on which a picture is redrawn in place, or a file or pipe that gets plain lines.
 *
 * @module
 */

import process from "node:process";
import type { Screen } from "./view.ts";

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_TO_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Standard output. */
export class Terminal {
  /** Whether a picture can be redrawn in place. */
  readonly live: boolean;
  readonly #colour: boolean;
  #drawn = 0;

  constructor() {
    const { NO_COLOR, TERM } = process.env;
    this.live = process.stdout.isTTY === true && TERM !== "dumb";
    this.#colour = this.live && !NO_COLOR;
  }

  /** What can be drawn now; a terminal may change its size. */
  get screen(): Screen {
    return { columns: process.stdout.columns || 80, colour: this.#colour };
  }

  /** Writes a line that stays. */
  line(text: string = ""): void {
    this.#drawn = 0;
    process.stdout.write(this.live ? `${text}${CLEAR_TO_LINE_END}\n` : `${text}\n`);
  }

  /** Draws a picture in place of the one before. What does not fit on the screen is left out at the bottom. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, Math.max((process.stdout.rows || 24) - 1, 1));
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    const text = shown.map((line) => `${line}${CLEAR_TO_LINE_END}\n`).join("");
    process.stdout.write(`${HIDE_CURSOR}${up}\r${text}${CLEAR_BELOW}`);
    this.#drawn = shown.length;
  }

  /** Tells what is being done; on a terminal, in place of the step before. */
  progress(step: string): void {
    if (this.live) this.draw([`  ${step} …`]);
    else this.line(`${step} …`);
  }

  /** Takes away the picture, for something else to stand in its place. */
  clear(): void {
    if (this.#drawn > 0) this.draw([]);
  }

  /** Leaves the terminal as it was found. */
  close(): void {
    this.#drawn = 0;
    if (this.live) process.stdout.write(SHOW_CURSOR);
  }
}
