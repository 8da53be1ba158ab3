/**
 * SRV records (RFC 2782): where a service runs.
 *
 * @module
 */

import { isHost } from "./host_name.ts";
import { canonicalIp } from "./ip.ts";

/** One SRV record. */
export interface ServiceRecord {
  /** Servers with the lowest one are used first: 0 to 65535. */
  readonly priority: number;
  /** Share of the clients among servers of the same priority: 0 to 65535. */
  readonly weight: number;
  /** TCP port: 1 to 65535. */
  readonly port: number;
  /** The server's name. */
  readonly target: string;
  /** Its addresses, if they came with the record. */
  readonly addresses?: readonly string[] | undefined;
}

/** The target of a service that is not available (RFC 2782). */
export const NO_TARGET = ".";

const TEXT = /^(\d{1,5}) (\d{1,5}) (\d{1,5}) (\S+)((?: \S+)*)$/;
const MAX_UINT16 = 65535;

/** Writes a record as a zone file does: `10 60 5432 db1.internal`, and behind it the addresses that came with it. */
export function formatService(
  { priority, weight, port, target, addresses = [] }: ServiceRecord,
): string {
  return [priority, weight, port, target, ...addresses].join(" ");
}

/**
 * Reads a record as {@linkcode formatService} writes it.
 *
 * @param text The record.
 * @returns The record; a string that says what is wrong with it.
 */
export function parseService(text: string): ServiceRecord | string {
  const [, ...fields] = TEXT.exec(text) ?? [];
  if (fields.length === 0) return "it is not PRIORITY WEIGHT PORT TARGET";
  const [priority, weight, port] = fields.slice(0, 3).map(Number) as [number, number, number];
  const target = fields[3]!.toLowerCase().replace(/(.)\.$/, "$1");
  for (const [name, value] of Object.entries({ priority, weight, port })) {
    if (value > MAX_UINT16) return `its ${name} is above ${MAX_UINT16}`;
  }
  if (target === NO_TARGET) return { priority, weight, port, target };
  if (port === 0) return "its port is 0";
  if (!isHost(target)) return "its target is not a host name";
  const listed = fields[4]!.split(" ").slice(1);
  if (listed.length === 0) return { priority, weight, port, target };
  const addresses = listed.flatMap((address) => canonicalIp(address) ?? []);
  return addresses.length === listed.length
    ? { priority, weight, port, target, addresses }
    : "an address behind its target is not an IP address";
}

/**
 * Orders records for one connect: by priority, and among equals at random by weight (the algorithm of RFC 2782).
 *
 * @param records The records.
 * @param random Returns a number from 0 up to 1.
 */
export function orderServices<T extends Pick<ServiceRecord, "priority" | "weight">>(
  records: readonly T[],
  random: () => number = Math.random,
): T[] {
  // Those with weight 0 come first, so that they have a small chance.
  const left = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  const ordered: T[] = [];
  while (left.length > 0) {
    const { priority } = left[0]!;
    const equals = left.filter((record) => record.priority === priority);
    const total = equals.reduce((sum, { weight }) => sum + weight, 0);
    const drawn = Math.floor(random() * (total + 1));
    let sum = 0;
    const index = equals.findIndex(({ weight }) => (sum += weight) >= drawn);
    ordered.push(...left.splice(index, 1));
  }
  return ordered;
}
