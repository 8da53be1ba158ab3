/**
 * The tests of drivers and ORMs that have another outcome with a drop-in, with the reason.
 *
 * @module
 */

const STUB = "its client is not the class of pg";

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
    "idle timeout can remove idle clients and recreate them":
      "at times: it allows a millisecond between the idle timeout and the end of the client",
    "maxUses logs when removing an expended client": "the lines of the log are the engine's",
  },
  "pg (integration)": {
    "test/integration/connection-pool/error-tests.js":
      "takes a client that is not connected yet from the private `_clients`",
  },
  "mysql2 (pools)": {
    "test/integration/test-pool-getconnection-contract.test.mts":
      "one of its checks: `getConnection` must be the very function of the class, not of a subclass",
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
