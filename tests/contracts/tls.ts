/**
 * TLS as a suite: what each `sslmode` lets in, which name is sent and checked though the socket goes to an address,
 * and that nothing is handed out after a flip to a server with the wrong certificate. `tests/tls_<database>_test.ts`
 * runs it over every driver of a database, on real servers.
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
import {
  NAME,
  type Shown,
  type StartShowing,
  startTlsServers,
  type TlsServers,
} from "../support/tls_servers.ts";
import { pause, soon } from "../support/waiting.ts";

/** A driver, and what its tests need to know. */
export interface TlsSubject {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- whatever the client is, the suite only hands it back
  readonly adapter: Adapter<any>;
  readonly user: string;
  readonly password: string;
  /** A row whose `encrypted` is truthy. */
  readonly encrypted: string;
  /** What a server says before the client begins with TLS. */
  readonly prelude: { readonly replies: readonly Uint8Array[]; readonly first?: boolean };
  /** What this driver cannot do, and how it says so when the engine is made. */
  readonly refuses?: Readonly<Partial<Record<Mode | "client certificate", string>>>;
  /** Its first connection to a server is not the one that is secured: its own test looks at that. */
  readonly knocks?: boolean;
}

/** The values of `sslmode`. */
export type Mode = "disable" | "require" | "verify-ca" | "verify-full";

/** What each mode lets in, with an authority to trust. Everything else is refused. */
const LETS_IN: Readonly<Record<Mode, readonly Shown[]>> = {
  // In plain text; the server that asks for a client's certificate asks for TLS as well.
  "disable": ["right", "otherName", "expired", "stranger", "address", "plain"],
  // Given an authority, it checks for that, as libpq does.
  "require": ["right", "otherName", "address"],
  "verify-ca": ["right", "otherName", "address"],
  "verify-full": ["right"],
};

/** What `require` lets in without an authority. */
const UNCHECKED: readonly Shown[] = ["right", "otherName", "expired", "stranger", "address"];

const SHOWN: readonly Shown[] = ["right", "otherName", "expired", "stranger", "address", "plain"];

/** Registers the suite for the drivers of one kind of server. */
export function tlsContract(
  subjects: readonly TlsSubject[],
  start: StartShowing,
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
      register(`${subject.name}: ${name}`, () => test(stageOf(subject, tls)));
    }
  }
}

/** What every test has at hand. */
interface Stage {
  readonly subject: TlsSubject;
  readonly tls: TlsServers;
  /**
   * Connects to a server: `true` for an encrypted connection, `false` for plain text; otherwise it rejects.
   */
  connect(shown: Shown, changes: Partial<Target>): Promise<boolean>;
  target(changes: Partial<Target>): Target;
}

function stageOf(subject: TlsSubject, tls: TlsServers): Stage {
  const { adapter, user, password } = subject;
  return {
    subject,
    tls,
    target: (changes) => ({
      host: NAME,
      port: 0,
      user,
      password,
      database: "orders",
      params: {},
      connectArgs: {},
      keepAlive: true,
      addresses: () => [],
      signal: AbortSignal.timeout(5000),
      ...changes,
    }),
    async connect(shown, changes) {
      const { host, port } = tls.servers[shown];
      const target = this.target({ port, addresses: () => [host], ...changes });
      adapter.check?.(target);
      const client = await soon(adapter.connect(host, target));
      const [row] = await adapter.query!(client, subject.encrypted);
      await adapter.close!(client);
      return Boolean((row as { encrypted: unknown }).encrypted);
    },
  };
}

/** What a server that shows this is to a connect: the state of the connection, or the refusal. */
async function outcome(stage: Stage, shown: Shown, changes: Partial<Target>): Promise<string> {
  try {
    return await stage.connect(shown, changes) ? "encrypted" : "plain";
  } catch (error) {
    assert(error instanceof Error, inspected(error));
    assertFalse(
      error instanceof TypeError && error.message.startsWith("Cannot use"),
      String(error),
    );
    assertFalse(/more than 5 seconds|TimeoutError/.test(String(error)), String(error));
    assertFalse(inspected(error).includes(stage.subject.password));
    return "refused";
  }
}

/** Who is let in, of all servers. */
async function letIn(stage: Stage, changes: Partial<Target>): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {};
  for (const shown of SHOWN) outcomes[shown] = await outcome(stage, shown, changes);
  return outcomes;
}

function expected(shown: readonly Shown[], state = "encrypted"): Record<string, string> {
  return Object.fromEntries(SHOWN.map((each) => [each, shown.includes(each) ? state : "refused"]));
}

/** A mode that a driver cannot do is refused when the engine is made, and that is all there is to see. */
function isRefused({ subject }: Stage, mode: Mode): boolean {
  const message = subject.refuses?.[mode];
  if (message === undefined) return false;
  assertThrows(
    () => getDnsEngine(`x://${NAME}/orders?sslmode=${mode}`, { adapter: subject.adapter }),
    TypeError,
    message,
  );
  return true;
}

const TESTS: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "sslmode=disable speaks plain text": async (stage) => {
    const params = { sslmode: "disable" };
    assertEquals(await letIn(stage, { params }), expected(LETS_IN.disable, "plain"));
  },

  "sslmode=require encrypts, and checks no certificate unless it is given an authority": async (
    stage,
  ) => {
    if (isRefused(stage, "require")) return;
    const params = { sslmode: "require" };
    assertEquals(await letIn(stage, { params }), expected(UNCHECKED));
    const connectArgs = { ssl: { ca: stage.tls.ca } };
    assertEquals(await letIn(stage, { params, connectArgs }), expected(LETS_IN.require));
  },

  "sslmode=verify-ca checks who issued the certificate and when, but no name": async (stage) => {
    if (isRefused(stage, "verify-ca")) return;
    const params = { sslmode: "verify-ca" };
    const connectArgs = { ssl: { ca: stage.tls.ca } };
    assertEquals(await letIn(stage, { params, connectArgs }), expected(LETS_IN["verify-ca"]));
  },

  "sslmode=verify-full, and an authority alone, let in the right name only": async (stage) => {
    const connectArgs = { ssl: { ca: stage.tls.ca } };
    const params = { sslmode: "verify-full" };
    assertEquals(await letIn(stage, { params, connectArgs }), expected(LETS_IN["verify-full"]));
    assertEquals(await letIn(stage, { connectArgs }), expected(LETS_IN["verify-full"]));
  },

  "without an authority that issued it, no certificate is good": async (stage) => {
    assertEquals(await letIn(stage, { connectArgs: { ssl: true } }), expected([]));
    assertEquals(await letIn(stage, { params: { sslmode: "verify-full" } }), expected([]));
  },

  "tls() says what was made sure of": async (stage) => {
    const { subject, tls } = stage;
    if (!subject.adapter.tls) return;
    const { host, port } = tls.servers.right;
    const checked: Readonly<Record<Mode, string | undefined>> = {
      "disable": undefined,
      "require": "nothing",
      "verify-ca": "chain",
      "verify-full": "name",
    };
    for (const [sslmode, expected] of Object.entries(checked)) {
      if (isRefused(stage, sslmode as Mode)) continue;
      const ca = sslmode.startsWith("verify") && { ssl: { ca: tls.ca } };
      const client = await soon(subject.adapter.connect(host, {
        ...stage.target({ port, addresses: () => [host] }),
        params: { sslmode },
        connectArgs: { ...ca },
      }));
      assertEquals(subject.adapter.tls(client)?.checked, expected, sslmode);
      await subject.adapter.close!(client);
    }
  },

  "sslrootcert names the file of the authority, and one that cannot be read is named": async (
    stage,
  ) => {
    const params = { sslmode: "verify-full", sslrootcert: stage.tls.files.ca };
    assertEquals(await letIn(stage, { params }), expected(LETS_IN["verify-full"]));
    const missing = { ...params, sslrootcert: "/no/such/file.pem" };
    await assertRejects(
      () => stage.connect("right", { params: missing }),
      Error,
      'Cannot read the file of the URL parameter "sslrootcert": /no/such/file.pem',
    );
  },

  "where the URL has an IP address, the certificate must be for that": async (stage) => {
    const connectArgs = { ssl: { ca: stage.tls.ca } };
    const { host } = stage.tls.servers.right;
    assertEquals(await letIn(stage, { host, connectArgs }), expected(["address"]));
  },

  "the host name is sent to the server, and an IP address is not": async ({ subject, tls }) => {
    if (subject.knocks) return;
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
        const heard = hungUp(await conn);
        await pause(100); // for its hello
        controller.abort(new Error("enough"));
        // The name stands in the client's hello as it is (RFC 6066, section 3).
        assertEquals((await heard).includes(host), host === NAME);
        await assertRejects(() => soon(connecting));
      }, { first: prelude.first ?? false });
    }
  },

  "a client certificate is shown, from connectArgs or from files": async (stage) => {
    const { subject, tls } = stage;
    const params = { sslmode: "verify-full", sslrootcert: tls.files.ca };
    const files = { ...params, sslcert: tls.files.cert, sslkey: tls.files.key };
    const refusal = subject.refuses?.["client certificate"];
    if (refusal !== undefined) {
      for (const changes of [{ params: files }, { connectArgs: { ssl: tls.client } }]) {
        await assertRejects(() => stage.connect("client", changes), TypeError, refusal);
      }
      return;
    }
    assertEquals(await outcome(stage, "client", { params }), "refused");
    assertEquals(await outcome(stage, "client", { params: files }), "encrypted");
    const connectArgs = { ssl: { ca: tls.ca, ...tls.client } };
    assertEquals(await outcome(stage, "client", { connectArgs }), "encrypted");
  },

  "after a flip to a server with the wrong certificate, nothing is handed out": async (
    { subject, tls },
  ) => {
    const { right, otherName } = tls.servers;
    const dns = fakeLookup([right.host], 0);
    const options: EngineOptions<unknown> = {
      adapter: subject.adapter,
      dnsLookup: dns,
      dnsMinTtl: 0,
      dnsFallback: false,
      poolTimeout: 1,
      connectArgs: { ssl: { ca: tls.ca } },
    };
    const who = `${subject.user}:${encodeURIComponent(subject.password)}`;
    const engine = getDnsEngine(`x://${who}@${NAME}:${right.port}/orders`, options);
    assertEquals(await engine.use(({ address }) => address), right.host);
    dns.addresses = [otherName.host];
    const error = await assertRejects(() => soon(engine.connect()), ConnectError);
    assertEquals([...new Set(error.attempts.map(({ address }) => address))], [otherName.host]);
    assertEquals([engine.status().idle, engine.status().inUse], [0, 0]);
    dns.addresses = [right.host];
    assertEquals(await soon(engine.use(({ address }) => address)), right.host);
    await engine.close();
  },
};
