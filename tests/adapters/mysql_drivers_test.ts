/** Tests of what mysql2 and mariadb have in common besides the contract, on a real MariaDB server. */

import { assert, assertEquals, assertFalse, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import {
  type Engine,
  type EngineOptions,
  getDnsEngine,
  TransactionAbortedError,
} from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import type { MariadbServer } from "../../lab/mariadb.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import {
  asAdmin,
  GREETING,
  LOGIN,
  packet,
  startServer,
  untilLockWait,
} from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { makeTarget } from "../support/target.ts";
import { pause, soon, until } from "../support/waiting.ts";
import { cutWay, textsOf } from "../contracts/adapter.ts";

/** What the clients of both drivers have. */
interface Client {
  query(text: string): Promise<unknown>;
}

const ADAPTERS = [mysql2Adapter(mysql), mariadbAdapter(mariadb)] as unknown as Adapter<Client>[];

let server: MariadbServer;
let ca: string;

Deno.test.beforeAll(async () => {
  if (ON_MARIADB.skipped) return;
  const authority = await makeAuthority();
  ca = authority.cert;
  server = await startServer({ tls: await authority.issue({ names: ["db.internal"] }) });
  await asAdmin(server, "CREATE TABLE things (name varchar(100) UNIQUE)");
  await asAdmin(server, "CREATE TABLE accounts (id int PRIMARY KEY, owner varchar(100))");
  await asAdmin(server, "INSERT INTO accounts (id) VALUES (1), (2)");
  await asAdmin(
    server,
    "CREATE PROCEDURE both_of() BEGIN SELECT 1 AS a; SELECT 2 AS b; END",
  );
  await asAdmin(
    server,
    "CREATE PROCEDURE half_done() BEGIN START TRANSACTION; INSERT INTO things VALUES ('half'); SIGNAL SQLSTATE '45000'; END",
  );
});

Deno.test.afterAll(() => server?.stop({ mode: "immediate" }));

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    ...LOGIN,
    port: server.port,
    database: "orders",
    addresses: () => [server.host],
    ...changes,
  });
}

function engineFor(
  adapter: Adapter<Client>,
  query = "",
  options: EngineOptions<Client> = {},
): Engine<Client> {
  return getDnsEngine(server.url("db.internal") + query, {
    adapter,
    dnsLookup: fakeLookup([server.host], 60),
    dnsFallback: false,
    ...options,
  });
}

/** Returns the number of rollbacks on the server. */
async function rollbacks(): Promise<number> {
  const [row] = await asAdmin(server, "SHOW GLOBAL STATUS LIKE 'Com_rollback'");
  return Number(row!.Value);
}

function each(name: string, test: (adapter: Adapter<Client>) => Promise<void>): void {
  for (const adapter of ADAPTERS) {
    const factory = `${adapter.name}Adapter()`;
    const title = /^\w+\(\)/.test(name) ? `${factory}.${name}` : `${factory} ${name}`;
    ON_MARIADB.test(title, () => test(adapter));
  }
}

ON_MARIADB.test("getDnsEngine(): loads the driver by the URL alone, with a default for each dialect", async () => {
  const drivers: Readonly<Record<string, string>> = {
    "mysql": "mysql2",
    "mysql+mysql2": "mysql2",
    "mysql+mariadb": "mariadb",
    "mariadb": "mariadb",
    "mariadb+mariadb": "mariadb",
    "mariadb+mysql2": "mysql2",
  };
  for (const [scheme, driver] of Object.entries(drivers)) {
    const engine = getDnsEngine(server.url().replace(/^\w+/, scheme));
    assertEquals([scheme, engine.driver], [scheme, driver]);
    const [row] = await engine.query("SELECT @@bind_address AS ip");
    assertEquals((row as { ip: string }).ip, server.host);
    await engine.close();
  }
  assertThrows(
    () => getDnsEngine("mysql+pg://h/d"),
    TypeError,
    '"driver of the database URL" must be one of "mysql2", "mariadb", "bun" for mysql, unless the option "adapter" is given, got "pg"',
  );
});

each("in an engine: makes no round trip at checkin if no transaction is open", async (adapter) => {
  const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
  const histories = [
    [],
    ["SELECT 1"],
    ["SELECT '', 1"],
    ["SET @a = 1"],
    ["BEGIN", "INSERT INTO things VALUES ('a')", "COMMIT"],
    ["BEGIN", "SELECT * FROM things", "ROLLBACK"],
    ["SELEC 1", "SELECT 1"],
    ["CALL both_of()"],
    ["SET autocommit = 0", "SELECT 1", "SET autocommit = 1"],
  ];
  for (const history of histories) {
    const lease = await engine.connect();
    for (const text of history) await lease.client.query(text).catch(() => {});
    const before = await rollbacks();
    await lease.release();
    assertEquals(await rollbacks(), before, history.join("; "));
    assertEquals(engine.status().idle, 1);
    await asAdmin(server, "DELETE FROM things");
  }
  assertEquals(engine.status().opened, 1);
  await engine.close();
});

each(
  "in an engine: rolls back once at checkin if a transaction may be open",
  async (adapter) => {
    const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    const histories: (readonly string[])[] = [
      ["BEGIN"],
      ["START TRANSACTION READ ONLY"],
      ["BEGIN", "INSERT INTO things VALUES ('b')"],
      ["BEGIN", "SELECT ''"],
      ["BEGIN", "SELEC 1"],
      ["SET autocommit = 0", "INSERT INTO things VALUES ('b')"],
      // The server's error packet does not show that a transaction is open.
      ["CALL half_done()"],
      ["SELEC 1"],
    ];
    for (const history of histories) {
      const lease = await engine.connect();
      for (const text of history) await lease.client.query(text).catch(() => {});
      const before = await rollbacks();
      await lease.release();
      assertEquals(await rollbacks(), before + 1, history.join("; "));
      assertEquals(await engine.query("SELECT name FROM things").then((rows) => [...rows]), []);
      await engine.query("SET autocommit = 1");
    }
    assertEquals(engine.status().opened, 1);
    await engine.close();
  },
);

each("transactionStatus(): is undefined while a statement is running", async (adapter) => {
  const client = await adapter.connect(server.host, targetOf());
  assertEquals(adapter.transactionStatus!(client), "idle");
  const beginning = client.query("BEGIN");
  assertEquals(adapter.transactionStatus!(client), undefined);
  await beginning;
  assertEquals(adapter.transactionStatus!(client), "open");
  const running = [client.query("SELECT SLEEP(0.05)"), client.query("COMMIT")];
  assertEquals(adapter.transactionStatus!(client), undefined);
  await Promise.all(running);
  assertEquals(adapter.transactionStatus!(client), "idle");
  await adapter.query!(client, "SELECT ? + 1", [1]);
  assertEquals(adapter.transactionStatus!(client), "idle");
  await adapter.close!(client);
});

each(
  "in an engine: rolls back a transaction at checkin whose last statement is running",
  async (adapter) => {
    const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    const lease = await engine.connect();
    await lease.client.query("BEGIN");
    await lease.client.query("INSERT INTO things VALUES ('c')");
    const running = lease.client.query("SELECT SLEEP(0.1)");
    await lease.release();
    await running;
    assertEquals([...await engine.query("SELECT * FROM things")], []);
    assertEquals(engine.status().opened, 1);
    await engine.close();
  },
);

each(
  "query(): returns the rows of the first result that has any, in the form of the user's settings",
  async (adapter) => {
    const client = await adapter.connect(server.host, targetOf());
    const rowsOf = async (text: string, values?: readonly unknown[]) =>
      structuredClone([...await adapter.query!(client, text, values)]);
    assertEquals(await rowsOf("CALL both_of()"), [{ a: 1 }]);
    assertEquals(await rowsOf("INSERT INTO things VALUES ('d') RETURNING name"), [{ name: "d" }]);
    assertEquals(await rowsOf("SELECT 1 AS n WHERE 1 = 0"), []);
    assertEquals(await rowsOf("DELETE FROM things"), []);
    assertEquals(await rowsOf("DELETE FROM things WHERE name = ?", ["d"]), []);
    await adapter.close!(client);
    const lists = engineFor(adapter, "?rowsAsArray=true", {
      targetSessionAttrs: "read-write",
      isolationLevel: "serializable",
    });
    assertEquals([...await lists.query("SELECT 1, 'x'")].map((row) => [...row as unknown[]]), [
      [1, "x"],
    ]);
    await lists.close();
  },
);

each("query(): keeps bind values out of errors", async (adapter) => {
  const client = await adapter.connect(server.host, targetOf());
  for (const text of ["SELEC ?", "SELECT ? FROM nowhere", "SELECT * FROM things WHERE nme = ?"]) {
    const error = await assertRejects(() => adapter.query!(client, text, ["s3cret'value"]));
    assertFalse(textsOf(error).includes("s3cret"), textsOf(error));
  }
  await adapter.close!(client);
});

each(
  "role(): works with other forms of rows in the user's settings, and so does setIsolationLevel()",
  async (adapter) => {
    for (const query of ["?rowsAsArray=true", "?nestTables=true"]) {
      const engine = engineFor(adapter, query, { targetSessionAttrs: "primary" });
      const strict = engine.executionOptions({ isolationLevel: "serializable" });
      await strict.use(() => {});
      const [row] = await engine.query("SELECT @@tx_isolation AS level");
      assert(inspected(row).includes("REPEATABLE-READ"), inspected(row));
      await engine.close();
    }
  },
);

each(
  "role(): reports a read-only server as a standby, and a read-only session as read-only",
  async (adapter) => {
    const roleWith = async (setting: string, back: string) => {
      await asAdmin(server, setting);
      try {
        const client = await adapter.connect(server.host, targetOf());
        const role = await adapter.role!(client);
        await adapter.close!(client);
        return role;
      } finally {
        await asAdmin(server, back);
      }
    };
    assertEquals(
      await roleWith("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
      { standby: true, readOnly: true },
    );
    assertEquals(
      await roleWith("SET GLOBAL tx_read_only = 1", "SET GLOBAL tx_read_only = 0"),
      { standby: false, readOnly: true },
    );
  },
);

each("classify(): is right for the server's errors", async (adapter) => {
  const client = await adapter.connect(server.host, targetOf());
  const verdictOn = async (text: string) =>
    adapter.classify!(await assertRejects(() => client.query(text)));
  await client.query("START TRANSACTION READ ONLY");
  assertEquals(await verdictOn("INSERT INTO things VALUES ('e')"), "read-only"); // 1792
  await client.query("ROLLBACK");
  assertEquals(await verdictOn("SELEC 1"), undefined);
  assertEquals(await verdictOn("SELECT * FROM nowhere"), undefined);
  const { id } = (await adapter.query!(client, "SELECT CONNECTION_ID() AS id"))[0] as {
    id: unknown;
  };
  const sleeping = assertRejects(() => client.query("SELECT SLEEP(30)"));
  await pause(50);
  await asAdmin(server, `KILL QUERY ${id}`);
  assertEquals(adapter.classify!(await soon(sleeping)), undefined); // 1317
  await adapter.close!(client);
  // Here, another option of the server is the reason.
  assertEquals(
    adapter.classify!(
      Object.assign(new Error("running with the --secure-file-priv option so it cannot"), {
        errno: 1290,
      }),
    ),
    undefined,
  );
});

each("classify(): a shutdown is a disconnect, and too many connections is not", async (adapter) => {
  const own = await startServer();
  try {
    const { host, port } = own;
    await asAdmin(own, "SET GLOBAL max_connections = 10");
    const clients: Client[] = [];
    const refused = await assertRejects(async () => {
      for (let n = 0; n < 20; n++) clients.push(await adapter.connect(host, targetOf({ port })));
    });
    // It says nothing about the others, and may pass.
    assertEquals([(refused as { errno?: number }).errno, adapter.classify!(refused)], [
      1040,
      "closed",
    ]);
    const ends = clients.map((client) =>
      new Promise<void>((resolve) => adapter.onClose!(client, () => resolve()))
    );
    const running = assertRejects(() => clients[0]!.query("SELECT SLEEP(30)"));
    await pause(50);
    await own.stop();
    assertEquals(adapter.classify!(await soon(running)), "disconnect");
    await soon(Promise.all(ends));
    for (const client of clients) adapter.terminate!(client);
  } finally {
    await own.stop();
  }
});

const OK = packet(2, [0, 0, 0, 2, 0, 0, 0]);

each(
  "close(): sends COM_QUIT, and terminate() sends nothing",
  async (adapter) => {
    for (const [method, lastBytes] of [["close", "\x01\0\0\0\x01"], ["terminate", ""]] as const) {
      await withMute(
        [GREETING, OK, packet(1, [0, 0, 0, 2, 0, 0, 0])],
        async ({ port, conn, silent }) => {
          const client = await soon(adapter.connect("127.0.0.1", targetOf({ port })));
          await silent;
          const received = hungUp(await conn);
          await soon(Promise.resolve(adapter[method]!(client)));
          assertEquals(await received, lastBytes);
        },
        { first: true },
      );
    }
  },
);

each(
  "connect(): says why a server refuses, although it closes at once",
  async (adapter) => {
    const refusals = { 1040: "Too many connections", 1129: "Host '127.0.0.1' is blocked" };
    for (const [errno, text] of Object.entries(refusals)) {
      const refusal = packet(0, [0xff, Number(errno) & 255, Number(errno) >> 8], text);
      const refusing = net.createServer((socket) => socket.on("error", () => {}).end(refusal));
      refusing.listen(0, "127.0.0.1");
      await once(refusing, "listening");
      const { port } = refusing.address() as net.AddressInfo;
      // On a busy loop, the refusal and the close arrive together.
      const busy = setInterval(() => {
        for (const endMs = performance.now() + 5; performance.now() < endMs;);
      }, 1);
      for (let turn = 0; turn < 20; turn++) {
        const error = await assertRejects(async () =>
          await soon(adapter.connect("127.0.0.1", targetOf({ port })))
        );
        assertEquals((error as { errno?: unknown }).errno, Number(errno), inspected(error));
        assert(String(error).includes(text), String(error));
      }
      clearInterval(busy);
      refusing.close();
      await once(refusing, "close");
    }
  },
);

each(
  "onClose(): works over TLS, and so does close()",
  async (adapter) => {
    const connectArgs = { ssl: { ca } };
    const open = () => adapter.connect(server.host, targetOf({ connectArgs }));
    const idOf = async (client: Client) =>
      ((await adapter.query!(client, "SELECT CONNECTION_ID() AS id"))[0] as { id: unknown }).id;
    const killed = await open();
    const ended = new Promise<void>((resolve) => adapter.onClose!(killed, () => resolve()));
    await asAdmin(server, `KILL ${await idOf(killed)}`);
    await soon(ended);
    adapter.terminate!(killed);

    const before = server.log.length;
    const closed = await open();
    const id = await idOf(closed);
    await soon(adapter.close!(closed));
    await until(async () =>
      (await asAdmin(server, `SELECT 1 FROM information_schema.processlist WHERE id = ${id}`))
        .length === 0
    );
    await pause(50);
    const abortedLogLine = new RegExp(`Aborted connection ${id} `);
    assertFalse(abortedLogLine.test(server.log.slice(before)), server.log.slice(before));
  },
);

each(
  "terminate(): over TLS, closes the socket, and pending statements reject with the reason",
  async (adapter) => {
    const connectArgs = { ssl: { ca } };
    const client = await adapter.connect(server.host, targetOf({ connectArgs }));
    const reason = new Error("the address departed");
    let calls = 0;
    adapter.onClose!(client, () => calls++);
    const running = assertRejects(() => client.query("SELECT SLEEP(30)"));
    await pause(20);
    adapter.terminate!(client, reason);
    assertEquals(await soon(running), reason);
    await until(() => calls > 0);
    await pause(20);
    assertEquals(calls, 1);
  },
);

each("close(): leaves no statement pending", async (adapter) => {
  const client = await adapter.connect(server.host, targetOf());
  const running = client.query("SELECT SLEEP(0.2)").then(() => "done", adapter.classify);
  await pause(20);
  await soon(adapter.close!(client));
  assertEquals(await soon(running), adapter.name === "mysql2" ? "done" : "disconnect");
});

each(
  "terminate(): without a reason, pending statements reject with a disconnect",
  async (adapter) => {
    const client = await adapter.connect(server.host, targetOf());
    const running = assertRejects(() => client.query("SELECT SLEEP(30)"));
    await pause(20);
    adapter.terminate!(client);
    assertEquals(adapter.classify!(await soon(running)), "disconnect");
  },
);

each(
  "check(): refuses arguments that would send connections to other servers",
  (adapter) => {
    for (const name of ["stream", ...(adapter.name === "mariadb" ? ["permitRedirect"] : [])]) {
      assertThrows(
        () => engineFor(adapter, "", { connectArgs: { [name]: true } }),
        TypeError,
        `"connectArgs.${name}" must not be given: every connection goes to an address of the host in the database URL`,
      );
    }
    return Promise.resolve();
  },
);

each("in an engine: lets connectArgs override the URL, port included", async (adapter) => {
  const engine = getDnsEngine("x://nobody:wrong@db.internal:1/nowhere", {
    adapter,
    dnsLookup: fakeLookup([server.host], 60),
    connectArgs: { ...LOGIN, port: server.port, database: "orders" },
  });
  const [row] = await engine.query("SELECT CONCAT(CURRENT_USER(), ' ', DATABASE()) AS who");
  assertEquals(Object.values(row as object), ["app@% orders"]);
  await engine.close();
});

each(
  "in an engine: hands out no connection that the server closed in the middle of a login over TLS, or just after it",
  async (adapter) => {
    for (const how of ["end", "reset"] as const) {
      for (let number = 1;; number++) {
        await using way = await cutWay(server, { number, how });
        const engine = engineFor(adapter, "", {
          dnsLookup: fakeLookup(["127.0.0.1"], 60),
          connectArgs: { port: way.port, ssl: { ca } },
          poolSize: 1,
          maxOverflow: 0,
          logger: { debug() {}, info() {}, warn() {} },
        });
        await soon(engine.warm()).catch(() => {}); // or the engine tries again
        if (!way.isCut) break;
        await pause(50);
        await pause(0); // whatever has arrived is read now
        assertEquals([...await soon(engine.query("SELECT 1 AS one"))].length, 1);
        await engine.close({ drain: 0 });
      }
    }
  },
);

each("in an engine: works with compression", async (adapter) => {
  const engine = engineFor(adapter, "?compress=true", { poolSize: 1, maxOverflow: 0 });
  const long = "x".repeat(100_000);
  const [row] = await engine.query("SELECT ? AS text", [long]);
  assertEquals((row as { text: string }).text, long);
  const lease = await engine.connect();
  await lease.client.query("BEGIN");
  assertEquals(adapter.transactionStatus!(lease.client), "open");
  await lease.client.query("COMMIT");
  assertEquals(adapter.transactionStatus!(lease.client), "idle");
  await lease.release();
  await engine.close();
});

/** Runs a function in a transaction that is the victim of a deadlock, and handles that error. */
async function asVictim(
  engine: Engine<Client>,
  goOn: (client: Client) => Promise<unknown>,
): Promise<{ error?: unknown; handled: unknown }> {
  let handled: unknown;
  const other = await mysqlClient();
  try {
    const outcome = await engine.begin(async ({ client: victim }) => {
      await victim.query("UPDATE accounts SET owner = 'victim' WHERE id = 1");
      await other.query("BEGIN");
      // The server ends the transaction that has changed less.
      await other.query("INSERT INTO accounts (id) VALUES (11), (12), (13), (14), (15), (16)");
      await other.query("UPDATE accounts SET owner = 'other' WHERE id = 2");
      const waiting = other.query("UPDATE accounts SET owner = 'other' WHERE id = 1");
      await untilLockWait(server);
      await victim.query("UPDATE accounts SET owner = 'victim' WHERE id = 2").catch((error) => {
        handled = error;
      });
      await waiting;
      await other.query("ROLLBACK");
      await goOn(victim);
    }).then(() => ({}), (error) => ({ error }));
    return { ...outcome, handled };
  } finally {
    await other.end();
  }
}

function mysqlClient() {
  const { host, port } = server;
  return mysql.createConnection({ ...LOGIN, host, port, database: "orders" });
}

each(
  "begin(): rejects for the victim of a deadlock, and none of its statements is done",
  async (adapter) => {
    const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    await asAdmin(server, "DELETE FROM things");
    const goOn: ((client: Client) => Promise<unknown>)[] = [
      () => Promise.resolve(),
      (client) => client.query("INSERT INTO things VALUES ('half')"),
      (client) => client.query("SELECT 1"),
      (client) =>
        Promise.all([
          client.query("INSERT INTO things VALUES ('half')"),
          client.query("INSERT INTO things VALUES ('more')"),
        ]),
      async (client) => {
        await client.query("INSERT INTO things VALUES ('half')");
        await client.query("INSERT INTO things VALUES ('half')").catch(() => {});
      },
    ];
    for (const each of goOn) {
      const { error, handled } = await asVictim(engine, each);
      assertEquals((handled as { errno?: number })?.errno, 1213, String(error));
      assert(error instanceof TransactionAbortedError, String(error));
      assertEquals((error.cause as { errno?: number }).errno, 1213, String(each));
      const rows = await asAdmin(
        server,
        "SELECT name FROM things UNION SELECT owner FROM accounts WHERE owner IS NOT NULL",
      );
      assertEquals(rows, [], String(each));
      // The next holder's statements are committed one by one again.
      await engine.query("INSERT INTO things VALUES ('next')");
      assertEquals((await asAdmin(server, "SELECT name FROM things")).length, 1);
      await asAdmin(server, "DELETE FROM things");
    }
    assertEquals(engine.status().opened, 1);
    await engine.close();
  },
);

/** Opens a way to the server on which no statement finds the variable `in_transaction`, which MySQL does not have. */
async function wayWithoutVariable() {
  const sockets = new Set<net.Socket>();
  const listener = net.createServer((near) => {
    const far = net.connect(server.port, server.host);
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from.on("error", () => {}));
      from.on("close", () => to.destroy());
    }
    const renamed = (bytes: Buffer) =>
      Buffer.from(
        bytes.toString("latin1").replaceAll("@@in_transaction", "@@no_transaction"),
        "latin1",
      );
    near.on("data", (bytes: Buffer) => far.write(renamed(bytes)));
    far.on("data", (bytes) => near.write(bytes));
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return {
    port: (listener.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(listener, "close");
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

each(
  "begin(): acknowledges nothing that is undone although the server has no @@in_transaction",
  async (adapter) => {
    await using way = await wayWithoutVariable();
    const engine = engineFor(adapter, "", {
      poolSize: 1,
      maxOverflow: 0,
      dnsLookup: fakeLookup(["127.0.0.1"], 60),
      connectArgs: { port: way.port },
    });
    await assertRejects(
      () => engine.query("SELECT @@in_transaction"),
      Error,
      "Unknown system variable",
    );
    const goOn = (client: Client) => client.query("INSERT INTO things VALUES ('half')");
    const { error, handled } = await asVictim(engine, goOn);
    assertEquals((handled as { errno?: number })?.errno, 1213, String(error));
    assert(error instanceof TransactionAbortedError, String(error));
    assertEquals((error.cause as { errno?: number }).errno, 1213);
    assertEquals(await asAdmin(server, "SELECT name FROM things"), []);
    // A lock wait that times out may or may not have ended the transaction: nothing is done by half.
    const outcome = await engine.begin(async ({ client }) => {
      await client.query("INSERT INTO things VALUES ('first')");
      await client.query("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205").catch(() => {});
      await client.query("INSERT INTO things VALUES ('second')");
    }).then(() => 2, () => 0);
    assertEquals((await asAdmin(server, "SELECT name FROM things")).length, outcome);
    await engine.query("INSERT INTO things VALUES ('next')");
    assertEquals((await asAdmin(server, "SELECT name FROM things")).length, outcome + 1);
    await asAdmin(server, "DELETE FROM things");
    assertEquals(engine.status().opened, 1);
    await engine.close();
  },
);

each("begin(): commits after errors that leave the transaction open", async (adapter) => {
  const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
  const errors = [
    "SELEC 1",
    "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", // a number does not make a deadlock
    "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205", // as with innodb_rollback_on_timeout = 0
  ];
  for (const text of errors) {
    for (const last of [true, false]) {
      await engine.begin(async ({ client }) => {
        await client.query("INSERT INTO things VALUES ('kept')");
        await assertRejects(() => client.query(text));
        if (!last) await client.query("INSERT INTO things VALUES ('more')");
      });
      const rows = await asAdmin(server, "SELECT name FROM things");
      assertEquals(rows.length, last ? 1 : 2, text);
      await asAdmin(server, "DELETE FROM things");
      await engine.query("INSERT INTO things VALUES ('next')");
      assertEquals((await asAdmin(server, "SELECT name FROM things")).length, 1);
      await asAdmin(server, "DELETE FROM things");
    }
  }
  await engine.close();
});

each("begin(): an implicit commit is no failure", async (adapter) => {
  const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
  await engine.begin(async ({ client }) => {
    await client.query("INSERT INTO things VALUES ('kept')");
    await client.query("CREATE TABLE others (n int)");
  });
  assertEquals((await asAdmin(server, "SELECT name FROM things")).length, 1);
  await asAdmin(server, "DROP TABLE others");
  await asAdmin(server, "DELETE FROM things");
  await engine.close();
});

each(
  "in an engine: autocommit is put back at checkin to what the session had after the connect",
  async (adapter) => {
    const leave = [
      "SET autocommit = 0",
      "SET autocommit = 1",
      "SET SESSION autocommit = 0",
      "SELEC 1",
    ];
    for (const connected of [1, 0]) {
      const hooks = {
        connect: async ({ client }: { client: Client }) =>
          void await client.query(`SET autocommit = ${connected}`),
      };
      const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0, hooks });
      for (const text of leave) {
        await engine.use(({ client }) => client.query(text)).catch(() => {});
        const [row] = await engine.query("SELECT @@autocommit AS value");
        assertEquals(Number((row as { value: unknown }).value), connected, text);
      }
      assertEquals(engine.status().opened, 1);
      await engine.close();
    }
    const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    for (const text of leave) {
      await engine.use(({ client }) => client.query(text)).catch(() => {});
      await engine.query("INSERT INTO things VALUES ('acknowledged')");
      assertEquals((await asAdmin(server, "SELECT name FROM things")).length, 1, text);
      await asAdmin(server, "DELETE FROM things");
    }
    const before = await rollbacks();
    for (let i = 0; i < 5; i++) await engine.query("SELECT 1");
    assertEquals(await rollbacks(), before);
    await engine.close();
  },
);

each(
  "query(): is done when it is acknowledged although the server turns autocommit off",
  async (adapter) => {
    const add = "INSERT INTO things VALUES (?)";
    const names = async () => (await asAdmin(server, "SELECT name FROM things")).length;
    await asAdmin(server, "SET GLOBAL init_connect = 'SET autocommit = 0'");
    try {
      for (const poolResetOnReturn of ["rollback", "reset"] as const) {
        const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0, poolResetOnReturn });
        for (let time = 0; time < 2; time++) {
          const [row] = await engine.query("SELECT @@autocommit AS value");
          assertEquals(Number((row as { value: unknown }).value), 0);
          await engine.query(add, ["one"]);
          assertEquals(await names(), 1);
          await engine.query("INSERT INTO things VALUES ('two')");
          assertEquals(await names(), 2);
          await engine.query(add, ["three"], { timeout: 20 });
          assertEquals(await names(), 3);
          await engine.begin((lease) => lease.client.query("DELETE FROM things"));
          assertEquals(await names(), 0);
          const failed = engine.begin(async (lease) => {
            await lease.client.query("INSERT INTO things VALUES ('undone')");
            const inner = engine.begin(
              ({ client }) => client.query("INSERT INTO things VALUES ('inner')"),
              { within: lease },
            );
            await inner;
            throw new Error("changed its mind");
          });
          await assertRejects(() => failed, Error, "changed its mind");
          await engine.use(({ client }) => client.query("INSERT INTO things VALUES ('left')"));
          assertEquals(await names(), 0);
        }
        assertEquals(engine.status().opened, 1);
        await engine.close();
      }
    } finally {
      await asAdmin(server, "SET GLOBAL init_connect = ''");
      await asAdmin(server, "DELETE FROM things");
    }
  },
);

each(
  "query(): a number of values that does not fit is a TypeError, and nothing is done",
  async (adapter) => {
    const engine = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    await asAdmin(server, "CREATE TABLE pairs (a int, b int)");
    const insert = "INSERT INTO pairs (a, b) VALUES (?, ?)";
    // The first time and when the driver has the statement already.
    for (let time = 0; time < 2; time++) {
      for (const values of [[7, 100, 1], [7], [7, 100, 1, 2, 3, 4, 5, 6, 7, 8]]) {
        const error = await assertRejects(() => engine.query(insert, values), TypeError);
        assertEquals(
          error.message,
          `"values" must be one value per placeholder, 2 for this statement, got ${values.length}`,
        );
      }
      await assertRejects(
        () => engine.query("SELECT 1", [1]),
        TypeError,
        "0 for this statement, got 1",
      );
    }
    assertEquals(await asAdmin(server, "SELECT * FROM pairs"), []);
    await engine.query(insert, [7, 100]);
    assertEquals([...await engine.query("SELECT a, b FROM pairs")], [{ a: 7, b: 100 }]);
    assertEquals(engine.status().opened, 1);
    await asAdmin(server, "DROP TABLE pairs");
    await engine.close();
  },
);

each(
  "query(): with namedPlaceholders, values are a list or an object of names",
  async (adapter) => {
    const engine = engineFor(adapter, "?namedPlaceholders=true", { poolSize: 1, maxOverflow: 0 });
    for (let time = 0; time < 2; time++) {
      assertEquals([...await engine.query("SELECT ? AS a, ? AS b", [1, 2])], [{ a: 1, b: 2 }]);
      assertEquals(
        [...await engine.query("SELECT :b AS a, :a AS b, :b AS c", { a: 1, b: 2 })],
        [{ a: 2, b: 1, c: 2 }],
      );
      assertEquals([...await engine.query("SELECT 1 AS a")], [{ a: 1 }]);
      await assertRejects(() => engine.query("SELECT ? AS a", [1, 2]), TypeError, "got 2");
      await assertRejects(() => engine.query("SELECT :a AS a", { b: 1 }));
    }
    await engine.close();
    const other = engineFor(adapter, "", { poolSize: 1, maxOverflow: 0 });
    await assertRejects(
      () => other.query("SELECT ? AS a", { a: 1 }),
      TypeError,
      '"values" must be an array',
    );
    await assertRejects(() => other.query("SELECT :a AS a", { a: 1 }));
    assertEquals([...await other.query("SELECT ? AS a", [1])], [{ a: 1 }]);
    await other.close();
  },
);

each(
  "in an engine: keeps at most 100 prepared statements per connection, or what the URL says",
  async (adapter) => {
    const prepared = async () => {
      const [row] = await asAdmin(server, "SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'");
      return Number(row!.Value);
    };
    const name = adapter.name === "mysql2" ? "maxPreparedStatements" : "prepareCacheLength";
    for (const [query, expected] of [["", 100], [`?${name}=7`, 7]] as const) {
      const before = await prepared();
      const engine = engineFor(adapter, query, { poolSize: 1, maxOverflow: 0 });
      for (let i = 0; i < 230; i++) await engine.query(`SELECT ? AS v /* ${i} */`, [i]);
      // The one that is closed for the last is told to the server without an answer.
      await until(async () => await prepared() - before <= expected);
      assertEquals(await prepared() - before, expected);
      await engine.close();
    }
  },
);
