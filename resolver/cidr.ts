/**
 * Ranges of IP addresses in CIDR notation (RFC 4632, RFC 4291 section 2.3).
 *
 * @module
 */

import { canonicalIp, ipv6Groups } from "../internal/ip.ts";

/** An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) in its canonical spelling. */
const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/;
/** Length of the prefix of all IPv4-mapped addresses, `::ffff:0:0/96`. */
const MAPPED_BITS = 96;
const V4_BITS = 32;
const V6_BITS = 128;

/** All addresses that begin with the same bits. */
export interface Cidr {
  /** The range in its canonical spelling: `"10.0.0.0/8"`. */
  readonly text: string;
  /** Number of bits of an address: 32 or 128. */
  readonly width: number;
  /** Number of bits that the addresses share. */
  readonly prefix: number;
  /** The bits that the addresses share. */
  readonly bits: bigint;
}

/**
 * Reads a range, or a single address. A range of IPv4-mapped IPv6 addresses becomes the IPv4 range.
 *
 * @param text Such as `"10.0.0.0/8"`, `"fd00::/8"` or `"10.0.0.5"`.
 * @returns The range; `undefined` if `text` is not one, or if a bit after its prefix is not 0.
 */
export function parseCidr(text: string): Cidr | undefined {
  const [, host = "", length] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const given = canonicalIp(host);
  if (given === undefined) return undefined;
  const ip = withoutMapping(given);
  const width = widthOf(ip);
  const unmapped = ip === given ? 0 : MAPPED_BITS;
  const prefix = length === undefined ? width : Number(length) - unmapped;
  if (prefix < 0 || prefix > width) return undefined;
  const bits = valueOf(ip) >> BigInt(width - prefix);
  if (bits << BigInt(width - prefix) !== valueOf(ip)) return undefined;
  return { text: `${ip}/${prefix}`, width, prefix, bits };
}

/**
 * Returns whether an address is in a range.
 *
 * @param cidr The range.
 * @param ip The address in its canonical spelling, {@linkcode withoutMapping}.
 */
export function inCidr({ width, prefix, bits }: Cidr, ip: string): boolean {
  return widthOf(ip) === width && valueOf(ip) >> BigInt(width - prefix) === bits;
}

/**
 * Returns the IPv4 address of an IPv4-mapped IPv6 address, to which a socket connects; returns other addresses as they
 * are.
 *
 * @param ip The address in its canonical spelling.
 */
export function withoutMapping(ip: string): string {
  const [, high, low] = MAPPED.exec(ip) ?? [];
  if (high === undefined || low === undefined) return ip;
  const [a, b] = [parseInt(high, 16), parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join(".");
}

function widthOf(ip: string): number {
  return ip.includes(":") ? V6_BITS : V4_BITS;
}

function valueOf(ip: string): bigint {
  if (!ip.includes(":")) return ip.split(".").reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);
  return ipv6Groups(ip).reduce((sum, group) => sum << 16n | BigInt(group), 0n);
}
