/**
 * An adapter without a database, for tests of code that uses an engine.
 *
 * @module
 */

import type {
  Activity,
  Adapter,
  Role,
  Target,
  TransactionPlan,
  TransactionStatus,
  Verdict,
} from "../adapters/adapter.ts";

/** A connection of the fake adapter. */
export interface FakeClient {
  /** 1 for the first connection that the adapter opened, then 2, and so on. */
  readonly id: number;
  /** The address that was connected to. */
  readonly address: string;
  /**
   * The calls on it, in order: statements, `"ping"`, `"role"`, `"isolation serializable"` (or another level, or
   * `"isolation default"`), `"rollback"`, `"commit"`, `"cancel"`, `"close"`, `"terminate"`.
   */
  readonly log: string[];
  /** Whether it is open. */
  open: boolean;
  /** The status of the transaction; set by the statements BEGIN, COMMIT and ROLLBACK. */
  transactionStatus: TransactionStatus;
  /** The session's isolation level; `undefined` is the server's default. */
  isolationLevel: string | undefined;
}

/** The behavior of the fake servers. Each function may be replaced at any time, and may throw or wait. */
export interface FakeBehavior {
  /**
   * Called for each connect, before the client is made. If it throws an error with the code 28P01, user or password are
   * refused.
   */
  connect?(address: string, target: Target): void | Promise<void>;
  /** Called for each statement; returns the rows. By default, one row with the address. */
  query?(
    client: FakeClient,
    text: string,
    values: readonly unknown[],
  ): readonly unknown[] | Promise<readonly unknown[]>;
  /** Called before statements are canceled; if it rejects or throws, none is. */
  cancel?(client: FakeClient): void | Promise<void>;
  /** Called for each ping. */
  ping?(client: FakeClient): void | Promise<void>;
  /** Called for each rollback or commit at checkin. */
  reset?(client: FakeClient, how: "rollback" | "commit"): void | Promise<void>;
  /** Called for each reset of a session. */
  resetSession?(client: FakeClient): void | Promise<void>;
  /** Returns what a connection has still to do. By default, nothing. */
  activity?(client: FakeClient): Activity | undefined;
  /** Called before an isolation level is set; `undefined` is the server's default. */
  setIsolationLevel?(client: FakeClient, level: string | undefined): void | Promise<void>;
  /** Returns the server's role. By default, a primary that accepts writes. */
  role?(client: FakeClient): Role | Promise<Role>;
  /** Classifies an error. By default, returns the error's own `verdict` property. */
  classify?(error: unknown): Verdict;
}

/** An {@linkcode Adapter} that records the calls on it. */
export interface FakeAdapter extends Adapter<FakeClient> {
  /** The behavior of the fake servers. */
  readonly behavior: FakeBehavior;
  /** Every address that was connected to, in order, failures included. */
  readonly dials: string[];
  /** Every connection that was opened, in order. */
  readonly clients: FakeClient[];
  /** The connections that are open now. */
  readonly open: FakeClient[];
  /** Breaks a connection, as when its server is killed. */
  kill(client: FakeClient, error?: unknown): void;
  /** Lets the server report an error that the holder of the connection does not pass on. */
  report(client: FakeClient, error: unknown): void;
  /**
   * Sends a notification to the open connections that listen on its channel; with `address`, to those to that server.
   */
  notify(channel: string, payload?: string, address?: string): void;
  /** Lets the server report that its role has changed. */
  reportRole(client: FakeClient): void;
}

/**
 * Makes an adapter for fake servers. By default, every connect succeeds at once.
 *
 * @param behavior The behavior of the servers.
 * @returns The adapter.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const adapter = fakeAdapter();
 * const engine = getDnsEngine("fake://10.0.0.7/orders", { adapter });
 * assertEquals(await engine.query("SELECT 1"), [{ address: "10.0.0.7" }]);
 * assertEquals(adapter.dials, ["10.0.0.7"]);
 * await engine.close();
 * assertEquals(adapter.open, []);
 * ```
 */
export function fakeAdapter(behavior: FakeBehavior = {}): FakeAdapter {
  const clients: FakeClient[] = [];
  const dials: string[] = [];
  const listeners: Map<FakeClient, ((error?: unknown) => void)[]> = new Map();
  const observers: Map<FakeClient, (error: unknown) => void> = new Map();
  const roleListeners: Map<FakeClient, () => void> = new Map();
  const channels: Map<FakeClient, Set<string>> = new Map();
  const notifyListeners: Map<FakeClient, (channel: string, payload: string) => void> = new Map();
  const end = (client: FakeClient, entry: string) => {
    client.log.push(entry);
    client.open = false;
  };
  /** Functions that reject the statements that are running. */
  const running: Map<FakeClient, Set<(error: Error) => void>> = new Map();
  const untilCanceled = <T>(client: FakeClient, statement: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const statements = running.get(client) ?? new Set();
      running.set(client, statements.add(reject));
      statement.then(resolve, reject).then(() => statements.delete(reject));
    });
  return {
    name: "fake",
    defaultPort: 1,
    behavior,
    dials,
    clients,
    get open(): FakeClient[] {
      return clients.filter(({ open }) => open);
    },
    kill(client: FakeClient, error?: unknown): void {
      if (!client.open) return;
      client.open = false;
      for (const listener of listeners.get(client) ?? []) listener(error);
    },
    report: (client: FakeClient, error: unknown) => observers.get(client)?.(error),
    notify(channel: string, payload = "", address?: string): void {
      for (const client of clients.filter(({ open }) => open)) {
        if (address !== undefined && client.address !== address) continue;
        if (channels.get(client)?.has(channel)) notifyListeners.get(client)?.(channel, payload);
      }
    },
    reportRole: (client: FakeClient) => roleListeners.get(client)?.(),
    socketPath: (path: string) => path,
    async connect(address: string, target: Target): Promise<FakeClient> {
      dials.push(address);
      await behavior.connect?.(address, target);
      target.signal.throwIfAborted();
      const client: FakeClient = {
        id: clients.length + 1,
        address,
        log: [],
        open: true,
        transactionStatus: "idle",
        isolationLevel: undefined,
      };
      clients.push(client);
      return client;
    },
    close(client: FakeClient): Promise<void> {
      end(client, "close");
      return Promise.resolve();
    },
    terminate: (client: FakeClient) => end(client, "terminate"),
    async cancel(client: FakeClient): Promise<void> {
      client.log.push("cancel");
      await behavior.cancel?.(client);
      const statements = running.get(client) ?? [];
      running.delete(client);
      for (const reject of statements) reject(new Error("The statement was canceled"));
    },
    async ping(client: FakeClient): Promise<void> {
      client.log.push("ping");
      await behavior.ping?.(client);
    },
    async reset(client: FakeClient, how: "rollback" | "commit"): Promise<void> {
      client.log.push(how);
      client.transactionStatus = "idle";
      await behavior.reset?.(client, how);
    },
    async resetSession(client: FakeClient): Promise<void> {
      client.log.push("reset session");
      client.isolationLevel = undefined;
      await behavior.resetSession?.(client);
    },
    activity: (client: FakeClient) =>
      behavior.activity === undefined ? "none" : behavior.activity(client),
    transactionStatus: (client: FakeClient) =>
      running.get(client)?.size ? undefined : client.transactionStatus,
    async setIsolationLevel(client: FakeClient, level: string | undefined): Promise<void> {
      client.log.push(`isolation ${level ?? "default"}`);
      await behavior.setIsolationLevel?.(client, level);
      client.isolationLevel = level;
    },
    async role(client: FakeClient): Promise<Role> {
      client.log.push("role");
      return await behavior.role?.(client) ?? { standby: false, readOnly: false };
    },
    classify(error: unknown): Verdict {
      if (behavior.classify) return behavior.classify(error);
      return (error as { verdict?: Verdict } | null)?.verdict;
    },
    refusesLogin: (error: unknown) => (error as { code?: unknown } | null)?.code === "28P01",
    refusesClients: (error: unknown) => (error as { code?: unknown } | null)?.code === "57P03",
    onClose(client: FakeClient, listener: (error?: unknown) => void): void {
      listeners.set(client, [...listeners.get(client) ?? [], listener]);
    },
    onError: (client: FakeClient, listener: (error: unknown) => void) =>
      void observers.set(client, listener),
    onRoleChange: (client: FakeClient, listener: () => void) =>
      void roleListeners.set(client, listener),
    planTransaction({ isolationLevel, readOnly, deferrable, settings }): TransactionPlan {
      const names = Object.keys(settings);
      const begin = ["BEGIN"];
      if (isolationLevel !== undefined) begin.push(isolationLevel);
      if (readOnly !== undefined) begin.push(readOnly ? "read only" : "read write");
      if (deferrable !== undefined) begin.push(deferrable ? "deferrable" : "not deferrable");
      return {
        before: names.length > 0 ? [["keep settings"], ["set", Object.entries(settings)]] : [],
        begin: begin.join(" "),
        after: [],
        end: names.length > 0 ? [["put settings back"]] : [],
      };
    },
    notifications: {
      onNotify: (client, listener) => void notifyListeners.set(client, listener),
      async listen(client: FakeClient, channel: string): Promise<void> {
        const text = `LISTEN ${channel}`;
        client.log.push(text);
        await behavior.query?.(client, text, []);
        channels.set(client, (channels.get(client) ?? new Set()).add(channel));
      },
      async unlisten(client: FakeClient, channel: string): Promise<void> {
        const text = `UNLISTEN ${channel}`;
        client.log.push(text);
        await behavior.query?.(client, text, []);
        channels.get(client)?.delete(channel);
      },
    },
    async query(
      client: FakeClient,
      text: string,
      values: readonly unknown[] = [],
    ): Promise<readonly unknown[]> {
      client.log.push(text);
      if (/^begin\b/i.test(text)) client.transactionStatus = "open";
      const rows = behavior.query?.(client, text, values);
      const given = rows instanceof Promise ? await untilCanceled(client, rows) : rows;
      if (/^(commit|rollback)\b(?! to\b)/i.test(text)) client.transactionStatus = "idle";
      return given ?? [{ address: client.address }];
    },
  };
}
