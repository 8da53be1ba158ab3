/**
 * What would go wrong at a failover, judged by what was found. Facts in, findings out: no I/O.
 *
 * @module
 */

import type { Role } from "../adapters/adapter.ts";
import { matchesRole, type WantedRole } from "../pool/connection/server_role.ts";
import type { HostAnswer } from "./answer.ts";
import type { ServerReport, TlsVerdict } from "./servers.ts";

/** All that was found out about a database URL. */
export interface Facts {
  readonly answer: HostAnswer;
  /** The TTL of the whole chain, where it could be asked for. */
  readonly exactTtl: number | undefined;
  readonly servers: readonly ServerReport[];
  /** The role that the pool asks for. */
  readonly wanted: WantedRole;
}

/** Something that is wrong, or would be at a failover. */
export interface Finding {
  /** `"failure"`: it is wrong now. `"warning"`: it would be. */
  readonly level: "failure" | "warning";
  /** A stable name, such as `"long-ttl"`. */
  readonly code: string;
  /** The address that it is about. */
  readonly address?: string;
  /** In words. */
  readonly message: string;
}

/** Seconds: providers that fail over by DNS set 5 (Aurora) to 60 (Azure, Cloud SQL). */
const LONG_TTL = 60;

/** TLS is why there is no connection. */
const REFUSED_TLS: readonly TlsVerdict[] = ["wrong name", "expired", "not trusted", "not offered"];

/**
 * Judges what was found.
 *
 * @param facts What was found.
 * @returns The findings, failures first.
 */
export function findingsOf(facts: Facts): Finding[] {
  const found = [...aboutName(facts), ...aboutServers(facts), ...aboutRoles(facts)];
  const failures = found.filter(({ level }) => level === "failure");
  return [...failures, ...found.filter(({ level }) => level === "warning")];
}

function* aboutName({ answer, exactTtl }: Facts): Generator<Finding> {
  const { source, ttl, lookup } = answer;
  if (source === "none") {
    const message =
      `The URL names ${answer.host}, which needs no DNS: a failover that changes a name is not seen`;
    yield warning("no-name", message);
  }
  if (source === "os") {
    const message = "DNS has no answer, the operating system has (hosts file, search domains): " +
      "without a TTL, and a hosts file does not fail over";
    yield warning("not-in-dns", message);
  }
  const record = exactTtl ?? ttl;
  if (source === "dns" && record !== undefined && record > LONG_TTL) {
    const message =
      `The TTL is ${record} seconds: DNS servers in between may give the old address for so long ` +
      `after a failover; ${LONG_TTL} or less is better`;
    yield warning("long-ttl", message);
  }
  if (source === "dns" && exactTtl !== undefined && ttl !== undefined && ttl > exactTtl) {
    const message =
      `The TTL of the CNAME chain is ${exactTtl} seconds, and the lookup "${lookup}" says ${ttl}: ` +
      'a change is noticed later than it could be; dnsLookup: "wire" knows the chain';
    yield warning("chain-ttl", message);
  }
}

function* aboutServers({ servers }: Facts): Generator<Finding> {
  for (const { address, error, tls } of servers) {
    if (error) {
      const code = REFUSED_TLS.includes(tls) ? "certificate" : "no-connection";
      yield { level: "failure", code, address, message: error.message };
    } else if (tls === "nothing" || tls === "chain") {
      const what = tls === "chain" ? "is trusted, but for any name" : "is not looked at";
      const message = `The certificate of ${address} ${what}: anybody in between may be the server`;
      yield { ...warning("certificate-unchecked", message), address };
    }
  }
}

function* aboutRoles({ servers, wanted }: Facts): Generator<Finding> {
  const known = servers.filter(hasRole);
  const primaries = known.filter(({ role }) => !role.standby);
  if (primaries.length > 1) {
    const list = primaries.map(({ address }) => address).join(", ");
    const message = `There are ${primaries.length} primaries behind the name, ${list}: ` +
      "unless they are one cluster, writes go apart";
    yield warning("several-primaries", message);
  }
  if (wanted === "any") {
    for (const { address, role } of known) {
      if (!role.standby && !role.readOnly) continue;
      const is = role.standby ? "a standby" : "read-only";
      const message =
        `${address} is ${is}, and the pool takes any server: a checkout may be given ` +
        'it, and a write fails; targetSessionAttrs: "read-write" finds the right one';
      yield { ...warning("standby", message), address };
    }
  } else if (known.length > 0 && !known.some(({ role }) => matchesRole(role, wanted))) {
    const message = `No server behind the name is what the pool asks for, "${wanted}"`;
    yield { level: "failure", code: "no-such-role", message };
  }
}

function hasRole(server: ServerReport): server is ServerReport & { readonly role: Role } {
  return server.role !== undefined;
}

function warning(code: string, message: string): Finding {
  return { level: "warning", code, message };
}
