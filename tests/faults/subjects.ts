/**
 * Everything that has connections to a server: engines with each driver, and the drop-ins.
 *
 * @module
 */

import mysqlModule from "npm:mysql2@^3.24/promise";
import * as mariadbModule from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { DnsMysql2Pool, type DnsPoolOptions } from "../../drop_in/mysql2_pool.ts";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";

/** The options that engines and drop-ins have under different names. */
export interface Limits {
  readonly poolSize: number;
  /** Timeout of a checkout, and of a connect, in seconds. */
  readonly poolTimeout: number;
  readonly connectTimeout: number;
}

/** A pool of connections, as callers use it. */
export interface Caller {
  readonly engine: Engine<unknown>;
  /** Runs one statement. */
  run(text: string): Promise<unknown>;
  /** Runs statements on one connection, whatever their outcome; resolves with the first error. */
  runOnOne(texts: readonly string[]): Promise<unknown>;
  end(): Promise<unknown>;
}

/** Something that has connections. */
export interface Subject {
  readonly name: string;
  readonly database: "PostgreSQL" | "MariaDB";
  /** Whether a connection on which a write was refused as read-only is closed, whatever the server's role. */
  readonly closesReadOnly: boolean;
  make(url: string, limits: Limits, options: DnsPoolOptions): Caller;
}

/** A client of any of the drivers. */
interface Client {
  query(text: string): Promise<unknown>;
  unsafe?(text: string): Promise<unknown>;
}

function send(client: unknown, text: string): Promise<unknown> {
  const { unsafe } = client as Client;
  return Promise.resolve(
    unsafe ? unsafe.call(client, text) : (client as Client).query(text),
  );
}

async function firstError(client: unknown, texts: readonly string[]): Promise<unknown> {
  let first: unknown;
  for (const text of texts) await send(client, text).catch((error) => first ??= error);
  return first;
}

function engineSubject(database: Subject["database"], adapter: Adapter<unknown>): Subject {
  return {
    name: adapter.name,
    database,
    closesReadOnly: false,
    make(url, limits, options) {
      const all: EngineOptions<unknown> = { adapter, ...limits, maxOverflow: 0, ...options };
      const engine = getDnsEngine<unknown>(url, all);
      return {
        engine,
        run: (text) => engine.query(text),
        // As code does that handles its errors by itself.
        runOnOne: (texts) => engine.use(({ client }) => firstError(client, texts)),
        end: () => engine.close({ drain: 5 }),
      };
    },
  };
}

/** All of them. */
export const SUBJECTS: readonly Subject[] = [
  engineSubject("PostgreSQL", pgAdapter(pg) as Adapter<unknown>),
  engineSubject("PostgreSQL", postgresjsAdapter(postgres) as Adapter<unknown>),
  {
    name: "DnsPgPool",
    database: "PostgreSQL",
    closesReadOnly: true,
    make(connectionString, { poolSize, poolTimeout }, options) {
      const pool = new DnsPgPool(pg, {
        connectionString,
        max: poolSize,
        connectionTimeoutMillis: poolTimeout * 1000,
        ...options,
      });
      return {
        engine: pool.engine!,
        run: (text) => pool.query(text),
        async runOnOne(texts) {
          const client = await pool.connect();
          try {
            return await firstError(client, texts);
          } finally {
            client.release();
          }
        },
        end: () => pool.end(),
      };
    },
  },
  engineSubject("MariaDB", mysql2Adapter(mysqlModule) as Adapter<unknown>),
  engineSubject("MariaDB", mariadbAdapter(mariadbModule) as Adapter<unknown>),
  {
    name: "DnsMysql2Pool",
    database: "MariaDB",
    closesReadOnly: true,
    make(uri, { poolSize, poolTimeout, connectTimeout }, options) {
      const pool = new DnsMysql2Pool(mysqlModule, {
        uri,
        connectionLimit: poolSize,
        poolTimeout,
        connectTimeout: connectTimeout * 1000,
        ...options,
      });
      return {
        engine: pool.engine!,
        run: (text) => pool.query(text),
        async runOnOne(texts) {
          const connection = await pool.getConnection();
          try {
            return await firstError(connection, texts);
          } finally {
            connection.release();
          }
        },
        end: () => pool.end(),
      };
    },
  },
];
