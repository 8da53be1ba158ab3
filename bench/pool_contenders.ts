/**
 * Pools of made-up connections: ours with everything that is on by default, and the peers as their users have them.
 *
 * @module
 */

import genericPool from "npm:generic-pool@3.9.0";
import { createPool as createLightningPool } from "npm:lightning-pool@4.12.0";
import PgPool from "npm:pg-pool@3.14.0";
import { Pool as TarnPool } from "npm:tarn@3.1.2";
import { type Adapter, type Engine, getDnsEngine, type Lookup } from "../mod.ts";

/** What is held. */
interface Resource {
  readonly id: number;
}

/** Operations that are left to be done, by whoever comes. */
export interface Budget {
  left: number;
}

/** A pool of so many. */
export interface ContenderPool {
  readonly name: string;
  /** Takes one and gives it back, again and again, while something is left to be done. */
  work(budget: Budget): Promise<void>;
  /** Takes so many at once, then gives them all back. */
  burst(count: number): Promise<void>;
  /** With all taken, lets so many wait: `release` gives back what they wait for, `waiters` is when all were served. */
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

/** An engine whose connections cost nothing. */
export function makeEngine(size: number): Engine<Resource> {
  return getDnsEngine("none://db.internal/orders", {
    adapter,
    dnsLookup,
    poolSize: size,
    maxOverflow: 0,
    poolTimeout: 3600,
  });
}

/** Takes one, lets the others wait for it, each of which gives it to the next. */
async function queue<T>(take: () => Promise<T>, give: (taken: T) => void, count: number) {
  const first = await take();
  const waiters = Promise.all(Array.from({ length: count }, () => take().then(give)));
  return { release: () => give(first), waiters };
}

/** Every pool, ours first. */
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
      queue: (count) => queue(() => engine.connect(), (taken) => void taken.release(), count),
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
        const taken = await Promise.all(
          Array.from({ length: count }, () => pool.acquire().promise),
        );
        for (const resource of taken) pool.release(resource);
      },
      queue: (count) =>
        queue(() => pool.acquire().promise, (taken) => void pool.release(taken), count),
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
        const taken = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
        for (const resource of taken) pool.release(resource);
      },
      queue: (count) => queue(() => pool.acquire(), (taken) => pool.release(taken), count),
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
      const taken = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
      for (const resource of taken) void pool.release(resource);
    },
    queue: (count) =>
      queue(
        () => Promise.resolve(pool.acquire()),
        (taken) => void pool.release(taken),
        count,
      ),
    end: () => pool.drain().then(() => pool.clear()),
  };
}

function pgPool(name: string, limits: { max: number; connectionTimeoutMillis?: number }) {
  // deno-lint-ignore no-explicit-any -- a client that only looks like one to the pool
  const pool = new PgPool({ Client: NoClient as any, ...limits });
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
      queue<PoolClient>(() => pool.connect(), (taken) => taken.release(), count),
    end: () => pool.end(),
  };
}

/** What pg-pool hands out. */
interface PoolClient {
  release(): void;
}

/** A client that connects to nothing. */
class NoClient {
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

/** What there is no getting below for those who wait: as many promises in a queue, fulfilled one after the other. */
export function bareQueue(size: number): Pick<ContenderPool, "work"> {
  const idle = Array.from({ length: size }, () => ({ id: ++count }));
  let waiting: ((resource: Resource) => void)[] = [];
  let served = 0;
  const take = () => {
    const resource = idle.pop();
    if (resource) return Promise.resolve(resource);
    return new Promise<Resource>((resolve) => waiting.push(resolve));
  };
  const give = (resource: Resource) => {
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
      while (budget.left-- > 0) give(await take());
    },
  };
}
