/**
 * The TLS suite of the adapters: which certificates each `sslmode` accepts, which name is sent and checked although the
 * socket goes to an address, and that no connection is leased after the name moves to a server with the wrong
 * certificate. The files `tests/adapters/tls_*_test.ts` run it with every driver, on real servers.
 *
 * @module
 */

import { assert, assertEquals, assertFalse, assertRejects, assertThrows } from "@std/assert";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { ConnectError, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { ALWAYS, type Registration } from "../support/servers.ts";
import { makeTarget } from "../support/target.ts";
import {
  NAME,
  type ServerKind,
  type StartTlsServer,
  startTlsServers,
  type TlsServers,
} from "../support/tls_servers.ts";
import { pause, soon } from "../support/waiting.ts";

/** An adapter, and what the suite needs to know about its driver and server. */
export interface TlsSubject {
  /** The function that makes the adapter, such as `"pgAdapter"`; begins the names of the tests. */
  readonly factory: string;
  // deno-lint-ignore no-explicit-any -- the suite passes the client only to the adapter
  readonly adapter: Adapter<any>;
  readonly user: string;
  readonly password: string;
  /** The statement that returns `encrypted`: truthy on an encrypted connection. */
  readonly encrypted: string;
  /** The messages of the server before the client starts TLS. */
  readonly prelude: { readonly replies: readonly Uint8Array[]; readonly first?: boolean };
  /** The modes that the driver does not support, each with the message of the error. */
  readonly refuses?: Readonly<Partial<Record<Mode | "client certificate", string>>>;
  /** Whether the first socket is a probe without TLS. The driver's own test checks the name that is sent. */
  readonly probes?: boolean;
}

/** The values of `sslmode`. */
export type Mode = "disable" | "require" | "verify-ca" | "verify-full";

/** The servers that each mode accepts, given an authority. All others are refused. */
const ACCEPTED: Readonly<Record<Mode, readonly ServerKind[]>> = {
  // In plain text.
  "disable": ["valid", "otherName", "expired", "untrusted", "address", "plain"],
  // Given an authority, this mode checks the issuer, as in libpq.
  "require": ["valid", "otherName", "address"],
  "verify-ca": ["valid", "otherName", "address"],
  "verify-full": ["valid"],
};

/** The servers that `require` accepts without an authority. */
const ENCRYPTED: readonly ServerKind[] = ["valid", "otherName", "expired", "untrusted", "address"];

const ALL: readonly ServerKind[] = [
  "valid",
  "otherName",
  "expired",
  "untrusted",
  "address",
  "plain",
];

/** Registers the suite for the drivers of one kind of server. */
export function tlsContract(
  subjects: readonly TlsSubject[],
  start: StartTlsServer,
  user: string,
  { test: register, skipped }: Registration = ALWAYS,
): void {
  let tls: TlsServers;
  Deno.test.beforeAll(async () => {
    if (!skipped) tls = await startTlsServers(start, user);
  });
  Deno.test.afterAll(() => tls?.stop());
  for (const subject of subjects) {
    for (const [name, test] of Object.entries(TESTS)) {
      register(`${subject.factory}().${name}`, () => test(contextOf(subject, tls)));
    }
  }
}

/** What each test gets. */
interface TestContext {
  readonly subject: TlsSubject;
  readonly tls: TlsServers;
  /** Connects to a server, and returns whether the connection is encrypted. Rejects if the adapter refuses. */
  connect(kind: ServerKind, changes: Partial<Target>): Promise<boolean>;
  target(changes: Partial<Target>): Target;
}

function contextOf(subject: TlsSubject, tls: TlsServers): TestContext {
  const { adapter, user, password } = subject;
  return {
    subject,
    tls,
    target: (changes) =>
      makeTarget({
        host: NAME,
        user,
        password,
        database: "orders",
        signal: AbortSignal.timeout(5000),
        ...changes,
      }),
    async connect(kind, changes) {
      const { host, port } = tls.servers[kind];
      const target = this.target({ port, addresses: () => [host], ...changes });
      adapter.check?.(target);
      const client = await soon(adapter.connect(host, target));
      const [row] = await adapter.query!(client, subject.encrypted);
      await adapter.close!(client);
      return Boolean((row as { encrypted: unknown }).encrypted);
    },
  };
}

/** Returns the outcome of a connect: `"encrypted"`, `"plain"` or `"refused"`. */
async function outcomeOf(
  context: TestContext,
  kind: ServerKind,
  changes: Partial<Target>,
): Promise<string> {
  try {
    return await context.connect(kind, changes) ? "encrypted" : "plain";
  } catch (error) {
    assert(error instanceof Error, inspected(error));
    assertFalse(
      error instanceof TypeError && / must (not )?be /.test(error.message),
      String(error),
    );
    assertFalse(/more than 5 seconds|TimeoutError/.test(String(error)), String(error));
    assertFalse(inspected(error).includes(context.subject.password));
    return "refused";
  }
}

/** Returns the outcome of a connect to each kind of server. */
async function outcomesOf(
  context: TestContext,
  changes: Partial<Target>,
): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {};
  for (const kind of ALL) outcomes[kind] = await outcomeOf(context, kind, changes);
  return outcomes;
}

function expected(accepted: readonly ServerKind[], state = "encrypted"): Record<string, string> {
  return Object.fromEntries(ALL.map((kind) => [kind, accepted.includes(kind) ? state : "refused"]));
}

/** Returns whether the driver does not support a mode; then asserts that the engine refuses it. */
function isRefused({ subject }: TestContext, mode: Mode): boolean {
  const message = subject.refuses?.[mode];
  if (message === undefined) return false;
  assertThrows(
    () => getDnsEngine(`x://${NAME}/orders?sslmode=${mode}`, { adapter: subject.adapter }),
    TypeError,
    message,
  );
  return true;
}

const TESTS: Readonly<Record<string, (context: TestContext) => Promise<void>>> = {
  "connect(): uses plain text with sslmode=disable": async (context) => {
    const params = { sslmode: "disable" };
    assertEquals(await outcomesOf(context, { params }), expected(ACCEPTED.disable, "plain"));
  },

  "connect(): checks a certificate with sslmode=require only if it is given an authority": async (
    context,
  ) => {
    if (isRefused(context, "require")) return;
    const params = { sslmode: "require" };
    assertEquals(await outcomesOf(context, { params }), expected(ENCRYPTED));
    const connectArgs = { ssl: { ca: context.tls.ca } };
    assertEquals(await outcomesOf(context, { params, connectArgs }), expected(ACCEPTED.require));
  },

  "connect(): checks issuer and dates with sslmode=verify-ca, and not the name": async (
    context,
  ) => {
    if (isRefused(context, "verify-ca")) return;
    const params = { sslmode: "verify-ca" };
    const connectArgs = { ssl: { ca: context.tls.ca } };
    assertEquals(
      await outcomesOf(context, { params, connectArgs }),
      expected(ACCEPTED["verify-ca"]),
    );
  },

  "connect(): accepts only the right name with sslmode=verify-full, and with an authority alone":
    async (context) => {
      const connectArgs = { ssl: { ca: context.tls.ca } };
      const params = { sslmode: "verify-full" };
      assertEquals(
        await outcomesOf(context, { params, connectArgs }),
        expected(ACCEPTED["verify-full"]),
      );
      assertEquals(await outcomesOf(context, { connectArgs }), expected(ACCEPTED["verify-full"]));
    },

  "connect(): accepts no certificate whose authority it is not given": async (context) => {
    assertEquals(await outcomesOf(context, { connectArgs: { ssl: true } }), expected([]));
    assertEquals(await outcomesOf(context, { params: { sslmode: "verify-full" } }), expected([]));
  },

  "tls(): returns what was verified": async (context) => {
    const { subject, tls } = context;
    if (!subject.adapter.tls) return;
    const { host, port } = tls.servers.valid;
    const checked: Readonly<Record<Mode, string | undefined>> = {
      "disable": undefined,
      "require": "nothing",
      "verify-ca": "chain",
      "verify-full": "name",
    };
    for (const [sslmode, expected] of Object.entries(checked)) {
      if (isRefused(context, sslmode as Mode)) continue;
      const ca = sslmode.startsWith("verify") && { ssl: { ca: tls.ca } };
      const client = await soon(subject.adapter.connect(host, {
        ...context.target({ port, addresses: () => [host] }),
        params: { sslmode },
        connectArgs: { ...ca },
      }));
      assertEquals(subject.adapter.tls(client)?.checked, expected, sslmode);
      await subject.adapter.close!(client);
    }
  },

  "connect(): reads the authority from the file in sslrootcert, and names a file that it cannot read":
    async (
      context,
    ) => {
      const params = { sslmode: "verify-full", sslrootcert: context.tls.files.ca };
      assertEquals(await outcomesOf(context, { params }), expected(ACCEPTED["verify-full"]));
      const missing = { ...params, sslrootcert: "/no/such/file.pem" };
      await assertRejects(
        () => context.connect("valid", { params: missing }),
        Error,
        'Cannot read the file of the URL parameter "sslrootcert": /no/such/file.pem',
      );
    },

  "connect(): requires a certificate for the IP address if the URL has one": async (context) => {
    const connectArgs = { ssl: { ca: context.tls.ca } };
    const { host } = context.tls.servers.valid;
    assertEquals(await outcomesOf(context, { host, connectArgs }), expected(["address"]));
  },

  "connect(): sends the host name to the server, and no IP address": async ({ subject, tls }) => {
    if (subject.probes) return;
    const { adapter, user, password, prelude } = subject;
    for (const host of [NAME, "127.0.0.1"]) {
      await withMute(prelude.replies, async ({ port, conn, silent }) => {
        const controller = new AbortController();
        const connecting = adapter.connect("127.0.0.1", {
          host,
          port,
          user,
          password,
          database: "orders",
          params: { sslmode: "verify-full" },
          connectArgs: { ssl: { ca: tls.ca } },
          keepAlive: true,
          addresses: () => ["127.0.0.1"],
          signal: controller.signal,
        });
        connecting.catch(() => {});
        await silent;
        const received = hungUp(await conn);
        await pause(100); // until the ClientHello has arrived
        controller.abort(new Error("enough"));
        // The ClientHello contains the name in plain text (RFC 6066, section 3).
        assertEquals((await received).includes(host), host === NAME);
        await assertRejects(() => soon(connecting));
      }, { first: prelude.first ?? false });
    }
  },

  "connect(): shows a client certificate from connectArgs or from files": async (context) => {
    const { subject, tls } = context;
    const params = { sslmode: "verify-full", sslrootcert: tls.files.ca };
    const files = { ...params, sslcert: tls.files.cert, sslkey: tls.files.key };
    const refusal = subject.refuses?.["client certificate"];
    if (refusal !== undefined) {
      for (const changes of [{ params: files }, { connectArgs: { ssl: tls.client } }]) {
        await assertRejects(() => context.connect("client", changes), TypeError, refusal);
      }
      return;
    }
    assertEquals(await outcomeOf(context, "client", { params }), "refused");
    assertEquals(await outcomeOf(context, "client", { params: files }), "encrypted");
    const connectArgs = { ssl: { ca: tls.ca, ...tls.client } };
    assertEquals(await outcomeOf(context, "client", { connectArgs }), "encrypted");
  },

  "connect(): opens nothing in an engine after the name moves to a server with the wrong certificate":
    async (
      { subject, tls },
    ) => {
      const { valid, otherName } = tls.servers;
      const dns = fakeLookup([valid.host], 0);
      const options: EngineOptions<unknown> = {
        adapter: subject.adapter,
        dnsLookup: dns,
        dnsMinTtl: 0,
        dnsFallback: false,
        poolTimeout: 1,
        connectArgs: { ssl: { ca: tls.ca } },
      };
      const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
      const engine = getDnsEngine(`x://${login}@${NAME}:${valid.port}/orders`, options);
      assertEquals(await engine.use(({ address }) => address), valid.host);
      dns.addresses = [otherName.host];
      const error = await assertRejects(() => soon(engine.connect()), ConnectError);
      assertEquals([...new Set(error.attempts.map(({ address }) => address))], [otherName.host]);
      assertEquals([engine.status().idle, engine.status().inUse], [0, 0]);
      dns.addresses = [valid.host];
      assertEquals(await soon(engine.use(({ address }) => address)), valid.host);
      await engine.close();
    },
};
