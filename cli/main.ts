/**
 * Runs a command line, and returns its exit status.
 *
 * @module
 */

import { DnsPoolError, ResolveError } from "../errors.ts";
import { mustBe, mustBeUndisclosed } from "../internal/argument_error.ts";
import { staticAddresses } from "../lookups/static.ts";
import type { DnsSettings } from "../resolver/options.ts";
import { hostOf } from "./answer.ts";
import { type Call, type Flags, readArgs, UsageError } from "./args.ts";
import { check } from "./check.ts";
import { type CommandContext, Interrupted } from "./context.ts";
import { asUsage, dnsSettings } from "./dns_flags.ts";
import { errorJson } from "./failure.ts";
import { printable } from "./format.ts";
import { helpText } from "./help.ts";
import { resolve } from "./resolve.ts";
import { VERSION } from "./version.ts";
import { watch } from "./watch.ts";

/** The exit statuses that mean the same for every command. */
const STATUS = { failed: 1, usage: 2 } as const;

/**
 * Runs a command line.
 *
 * @param args The arguments, without the program's name.
 * @param context The outputs, the environment and the signal.
 * @returns The exit status.
 */
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  let call: Call | undefined;
  try {
    call = readArgs(args);
    return await dispatch(call, context);
  } catch (error) {
    if (context.signal.aborted && context.signal.reason instanceof Interrupted) {
      return context.signal.reason.status;
    }
    if (error instanceof UsageError) {
      const command = error.command ?? (call && "flags" in call ? call.what : undefined);
      context.err(printable(error.message));
      context.err(`"dnspool ${command ? `${command} ` : ""}--help" explains it`);
      return STATUS.usage;
    }
    if (error instanceof DnsPoolError) showError(call, error, context);
    else context.err(`Unexpected error: ${error instanceof Error ? error.stack : String(error)}`);
    return STATUS.failed;
  }
}

async function dispatch(call: Call, context: CommandContext): Promise<number> {
  switch (call.what) {
    case "help":
      context.out(helpText(call.about));
      return 0;
    case "version":
      context.out(VERSION);
      return 0;
    case "check":
      return await check(call.target, call.flags, context);
    case "resolve":
      return await resolve(readHost(call.target), readSettings(call.flags, "resolve"), context);
    case "watch":
      return await watch(readDnsName(call.target), readSettings(call.flags, "watch"), context);
  }
}

function readHost(target: string | undefined): string {
  return asUsage(() => {
    if (target === undefined) throw mustBeUndisclosed("HOST", "a host name", "none");
    if (target.includes("://")) throw mustBeUndisclosed("HOST", "a host name", "a URL");
    return hostOf(target);
  });
}

function readDnsName(target: string | undefined): string {
  const host = readHost(target);
  if (!staticAddresses(host, "auto")) return host;
  return asUsage(() => {
    throw mustBe("HOST", "a name that DNS can change", host);
  });
}

function readSettings(
  flags: Flags,
  command: "resolve" | "watch",
): { readonly settings: DnsSettings; readonly json: boolean } {
  return { settings: dnsSettings(flags, command), json: flags.json === true };
}

/** Writes an error as text, or as JSON if that was asked for. */
function showError(call: Call | undefined, error: DnsPoolError, context: CommandContext): void {
  const flags = call && "flags" in call ? call.flags : {};
  if (flags.json !== true) return context.err(printable(error.message));
  context.out(JSON.stringify({
    ...(error instanceof ResolveError && { host: error.host }),
    error: errorJson(error),
  }));
}
