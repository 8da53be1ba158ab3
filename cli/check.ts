/**
 * `dnspool check`: inspects the servers of a database URL, and reports what would go wrong at a failover.
 *
 * @module
 */

import { destinationOf, type EngineHost, hostsOf, isService } from "../engine/destination.ts";
import { mustBeUndisclosed } from "../internal/argument_error.ts";
import { isSocketPath } from "../internal/host_name.ts";
import { hostPort } from "../internal/ip.ts";
import { redactPassword } from "../internal/redact.ts";
import { parseService, type ServiceRecord } from "../internal/srv.ts";
import type { Adapter, Role } from "../adapters/adapter.ts";
import { adapterByUrl } from "../adapters/by_url.ts";
import type { WantedRole } from "../pool/connection/server_role.ts";
import { getDnsEngine } from "../engine.ts";
import { DnsPoolError } from "../errors.ts";
import { type EngineOptions, type EngineSettings, readEngineOptions } from "../engine/options.ts";
import { DatabaseUrl } from "../engine/url.ts";
import { readUrlOptions } from "../engine/url_options.ts";
import { resolveByWire, servicesViewOf } from "../resolver.ts";
import { answerFor, answerJson, answerLines, type HostAnswer, hostOf } from "./answer.ts";
import type { Flags } from "./args.ts";
import type { CommandContext } from "./context.ts";
import { CheckedCredentials, credentialsOf, type CredentialsReport } from "./credentials.ts";
import { dnsOptions, secondsOf, toUsageError } from "./dns_flags.ts";
import { type Facts, type Finding, findingsOf } from "./findings.ts";
import { type Cell, rounded, span, table, type Tone } from "./format.ts";
import { inspectServers, type ServerReport, type TlsVerdict } from "./servers.ts";
import { type Outcome, readTrials, type Trials } from "./trials.ts";

const URL_RULE = "a database URL, on the command line or in DATABASE_URL";

/** Default of `connectTimeout`, in seconds. */
const DEFAULT_CONNECT_TIMEOUT = 10;

/** The target of a check. */
interface Target {
  readonly url: DatabaseUrl;
  readonly adapter: Adapter<unknown>;
  readonly settings: EngineSettings<unknown>;
  /** The function that gives user and password, if a flag asks for one. */
  readonly credentials: CheckedCredentials | undefined;
  /** What is tried on each server because flags ask for it. */
  readonly trials: Trials;
}

/**
 * Checks a database URL.
 *
 * @param text The URL. Default: the environment variable DATABASE_URL.
 * @param flags The flags.
 * @param context The outputs, the environment and the signal.
 * @returns The exit status: 0 without findings, 3 with only warnings, 1 with failures.
 * @throws {UsageError} if the URL or a flag is wrong.
 * @throws {ResolveError} if the name has no address.
 * @throws {DriverUnavailableError} if the driver is not installed.
 */
export async function check(
  text: string | undefined,
  flags: Flags,
  context: CommandContext,
): Promise<number> {
  const target = await readTarget(text ?? context.env("DATABASE_URL"), flags);
  try {
    const facts = await collectFacts(target, context.signal);
    const findings = findingsOf(facts);
    const lines = flags.json === true
      ? [JSON.stringify(reportJson(target, facts, findings))]
      : reportLines(target, facts, findings, context);
    for (const line of lines) context.out(line);
    if (findings.length === 0) return 0;
    return findings[0]!.level === "failure" ? 1 : 3;
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof DnsPoolError) throw error;
    // An unexpected error may hold the password.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    const redacted = redactPassword(text, target.url.password);
    throw new Error(target.credentials?.redact(redacted) ?? redacted);
  }
}

async function collectFacts(
  { url, adapter, settings, trials }: Target,
  signal: AbortSignal,
): Promise<Facts> {
  const hosts: readonly InspectedHost[] = isService(url, settings)
    ? await serversOf(url.host!, settings, signal)
    : hostsOf(url, adapter, settings);
  const inspected = await Promise.all(
    hosts.map(async (host) => {
      const { answer, exact } = await resolveTwice(host, settings, signal);
      const servers = await inspectServers(answer.addresses, {
        adapter,
        destination: destinationOf(url, host, settings),
        settings: { ...settings, targetSessionAttrs: "any" },
        signal,
        trials,
      });
      const chain = answer.chain ?? exact?.chain;
      const facts = { answer: { ...answer, chain }, exactTtl: exact?.ttl };
      return { facts: { ...facts, service: host.service }, servers };
    }),
  );
  return {
    hosts: inspected.map(({ facts }) => facts),
    servers: inspected.flatMap(({ servers }) => servers),
    wanted: settings.targetSessionAttrs,
    listens: trials.channel !== undefined,
  };
}

/** A host, and the SRV record that names it, if there is one. */
interface InspectedHost extends EngineHost {
  readonly service?: ServiceRecord;
}

/** Returns the servers that the SRV records of a service name, in the order of their priorities. */
async function serversOf(
  service: string,
  { dns }: EngineSettings<unknown>,
  signal: AbortSignal,
): Promise<InspectedHost[]> {
  const view = servicesViewOf(service, dns);
  await view.waitUntilFresh(signal);
  const records = view.addresses.map(parseService).filter((record) => typeof record !== "string");
  return records.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
    .map((record) => ({
      name: `${record.target}.`,
      host: record.target,
      port: record.port,
      service: record,
    }));
}

async function readTarget(text: string | undefined, flags: Flags): Promise<Target> {
  try {
    if (!text) throw mustBeUndisclosed("URL", URL_RULE, "none");
    const connectTimeout = secondsOf(flags, "connect-timeout");
    const wanted = flags["target-session-attrs"];
    const dns = dnsOptions(flags);
    const url = DatabaseUrl.parse(text);
    if (url.hosts.length === 0) {
      throw mustBeUndisclosed("URL", "a database URL with a host", `a ${url.dialect} URL without`);
    }
    const adapter = adapterByUrl(url.dialect, url.driver);
    const give = await credentialsOf(flags);
    const limitMs = 1000 * (connectTimeout ?? DEFAULT_CONNECT_TIMEOUT);
    const credentials = give && new CheckedCredentials(give, limitMs);
    const options: EngineOptions = {
      ...dns,
      ...(credentials && { credentials: credentials.give }),
      ...(connectTimeout !== undefined && { connectTimeout }),
      ...(wanted !== undefined && { targetSessionAttrs: wanted as WantedRole }),
    };
    // Refuses everything that an engine refuses, with the same errors.
    await getDnsEngine(url, { ...options, adapter }).close();
    const settings = readEngineOptions(readUrlOptions(url, options));
    return { url, adapter, settings, credentials, trials: readTrials(flags, adapter) };
  } catch (error) {
    throw toUsageError(error);
  }
}

/** Resolves the host as a pool does, and by `wire` too if the runtime's lookup may report another TTL. */
async function resolveTwice(
  { name, socket }: EngineHost,
  { dns }: EngineSettings<unknown>,
  signal: AbortSignal,
): Promise<{ answer: HostAnswer; exact: Awaited<ReturnType<typeof resolveByWire>> }> {
  const host = hostOf(name);
  if (socket !== undefined) {
    return { answer: await answerFor(host, dns, signal, socket), exact: undefined };
  }
  const before = dns.lookup === "system" ? await resolveByWire(host, dns, signal) : undefined;
  const answer = await answerFor(host, dns, signal);
  if (!before || answer.source !== "dns") return { answer, exact: undefined };
  if (answer.ttl === undefined || answer.ttl <= before.ttl) return { answer, exact: before };
  // A cache in between may have renewed the record between the two queries.
  const after = await resolveByWire(host, dns, signal);
  return { answer, exact: after && after.ttl > before.ttl ? after : before };
}

function reportJson(
  { url, adapter, credentials, trials }: Target,
  { hosts, servers, wanted }: Facts,
  findings: readonly Finding[],
): Record<string, unknown> {
  return {
    url: url.render(),
    driver: adapter.name,
    targetSessionAttrs: wanted,
    hosts: hosts.map(({ answer, exactTtl, service }) => ({
      host: answer.host.replace(/\.$/, ""),
      ...(service && { priority: service.priority, weight: service.weight }),
      ...answerJson(answer),
      exactTtl: exactTtl ?? null,
    })),
    servers: servers.map((
      { host, address, port, connect, tls, role, version, error, listen, settings },
    ) => ({
      host,
      address,
      port,
      connect: connect === undefined ? null : rounded(connect),
      tls,
      role: role ?? null,
      version: version ?? null,
      error: errorJson(error),
      ...(trials.channel !== undefined && { listen: outcomeJson(listen) }),
      ...(trials.plan && { settings: outcomeJson(settings) }),
    })),
    ...(credentials && { credentials: credentials.reports.map(credentialsJson) }),
    findings,
  };
}

function errorJson(error: ServerReport["error"]): Record<string, unknown> | null {
  return error ? { code: error.code ?? null, message: error.message } : null;
}

/** Returns the outcome of a trial; `null` for one that was not made. */
function outcomeJson(outcome: Outcome | undefined): Record<string, unknown> | null {
  if (outcome === undefined) return null;
  const { took, error } = outcome;
  return { took: took === undefined ? null : rounded(took), error: errorJson(error) };
}

function credentialsJson(
  { host, port, took, user, expiresIn }: CredentialsReport,
): Record<string, unknown> {
  const expires = expiresIn === undefined || expiresIn === Infinity ? null : rounded(expiresIn);
  return { host, port, took: rounded(took), user: user ?? null, expiresIn: expires };
}

function credentialsLine({ host, took, user, expiresIn }: CredentialsReport): string {
  const given = `for ${user === undefined ? "" : `user ${user} at `}${host} in ${span(took)}`;
  if (expiresIn === undefined) return `${given}, not kept`;
  return expiresIn === Infinity ? `${given}, kept` : `${given}, expires in ${span(expiresIn)}`;
}

function reportLines(
  { url, credentials, trials }: Target,
  facts: Facts,
  findings: readonly Finding[],
  { paint }: CommandContext,
): string[] {
  const { hosts, servers } = facts;
  const tried = [
    ...(trials.channel === undefined ? [] : ["listen" as const]),
    ...(trials.plan ? ["settings" as const] : []),
  ];
  const head = ["address", "connect", "TLS", "role", "server", ...tried].map((text, at) => ({
    text,
    tone: "dim" as const,
    right: at === 1 || at > 4,
  }));
  const rows = table(
    [
      head,
      ...servers.map((
        server,
      ) => [...row(server), ...tried.map((name) => outcomeCell(server[name]))]),
    ],
    paint,
  );
  const answers = hosts.flatMap(({ answer, exactTtl, service }) => [
    ...(hosts.length > 1 || service ? [paint(hostTitle(answer, service), "bold")] : []),
    ...answerLines(answer, paint, exactTtl),
  ]);
  return [
    paint(url.render(), "bold"),
    ...answers,
    ...(credentials?.reports ?? []).map((report) => `  password   ${credentialsLine(report)}`),
    "",
    ...rows,
    "",
    ...findings.map(({ level, message }) =>
      `${paint(level, level === "failure" ? "bad" : "warning")}  ${message}`
    ),
    ...(findings.length === 0 ? [paint("No problems were found", "good")] : []),
  ];
}

/** Names a host, with its SRV record if there is one. */
function hostTitle({ host }: HostAnswer, service: ServiceRecord | undefined): string {
  if (!service) return host;
  const { target, port, priority, weight } = service;
  return `${hostPort(target, port)}, priority ${priority}, weight ${weight}`;
}

const TLS: Readonly<Record<TlsVerdict, readonly [text: string, tone: Tone | undefined]>> = {
  "name": ["name verified", "good"],
  "chain": ["name not verified", "warning"],
  "nothing": ["not verified", "warning"],
  "none": ["none", undefined],
  "unknown": ["-", undefined],
  "wrong name": ["wrong name", "bad"],
  "expired": ["expired", "bad"],
  "not trusted": ["not trusted", "bad"],
  "not offered": ["not offered", "bad"],
};

function row({ address, port, connect, tls, role, version, error }: ServerReport): Cell[] {
  const [tlsText, tone] = TLS[tls];
  return [
    {
      text: isSocketPath(address) ? address : hostPort(address, port),
      tone: error ? "bad" : "good",
    },
    { text: connect === undefined ? "failed" : span(connect), right: true },
    { text: tlsText, tone },
    { text: role ? roleText(role) : "-" },
    { text: version ?? "-" },
  ];
}

function outcomeCell(outcome: Outcome | undefined): Cell {
  if (outcome === undefined) return { text: "-", right: true };
  if (outcome.error) return { text: "failed", tone: "bad", right: true };
  return { text: span(outcome.took), tone: "good", right: true };
}

function roleText({ standby, readOnly }: Role): string {
  if (standby) return "standby";
  return readOnly ? "primary, read-only" : "primary";
}
