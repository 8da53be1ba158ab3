/**
 * The flags about DNS as the options that an engine has, and errors that speak of the flags.
 *
 * @module
 */

import { type DnsOptions, type DnsSettings, readDnsOptions } from "../resolver/options.ts";
import { DOH_URL_RULE, readDohUrl } from "../lookups/internal/doh_url.ts";
import type { LookupName } from "../lookups/lookup.ts";
import { type CommandName, type Flags, quoted, UsageError } from "./args.ts";

/** The flag of each option. */
const FLAGS: Readonly<Record<string, string>> = {
  dnsNameservers: "--nameserver",
  dnsFamily: "--family",
  dnsTimeout: "--timeout",
  connectTimeout: "--connect-timeout",
  targetSessionAttrs: "--target-session-attrs",
};

/**
 * The options that the flags stand for.
 *
 * @param flags The flags, as they were given.
 * @returns The options; whether they can be meant is still to be seen.
 * @throws {UsageError} for a flag that stands for no option's value.
 */
export function dnsOptions(flags: Flags): DnsOptions {
  const { nameserver, lookup, family } = flags;
  const dnsTimeout = numberOf(flags, "timeout");
  return {
    ...(nameserver !== undefined && { dnsNameservers: nameserver as readonly string[] }),
    ...(lookup !== undefined && { dnsLookup: lookupOf(String(lookup)) }),
    ...(family !== undefined && { dnsFamily: familyOf(String(family)) }),
    ...(dnsTimeout !== undefined && { dnsTimeout }),
    ...(flags["no-fallback"] === true && { dnsFallback: false }),
  };
}

/** The options of a command, checked; with defaults. */
export function dnsSettings(flags: Flags, command: CommandName): DnsSettings {
  return asUsage(() => readDnsOptions(dnsOptions(flags), command).settings);
}

/** A flag's number; `undefined` where it was not given. */
export function numberOf(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(String(text))) return Number(text);
  throw new UsageError(
    `Cannot use ${quoted(String(text))} for --${name}: it is a number of seconds`,
  );
}

/** Runs what reads options: what it refuses was wrong on the command line. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw usageError(error);
    throw error;
  }
}

/** The error of an option, about its flag. */
export function usageError({ message }: Error): UsageError {
  return new UsageError(
    message.replace(/"(\w+)(?:\[\d+\])?"/g, (whole, name) => FLAGS[name] ?? whole),
  );
}

function lookupOf(text: string): LookupName {
  if (text === "system" || text === "wire" || readDohUrl(text)) return text as LookupName;
  throw new UsageError(
    `Cannot use ${quoted(text)} for --lookup: it is "system", "wire" or ${DOH_URL_RULE}`,
  );
}

function familyOf(text: string): "auto" | 4 | 6 | "both" {
  const number = Number(text);
  return number === 4 || number === 6 ? number : text as "auto" | "both";
}
