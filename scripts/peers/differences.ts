/**
 * The tests of drivers and ORMs that have another outcome with a drop-in, with the reason.
 *
 * @module
 */

const PRIVATE = "reads private members of the pool";
const STUB = "its client is not the class of pg";
const SLOT = "the slot of a client that died in use is free at once";
const LIFETIME = "an idle client is closed at its idle timeout, not at its lifetime";
const TIMER = "one timer closes idle clients, a moment later";

const SOCKET = 'gives "socket", which is refused: the address comes from DNS';
const AT_ONCE = "an option that cannot be used is refused at once";
const SUBSCRIBE = "subscribe() is refused: its replication slot stays on the server";

/** Reasons, by suite and test. */
export const DIFFERENCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "pg-pool": {
    "Connection strings pool delegates connectionString property to client": STUB,
    "connection timeout should connect if timeout is passed, but native client in connected state":
      STUB,
    'events emits "connect" only with a successful connection': STUB,
    "pool error handling handles post-checkout client failures in pool.query": PRIVATE,
    "pool error handling error from in-use client keeps the client in the pool": SLOT,
    "releasing clients removes a client which cannot be queried": SLOT,
    "idle timeout can remove idle clients and recreate them": TIMER,
    "pool with promises properly pools clients": "at most four clients are opened at once",
    "lifetime timeout connection lifetime should expire and remove the client": LIFETIME,
    "pool size of 1 does remove clients when at or below min if maxLifetimeSeconds is reached":
      LIFETIME,
    "maxUses logs when removing an expended client": "the lines of the log are the engine's",
  },
  "pg (integration)": {
    "test/integration/connection-pool/error-tests.js": PRIVATE,
  },
  "mysql2 (pools)": {
    "test/integration/dispose/async/pool.test.mts": PRIVATE,
    "test/integration/dispose/sync/pool.test.mts": PRIVATE,
    "test/integration/test-pool-destroy-removes-connection.test.mts": PRIVATE,
    "test/integration/test-pool-double-release.test.mts": PRIVATE,
    "test/integration/test-pool-end.test.mts": PRIVATE,
    "test/integration/test-pool-getconnection-contract.test.mts": PRIVATE,
    "test/integration/test-pool-release-idle-connection-timeout.test.mts": PRIVATE,
    "test/integration/test-pool-release-idle-connection.test.mts": PRIVATE,
    "test/integration/test-pool-memory-leak.test.mts":
      "counts the listeners of a connection, which has two more",
    "test/integration/graceful-end/test-pool-release-idle-with-default-config.test.mts":
      "an idle connection is closed with a message to the server",
  },
  "postgres.js": {
    "Proper handling of non object Errors": SOCKET,
    "Proper handling of null Errors": SOCKET,
    "Ensure reserve on connection throws proper error": SOCKET,
    "Custom socket": SOCKET,
    "requests works after single connect_timeout":
      "gives an object that is another number each time",
    "Catches connection config errors": AT_ONCE,
    "Catches connection config errors with end": AT_ONCE,
    "subscribe": SUBSCRIBE,
    "subscribe with transform": SUBSCRIBE,
    "subscribe reconnects and calls onsubscribe": SUBSCRIBE,
  },
};
