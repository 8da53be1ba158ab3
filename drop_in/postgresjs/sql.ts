/**
 * The function and the methods of what `postgres()` returns, on an engine.
 *
 * @module
 */

import { readFile } from "node:fs";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { type Client, clientsOf } from "./clients.ts";
import { listenOn } from "./listen.ts";
import type {
  DriverFunction,
  DriverQuery,
  DriverSql,
  Handler,
  ParsedOptions,
  ReservedSql,
} from "./module.ts";
import { originsOf } from "./origins.ts";
import { connectionError, type GivenOptions, readSettings } from "./settings.ts";
import { Statements } from "./statements.ts";

const NO_SUBSCRIBE =
  "Cannot call subscribe() on a pool that follows DNS: the server to which the name moves has no replication slot of it, and changes would be lost without a word; use postgres() itself for it, and read again what it tells when it calls onsubscribe";

/**
 * Makes a `sql` whose statements run on the connections of an engine. Queries, fragments, identifiers and values are
 * made by the driver's own; only what begins a query is replaced.
 *
 * @param postgres The driver's function.
 * @param original What it returned. It opens no connection.
 * @param given What was given.
 */
export function createSql(
  postgres: DriverFunction,
  original: DriverSql,
  given: GivenOptions,
): { readonly sql: DriverSql; readonly engine: Engine<Client> } {
  const { options } = original;
  const settings = readSettings(given, options);
  const clients = clientsOf(postgres, options, settings.max);
  const engine = getDnsEngine<Client>(settings.url, {
    ...settings.engine as object,
    adapter: clients.adapter,
  });
  const statements = new Statements(engine, clients, settings, options.max_pipeline >= 1);
  const life = lifeOf(engine, statements, options);
  const run: Handler = (query) => {
    if (life.hasEnded()) query.reject(connectionError("CONNECTION_ENDED", options));
    else statements.run(query);
  };
  const queries = queriesOf(original, run);
  const overrides = {
    ...queries,
    notify: async (channel: unknown, payload: unknown) =>
      await sql`select pg_notify(${channel}, ${`${payload}`})`,
    begin: async (...args: unknown[]) => {
      await undefined; // as a statement does: they begin in the order in which they are made
      life.check();
      return await statements.runAlone((client) => client.begin(...args));
    },
    reserve: async () => {
      life.check();
      return await reserve(statements);
    },
    listen: listenOn(engine, clients, life.check),
    subscribe: () => Promise.reject(new TypeError(NO_SUBSCRIBE)),
    end: life.end,
    close: life.close,
  };
  for (const name of ["pass", "ssl"] as const) hide(options, name);
  // The driver's own methods for large objects begin their transactions with this one.
  original.begin = overrides.begin;
  const origins = originsOf(original);
  function sql(strings: unknown, ...args: unknown[]): unknown {
    origins?.note(strings, sql);
    return follow(original(strings, ...args), run);
  }
  return { sql: Object.assign(sql, original, overrides) as unknown as DriverSql, engine };
}

/** Hides an option that is or has a secret from who inspects the options. */
function hide(options: ParsedOptions, name: keyof ParsedOptions): void {
  Object.defineProperty(options, name, { enumerable: false, writable: true, value: options[name] });
}

/** Makes a query begin on a connection of the engine. Fragments, identifiers and values are returned as they are. */
function follow<T>(made: T, run: Handler): T {
  const query = made as Partial<DriverQuery>;
  if (query.handler !== undefined) query.handler = run;
  return made;
}

function queriesOf(original: DriverSql, run: Handler): Pick<DriverSql, "unsafe" | "file"> {
  return {
    // deno-lint-ignore no-explicit-any -- the driver looks at the number of arguments
    unsafe: (...args: any) => follow((original.unsafe as any)(...args), run),
    // deno-lint-ignore no-explicit-any -- the driver looks at the number of arguments
    file(...args: any) {
      // deno-lint-ignore no-explicit-any -- the driver looks at the number of arguments
      return follow((original.file as any)(...args), (query) => {
        readFile(args[0], "utf8", (error, text) => {
          if (error) return query.reject(error);
          query.strings = [text];
          run(query);
        });
      });
    },
  };
}

/** Takes a connection until its `release()` is called. */
function reserve(statements: Statements): Promise<ReservedSql> {
  return new Promise((resolve, reject) => {
    statements.runAlone((client, { signal }, ended) =>
      new Promise<void>((done, failed) => {
        signal.addEventListener("abort", () => done());
        client.reserve().then((reserved) => {
          const { release } = reserved;
          reserved.release = () => {
            reserved.release = () => {};
            // Before, the driver would send the next statement into the middle of one that it describes.
            ended().then(() => {
              release();
              reserved.release = () => {};
              done();
            });
          };
          resolve(reserved);
        }, failed);
      })
    ).catch(reject);
  });
}

/** The end of a pool. */
interface Life {
  hasEnded(): boolean;
  /** Throws if the pool has ended. */
  check(): void;
  readonly end: DriverSql["end"];
  readonly close: DriverSql["close"];
}

function lifeOf(engine: Engine<Client>, statements: Statements, options: ParsedOptions): Life {
  let ending: Promise<void> | undefined;
  const end = async (timeout: number | null) => {
    let limit: ReturnType<typeof setTimeout> | undefined;
    const destroyed = new Promise<void>((resolve) => {
      if (timeout !== null) limit = setTimeout(resolve, timeout * 1000);
    }).then(() => statements.destroy(connectionError("CONNECTION_DESTROYED", options)));
    await Promise.race([statements.untilDone(), destroyed]);
    clearTimeout(limit);
    await engine.close({ drain: 0 });
  };
  return {
    hasEnded: () => ending !== undefined,
    check() {
      if (ending !== undefined) throw connectionError("CONNECTION_ENDED", options);
    },
    async end({ timeout = null }: { timeout?: number | null } = {}) {
      await undefined; // statements of this turn still begin
      await (ending ??= end(timeout));
    },
    async close() {
      statements.leaveOpen();
      await engine.dispose();
    },
  };
}
