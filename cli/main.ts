/**
 * From a command line to an exit status.
 *
 * @module
 */

import { DnsPoolError, ResolveError } from "../errors.ts";
import { staticAddresses } from "../lookups/static.ts";
import { hostOf } from "./answer.ts";
import { type Call, type Flags, readArgs, UsageError } from "./args.ts";
import { check } from "./check.ts";
import { asUsage, dnsSettings } from "./dns_flags.ts";
import { errorJson } from "./failure.ts";
import { printable } from "./format.ts";
import { helpText } from "./help.ts";
import { Interrupted, type Io } from "./io.ts";
import { resolve } from "./resolve.ts";
import { VERSION } from "./version.ts";
import { watch } from "./watch.ts";

/** The exit statuses that mean the same for every command. */
const STATUS = { failed: 1, usage: 2 } as const;

/**
 * Does what a command line says.
 *
 * @param args The arguments, without the program's name.
 * @param io The world.
 * @returns The exit status.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  let call: Call | undefined;
  try {
    call = readArgs(args);
    return await obey(call, io);
  } catch (error) {
    if (io.signal.aborted && io.signal.reason instanceof Interrupted) {
      return io.signal.reason.status;
    }
    if (error instanceof UsageError) {
      const command = error.command ?? (call && "flags" in call ? call.what : undefined);
      io.err(printable(error.message));
      io.err(`"dnspool ${command ? `${command} ` : ""}--help" explains it`);
      return STATUS.usage;
    }
    if (error instanceof DnsPoolError) fail(call, error, io);
    else io.err(`Cannot go on: ${error instanceof Error ? error.stack : String(error)}`);
    return STATUS.failed;
  }
}

async function obey(call: Call, io: Io): Promise<number> {
  switch (call.what) {
    case "help":
      io.out(helpText(call.about));
      return 0;
    case "version":
      io.out(VERSION);
      return 0;
    case "check":
      return await check(call.subject, call.flags, io);
    case "resolve":
      return await resolve(hostNamed(call.what, call.subject), how(call.flags, "resolve"), io);
    case "watch":
      return await watch(nameToWatch(call.subject), how(call.flags, "watch"), io);
  }
}

function hostNamed(what: string, subject: string | undefined): string {
  if (subject === undefined) throw new UsageError(`Cannot ${what} nothing: give a host name`);
  if (subject.includes("://")) {
    throw new UsageError(`Cannot ${what} a URL: give the host name in it`);
  }
  return asUsage(() => hostOf(subject));
}

function nameToWatch(subject: string | undefined): string {
  const host = hostNamed("watch", subject);
  if (!staticAddresses(host, "auto")) return host;
  throw new UsageError(`Cannot watch "${host}": it needs no DNS and never changes`);
}

function how(flags: Flags, command: "resolve" | "watch") {
  return { settings: dnsSettings(flags, command), json: flags.json === true };
}

/** What went wrong, in the manner that was asked for. */
function fail(call: Call | undefined, error: DnsPoolError, io: Io): void {
  const flags = call && "flags" in call ? call.flags : {};
  if (flags.json !== true) return io.err(printable(error.message));
  io.out(JSON.stringify({
    ...(error instanceof ResolveError && { host: error.host }),
    error: errorJson(error),
  }));
}
