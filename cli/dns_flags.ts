/**
 * Converts the flags about DNS to the options of an engine, and the errors of options to errors of flags.
 *
 * @module
 */

import { DOH_URL_RULE, readDohUrl } from "../lookups/internal/doh_url.ts";
import type { LookupName } from "../lookups/lookup.ts";
import { type DnsOptions, type DnsSettings, readDnsOptions } from "../resolver/options.ts";
import { type CommandName, type Flags, invalidValue, usageError } from "./args.ts";

/** The flag of each option. */
const FLAGS: Readonly<Record<string, string>> = {
  dnsNameservers: "--nameserver",
  dnsFamily: "--family",
  dnsTimeout: "--timeout",
  connectTimeout: "--connect-timeout",
  targetSessionAttrs: "--target-session-attrs",
  channel: "--listen",
  settings: "--setting",
};

/**
 * Converts flags to options.
 *
 * @param flags The flags.
 * @returns The options, whose values are not all checked.
 * @throws {UsageError} if a value cannot be converted.
 */
export function dnsOptions(flags: Flags): DnsOptions {
  const { nameserver, lookup, family } = flags;
  const dnsTimeout = secondsOf(flags, "timeout");
  return {
    ...(nameserver !== undefined && { dnsNameservers: nameserver as readonly string[] }),
    ...(lookup !== undefined && { dnsLookup: lookupOf(String(lookup)) }),
    ...(family !== undefined && { dnsFamily: familyOf(String(family)) }),
    ...(dnsTimeout !== undefined && { dnsTimeout }),
    ...(flags["no-hosts"] === true && { dnsHosts: false }),
    ...(flags["no-fallback"] === true && { dnsFallback: false }),
  };
}

/** Returns the settings of a command's flags, checked, with defaults. */
export function dnsSettings(flags: Flags, command: CommandName): DnsSettings {
  return asUsage(() => readDnsOptions(dnsOptions(flags), command).settings);
}

/** Returns the number of seconds of a flag; `undefined` if it is not given. */
export function secondsOf(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(String(text))) return Number(text);
  throw invalidValue(`--${name}`, "a number of seconds", String(text));
}

/** Runs a function that checks arguments; its errors become those of the command line. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw toUsageError(error);
  }
}

/** Turns the error of an option into the `UsageError` of its flag; returns any other error. */
export function toUsageError(error: unknown): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError)) return error;
  const message = error.message.replace(
    /^"(\w+)(?:\[\d+\])?"/,
    (whole, name) => FLAGS[name] === undefined ? whole : `"${FLAGS[name]}"`,
  );
  return usageError(new Error(message));
}

function lookupOf(text: string): LookupName {
  if (text === "system" || text === "wire" || readDohUrl(text)) return text as LookupName;
  throw invalidValue("--lookup", `"system", "wire" or ${DOH_URL_RULE}`, text);
}

function familyOf(text: string): "auto" | 4 | 6 | "both" {
  const number = Number(text);
  return number === 4 || number === 6 ? number : text as "auto" | "both";
}
