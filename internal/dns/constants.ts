/**
 * Numbers of the DNS message format.
 *
 * @module
 */

/** The class of Internet records. */
export const CLASS_IN = 1;

/** The record types that are read or written. */
export const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33, OPT: 41 } as const;

/** The code of the EDNS option with an extended error (RFC 8914 section 2). */
export const EXTENDED_ERROR = 15;

/**
 * Extended errors of a server that could not ask the name's own servers: the answer, or the "no such name", has expired
 * (RFC 8914 sections 4.4 and 4.20).
 */
export const STALE_ERRORS: readonly number[] = [3, 19];

/** Bits of the header's second word (RFC 1035 section 4.1.1, RFC 4035 section 3.2). */
export const FLAGS = {
  RESPONSE: 1 << 15,
  OPCODE: 0xf << 11,
  AUTHORITATIVE: 1 << 10,
  TRUNCATED: 1 << 9,
  RECURSION_DESIRED: 1 << 8,
  RECURSION_AVAILABLE: 1 << 7,
  CHECKING_DISABLED: 1 << 4,
  RCODE: 0xf,
} as const;

/** The names of the response codes, by number (RFC 1035 section 4.1.1, RFC 6895 section 2.3). */
export const RCODES: readonly string[] = [
  ...["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"],
  ...["YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"],
];

/** The UDP payload size, in bytes, that passes through every network (DNS flag day 2020). */
export const EDNS_UDP_SIZE = 1232;
