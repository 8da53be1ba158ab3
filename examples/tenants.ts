/**
 * Row-level security by tenant: each transaction says whose rows it is for, and the server shows it no others. The
 * statements that define it, run by the owner of the table:
 *
 *     CREATE TABLE invoices (id bigserial PRIMARY KEY, tenant text NOT NULL, cents int NOT NULL);
 *     ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
 *     CREATE POLICY of_tenant ON invoices USING (tenant = nullif(current_setting('app.tenant', true), ''));
 *     CREATE ROLE tenants NOLOGIN;
 *     GRANT SELECT, INSERT ON invoices TO tenants;
 *     GRANT USAGE ON SEQUENCE invoices_id_seq TO tenants;
 *     GRANT tenants TO app;
 *
 * A setting of one transaction leaves an empty string behind in its session, which is why the policy has `nullif`.
 */

import type { Engine, Lease } from "@dnspool/dnspool";
// @ts-types="npm:@types/pg@^8"
import type pg from "npm:pg@^8.23";

/** Runs a function in a transaction for one tenant. */
export function asTenant<T>(
  engine: Engine<pg.Client>,
  tenant: string,
  fn: (lease: Lease<pg.Client>) => Promise<T>,
): Promise<T> {
  return engine.begin(fn, { settings: { role: "tenants", "app.tenant": tenant } });
}

/** Adds an invoice. */
export async function invoice(
  engine: Engine<pg.Client>,
  tenant: string,
  cents: number,
): Promise<void> {
  await asTenant(engine, tenant, async ({ client }) => {
    await client.query("INSERT INTO invoices (tenant, cents) VALUES ($1, $2)", [tenant, cents]);
  });
}

/** Returns the sum of a tenant's invoices; the statement need not name the tenant. */
export async function total(engine: Engine<pg.Client>, tenant: string): Promise<number> {
  return await asTenant(engine, tenant, async ({ client }) => {
    const { rows } = await client.query(
      "SELECT coalesce(sum(cents), 0)::int AS cents FROM invoices",
    );
    return rows[0].cents;
  });
}
