/**
 * What `dnspool check` tries on a server because a flag asks for it: notifications, and settings of a transaction.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { Adapter, SettingValue, TransactionPlan } from "../adapters/adapter.ts";
import { mustBeUndisclosed, mustNotBeGiven } from "../internal/argument_error.ts";
import { deadline } from "../internal/async.ts";
import { now } from "../internal/clock.ts";
import { type Flags, usageError } from "./args.ts";

/** What is tried. */
export interface Trials {
  /** The channel of `--listen`. */
  readonly channel?: string | undefined;
  /** The statements for `--setting`. */
  readonly plan?: TransactionPlan | undefined;
}

/** The outcome of a trial: the seconds that it took, or the reason of its failure. */
export type Outcome =
  | { readonly took: number; readonly error?: undefined }
  | {
    readonly took?: undefined;
    readonly error: { readonly code: string | undefined; readonly message: string };
  };

/**
 * Reads the flags `--listen` and `--setting`.
 *
 * @param flags The flags.
 * @param adapter The adapter of the URL's driver.
 * @throws {UsageError} if a value is wrong, or the driver has no notifications.
 * @throws {TypeError} if the database can have no such setting.
 */
export function readTrials(flags: Flags, adapter: Adapter<unknown>): Trials {
  const { listen, setting = [] } = flags;
  const channel = listen as string | undefined;
  if (channel !== undefined) {
    if (!adapter.notifications || !adapter.query) {
      throw usageError(
        mustNotBeGiven("--listen", `the adapter "${adapter.name}" has no notifications`),
      );
    }
    adapter.notifications.check?.(channel);
  }
  const settings = Object.fromEntries((setting as readonly string[]).map(readSetting));
  if (Object.keys(settings).length === 0) return { channel };
  if (!adapter.planTransaction) {
    throw usageError(
      mustNotBeGiven(
        "--setting",
        `the adapter "${adapter.name}" has no settings of a transaction`,
      ),
    );
  }
  return { channel, plan: adapter.planTransaction({ settings }) };
}

function readSetting(text: string): [name: string, value: SettingValue] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    // It may be a value without its name.
    throw usageError(mustBeUndisclosed("--setting", "NAME=VALUE", "another form"));
  }
  // MySQL wants numbers as numbers; to PostgreSQL, all of them are text.
  const number = Number(value);
  return [name, String(number) === value && Number.isFinite(number) ? number : value];
}

/**
 * Listens on one connection, and sends a notification on another one.
 *
 * @param listener A connection that was just opened, and has no other use.
 * @param sender Another one to the same server.
 * @param options The channel, the maximum time in milliseconds, and the signal.
 * @returns The seconds from the sending to the notification.
 */
export async function tryListen<C>(
  listener: C,
  sender: C,
  { adapter, channel, limitMs, signal }: {
    readonly adapter: Adapter<C>;
    readonly channel: string;
    readonly limitMs: number;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const payload = `dnspool check ${randomUUID()}`;
  let sentMs: number | undefined;
  const work = async () => {
    const heard = new Promise<void>((resolve) =>
      adapter.notifications!.onNotify(listener, (name, text) => {
        if (name === channel && text === payload) resolve();
      })
    );
    await adapter.notifications!.listen(listener, channel);
    sentMs = now();
    await adapter.query!(sender, "SELECT pg_notify($1, $2)", [channel, payload]);
    await heard;
    return (now() - sentMs) / 1000;
  };
  return await deadline(limitMs, work, {
    signal,
    what: () => sentMs === undefined ? "no answer to LISTEN" : "no notification",
  });
}

/**
 * Sets the settings in a transaction, and rolls it back.
 *
 * @param client The connection.
 * @param options The plan, the maximum time in milliseconds, and the signal.
 * @returns The seconds that it took.
 */
export async function trySettings<C>(
  client: C,
  { adapter, plan: { before, begin, after, end }, limitMs, signal }: {
    readonly adapter: Adapter<C>;
    readonly plan: TransactionPlan;
    readonly limitMs: number;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const startMs = now();
  const run = async (statements: TransactionPlan["before"]) => {
    for (const [text, values] of statements) await adapter.query!(client, text, values);
  };
  const work = async () => {
    await run(before);
    await (adapter.begin ? adapter.begin(client, begin) : run([[begin]]));
    await run(after);
    await run([["ROLLBACK"], ...end]);
    return (now() - startMs) / 1000;
  };
  return await deadline(limitMs, work, { signal, what: "no end of the transaction" });
}
