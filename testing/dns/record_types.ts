/**
 * Record types and their names.
 *
 * @module
 */

/** The types with a name here, from IANA's list. */
const RECORD_TYPES = {
  ...{ A: 1, NS: 2, CNAME: 5, SOA: 6, NULL: 10, PTR: 12, HINFO: 13, MX: 15, TXT: 16, RP: 17 },
  ...{ AFSDB: 18, SIG: 24, KEY: 25, AAAA: 28, LOC: 29, SRV: 33, NAPTR: 35, KX: 36, CERT: 37 },
  ...{ DNAME: 39, OPT: 41, APL: 42, DS: 43, SSHFP: 44, IPSECKEY: 45, RRSIG: 46, NSEC: 47 },
  ...{ DNSKEY: 48, DHCID: 49, NSEC3: 50, NSEC3PARAM: 51, TLSA: 52, HIP: 55, CDS: 59 },
  ...{ CDNSKEY: 60, SPF: 99, TKEY: 249, TSIG: 250, IXFR: 251, AXFR: 252, ANY: 255, CAA: 257 },
  ...{ TA: 32768, DLV: 32769 },
} as const;

const NAMES = new Map<number, string>(
  Object.entries(RECORD_TYPES).map(([name, type]) => [type, name]),
);

/** Returns the name of a record type; `TYPE65` for one without a name here (RFC 3597 section 5). */
export function recordTypeName(type: number): string {
  return NAMES.get(type) ?? `TYPE${type}`;
}
