/**
 * Reads the command line: the command, what it is about, its flags. What cannot be meant is a {@linkcode UsageError}.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { nearest } from "../internal/argument_error.ts";

/** The command line cannot be meant. The message shows nothing in which a password might stand. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  /**
   * @param message What cannot be meant, and what is allowed.
   * @param command The command that it is about, where that is known.
   */
  constructor(message: string, readonly command?: CommandName) {
    super(message);
  }
}

/** The commands. */
export type CommandName = "resolve" | "watch" | "check";

/** Flags by name, without the dashes, as they were given. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[]>>;

/** What is to be done. */
export type Call =
  | { readonly what: "help"; readonly about: CommandName | undefined }
  | { readonly what: "version" }
  | {
    readonly what: CommandName;
    /** The host or the URL; `undefined` where it was left out. */
    readonly subject: string | undefined;
    readonly flags: Flags;
  };

interface Flag {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  readonly short?: string;
  /** Whether its value may be a URL: who reads it sees to it that no password in it is shown. */
  readonly guarded?: boolean;
}

const EVERYWHERE: Readonly<Record<string, Flag>> = {
  "help": { type: "boolean", short: "h" },
  "version": { type: "boolean" },
  "no-color": { type: "boolean" },
};

const DNS: Readonly<Record<string, Flag>> = {
  "nameserver": { type: "string", multiple: true },
  "lookup": { type: "string", guarded: true },
  "family": { type: "string" },
  "timeout": { type: "string" },
  "no-fallback": { type: "boolean" },
  "json": { type: "boolean" },
};

const COMMANDS: Readonly<Record<CommandName, Readonly<Record<string, Flag>>>> = {
  resolve: DNS,
  watch: DNS,
  check: {
    ...DNS,
    "connect-timeout": { type: "string" },
    "target-session-attrs": { type: "string" },
  },
};
const NAMES = Object.keys(COMMANDS) as CommandName[];

/**
 * Reads the command line.
 *
 * @param args The arguments, without the program's name.
 * @returns What is to be done.
 * @throws {UsageError} for what cannot be meant.
 */
export function readArgs(args: readonly string[]): Call {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  const word = args[at];
  if (word === undefined || word === "help") return readHelp(args, word);
  // A wrong flag first: what looks like a command may be its value.
  readFlags(args.slice(0, at), { ...EVERYWHERE, ...COMMANDS.check }, undefined);
  const command = commandOf(word);
  const known = { ...EVERYWHERE, ...COMMANDS[command] };
  const { flags, words } = readFlags(args.filter((_, index) => index !== at), known, command);
  if (flags.help) return { what: "help", about: command };
  if (flags.version) return { what: "version" };
  const [subject, more] = words;
  if (more !== undefined) {
    const one = command === "check" ? "URL" : "host name";
    throw new UsageError(`Cannot ${command} several at once: give one ${one}`, command);
  }
  return { what: command, subject, flags };
}

/** Without a command, or with the command "help". */
function readHelp(args: readonly string[], word: string | undefined): Call {
  const { flags, words } = readFlags(args, EVERYWHERE, undefined);
  if (flags.version) return { what: "version" };
  const about = word === "help" ? words[1] : undefined;
  if (word === "help" || flags.help) {
    return { what: "help", about: about === undefined ? undefined : commandOf(about) };
  }
  throw new UsageError(`Cannot tell what to do: the commands are ${NAMES.join(", ")}`);
}

function commandOf(word: string): CommandName {
  if ((NAMES as readonly string[]).includes(word)) return word as CommandName;
  const meant = word.includes("://") ? ', did you mean "check"?' : hint(word, NAMES);
  throw new UsageError(`Cannot run ${quoted(word)}: there is no such command${meant}`);
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
  const refuse = (message: string) => new UsageError(message, command);
  const flags: Record<string, string | boolean | readonly string[]> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const flag = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!flag) throw unknownFlag(rawName, known, command);
    if (flag.type === "boolean") {
      if (value !== undefined) throw refuse(`Cannot give ${rawName} a value: it takes none`);
      flags[name] = true;
    } else {
      // A value that looks like a flag is one: the value was forgotten.
      if (!value || (!token.inlineValue && value.startsWith("-"))) {
        throw refuse(`Cannot use ${rawName}: its value is missing`);
      }
      if (!flag.guarded && quoted(value) === HIDDEN) {
        throw refuse(
          `Cannot use ${HIDDEN} for ${rawName}: it is no URL, and there is no "@" in it`,
        );
      }
      const list = flags[name] as readonly string[] | undefined;
      if (list && !flag.multiple) throw refuse(`Cannot use ${rawName} twice: it takes one value`);
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
  const of = command ? ` of "dnspool ${command}"` : "";
  return new UsageError(
    `Cannot use the flag ${quoted(rawName)}${of}: there is no such flag${hint(rawName, flags)}`,
    command,
  );
}

function hint(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near ? `, did you mean "${near}"?` : `; there are ${known.join(", ")}`;
}

/** Stands for what is not shown. */
const HIDDEN = "this";

/** What somebody typed, unless a password might stand in it. */
export function quoted(text: string): string {
  return /@|:\/\//.test(text) ? HIDDEN : JSON.stringify(text);
}
