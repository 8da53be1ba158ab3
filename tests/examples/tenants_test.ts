import { assertEquals, assertRejects } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { asTenant, invoice, total } from "../../examples/tenants.ts";
import { freePort } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { getDnsEngine } from "../../mod.ts";

const OWNER = { user: "owner", password: "s3cret", database: "orders" };

/** The statements in the first lines of the example. */
async function statements(): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../examples/tenants.ts", import.meta.url));
  return text.match(/^ \* {5}.*$/gm)!.map((line) => line.slice(7)).join("\n");
}

Deno.test("examples/tenants.ts shows each tenant its own rows alone, on connections that are shared", async () => {
  const host = "127.0.0.1";
  await using server = await startPostgres({ ...OWNER, host, port: await freePort([host]) });
  const owner = new pg.Client({ connectionString: server.url() });
  await owner.connect();
  await owner.query("CREATE ROLE app LOGIN PASSWORD 'app'");
  await owner.query(await statements());
  await owner.end();
  await using engine = getDnsEngine(`postgresql://app:app@${host}:${server.port}/orders`, {
    adapter: pgAdapter(pg),
    poolSize: 1,
    maxOverflow: 0,
  });
  const other = "it's the 'other'";
  await invoice(engine, "first", 100);
  await invoice(engine, other, 20);
  await invoice(engine, other, 3);
  assertEquals(await Promise.all([total(engine, "first"), total(engine, other)]), [100, 23]);
  // One tenant can neither write nor read for another, nor can what is no transaction of a tenant.
  await assertRejects(
    () =>
      asTenant(
        engine,
        "first",
        ({ client }) =>
          client.query("INSERT INTO invoices (tenant, cents) VALUES ($1, 1)", [other]),
      ),
    Error,
    "row-level security",
  );
  assertEquals(await total(engine, ""), 0);
  assertEquals(await engine.query("SELECT * FROM invoices"), []);
  assertEquals(await total(engine, "first"), 100);
});
