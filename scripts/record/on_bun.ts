/**
 * The recorder on Bun, for the driver that is a part of it. Its argument is a pattern of events; it prints the recordings.
 *
 * @module
 */

import process from "node:process";
import { recordAll } from "./recorder.ts";

const { recorded, failed } = await recordAll(new RegExp(process.argv[2] ?? "."));
for (const each of failed) console.error(`Cannot record ${each}`);
console.log(JSON.stringify(recorded));
process.exit(0);
