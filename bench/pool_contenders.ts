/**
 * Pools of fake connections: dnspool with its defaults, and the peers as their users configure them.
 *
 * @module
 */

import genericPool from "npm:generic-pool@3.9.0";
import { createPool as createLightningPool } from "npm:lightning-pool@4.12.0";
import PgPool from "npm:pg-pool@3.14.0";
import { Pool as TarnPool } from "npm:tarn@3.1.2";
import { type Adapter, type Engine, getDnsEngine, type Lookup } from "../mod.ts";

/** A fake connection. */
interface Resource {
  readonly id: number;
}

/** Number of remaining operations, shared by workers. */
export interface Budget {
  left: number;
}

/** A pool of a contender. */
export interface ContenderPool {
  readonly name: string;
  /** Acquires and releases a resource repeatedly until the budget is spent. */
  work(budget: Budget): Promise<void>;
  /** Acquires `count` resources at once, then releases them. */
  burst(count: number): Promise<void>;
  /** With all resources in use, adds `count` waiters. `release` starts serving them, `waiters` resolves when all were served. */
  queue(count: number): Promise<{ release(): void; waiters: Promise<unknown> }>;
  end(): Promise<unknown>;
}

let count = 0;
const create = (): Promise<Resource> => Promise.resolve({ id: ++count });
const destroy = (): Promise<void> => Promise.resolve();

const dnsLookup: Lookup = {
  name: "memory",
  lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 300 }),
};

const adapter: Adapter<Resource> = {
  name: "none",
  defaultPort: 1,
  connect: create,
  close: destroy,
};

/** Creates an engine with fake connections. */
export function makeEngine(size: number, host = "db.internal"): Engine<Resource> {
  return getDnsEngine(`none://${host}/orders`, {
    adapter,
    dnsLookup,
    poolSize: size,
    maxOverflow: 0,
    poolTimeout: 3600,
  });
}

/** Returns a client as the pool of this name has it for each of its connections. */
export function clientOf(name: string): unknown {
  return name.startsWith("pg-pool") ? new FakeClient() : { id: ++count };
}

/** Acquires a resource and lets `count` waiters wait for it; each releases it for the next. */
async function queue<T>(acquire: () => Promise<T>, release: (held: T) => void, count: number) {
  const first = await acquire();
  const waiters = Promise.all(Array.from({ length: count }, () => acquire().then(release)));
  return { release: () => release(first), waiters };
}

/** Every pool, dnspool first. */
export const POOLS: Readonly<Record<string, (size: number) => ContenderPool>> = {
  dnspool(size) {
    const engine = makeEngine(size);
    return {
      name: "dnspool",
      async work(budget) {
        while (budget.left-- > 0) {
          const lease = await engine.connect();
          void lease.release();
        }
      },
      async burst(count) {
        const leases = await Promise.all(Array.from({ length: count }, () => engine.connect()));
        for (const lease of leases) void lease.release();
      },
      queue: (count) => queue(() => engine.connect(), (held) => void held.release(), count),
      end: () => engine.close(),
    };
  },
  "dnspool, tryConnect"(size) {
    const engine = makeEngine(size);
    const take = async () => engine.tryConnect() ?? await engine.connect();
    return {
      name: "dnspool, tryConnect",
      async work(budget) {
        while (budget.left-- > 0) {
          const lease = engine.tryConnect() ?? await engine.connect();
          void lease.release();
        }
      },
      async burst(count) {
        const leases = await Promise.all(Array.from({ length: count }, take));
        for (const lease of leases) void lease.release();
      },
      queue: (count) => queue(take, (held) => void held.release(), count),
      end: () => engine.close(),
    };
  },
  tarn(size) {
    const pool = new TarnPool<Resource>({ create, destroy, min: 0, max: size });
    return {
      name: "tarn",
      async work(budget) {
        while (budget.left-- > 0) pool.release(await pool.acquire().promise);
      },
      async burst(count) {
        const held = await Promise.all(
          Array.from({ length: count }, () => pool.acquire().promise),
        );
        for (const resource of held) pool.release(resource);
      },
      queue: (count) =>
        queue(() => pool.acquire().promise, (held) => void pool.release(held), count),
      end: () => pool.destroy(),
    };
  },
  "generic-pool": (size) => generic("generic-pool", { max: size }),
  "generic-pool, with a time-out": (size) =>
    generic("generic-pool, with a time-out", { max: size, acquireTimeoutMillis: 30_000 }),
  "lightning-pool"(size) {
    const limits = { max: size, maxQueue: 1e6 };
    const pool = createLightningPool<Resource>({ create, destroy }, limits);
    pool.start();
    return {
      name: "lightning-pool",
      async work(budget) {
        while (budget.left-- > 0) pool.release(await pool.acquire());
      },
      async burst(count) {
        const held = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
        for (const resource of held) pool.release(resource);
      },
      queue: (count) => queue(() => pool.acquire(), (held) => pool.release(held), count),
      end: () => Promise.resolve(pool.close(true)),
    };
  },
  "pg-pool": (size) => pgPool("pg-pool", { max: size }),
  "pg-pool, with a time-out": (size) =>
    pgPool("pg-pool, with a time-out", { max: size, connectionTimeoutMillis: 30_000 }),
};

function generic(name: string, limits: genericPool.Options): ContenderPool {
  const pool = genericPool.createPool<Resource>({ create, destroy }, limits);
  return {
    name,
    async work(budget) {
      while (budget.left-- > 0) void pool.release(await pool.acquire());
    },
    async burst(count) {
      const held = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
      for (const resource of held) void pool.release(resource);
    },
    queue: (count) =>
      queue(
        () => Promise.resolve(pool.acquire()),
        (held) => void pool.release(held),
        count,
      ),
    end: () => pool.drain().then(() => pool.clear()),
  };
}

function pgPool(name: string, limits: { max: number; connectionTimeoutMillis?: number }) {
  // deno-lint-ignore no-explicit-any -- it has only the members that the pool uses
  const pool = new PgPool({ Client: FakeClient as any, ...limits });
  return {
    name,
    async work(budget: Budget) {
      while (budget.left-- > 0) (await pool.connect()).release();
    },
    async burst(count: number) {
      const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()));
      for (const client of clients) client.release();
    },
    queue: (count: number) =>
      queue<PoolClient>(() => pool.connect(), (held) => held.release(), count),
    end: () => pool.end(),
  };
}

/** A client of pg-pool. */
interface PoolClient {
  release(): void;
}

/** A client without a connection. */
export class FakeClient {
  /** Without it, pg-pool would close the client instead of keeping it. */
  readonly _queryable = true;
  readonly _ending = false;
  connect(done: (error?: Error) => void): void {
    done();
  }
  end(done?: () => void): void {
    done?.();
  }
  query(): void {}
  on(): this {
    return this;
  }
  once(): this {
    return this;
  }
  removeListener(): this {
    return this;
  }
  ref(): void {}
  unref(): void {}
}

/** The lower bound for waiters: a queue of promises, resolved one after the other. */
export function bareQueue(size: number): Pick<ContenderPool, "work"> {
  const idle = Array.from({ length: size }, () => ({ id: ++count }));
  let waiting: ((resource: Resource) => void)[] = [];
  let served = 0;
  const acquire = () => {
    const resource = idle.pop();
    if (resource) return Promise.resolve(resource);
    return new Promise<Resource>((resolve) => waiting.push(resolve));
  };
  const release = (resource: Resource) => {
    const next = waiting[served];
    if (next === undefined) {
      waiting = [];
      served = 0;
      idle.push(resource);
      return;
    }
    served++;
    next(resource);
  };
  return {
    async work(budget) {
      while (budget.left-- > 0) release(await acquire());
    },
  };
}
