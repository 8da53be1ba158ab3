/**
 * Imitated servers behind addresses that do not exist: each is up, down, frozen or failing otherwise, as the test sets
 * it.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import type { Role, Target } from "../../adapters/adapter.ts";
import type { FakeAdapter, FakeBehavior, FakeClient } from "../../testing/mod.ts";

/** How a server answers a connect; a frozen one does not answer on open connections either. */
export type ServerState = "up" | "refusing" | "frozen" | "full" | "unreachable";

/** Creates an error of a driver, with the verdict that the fake adapter reads. */
export function driverError(
  message: string,
  facts: { code?: string; verdict?: "disconnect" | "read-only" } = {},
): Error {
  return Object.assign(new Error(message), facts);
}

/** Servers, with a record of the connects. */
export class FakeServers {
  /** Duration of a connect, refused or not, in milliseconds. */
  connectMs = 0;
  /** Duration of a statement, in milliseconds. */
  queryMs = 0;
  /** All connects. */
  readonly dials: { readonly address: string; readonly atMs: number }[] = [];
  /** Number of connects under way now, and the largest number ever. */
  connecting = 0;
  maxConnecting = 0;
  /** The role of each server, by address. */
  readonly roles: Map<string, Role> = new Map();
  readonly #states: Map<string, ServerState> = new Map();
  /** Rejects the statements under way on a connection that dies. */
  readonly #pending: Map<FakeClient, Set<(error: unknown) => void>> = new Map();

  /** The behavior of the fake adapter. */
  readonly behaviour: FakeBehavior = {
    connect: (address, target) => this.#connect(address, target),
    query: (client) => this.#query(client),
    ping: async (client) => void await this.#query(client),
    role: ({ address }) => this.roles.get(address) ?? { standby: false, readOnly: false },
  };

  /** Number of statements under way. */
  get inFlight(): number {
    return [...this.#pending.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Sets the state of servers. */
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
    this.maxConnecting = Math.max(this.maxConnecting, ++this.connecting);
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
      this.connecting--;
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

/** Imitates a server that never answers, and a driver that can be aborted. */
function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
