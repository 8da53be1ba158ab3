/**
 * `sql.listen()`, on the engine's: one connection for all channels, which follows the name.
 *
 * @module
 */

import type { ChannelListener, Engine } from "../../engine.ts";
import type { Client, Clients } from "./clients.ts";

/** The session that listens. */
interface ListenState {
  /** Number of the session. */
  readonly pid: number | null;
  /** Key to cancel its statements with. */
  readonly secret: number | null;
}

/** What `sql.listen()` returns. */
interface ListenMeta {
  /** The session that listens now: another one after the connection was lost, or after the name moved. */
  readonly state: ListenState;
  /** Ends the listener. */
  unlisten(): Promise<void>;
}

/** The method `listen` of a `sql`. */
export type Listen = (
  channel: string,
  onNotify: (payload: string) => unknown,
  onListen?: () => unknown,
) => Promise<ListenMeta>;

/**
 * Makes the method `listen`. As in the driver, it calls `onListen` each time it listens: also after it listened to
 * another server, so that notifications may have been missed.
 *
 * @param engine The engine.
 * @param clients Its clients.
 * @param check Throws if the pool has ended.
 */
export function listenOn(engine: Engine<Client>, clients: Clients, check: () => void): Listen {
  const state: ListenState = {
    get pid() {
      return clients.listeningKey?.processId ?? null;
    },
    get secret() {
      const secret = clients.listeningKey?.secret;
      return secret ? new DataView(secret.buffer, secret.byteOffset).getInt32(0) : null;
    },
  };
  return async (channel, onNotify, onListen) => {
    check();
    const listener: ChannelListener = await engine.listen(
      channel,
      (payload) => onNotify(payload),
      { keepProcessAlive: true, onGap: () => onListen?.() },
    );
    onListen?.();
    return { state, unlisten: () => listener.close() };
  };
}
