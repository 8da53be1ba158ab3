/**
 * A dialer with a fake adapter, and what servers do to it.
 *
 * @module
 */

import type { Role, Target } from "../../adapters/adapter.ts";
import { Dialer, type DialerSettings } from "../../pool/connection/dialer.ts";
import {
  type FakeAdapter,
  fakeAdapter,
  type FakeBehavior,
  type FakeClient,
} from "../../testing/mod.ts";

/** Addresses of three servers. */
export const A = "10.0.0.1";
export const B = "10.0.0.2";
export const C = "10.0.0.3";
export const ALL: readonly string[] = [A, B, C];

/** A signal that is never aborted. */
export const FOREVER: AbortSignal = new AbortController().signal;

/** The password of the dialer's target. */
export const PASSWORD = "tr0ub/dor&3";

export const PRIMARY: Role = { standby: false, readOnly: false };
export const LOCKED: Role = { standby: false, readOnly: true };
export const STANDBY: Role = { standby: true, readOnly: true };

/** The settings of a dialer by default. */
export const SETTINGS: DialerSettings = {
  connectTimeoutMs: 10_000,
  connectStaggerMs: 250,
  probeTimeoutMs: 2000,
  loadBalance: "ordered",
  targetSessionAttrs: "any",
  isolationLevel: undefined,
  resetOnReturn: "rollback",
};

/** Returns the error of a connect that a server refused. */
export function refused(code = "ECONNREFUSED"): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

/** Imitates a server that never answers, and a driver that can be aborted. */
export function silent({ signal }: Pick<Target, "signal">): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * Creates a dialer.
 *
 * @param behaviour What the servers do.
 * @param settings Those that differ from `SETTINGS`.
 * @param roles The servers' roles, by address.
 */
export function dialing(
  behaviour: FakeBehavior = {},
  settings: Partial<DialerSettings> = {},
  roles?: (address: string) => Role,
): { dialer: Dialer<FakeClient>; adapter: FakeAdapter } {
  const adapter = fakeAdapter(behaviour);
  if (roles) adapter.role = ({ address }) => Promise.resolve(roles(address));
  const target = {
    host: "db.internal",
    port: 5432,
    user: "app",
    password: PASSWORD,
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => [],
  };
  const dialer = new Dialer(adapter, target, { ...SETTINGS, ...settings });
  return { dialer, adapter };
}

/** Dials `count` times; returns the addresses reached. */
export async function reached(
  dialer: Dialer<FakeClient>,
  count: number,
  addresses: readonly string[] = ALL,
): Promise<string[]> {
  const result: string[] = [];
  for (let i = 0; i < count; i++) result.push((await dialer.dial(addresses, FOREVER)).address);
  return result;
}
