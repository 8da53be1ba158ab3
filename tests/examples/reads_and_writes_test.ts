/** The examples for reads and writes on two names, on a primary and its standby, which is promoted. */

import { assertEquals } from "@std/assert";
import * as drizzle from "../../examples/reads_and_writes_drizzle.ts";
import * as engines from "../../examples/reads_and_writes.ts";
import * as kysely from "../../examples/reads_and_writes_kysely.ts";
import * as sequelize from "../../examples/reads_and_writes_sequelize.ts";
import * as typeorm from "../../examples/reads_and_writes_typeorm.ts";
import type { DnsPoolOptions } from "../../drop_in/pg_pool.ts";
import { ReplicatedPair } from "../../lab/replicated_pair.ts";
import { clearDnsCache } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { until } from "../support/waiting.ts";

const WRITER = "primary.test";
const READER = "replicas.test";
const TTL = 1;
const CUSTOMER = 42;

/** An example with both names open. */
interface Opened {
  /** Writes; returns the server that did. */
  write(): Promise<unknown>;
  /** Reads; returns the server that answered, and how many orders it has. */
  read(): Promise<{ orders: number | string; server: unknown }>;
  close(): Promise<unknown>;
}

type Open = (writerUrl: string, readerUrl: string, options: DnsPoolOptions) => Promise<Opened>;

interface DropInExample<D extends { close(): Promise<unknown> }> {
  openDatabase(writerUrl: string, readerUrl: string, options: DnsPoolOptions): D | Promise<D>;
  order(db: D, customer: number): Promise<unknown>;
  countOrders(db: D, customer: number): Promise<{ orders: number | string; server: unknown }>;
}

function dropIn<D extends { close(): Promise<unknown> }>(example: DropInExample<D>): Open {
  return async (writerUrl, readerUrl, options) => {
    const db = await example.openDatabase(writerUrl, readerUrl, options);
    return {
      write: () => example.order(db, CUSTOMER),
      read: () => example.countOrders(db, CUSTOMER),
      close: () => db.close(),
    };
  };
}

const EXAMPLES: Readonly<Record<string, Open>> = {
  reads_and_writes_drizzle: dropIn(drizzle),
  reads_and_writes_kysely: dropIn(kysely),
  reads_and_writes_sequelize: dropIn(sequelize),
  reads_and_writes_typeorm: dropIn(typeorm),
  reads_and_writes(writerUrl, readerUrl, options) {
    const both = readerUrl.replace(
      /(?<=@)[^/]+/,
      (reader) => `${reader},${new URL(writerUrl).host}`,
    );
    const db = engines.openDatabase(writerUrl, both, options);
    return Promise.resolve({
      write: async () => (await engines.order(db, CUSTOMER)).server,
      read: () => engines.count(db.reader, CUSTOMER),
      close: () => Promise.all([db.writer.close(), db.reader.close()]),
    });
  },
};

Deno.test("the examples of reads and writes use the standby and the primary, and follow both names", async () => {
  await using pair = await ReplicatedPair.start(
    "CREATE TABLE orders (id serial PRIMARY KEY, customer int, server text DEFAULT host(inet_server_addr()))",
  );
  await using dns = await DnsServer.start();
  const [primary, standby] = [pair.primary.host, pair.standbyAddress!];
  const { port } = pair.primary;
  const answer = (name: string, address: string) => dns.set(name, [address], { ttl: TTL });
  answer(WRITER, primary);
  answer(READER, standby);
  const urlOf = (hosts: string) => `postgresql://app:s3cret@${hosts}:${port}/orders`;
  const options = { dnsNameservers: [dns.address], dnsFallback: false };
  const opened = new Map<string, Opened>();
  try {
    for (const [name, open] of Object.entries(EXAMPLES)) {
      opened.set(name, await open(urlOf(WRITER), urlOf(READER), options));
    }
    for (const [name, { write, read }] of opened) {
      assertEquals(await write(), primary, name);
      assertEquals((await read()).server, standby, name);
    }
    await until(async () => Number((await opened.get("reads_and_writes")!.read()).orders) === 5);

    // A read that has to see a write, on the standby; and on the primary while no standby is there.
    const db = engines.openDatabase(urlOf(WRITER), urlOf(READER), options);
    const { position } = await engines.order(db, CUSTOMER);
    const read = await engines.countSince(db, CUSTOMER, position, 30_000);
    assertEquals(read, { orders: 6, server: standby });
    const ahead = "FFFFFFFF/FFFFFFFF";
    assertEquals(await engines.countSince(db, CUSTOMER, ahead, 20), { orders: 6, server: primary });
    await Promise.all([db.writer.close(), db.reader.close()]);

    const end = await pair.failOver("stopped");
    answer(WRITER, standby);
    answer(READER, standby);
    for (const [name, { write, read }] of opened) {
      await until(async () => await write().catch(() => undefined) === standby);
      const { server, orders } = await read();
      assertEquals([server, Number(orders) > 5], [standby, true], name);
    }
    await end();
  } finally {
    await Promise.all([...opened.values()].map((each) => each.close()));
    clearDnsCache();
  }
});
