/**
 * `dnspool check`: what stands behind a database URL, and what would go wrong at a failover.
 *
 * @module
 */

import { destinationOf } from "../engine/destination.ts";
import { hostPort } from "../internal/ip.ts";
import { redactPassword } from "../internal/redact.ts";
import type { Adapter, Role } from "../adapters/adapter.ts";
import { adapterByUrl } from "../adapters/by_url.ts";
import type { WantedRole } from "../pool/connection/server_role.ts";
import { getDnsEngine } from "../engine.ts";
import { DnsPoolError } from "../errors.ts";
import { type EngineOptions, type EngineSettings, readEngineOptions } from "../engine/options.ts";
import { DatabaseUrl } from "../engine/url.ts";
import { resolveByWire } from "../resolver.ts";
import { answerFor, answerJson, answerLines, type HostAnswer, hostOf } from "./answer.ts";
import { type Flags, UsageError } from "./args.ts";
import { dnsOptions, numberOf, usageError } from "./dns_flags.ts";
import { type Facts, type Finding, findingsOf } from "./findings.ts";
import { type Cell, rounded, span, table, type Tone } from "./format.ts";
import type { Io } from "./io.ts";
import { inspectServers, type ServerReport, type TlsVerdict } from "./servers.ts";

/** What is to be checked. */
interface Subject {
  readonly url: DatabaseUrl;
  readonly adapter: Adapter<unknown>;
  readonly settings: EngineSettings<unknown>;
}

/**
 * Checks a database URL.
 *
 * @param text The URL; where it was left out, DATABASE_URL is read.
 * @param flags The flags, as they were given.
 * @param io Where to show what is found.
 * @returns The exit status: 0 for no findings, 3 for warnings, 1 where something is wrong now.
 * @throws {UsageError} for what cannot be meant.
 * @throws {ResolveError} when the name has no address.
 * @throws {DriverUnavailableError} when the driver is not installed.
 */
export async function check(text: string | undefined, flags: Flags, io: Io): Promise<number> {
  const subject = await readSubject(text ?? io.env("DATABASE_URL"), flags);
  try {
    const facts = await findOut(subject, io.signal);
    const findings = findingsOf(facts);
    if (flags.json === true) io.out(JSON.stringify(reportJson(subject, facts, findings)));
    else for (const line of reportLines(subject, facts, findings, io)) io.out(line);
    if (findings.length === 0) return 0;
    return findings[0]!.level === "failure" ? 1 : 3;
  } catch (error) {
    io.signal.throwIfAborted();
    if (error instanceof DnsPoolError) throw error;
    // Not foreseen: nobody knows what stands in it.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    throw new Error(redactPassword(text, subject.url.password));
  }
}

async function findOut({ url, adapter, settings }: Subject, signal: AbortSignal): Promise<Facts> {
  const host = hostOf(url.host!);
  const { answer, exact } = await resolveTwice(host, settings, signal);
  const servers = await inspectServers(answer.addresses, {
    adapter,
    destination: destinationOf(url, adapter, settings),
    settings: { ...settings, targetSessionAttrs: "any" },
    signal,
  });
  return {
    answer: { ...answer, chain: answer.chain ?? exact?.chain },
    exactTtl: exact?.ttl,
    servers,
    wanted: settings.targetSessionAttrs,
  };
}

async function readSubject(text: string | undefined, flags: Flags): Promise<Subject> {
  if (!text) {
    throw new UsageError("Cannot check nothing: give a database URL, or put it into DATABASE_URL");
  }
  const connectTimeout = numberOf(flags, "connect-timeout");
  const wanted = flags["target-session-attrs"];
  const dns = dnsOptions(flags);
  try {
    const url = DatabaseUrl.parse(text);
    if (url.host === undefined) {
      throw new UsageError(`Cannot check a ${url.dialect} URL without a host: nothing fails over`);
    }
    const adapter = adapterByUrl(url.dialect, url.driver);
    const options: EngineOptions = {
      ...dns,
      ...(connectTimeout !== undefined && { connectTimeout }),
      ...(wanted !== undefined && { targetSessionAttrs: wanted as WantedRole }),
    };
    // What an engine would refuse is refused here, in the same words.
    await getDnsEngine(url, { ...options, adapter }).close();
    return { url, adapter, settings: readEngineOptions(options) };
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw usageError(error);
    throw error;
  }
}

/** As the pool would, and beside it exactly, where the runtime may hide something. */
async function resolveTwice(
  host: string,
  { dns }: EngineSettings<unknown>,
  signal: AbortSignal,
): Promise<{ answer: HostAnswer; exact: Awaited<ReturnType<typeof resolveByWire>> }> {
  const before = dns.lookup === "system" ? await resolveByWire(host, dns, signal) : undefined;
  const answer = await answerFor(host, dns, signal);
  if (!before || answer.source !== "dns") return { answer, exact: undefined };
  if (answer.ttl === undefined || answer.ttl <= before.ttl) return { answer, exact: before };
  // A cache in between may have begun a new TTL between the two.
  const after = await resolveByWire(host, dns, signal);
  return { answer, exact: after && after.ttl > before.ttl ? after : before };
}

function reportJson(
  { url, adapter }: Subject,
  { answer, exactTtl, servers, wanted }: Facts,
  findings: readonly Finding[],
): Record<string, unknown> {
  return {
    url: url.render(),
    host: answer.host,
    driver: adapter.name,
    targetSessionAttrs: wanted,
    answer: { ...answerJson(answer), exactTtl: exactTtl ?? null },
    servers: servers.map(({ address, connect, tls, role, version, error }) => ({
      address,
      connect: connect === undefined ? null : rounded(connect),
      tls,
      role: role ?? null,
      version: version ?? null,
      error: error ? { code: error.code ?? null, message: error.message } : null,
    })),
    findings,
  };
}

function reportLines(
  { url, adapter }: Subject,
  facts: Facts,
  findings: readonly Finding[],
  { paint }: Io,
): string[] {
  const { answer, servers, exactTtl } = facts;
  const head = ["address", "connect", "TLS", "role", "server"].map((text, at) => ({
    text,
    tone: "dim" as const,
    right: at === 1,
  }));
  const port = url.port ?? adapter.defaultPort;
  const rows = table([head, ...servers.map((server) => row(server, port))], paint);
  return [
    paint(url.render(), "bold"),
    ...answerLines(answer, paint, exactTtl),
    "",
    ...rows,
    "",
    ...findings.map(({ level, message }) =>
      `${paint(level, level === "failure" ? "bad" : "warning")}  ${message}`
    ),
    ...(findings.length === 0 ? [paint("Nothing was found that would go wrong", "good")] : []),
  ];
}

const TLS: Readonly<Record<TlsVerdict, readonly [text: string, tone: Tone | undefined]>> = {
  "name": ["name verified", "good"],
  "chain": ["trusted, any name", "warning"],
  "nothing": ["not verified", "warning"],
  "none": ["none", undefined],
  "unknown": ["-", undefined],
  "wrong name": ["wrong name", "bad"],
  "expired": ["expired", "bad"],
  "not trusted": ["not trusted", "bad"],
  "not offered": ["not offered", "bad"],
};

function row(server: ServerReport, port: number): Cell[] {
  const { address, connect, tls, role, version, error } = server;
  const [tlsText, tone] = TLS[tls];
  return [
    { text: hostPort(address, port), tone: error ? "bad" : "good" },
    { text: connect === undefined ? "failed" : span(connect), right: true },
    { text: tlsText, tone },
    { text: role ? roleText(role) : "-" },
    { text: version ?? "-" },
  ];
}

function roleText({ standby, readOnly }: Role): string {
  if (standby) return "standby";
  return readOnly ? "primary, read-only" : "primary";
}
