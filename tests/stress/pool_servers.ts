/**
 * Made-up servers behind made-up addresses: each is up, down, frozen or otherwise out of sorts, and a test changes
 * that as it goes on.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import type { Role, Target } from "../../adapters/adapter.ts";
import type { FakeAdapter, FakeBehavior, FakeClient } from "../../testing/mod.ts";

/** What a server does when it is dialled; frozen ones do not answer on open connections either. */
export type ServerState = "up" | "refusing" | "frozen" | "full" | "unreachable";

/** An error of a driver, with the verdict that the fake adapter reads. */
export function driverError(
  message: string,
  facts: { code?: string; verdict?: "disconnect" | "read-only" } = {},
): Error {
  return Object.assign(new Error(message), facts);
}

/** Servers, and a record of who dialled them. */
export class FakeServers {
  /** How long it takes to open a connection, or to be refused, in milliseconds. */
  connectMs = 0;
  /** How long a statement takes, in milliseconds. */
  queryMs = 0;
  /** Every dial: which address, and when. */
  readonly dials: { readonly address: string; readonly atMs: number }[] = [];
  /** Dials under way now, and the most there ever were at once. */
  dialling = 0;
  mostDialling = 0;
  /** What a statement says that is refused by a standby, by address. */
  readonly roles: Map<string, Role> = new Map();
  readonly #states: Map<string, ServerState> = new Map();
  /** Statements under way: what ends them when the connection dies. */
  readonly #pending: Map<FakeClient, Set<(error: unknown) => void>> = new Map();

  /** What the fake adapter is to do. */
  readonly behaviour: FakeBehavior = {
    connect: (address, target) => this.#connect(address, target),
    query: (client) => this.#query(client),
    ping: async (client) => void await this.#query(client),
    role: ({ address }) => this.roles.get(address) ?? { standby: false, readOnly: false },
  };

  /** Statements under way now. */
  get inFlight(): number {
    return [...this.#pending.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Changes what servers do from now on. */
  set(state: ServerState, ...addresses: string[]): void {
    for (const address of addresses) this.#states.set(address, state);
  }

  /** Kills a server: its connections die, its statements fail, and new ones are refused. */
  kill(adapter: FakeAdapter, address: string): void {
    this.set("refusing", address);
    const killed = adapter.open.filter((client) => client.address === address);
    const lost = () =>
      driverError("terminating connection", { code: "57P01", verdict: "disconnect" });
    for (const client of killed) {
      adapter.kill(client, lost());
      for (const reject of this.#pending.get(client) ?? []) reject(lost());
    }
  }

  #state(address: string): ServerState {
    return this.#states.get(address) ?? "up";
  }

  async #connect(address: string, { signal }: Target): Promise<void> {
    this.dials.push({ address, atMs: now() });
    this.mostDialling = Math.max(this.mostDialling, ++this.dialling);
    try {
      if (this.#state(address) === "frozen") await never(signal);
      if (this.connectMs > 0) await delay(this.connectMs, signal);
      switch (this.#state(address)) {
        case "frozen":
          return await never(signal);
        case "refusing":
          throw driverError("connect ECONNREFUSED", { code: "ECONNREFUSED" });
        case "unreachable":
          throw driverError("connect EHOSTUNREACH", { code: "EHOSTUNREACH" });
        case "full":
          throw driverError("sorry, too many clients already", { code: "53300" });
      }
    } finally {
      this.dialling--;
    }
  }

  async #query(client: FakeClient): Promise<readonly unknown[]> {
    const pending = this.#pending.get(client) ?? new Set();
    this.#pending.set(client, pending);
    let end!: (error: unknown) => void;
    const died = new Promise<never>((_, reject) => end = reject);
    died.catch(() => {});
    pending.add(end);
    try {
      if (this.#state(client.address) === "frozen") await died;
      if (this.queryMs > 0) await Promise.race([delay(this.queryMs), died]);
      return [{ address: client.address }];
    } finally {
      pending.delete(end);
    }
  }
}

/** A driver that lets go when it is told to, of a server that never answers. */
function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
