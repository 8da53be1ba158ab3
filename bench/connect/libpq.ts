/**
 * The process that connects with libpq, PostgreSQL's own client library, called from Deno.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { ANSWER, type ConnectResult, type ConnectTask } from "./task.ts";

const CONNECTION_OK = 0;
const TUPLES_OK = 2;

const { symbols: pq } = Deno.dlopen("libpq.so.5", {
  PQconnectdb: { parameters: ["buffer"], result: "pointer", nonblocking: true },
  PQstatus: { parameters: ["pointer"], result: "i32" },
  PQerrorMessage: { parameters: ["pointer"], result: "pointer" },
  PQexec: { parameters: ["pointer", "buffer"], result: "pointer", nonblocking: true },
  PQresultStatus: { parameters: ["pointer"], result: "i32" },
  PQclear: { parameters: ["pointer"], result: "void" },
  PQfinish: { parameters: ["pointer"], result: "void" },
});

const cString = (text: string) => new TextEncoder().encode(`${text}\0`);
const STATEMENT = cString("SELECT 1");

async function connect(url: string): Promise<ConnectResult> {
  const beganMs = performance.now();
  const connection = await pq.PQconnectdb(cString(url));
  try {
    if (pq.PQstatus(connection) === CONNECTION_OK) {
      const result = await pq.PQexec(connection, STATEMENT);
      const status = pq.PQresultStatus(result);
      pq.PQclear(result);
      if (status === TUPLES_OK) return { ms: performance.now() - beganMs };
    }
    return { error: new Deno.UnsafePointerView(pq.PQerrorMessage(connection)!).getCString() };
  } finally {
    pq.PQfinish(connection);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { url }: ConnectTask = JSON.parse(line);
  console.log(ANSWER + JSON.stringify(await connect(url)));
}
