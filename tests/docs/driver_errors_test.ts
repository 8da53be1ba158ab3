/** The tables of errors in docs/drivers/ have every code that an adapter knows, and no other. */

import { assertEquals } from "@std/assert";
import os from "node:os";
import mysql from "npm:mysql2@^3.24/promise";
import * as mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter, Verdict } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { read, rowsOf } from "../support/docs.ts";

const ADAPTERS = {
  pg: pgAdapter(pg),
  postgresjs: postgresjsAdapter(postgres),
  mysql2: mysql2Adapter(mysql),
  mariadb: mariadbAdapter(mariadb),
} as unknown as Readonly<Record<string, Adapter<unknown>>>;

/** Codes of mysql2 that the table may name. */
const PROTOCOL_CODES = [
  "CONNECTION_LOST",
  "UNEXPECTED_PACKET",
  "PACKETS_OUT_OF_ORDER",
  "SEQUENCE_TIMEOUT",
  "LOCAL_INFILE_NOT_SUPPORTED",
].map((name) => `PROTOCOL_${name}`);

/** Returns the rows that name a verdict, as one text. */
async function said(driver: string, verdict: string): Promise<string> {
  const page = await read(`docs/drivers/${driver}.md`);
  const isVerdict = (cell: string) => cell.replaceAll('"', "`").replaceAll("`", "") === verdict;
  return rowsOf(page).filter((row) => row.some(isVerdict)).flat().join("; ");
}

/** Returns the numbers in a text, with those of its ranges ("1158 to 1161"). */
function numbersIn(text: string): number[] {
  return [...text.matchAll(/\b(\d{4,5})(?: to (\d{4,5}))?\b/g)].flatMap(([, from, to]) =>
    Array.from({ length: Number(to ?? from) - Number(from) + 1 }, (_, i) => Number(from) + i)
  );
}

for (const [driver, adapter] of Object.entries(ADAPTERS)) {
  Deno.test(`docs/drivers/${driver}.md names the socket's errors, and no other`, async () => {
    const isLost = (code: string) => adapter.classify!({ code }) === "disconnect";
    // Deno's list lacks one.
    const all = new Set([...Object.keys(os.constants.errno), "EHOSTDOWN", ...PROTOCOL_CODES]);
    const codes = [...all].filter(isLost);
    const text = await said(driver, "disconnect");
    const shown = [...text.matchAll(/\b(?:E[A-Z]{3,}|PROTOCOL_[A-Z_]+)\b/g)].map(([code]) => code);
    assertEquals([...new Set(shown)].sort(), codes.sort());
  });
}

for (const driver of ["mysql2", "mariadb"]) {
  for (const verdict of ["disconnect", "closed", "read-only"] as NonNullable<Verdict>[]) {
    Deno.test(`docs/drivers/${driver}.md names the numbers of errors that mean "${verdict}", and no other`, async () => {
      // The messages of the numbers that need one.
      const message = "WSREP has no Primary Component; --read-only; max_user_connections";
      const known = Array.from({ length: 50_000 }, (_, errno) => errno)
        .filter((errno) => ADAPTERS[driver]!.classify!({ errno, message }) === verdict);
      assertEquals(numbersIn(await said(driver, verdict)).sort((a, b) => a - b), known);
    });
  }
}
