/**
 * Servers of the lab as the contract suite of the adapters uses them.
 *
 * @module
 */

import type { TestServer } from "../contracts/adapter.ts";

/** What the servers of the lab have in common. */
interface LabServer extends Omit<TestServer, "host" | "port" | "stop"> {
  stop(options: { mode: "immediate" }): Promise<void>;
}

/** Makes a test server of a server of the lab. Stopping it does not wait for its sessions. */
export function testServer(
  address: { readonly host: string; readonly port: number },
  server: LabServer,
): TestServer {
  return {
    ...address,
    get log() {
      return server.log;
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    kill: () => server.kill(),
    start: () => server.start(),
    stop: () => server.stop({ mode: "immediate" }),
  };
}
