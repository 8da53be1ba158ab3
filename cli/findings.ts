/**
 * Finds what would go wrong at a failover, from facts that were collected. No I/O.
 *
 * @module
 */

import type { Role } from "../adapters/adapter.ts";
import { matchesRole, type WantedRole } from "../pool/connection/server_role.ts";
import type { ServiceRecord } from "../internal/srv.ts";
import type { HostAnswer } from "./answer.ts";
import type { ServerReport, TlsVerdict } from "./servers.ts";

/** What is known of one host. */
export interface HostFacts {
  readonly answer: HostAnswer;
  /** The TTL of the whole chain, if it could be asked for. */
  readonly exactTtl: number | undefined;
  /** The SRV record that names the host, if the URL names a service. */
  readonly service?: ServiceRecord | undefined;
}

/** The facts about a database URL. */
export interface Facts {
  /** The hosts, in the order of the URL. */
  readonly hosts: readonly HostFacts[];
  readonly servers: readonly ServerReport[];
  /** The role that the pool requires. */
  readonly wanted: WantedRole;
  /** Whether notifications were to be tried. */
  readonly listens?: boolean;
}

/** A problem that exists, or would occur at a failover. */
export interface Finding {
  /** `"failure"` if the problem exists now, `"warning"` if it would occur at a failover. */
  readonly level: "failure" | "warning";
  /** A stable name, such as `"long-ttl"`. */
  readonly code: string;
  /** The address that it concerns. */
  readonly address?: string;
  /** The problem in words. */
  readonly message: string;
}

/**
 * Maximum TTL without a warning, in seconds: providers that fail over by DNS set 5 (Aurora) to 60 (Azure, Cloud SQL).
 */
const MAX_GOOD_TTL = 60;

/** The verdicts with which TLS is the reason that there is no connection. */
const FAILED_TLS: readonly TlsVerdict[] = ["wrong name", "expired", "not trusted", "not offered"];

/**
 * Returns the findings, failures first.
 *
 * @param facts The facts.
 */
export function findingsOf(facts: Facts): Finding[] {
  const isOnly = facts.hosts.length === 1;
  const names = facts.hosts.flatMap((host) => [...aboutName(host, isOnly)]);
  const found = [...names, ...aboutServers(facts), ...aboutTrials(facts), ...aboutRoles(facts)];
  const failures = found.filter(({ level }) => level === "failure");
  return [...failures, ...found.filter(({ level }) => level === "warning")];
}

function* aboutName({ answer, exactTtl }: HostFacts, isOnly: boolean): Generator<Finding> {
  const { source, ttl, lookup } = answer;
  // Among several hosts, an address of its own is as good: a failover is noticed by the role.
  if (source === "none" && isOnly) {
    const message =
      `The URL names ${answer.host}, which needs no DNS: a failover by DNS is not noticed`;
    yield warning("no-name", message);
  }
  if (source === "hosts") {
    const message =
      "The hosts file has the name, so DNS is not asked: a hosts file does not fail " +
      "over; dnsHosts: false does not read it";
    yield warning("in-hosts", message);
  }
  if (source === "os") {
    const message =
      "DNS has no answer, but the operating system has one (search domains): it has " +
      "no TTL";
    yield warning("not-in-dns", message);
  }
  const record = exactTtl ?? ttl;
  if (source === "dns" && record !== undefined && record > MAX_GOOD_TTL) {
    const message =
      `The TTL is ${record} seconds: DNS servers in between may return the old address for that ` +
      `time after a failover; ${MAX_GOOD_TTL} or less is better`;
    yield warning("long-ttl", message);
  }
  if (source === "dns" && exactTtl !== undefined && ttl !== undefined && ttl > exactTtl) {
    const message =
      `The TTL of the CNAME chain is ${exactTtl} seconds, but the lookup "${lookup}" reports ` +
      `${ttl}: a change is noticed later than possible; dnsLookup: "wire" reads the chain`;
    yield warning("chain-ttl", message);
  }
}

function* aboutServers({ servers }: Facts): Generator<Finding> {
  let lacksLogin = false;
  for (const { address, error, tls } of servers) {
    if (error?.code === "CREDENTIALS_FAILED") {
      // The function is called once for all addresses.
      if (!lacksLogin) yield { level: "failure", code: "no-credentials", message: error.message };
      lacksLogin = true;
    } else if (error) {
      const code = FAILED_TLS.includes(tls) ? "certificate" : "no-connection";
      yield { level: "failure", code, address, message: error.message };
    } else if (tls === "nothing" || tls === "chain") {
      const what = tls === "chain" ? "is verified, but not its name" : "is not verified";
      const message = `The certificate of ${address} ${what}: another server could take its place`;
      yield { ...warning("certificate-unchecked", message), address };
    }
  }
}

function* aboutTrials({ servers, listens }: Facts): Generator<Finding> {
  for (const { address, listen, settings } of servers) {
    if (listen?.error) {
      const message = `LISTEN at ${address} failed: ${listen.error.message}`;
      yield { level: "failure", code: "no-notification", address, message };
    }
    if (settings?.error) {
      const message = `The settings cannot be set at ${address}: ${settings.error.message}`;
      yield { level: "failure", code: "no-setting", address, message };
    }
  }
  if (listens && servers.length > 0 && servers.every(({ role }) => role?.standby)) {
    const message = "Each server behind the name is a standby, which has no notifications";
    yield { level: "failure", code: "no-notification", message };
  }
}

function* aboutRoles({ servers, wanted }: Facts): Generator<Finding> {
  const known = servers.filter(hasRole);
  const primaries = known.filter(({ role }) => !role.standby);
  if (primaries.length > 1) {
    const list = primaries.map(({ address }) => address).join(", ");
    const message = `There are ${primaries.length} primaries behind the name, ${list}: ` +
      "unless they are one cluster, their data will differ";
    yield warning("several-primaries", message);
  }
  if (wanted === "any") {
    for (const { address, role } of known) {
      if (!role.standby && !role.readOnly) continue;
      const is = role.standby ? "a standby" : "read-only";
      const message =
        `${address} is ${is}, and the pool accepts any server: a checkout may return it, and ` +
        'writes fail; targetSessionAttrs: "read-write" selects the right one';
      yield { ...warning("standby", message), address };
    }
  } else if (known.length > 0 && !known.some(({ role }) => matchesRole(role, wanted))) {
    const message = `No server behind the name has the role that the pool requires, "${wanted}"`;
    yield { level: "failure", code: "no-such-role", message };
  }
}

function hasRole(server: ServerReport): server is ServerReport & { readonly role: Role } {
  return server.role !== undefined;
}

function warning(code: string, message: string): Finding {
  return { level: "warning", code, message };
}
