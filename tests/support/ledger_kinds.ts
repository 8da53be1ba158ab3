/**
 * The kinds of work of `ledger_accidents.ts`, by what may go wrong in them, and the kinds of accidents beside them.
 *
 * @module
 */

import type { Engine, Lease } from "../../mod.ts";

/** A stream of rows. */
export interface RowStream {
  /** Reads one row. */
  next(): Promise<unknown>;
  /** Leaves the stream before its end, as the driver's documentation says. */
  leave(): unknown;
}

/** What the workers need to know about a driver. */
export interface AccidentSubject<C> {
  readonly engine: Engine<C>;
  /** Hands a statement to the driver as the driver's own users do; the caller awaits the answer, or does not. */
  send(client: C, text: string): Promise<unknown>;
  /** Begins to stream the rows of a statement. */
  stream(client: C): RowStream;
  /** Sends a statement that takes a while, and cancels it as the driver's or the server's users do. */
  cancelled(client: C, text: string): Promise<unknown>;
  /** Sends a statement and cancels it at any time, also after its end, without waiting for that. Some drivers can. */
  readonly cancelledLate?: (client: C, text: string, afterMs: number) => Promise<unknown>;
  /** Returns a statement that writes a row after a number of milliseconds. */
  slowInsert(id: number, part: number, ms: number): string;
  /** Statements that leave a setting of the session behind. */
  readonly leftovers: readonly string[];
}

/** A function that does something with a number of its own. */
export type Accident = (
  // deno-lint-ignore no-explicit-any -- for every driver
  subject: AccidentSubject<any>,
  id: number,
  random: () => number,
) => Promise<unknown>;

/** A kind of work. */
export interface Worker {
  /** Number of rows that it writes. */
  readonly parts: number;
  /** Whether it may be cut off, so that the outcome may be unknown. */
  readonly isCut?: boolean;
  /** Whether one of its statements is cancelled; a cancel that ends another one's is wrong. */
  readonly isCancelled?: boolean;
  readonly work: Accident;
}

/** Milliseconds that a statement takes which is cancelled. */
const LONG_MS = 20_000;

const insert = (id: number, part: number) => `INSERT INTO ledger VALUES (${id}, ${part})`;

/** Writes both rows of a number on a lease. */
async function both<C>({ send }: AccidentSubject<C>, { client }: Lease<C>, id: number) {
  await send(client, insert(id, 1));
  await send(client, insert(id, 2));
}

/** Calls a function with a signal that is aborted after a number of milliseconds. */
async function aborting<T>(ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  return await call(controller.signal).finally(() => clearTimeout(timer));
}

/** The kinds of work. */
export const WORKERS: Readonly<Record<string, Worker>> = {
  "transaction": {
    parts: 2,
    work: (subject, id) => subject.engine.begin((lease) => both(subject, lease, id)),
  },
  "one statement": {
    parts: 1,
    work: ({ engine }, id) => engine.query(insert(id, 1)),
  },
  "function that throws": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        throw new Error("changed its mind");
      }),
  },
  "handled error, last": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        await subject.send(lease.client, insert(id, 1)).catch(() => {});
      }),
  },
  "handled error, first": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await subject.send(lease.client, "SELECT no_such_column FROM ledger").catch(() => {});
        for (const part of [1, 2]) {
          await subject.send(lease.client, insert(id, part)).catch(() => {});
        }
      }),
  },
  "savepoint that fails": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        const inner = subject.engine.begin(async ({ client }) => {
          await subject.send(client, insert(id, 3));
          await subject.send(client, insert(id, 3)).catch(() => {});
          throw new Error("changed its mind");
        }, { within: lease });
        await inner.catch(() => {});
        await both(subject, lease, id);
      }),
  },
  "savepoint with a handled error": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        const inner = subject.engine.begin(
          ({ client }) => subject.send(client, insert(id, 1)).catch(() => {}),
          { within: lease },
        );
        await inner.catch(() => {});
      }),
  },
  "deadlock": {
    parts: 2,
    async work({ engine, send }, id, random) {
      const update = async (client: unknown, ...accounts: readonly string[]) => {
        for (const account of accounts) {
          await send(client, `UPDATE accounts SET n = n + 1 WHERE id ${account}`).catch(() => {});
          // Time for the other one.
          await new Promise((resolve) => setTimeout(resolve, random() * 10));
          await send(client, "SELECT 1").catch(() => {});
        }
      };
      // The victim is the transaction that has changed less, with MariaDB.
      const others = random() < 0.5 ? ["> 2"] : [];
      const rival = engine.begin(({ client }) => update(client, ...others, "= 2", "= 1"));
      rival.catch(() => {});
      await engine.begin(async ({ client }) => {
        await send(client, insert(id, 1));
        await update(client, "= 1", "= 2");
        await send(client, insert(id, 2)).catch(() => {});
      }).finally(() => rival.catch(() => {}));
    },
  },
  "one value too many": {
    parts: 1,
    work: ({ engine }, id) => engine.query(`INSERT INTO ledger VALUES (${id}, 1)`, [id]),
  },
  "second row not awaited": {
    parts: 2,
    work: ({ engine, send }, id) =>
      engine.begin(async ({ client }) => {
        await send(client, insert(id, 1));
        send(client, insert(id, 2)).catch(() => {});
      }),
  },
  "neither row awaited": {
    parts: 2,
    work: ({ engine, send }, id) =>
      engine.begin(({ client }) => {
        for (const part of [1, 2]) send(client, insert(id, part)).catch(() => {});
      }),
  },
  "stream that is left": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await subject.send(lease.client, insert(id, 1));
        const stream = subject.stream(lease.client);
        await stream.next();
        await stream.leave();
        await subject.send(lease.client, insert(id, 2));
      }),
  },
  "stream that is left, not awaited": {
    parts: 2,
    work: (subject, id) =>
      subject.engine.begin(async (lease) => {
        await both(subject, lease, id);
        const stream = subject.stream(lease.client);
        await stream.next();
        void stream.leave();
      }),
  },
  "statement with a timeout": {
    parts: 1,
    isCut: true,
    isCancelled: true,
    work: ({ engine, slowInsert }, id, random) =>
      engine.query(slowInsert(id, 1, random() * 10), undefined, {
        timeout: (1 + random() * 12) / 1000,
      }),
  },
  "statement with a signal": {
    parts: 1,
    isCut: true,
    isCancelled: true,
    work: ({ engine, slowInsert }, id, random) =>
      aborting(
        random() * 12,
        (signal) => engine.query(slowInsert(id, 1, random() * 10), undefined, { signal }),
      ),
  },
  "transaction with a timeout": {
    parts: 2,
    isCut: true,
    isCancelled: true,
    work: ({ engine, send, slowInsert }, id, random) =>
      engine.begin(async ({ client }) => {
        await send(client, insert(id, 1));
        await send(client, slowInsert(id, 2, random() * 10));
      }, { timeout: (1 + random() * 15) / 1000 }),
  },
  "transaction with a signal, the error handled": {
    parts: 2,
    isCut: true,
    isCancelled: true,
    work: ({ engine, send, slowInsert }, id, random) =>
      aborting(random() * 15, (signal) =>
        engine.begin(async ({ client }) => {
          await send(client, insert(id, 1)).catch(() => {});
          await send(client, slowInsert(id, 2, random() * 10)).catch(() => {});
        }, { signal })),
  },
  "cancel of one's own": {
    parts: 2,
    isCancelled: true,
    work: ({ engine, send, slowInsert, cancelled }, id) =>
      engine.begin(async ({ client }) => {
        await send(client, insert(id, 1));
        await cancelled(client, slowInsert(id, 2, LONG_MS));
      }),
  },
  "late cancel of one's own": {
    parts: 2,
    isCancelled: true,
    work: ({ engine, send, slowInsert, cancelledLate, cancelled }, id, random) =>
      engine.begin(async ({ client }) => {
        await send(client, insert(id, 1));
        await (cancelledLate?.(client, slowInsert(id, 2, random() * 4), random() * 5) ??
          cancelled(client, slowInsert(id, 2, LONG_MS)));
      }),
  },
};

/** What other holders do, who write nothing that may stay. */
export const ACCIDENTS: Readonly<Record<string, Accident>> = {
  "BEGIN that is not awaited": ({ engine, send }) =>
    engine.use(({ client }) => void send(client, "BEGIN").catch(() => {})),
  "work that is not committed": ({ engine, send }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      void send(client, insert(id, 2)).catch(() => {});
    }),
  "work that is not committed, nothing awaited": ({ engine, send }, id) =>
    engine.use(({ client }) => {
      for (const text of ["BEGIN", insert(id, 1), "SELECT no_such_column", insert(id, 2)]) {
        send(client, text).catch(() => {});
      }
    }),
  "failed transaction": ({ engine, send }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      await send(client, "SELECT no_such_column FROM ledger").catch(() => {});
    }),
  "setting left behind": ({ engine, send, leftovers }, _, random) =>
    engine.use(async ({ client }) => {
      await send(client, leftovers[Math.floor(random() * leftovers.length)]!).catch(() => {});
    }),
  "stream left open": ({ engine, stream }) =>
    engine.use(async ({ client }) => void await stream(client).next()),
  "stream left open, never read": ({ engine, stream }) =>
    engine.use(({ client }) => void stream(client)),
  "stream left open in a transaction": ({ engine, send, stream }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      await stream(client).next();
      send(client, insert(id, 2)).catch(() => {});
    }),
  "stream aborted": ({ engine, stream }) =>
    engine.use(async ({ client }) => {
      const rows = stream(client);
      await rows.next();
      void rows.leave();
    }),
  "cancel of one's own, in a transaction": ({ engine, send, cancelled, slowInsert }, id) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      await send(client, insert(id, 1));
      await cancelled(client, slowInsert(id, 2, LONG_MS)).catch(() => {});
    }),
  "late cancel, not awaited": ({ engine, send, cancelledLate, slowInsert }, id, random) =>
    engine.use(async ({ client }) => {
      await send(client, "BEGIN");
      cancelledLate?.(client, slowInsert(id, 1, random() * 4), random() * 5).catch(() => {});
      if (random() < 0.5) await send(client, "SELECT 1").catch(() => {});
    }),
  "timeout behind statements that are not awaited": ({ engine, send, slowInsert }, id, random) =>
    engine.begin(({ client }) => {
      send(client, slowInsert(id, 1, random() * 5)).catch(() => {});
      return new Promise<void>((_, reject) => setTimeout(reject, random() * 5));
    }, { timeout: (1 + random() * 5) / 1000 }),
};
