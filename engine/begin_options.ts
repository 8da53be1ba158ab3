/**
 * Reads the options of a transaction.
 *
 * @module
 */

import type {
  Adapter,
  SettingValue,
  TransactionPlan,
  TransactionSettings,
} from "../adapters/adapter.ts";
import { mustBe, mustBeUndisclosed, mustNotBeGiven } from "../internal/argument_error.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { CheckoutOptions } from "../pool/contract.ts";
import type { Lease } from "../pool/lease.ts";
import { PoolLease } from "../pool/pool_lease.ts";
import type { BeginOptions } from "./types.ts";

/** The options of a transaction, checked. */
export interface BeginRequest<C> {
  readonly within: Lease<C> | undefined;
  /** Signal and timeout; `undefined` if there is neither. */
  readonly limit: CheckoutOptions | undefined;
  /** The statements of a transaction with settings. */
  readonly plan: TransactionPlan | undefined;
}

const NO_OPTIONS = { within: undefined, limit: undefined, plan: undefined };

/**
 * Reads the options of a transaction.
 *
 * @param options The caller's options.
 * @param adapter The adapter, which plans a transaction with settings.
 * @throws {TypeError} if one is not valid, or the adapter cannot have it.
 * @throws {RangeError} if a number is outside its range.
 */
export function readBeginOptions<C>(
  options: BeginOptions<C> | undefined,
  adapter: Adapter<C>,
): BeginRequest<C> {
  if (options === undefined) return NO_OPTIONS;
  const reader = new OptionReader(options, "begin");
  const within = reader.value<Lease<C> | undefined>("within", undefined, (value) => {
    if (PoolLease.isLease(value)) return value as Lease<C>;
    throw mustBe("within", "a lease", value);
  });
  const limit = readLimit(reader);
  const wanted: TransactionSettings = {
    isolationLevel: reader.string("isolationLevel"),
    readOnly: reader.oneOf<boolean | undefined>("readOnly", undefined, [true, false]),
    deferrable: reader.oneOf<boolean | undefined>("deferrable", undefined, [true, false]),
    settings: checkSettings(reader.object<Record<string, SettingValue>>("settings", {})),
  };
  reader.done();
  const isLimited = limit.signal !== undefined || limit.timeoutMs !== undefined;
  return {
    within,
    limit: isLimited ? limit : undefined,
    plan: planOf(wanted, adapter, within !== undefined),
  };
}

/** Reads the signal and the timeout of a call whose timeout is for the work too, so that 0 makes no sense. */
export function readLimit(reader: OptionReader): CheckoutOptions {
  const signal = reader.signal();
  const timeoutMs = reader.timeoutAsMs("timeout", NaN, { above: 0, infinite: true });
  return { signal, timeoutMs: Number.isNaN(timeoutMs) ? undefined : timeoutMs };
}

function planOf<C>(
  wanted: TransactionSettings,
  adapter: Adapter<C>,
  isNested: boolean,
): TransactionPlan | undefined {
  const given = Object.entries(wanted).find(([name, value]) =>
    name === "settings" ? Object.keys(value).length > 0 : value !== undefined
  );
  if (!given) return undefined;
  const [option] = given;
  if (isNested) {
    throw mustNotBeGiven(option, 'a savepoint has none of its own, give it without "within"');
  }
  if (!adapter.planTransaction) {
    const reason = `the adapter "${adapter.name}" has no method "planTransaction"`;
    throw mustNotBeGiven(option, reason);
  }
  return adapter.planTransaction(wanted);
}

/** Checks settings. What is missing is refused: without its tenant, a transaction may see the rows of all. */
function checkSettings(
  settings: Readonly<Record<string, SettingValue>>,
): Readonly<Record<string, SettingValue>> {
  for (const [name, value] of Object.entries(settings)) {
    if (name === "") throw mustBe("settings", "settings by name", name);
    if (isSettingValue(value)) continue;
    throw mustBeUndisclosed(
      `settings[${JSON.stringify(name)}]`,
      "a string, a finite number, a boolean or an array of strings",
      value === undefined || value === null ? String(value) : "another value",
    );
  }
  return { ...settings };
}

function isSettingValue(value: unknown): value is SettingValue {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "bigint":
      return true;
    case "number":
      return Number.isFinite(value);
    default:
      return Array.isArray(value) && value.length > 0 &&
        value.every((part) => typeof part === "string" && part !== "");
  }
}
