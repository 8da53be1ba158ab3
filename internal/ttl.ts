/**
 * TTLs as they count.
 *
 * @module
 */

/**
 * Returns a TTL as it counts: one with the top bit set, which a signed reading makes negative, is 0 (RFC 2181
 * section 8).
 *
 * @param ttl Seconds, as they came.
 */
export function clampTtl(ttl: number): number {
  return ttl < 0 || ttl >= 2 ** 31 ? 0 : ttl;
}
