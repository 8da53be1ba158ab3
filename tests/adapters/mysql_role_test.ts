import { assertEquals, assertRejects } from "@std/assert";
import { mysqlSessionMethods } from "../../adapters/shared/mysql.ts";

/** A client of a server with these variables, and the statements that it was sent. */
function server(variables: Readonly<Record<string, string>>, wsrepReady?: string) {
  const asked: string[] = [];
  const ask = (_client: unknown, text: string) => {
    asked.push(text);
    const named = Object.entries(variables).filter(([name]) => text.includes(`'${name}'`));
    const rows = named.map(([Variable_name, Value]) => ({ Variable_name, Value }));
    if (!text.startsWith("SHOW STATUS")) return Promise.resolve(rows);
    return Promise.resolve(
      wsrepReady === undefined ? [] : [{ Variable_name: "wsrep_ready", Value: wsrepReady }],
    );
  };
  const { role } = mysqlSessionMethods<object>(ask);
  return { asked, role: () => role({}) };
}

const GALERA = { wsrep_on: "ON", wsrep_provider: "/usr/lib/galera/libgalera_smm.so" };
const PRIMARY = { standby: false, readOnly: false };

Deno.test("role() of a Galera node depends on wsrep_ready", async () => {
  assertEquals(await server(GALERA, "ON").role(), PRIMARY);
  assertEquals(await server(GALERA, "OFF").role(), { standby: false, readOnly: true });
});

Deno.test("role() of a Galera node that is told to reject queries is read-only, though it says that it is ready", async () => {
  for (const wsrep_reject_queries of ["ALL", "ALL_KILL"]) {
    const node = server({ ...GALERA, wsrep_reject_queries }, "ON");
    assertEquals(await node.role(), { standby: false, readOnly: true });
  }
  assertEquals(await server({ ...GALERA, wsrep_reject_queries: "NONE" }, "ON").role(), PRIMARY);
});

Deno.test("role() of a node that has wsrep_ready in no list is that of any other server", async () => {
  assertEquals(await server(GALERA).role(), PRIMARY);
});

Deno.test("ping() asks for a statement: a Galera node without its cluster answers a ping of the protocol", async () => {
  const { ping } = mysqlSessionMethods<object>((_client, text) =>
    /^(SHOW|SET|USE|SELECT 1)\b/.test(text) ? Promise.resolve([]) : Promise.reject(new Error(text))
  );
  await assertRejects(() => ping({}), Error, "DO 0");
});

Deno.test("role() asks a server without a Galera provider one statement only", async () => {
  for (const variables of [{}, { wsrep_on: "OFF", wsrep_provider: "none" }]) {
    const plain = server({ ...variables, read_only: "OFF" }, "OFF");
    assertEquals([await plain.role(), plain.asked.length], [PRIMARY, 1]);
  }
  const standby = server({ read_only: "ON" });
  assertEquals(await standby.role(), { standby: true, readOnly: true });
});
