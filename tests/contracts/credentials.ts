/**
 * The part of the contract suite for logins that a function gives, on real servers.
 *
 * @module
 */

import process from "node:process";
import { assert, assertEquals, assertFalse, assertGreater, assertRejects } from "@std/assert";
import { ConnectError, type CredentialsFunction, type Engine, getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { pause, until } from "../support/waiting.ts";
import type { Row, TestContext } from "./adapter.ts";

/** Number of times that the password is rotated under load. */
const ROTATIONS = Number(process.env.DNSPOOL_ROTATIONS ?? 5);

/** A user of the server whose password changes. */
class RotatedUser<C> {
  readonly name: string;
  password = "";
  /** Fulfilled when no rotation is under way: the source of the password knows only then. */
  settled: Promise<void> = Promise.resolve();
  readonly #context: TestContext<C>;
  #number = 0;

  constructor(context: TestContext<C>, name: string) {
    this.#context = context;
    this.name = name;
  }

  async create(): Promise<void> {
    const { dialect, admin } = this.#context;
    for (const statement of dialect.createUser(this.name, this.#next())) await admin(statement);
  }

  rotate(): Promise<void> {
    const { dialect, admin } = this.#context;
    return this.settled = admin(dialect.setPassword(this.name, this.#next())).then(() => {});
  }

  async drop(): Promise<void> {
    await this.#context.admin(this.#context.dialect.dropUser(this.name));
  }

  #next(): string {
    return this.password = `s3cret-${this.name}-${++this.#number}`;
  }
}

/** Makes a user, and an engine whose function knows its password. */
async function withUser<C>(
  context: TestContext<C>,
  name: string,
  work: (parts: {
    readonly user: RotatedUser<C>;
    readonly calls: () => number;
    readonly engine: (options?: object) => Engine<C>;
  }) => Promise<void>,
): Promise<void> {
  const { server, engines, adapter, subject } = context;
  const user = new RotatedUser(context, name);
  await user.create();
  let calls = 0;
  const credentials: CredentialsFunction = async () => {
    calls++;
    await user.settled;
    return { user: user.name, password: user.password, expiresAt: Infinity };
  };
  const scheme = subject.scheme ?? adapter.name.replaceAll(/\W/g, "");
  const engine = (options: object = {}) => {
    const made = getDnsEngine<C>(`${scheme}://nobody@db.internal:${server.port}/orders`, {
      adapter,
      dnsLookup: fakeLookup([server.host], 60),
      dnsFallback: false,
      credentials,
      ...options,
    });
    engines.push(made);
    return made;
  };
  try {
    await work({ user, engine, calls: () => calls });
  } finally {
    for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
    await user.drop();
  }
}

/** The tests. */
export const CREDENTIALS_TESTS: Readonly<
  Record<string, <C>(context: TestContext<C>) => Promise<void>>
> = {
  "refusesLogin(): a wrong password and an unknown user, and nothing else": async (context) => {
    const { adapter, dialect } = context;
    for (const wrong of [{ password: "wrong" }, { user: "unknown", password: "wrong" }]) {
      const error = await assertRejects(() => context.open(wrong));
      assert(adapter.refusesLogin!(error), inspected(error));
    }
    const closed = await assertRejects(() => context.open({ port: 1 }));
    const missing = await assertRejects(() => context.open({ database: "missing" }));
    const client = await context.open();
    const failed = await assertRejects(() => context.ask(client, "SELECT nonsense"));
    for (const other of [closed, missing, failed, undefined, null, "28P01", {}]) {
      assertFalse(adapter.refusesLogin!(other), inspected(other));
    }
    assertEquals(await context.ask(client, dialect.whoAmI), { who: "app orders" });
    await adapter.close!(client);
  },

  "credentials: give user and password, which are not to be seen in the client": async (
    context,
  ) => {
    await withUser(context, "seen", async ({ user, engine, calls }) => {
      const own = engine({ poolSize: 2 });
      await own.use(async (lease) => {
        assertEquals(await context.ask(lease.client, context.dialect.whoAmI), {
          who: "seen orders",
        });
        const shown = inspected([lease, lease.client, own, own.status()]);
        assertFalse(shown.includes(user.password), shown.slice(0, 3000));
      });
      await own.use(() => own.use(() => {}));
      assertEquals(calls(), 1);
    });
  },

  "credentials: no checkout fails while the password is rotated under load": async (context) => {
    await withUser(context, "rotated", async ({ user, engine, calls }) => {
      const own = engine({ maxUses: 1, poolSize: 4, maxOverflow: 0 });
      let isOver = false;
      let done = 0;
      const work = async () => {
        while (!isOver) {
          const { who } = (await own.query(context.dialect.whoAmI))[0] as Row;
          assertEquals(who, "rotated orders");
          done++;
          await pause(1);
        }
      };
      const workers = [1, 2, 3, 4].map(work);
      try {
        for (let rotation = 0; rotation < ROTATIONS; rotation++) {
          const before = done;
          await Promise.race([
            until(() => Promise.resolve(done >= before + 8), "checkouts between two rotations"),
            ...workers,
          ]);
          await user.rotate();
        }
        await own.query(context.dialect.whoAmI);
      } finally {
        isOver = true;
      }
      await Promise.all(workers);
      assertGreater(calls(), ROTATIONS);
    });
  },

  "credentials: a wrong password fails at once, after a second call": async (context) => {
    await withUser(context, "wrong", async ({ user, engine, calls }) => {
      const own = engine();
      await own.use((lease) => lease.invalidate());
      user.password = "not the password";
      const error = await assertRejects(() => {
        return engine({ credentials: () => user.password }).connect();
      }, ConnectError);
      assertFalse(inspected(error).includes(user.password));
      assertEquals(calls(), 1);
    });
  },

  "credentials: cancel() logs in with those of that moment": async (context) => {
    if (context.adapter.cancel === undefined) return;
    await withUser(context, "cancels", async ({ user, engine }) => {
      const own = engine({ probeTimeout: 20 }); // which limits the cancel
      const { dialect } = context;
      const [before] = await own.query(dialect.session);
      await user.rotate();
      await assertRejects(() => own.query(dialect.sleep, [], { timeout: 0.3 }));
      // Without a login, the connection would have been closed.
      assertEquals(await own.query(dialect.session), [before]);
    });
  },
};
