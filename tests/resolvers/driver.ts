/**
 * A program for every runtime that keeps engines warm and says which address their checkouts get. Its standard input is
 * one line, a {@linkcode DriverPlan}; its output is a line of JSON for each {@linkcode DriverReport}. It ends with its input.
 *
 * @module
 */

import process from "node:process";
import {
  type DnsOptions,
  type Engine,
  type EngineObserver,
  getDnsEngine,
  type LookupName,
} from "@dnspool/dnspool";
import { dohLookup } from "@dnspool/dnspool/lookups/doh";
import { fakeAdapter } from "@dnspool/dnspool/testing";

/** A name, and how it is asked for. */
export interface Asked {
  readonly id: number;
  readonly name: string;
  /** `"doh"` asks the server over HTTPS. */
  readonly lookup: LookupName | "doh";
  /** The name server, with its port; of `"doh"`, the URL. */
  readonly server: string;
  /** The certificate of the authority that `"doh"` trusts. */
  readonly ca?: string | undefined;
}

/** What a driver does. */
export interface DriverPlan {
  /** Milliseconds from one checkout of an engine to its next. */
  readonly everyMs: number;
  /** The names that an engine follows. */
  readonly followed: readonly Asked[];
  /** The names that are resolved once. */
  readonly resolved: readonly Asked[];
}

/** What a driver says. Times are those of the wall clock, in milliseconds. */
export type DriverReport =
  /** An engine's checkouts give another address from now on. */
  | {
    readonly what: "address";
    readonly id: number;
    readonly address: string;
    /** The first checkout that gave it. */
    readonly at: number;
    /**
     * The longest that the driver's own timer was late since the engine's report before, or that the server let an answer
     * wait, in milliseconds: a packet that is lost between the server and the zone costs most of a second.
     */
    readonly lateMs: number;
  }
  /** A checkout failed. */
  | { readonly what: "failure"; readonly id: number; readonly code: string }
  /** The longest checkout so far, if it took more than 50 ms. */
  | { readonly what: "wait"; readonly id: number; readonly waitMs: number }
  /** The number of addresses of a name that was resolved once, or the code of the error. */
  | { readonly what: "resolved"; readonly id: number; readonly result: number | string };

/** Milliseconds above which a checkout has waited. */
const MIN_WAIT_MS = 50;

function report(line: DriverReport): void {
  process.stdout.write(JSON.stringify(line) + "\n");
}

/** Returns the code of an error, or its text. */
function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}

function sourceOf({ lookup, server, ca }: Asked): DnsOptions {
  return lookup === "doh"
    ? { dnsLookup: dohLookup(server, { ca }) }
    : { dnsLookup: lookup, dnsNameservers: [server] };
}

function engineFor(asked: Asked, observer: EngineObserver = {}): Engine<unknown> {
  return getDnsEngine(`fake://app@${asked.name}/lab`, {
    adapter: fakeAdapter(),
    observer,
    ...sourceOf(asked),
    dnsFallback: false,
    poolSize: 1,
    maxOverflow: 0,
  });
}

/** The engine of one name, and what it gave last. */
class Follower {
  readonly #asked: Asked;
  readonly #engine: Engine<unknown>;
  #address: string | undefined;
  #waiting = false;
  #longestMs = MIN_WAIT_MS;
  #lateMs = 0;

  constructor(asked: Asked) {
    this.#asked = asked;
    const resolved = ({ seconds }: { readonly seconds: number }) => {
      this.#lateMs = Math.max(this.#lateMs, seconds * 1000);
    };
    this.#engine = engineFor(asked, { resolved });
  }

  /** Checks out once, unless the checkout before still waits; the timer was late by `lateMs`. */
  async ask(lateMs: number): Promise<void> {
    this.#lateMs = Math.max(this.#lateMs, lateMs);
    if (this.#waiting) return;
    this.#waiting = true;
    const { id } = this.#asked;
    const warm = this.#address !== undefined;
    const began = performance.now();
    try {
      const address = await this.#engine.use((lease) => lease.address);
      if (address !== this.#address) {
        const late = Math.round(this.#lateMs);
        report({ what: "address", id, address, at: Date.now(), lateMs: late });
        this.#address = address;
        this.#lateMs = 0;
      }
    } catch (error) {
      report({ what: "failure", id, code: codeOf(error) });
    } finally {
      this.#waiting = false;
      const waitMs = performance.now() - began;
      if (warm && waitMs > this.#longestMs) {
        this.#longestMs = waitMs;
        report({ what: "wait", id, waitMs });
      }
    }
  }
}

async function resolveOnce(asked: Asked): Promise<void> {
  const engine = engineFor(asked);
  const count = () => engine.status().answer.addresses.length;
  const result = await engine.use(count).catch(codeOf);
  await engine.close();
  report({ what: "resolved", id: asked.id, result });
}

/** Runs until the standard input ends. */
function drive({ everyMs, followed, resolved }: DriverPlan): void {
  const followers = followed.map((asked) => new Follower(asked));
  let lastMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    const lateMs = nowMs - lastMs - everyMs;
    lastMs = nowMs;
    for (const follower of followers) follower.ask(lateMs);
  }, everyMs);
  for (const asked of resolved) resolveOnce(asked);
}

let input = "";
process.stdin.on("data", (chunk) => {
  const started = input.includes("\n");
  input += String(chunk);
  if (!started && input.includes("\n")) drive(JSON.parse(input));
});
process.stdin.on("end", () => process.exit(0));
