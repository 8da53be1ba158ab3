/**
 * The events of the drill of proxies: what happens to the server that the name leads to.
 *
 * @module
 */

import type { Authority } from "../../lab/authority.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import { pause } from "../../lab/processes.ts";

/** The stack of an event. */
export interface ProxiesStack {
  readonly authority: Authority;
  /** The server that the name leads to. */
  readonly old: PostgresServer;
  /** Another server, independent of it. */
  readonly next: PostgresServer;
  /** Moves the name to the other server. */
  move(): Promise<void>;
  /** Runs a statement on a server. */
  ask(server: PostgresServer, text: string): Promise<void>;
}

/** An event. */
export interface ProxiesEvent {
  /** The name on the command line. */
  readonly name: string;
  readonly title: string;
  /** Whether the name has moved afterwards. */
  readonly moves?: true;
  /** Causes it; resolves when all of it is over. */
  run(stack: ProxiesStack): Promise<void>;
  /** Milliseconds of work after it. */
  readonly afterMs: number;
}

/** Milliseconds from the loss of a server to the move of its name. */
const NOTICED_MS = 1000;
/** Milliseconds of an outage without a move. */
const OUTAGE_MS = 8000;
/** Milliseconds of a name server's silence. */
const SILENT_MS = 60_000;

/** All events. */
export const PROXIES_EVENTS: readonly ProxiesEvent[] = [
  {
    name: "move",
    title: "the name moves, the old server lives on",
    moves: true,
    run: ({ move }) => move(),
    afterMs: 25_000,
  },
  {
    name: "kill",
    title: "kill -9 of the server, the name moves a second later",
    moves: true,
    async run({ old, move }) {
      await old.kill();
      await pause(NOTICED_MS);
      await move();
    },
    afterMs: 25_000,
  },
  {
    name: "read-only",
    title: "the server becomes read-only, the name moves a second later",
    moves: true,
    async run({ old, ask, move }) {
      await ask(old, "ALTER SYSTEM SET default_transaction_read_only = on");
      await ask(old, "SELECT pg_reload_conf()");
      await pause(NOTICED_MS);
      await move();
    },
    afterMs: 25_000,
  },
  {
    name: "outage",
    title: "the server is stopped for 8 s, the name stays",
    async run({ old }) {
      await old.stop({ keep: true });
      await pause(OUTAGE_MS);
      await old.start();
    },
    afterMs: 20_000,
  },
  {
    name: "silent",
    title: "the name server is silent for 60 s, the server is well",
    async run({ authority }) {
      await authority.freeze();
      await pause(SILENT_MS);
      await authority.thaw();
    },
    afterMs: 5000,
  },
];
