/**
 * The demo's output: a picture redrawn in place on a terminal, plain lines in a file or pipe.
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
  readonly #color: boolean;
  #drawn = 0;

  constructor() {
    const { NO_COLOR, TERM } = process.env;
    this.live = process.stdout.isTTY === true && TERM !== "dumb";
    this.#color = this.live && !NO_COLOR;
  }

  /** The current size; a terminal may be resized. */
  get screen(): Screen {
    return { columns: process.stdout.columns || 80, color: this.#color };
  }

  /** Writes a line that stays. */
  line(text: string = ""): void {
    this.#drawn = 0;
    process.stdout.write(this.live ? `${text}${CLEAR_TO_LINE_END}\n` : `${text}\n`);
  }

  /** Draws a picture over the previous one. Lines that do not fit on the screen are omitted at the bottom. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, Math.max((process.stdout.rows || 24) - 1, 1));
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    const text = shown.map((line) => `${line}${CLEAR_TO_LINE_END}\n`).join("");
    process.stdout.write(`${HIDE_CURSOR}${up}\r${text}${CLEAR_BELOW}`);
    this.#drawn = shown.length;
  }

  /** Shows the current step; on a terminal, over the previous step. */
  progress(step: string): void {
    if (this.live) this.draw([`  ${step} …`]);
    else this.line(`${step} …`);
  }

  /** Removes the picture. */
  clear(): void {
    if (this.#drawn > 0) this.draw([]);
  }

  /** Restores the terminal. */
  close(): void {
    this.#drawn = 0;
    if (this.live) process.stdout.write(SHOW_CURSOR);
  }
}
