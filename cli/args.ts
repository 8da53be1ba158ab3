/**
 * Reads the command line: the command, its argument and its flags. Throws a {@linkcode UsageError} if it is wrong.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { mustBe, mustBeUndisclosed, oneOf, unknownName } from "../internal/argument_error.ts";

/** The error of a wrong command line. Its message shows no value that may hold a password. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  /**
   * @param message The wrong argument, and what is allowed.
   * @param command The command, if known.
   */
  constructor(message: string, readonly command?: CommandName) {
    super(message);
  }
}

/** The commands. */
export type CommandName = "resolve" | "watch" | "check";

/** The values of flags by name, without the dashes, unchecked. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[]>>;

/** A command line. */
export type Call =
  | { readonly what: "help"; readonly about: CommandName | undefined }
  | { readonly what: "version" }
  | {
    readonly what: CommandName;
    /** The host or the URL; `undefined` if it is left out. */
    readonly target: string | undefined;
    readonly flags: Flags;
  };

interface Flag {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  readonly short?: string;
  /** Whether the value may be a URL, and its reader shows no password in it. */
  readonly guarded?: boolean;
}

const COMMON_FLAGS: Readonly<Record<string, Flag>> = {
  "help": { type: "boolean", short: "h" },
  "version": { type: "boolean" },
  "no-color": { type: "boolean" },
};

const DNS_FLAGS: Readonly<Record<string, Flag>> = {
  "nameserver": { type: "string", multiple: true },
  "lookup": { type: "string", guarded: true },
  "family": { type: "string" },
  "timeout": { type: "string" },
  "no-hosts": { type: "boolean" },
  "no-fallback": { type: "boolean" },
  "json": { type: "boolean" },
};

const COMMANDS: Readonly<Record<CommandName, Readonly<Record<string, Flag>>>> = {
  resolve: DNS_FLAGS,
  watch: DNS_FLAGS,
  check: {
    ...DNS_FLAGS,
    "connect-timeout": { type: "string" },
    "target-session-attrs": { type: "string" },
    "password-file": { type: "string", guarded: true },
    "credentials": { type: "string", guarded: true },
    "listen": { type: "string" },
    "setting": { type: "string", multiple: true, guarded: true },
  },
};
const NAMES = Object.keys(COMMANDS) as CommandName[];

/**
 * Reads the command line.
 *
 * @param args The arguments, without the program's name.
 * @returns The command, its argument and its flags.
 * @throws {UsageError} if the command, a flag or the number of arguments is wrong.
 */
export function readArgs(args: readonly string[]): Call {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  const word = args[at];
  if (word === undefined || word === "help") return readHelp(args, word);
  // A wrong flag before the word is reported first: the word may be its value.
  readFlags(args.slice(0, at), { ...COMMON_FLAGS, ...COMMANDS.check }, undefined);
  const command = commandOf(word);
  const known = { ...COMMON_FLAGS, ...COMMANDS[command] };
  const { flags, words } = readFlags(args.filter((_, index) => index !== at), known, command);
  if (flags.help) return { what: "help", about: command };
  if (flags.version) return { what: "version" };
  const [target, more] = words;
  if (more !== undefined) {
    const [name, allowed] = command === "check" ? ["URL", "one URL"] : ["HOST", "one host name"];
    throw usageError(mustBeUndisclosed(name, allowed, "several"), command);
  }
  return { what: command, target, flags };
}

/** Makes the `UsageError` with the message of another error. */
export function usageError({ message }: Error, command?: CommandName): UsageError {
  return new UsageError(message, command);
}

/** Reads a command line without a command, or with the command "help". */
function readHelp(args: readonly string[], word: string | undefined): Call {
  const { flags, words } = readFlags(args, COMMON_FLAGS, undefined);
  if (flags.version) return { what: "version" };
  const about = word === "help" ? words[1] : undefined;
  if (word === "help" || flags.help) {
    return { what: "help", about: about === undefined ? undefined : commandOf(about) };
  }
  throw usageError(mustBeUndisclosed("COMMAND", oneOf(NAMES), "none"));
}

function commandOf(word: string): CommandName {
  if ((NAMES as readonly string[]).includes(word)) return word as CommandName;
  if (!mayHoldPassword(word)) throw usageError(unknownName(word, "a command", NAMES));
  const got = word.includes("://") ? 'a URL, did you mean "check"?' : 'a word with an "@"';
  throw usageError(mustBeUndisclosed("COMMAND", oneOf(NAMES), got));
}

function readFlags(
  args: readonly string[],
  known: Readonly<Record<string, Flag>>,
  command: CommandName | undefined,
): { flags: Flags; words: readonly string[] } {
  const { tokens } = parseArgs({
    args: [...args],
    options: known,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const refuse = (name: string, allowed: string, got: string) =>
    usageError(mustBeUndisclosed(name, allowed, got), command);
  const flags: Record<string, string | boolean | readonly string[]> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const flag = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!flag) throw unknownFlag(rawName, known, command);
    if (flag.type === "boolean") {
      if (value !== undefined) throw refuse(rawName, "given without a value", "one");
      flags[name] = true;
    } else {
      // If the value begins with a dash, it is the next flag: the value is missing.
      if (!value || (!token.inlineValue && value.startsWith("-"))) {
        throw refuse(rawName, "followed by a value", "none");
      }
      if (!flag.guarded && mayHoldPassword(value)) {
        throw invalidValue(rawName, 'a value without "@" and "://"', value, command);
      }
      const list = flags[name] as readonly string[] | undefined;
      if (list && !flag.multiple) throw refuse(rawName, "given once", "two values");
      flags[name] = flag.multiple ? [...list ?? [], value] : value;
    }
  }
  return { flags, words };
}

function unknownFlag(
  rawName: string,
  known: Readonly<Record<string, Flag>>,
  command: CommandName | undefined,
): UsageError {
  const flags = Object.keys(known).map((name) => `--${name}`);
  const name = mayHoldPassword(rawName) ? "[hidden]" : rawName;
  return usageError(
    unknownName(name, `a flag of dnspool${command ? ` ${command}` : ""}`, flags),
    command,
  );
}

/** Makes the error for a flag's value, which is not shown if it may hold a password. */
export function invalidValue(
  name: string,
  allowed: string,
  value: string,
  command?: CommandName,
): UsageError {
  const error = mayHoldPassword(value)
    ? mustBeUndisclosed(name, allowed, 'a value with "@" or "://"')
    : mustBe(name, allowed, value);
  return usageError(error, command);
}

function mayHoldPassword(text: string): boolean {
  return /@|:\/\//.test(text);
}
