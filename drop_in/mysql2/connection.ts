/**
 * Connections of mysql2 that dial an address of their host's name, and know when that address departed: for libraries
 * that pool connections by themselves.
 *
 * @module
 */

import { Socket } from "node:net";
import { checkHost } from "../../internal/host_name.ts";
import { PacketObserver } from "../../adapters/mysql2/packets.ts";
import { KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { lazyMysql2Adapter, type Mysql2Client, type Mysql2Config } from "../../adapters/mysql2.ts";
import { inDriversWords } from "../shared/driver_errors.ts";
import type { FollowedName, Member } from "../shared/tracked_host.ts";
import { FollowedNames } from "../shared/tracked_hosts.ts";
import {
  checkMysql2Options,
  type ConnectionConfig,
  type CoreConnection,
  type Mysql2Classes,
  type Mysql2Driver,
  optionsOf,
  WORDS,
} from "./module.ts";
import { hostKind, remarkOnHost } from "../shared/host_kind.ts";
import { type DnsPoolOptions, driverOptions, type Given } from "../shared/options.ts";

/** Where a role is wanted, it is waited for so long, unless `connectTimeout` ends it sooner. */
const ROLE_TIMEOUT_MS = 30_000;

/**
 * Makes what takes the place of a module's `createConnection`.
 *
 * @param mysql2 The module.
 * @param classes Its classes.
 * @param options dnspool's options for all its connections.
 * @returns The function.
 */
export function connector(
  mysql2: Mysql2Driver,
  { ofPromises, PoolConfig }: Mysql2Classes,
  options: DnsPoolOptions,
): Mysql2Driver["createConnection"] {
  const adapterOf = (given: () => Given) => scoutAdapter(mysql2, given);
  const names = new FollowedNames<Mysql2Client>(options, adapterOf);
  const { classify } = adapterOf(() => ({}));

  return (wanted: unknown) => {
    const given = driverOptions(optionsOf(wanted));
    checkMysql2Options(given);
    const config = new PoolConfig({ ...given }).connectionConfig;
    const { socketPath, host } = config;
    remarkOnHost(socketPath ?? host, "dnsMysql2");
    if (socketPath || hostKind(host) !== "name") return listenedTo(mysql2.createConnection(given));
    checkHost(host);
    const name = names.of(config, given);
    const link = new Link(name, { config, classify: (error) => classify!(error) });
    const made = mysql2.createConnection({ ...given, stream: link.socket });
    if (ofPromises) {
      return made.then((connection: { connection: CoreConnection }) => {
        link.attach(connection.connection);
        return connection;
      });
    }
    link.attach(made);
    return made;
  };
}

/** A connection whose `error` ends no process. */
function listenedTo<T>(made: T): T {
  const heard = (connection: CoreConnection) => connection.on("error", () => {});
  if (made instanceof Promise) made.then(({ connection }) => heard(connection), () => {});
  else heard(made as CoreConnection);
  return made;
}

/** Opens scouts. */
function scoutAdapter({ createConnection }: Mysql2Driver, given: () => Given) {
  const create = ({ host, stream }: Mysql2Config) =>
    createConnection({ ...given(), host, stream, connectTimeout: 0 });
  const module = {
    createConnection: create,
    Connection: { prototype: { promise() {} } },
  };
  return lazyMysql2Adapter<Mysql2Client>(() => Promise.resolve(module));
}

/** What a connection has besides. */
interface Looked {
  departed: boolean;
  __knex__disposed: unknown;
  _protocolError: unknown;
}

/** One connection's tie to its name. */
class Link {
  /** Dialled as soon as there is an address. */
  readonly socket: Socket = new Socket();
  readonly #name: FollowedName<Mysql2Client>;
  readonly #config: ConnectionConfig;
  readonly #classify: NonNullable<Adapter<Mysql2Client>["classify"]>;
  #member: Member | undefined;
  #core: CoreConnection | undefined;
  #watch: PacketObserver | undefined;
  #uses = 0;
  #readOnly = false;

  constructor(
    name: FollowedName<Mysql2Client>,
    { config, classify }: {
      config: ConnectionConfig;
      classify: NonNullable<Adapter<Mysql2Client>["classify"]>;
    },
  ) {
    this.#name = name;
    this.#config = config;
    this.#classify = classify;
    this.#dial();
  }

  /** Takes up the connection on the socket. */
  attach(core: CoreConnection & Partial<Looked>): void {
    this.#core = core;
    // Without a listener, the `error` of a connection ends the process.
    core.on("error", () => {});
    const { addCommand } = core;
    core.addCommand = (command) => {
      this.#uses++;
      this.#member?.use();
      return addCommand.call(core, command);
    };
    this.#showDeparture(core);
    const watch = () => {
      this.#watch = new PacketObserver(core);
      this.#watch.onError((error) => this.#hear(error));
      this.#member?.open();
    };
    if ("_handshakePacket" in core && core._handshakePacket) watch();
    else core.once("connect", watch);
  }

  /** Where libraries look whether a connection is of any use. */
  #showDeparture(core: CoreConnection): void {
    const why = () => this.#why();
    const looked = <K extends keyof Looked>(name: K, wrong: (why: string) => unknown) => {
      let own = (core as unknown as Looked)[name];
      return {
        configurable: true,
        enumerable: false,
        get: () => own || (why() === undefined ? own : wrong(why()!)),
        set: (value: Looked[K]) => void (own = value),
      };
    };
    Object.defineProperties(core, {
      departed: { configurable: true, get: () => why() !== undefined },
      // Knex
      __knex__disposed: looked("__knex__disposed", (reason) => reason),
      // Sequelize; mysql2 itself reads it when the socket is closed.
      _protocolError: looked("_protocolError", (reason) => {
        const error = new Error(`Connection lost: ${reason}`);
        return Object.assign(error, { fatal: true, code: "PROTOCOL_CONNECTION_LOST" });
      }),
    });
  }

  #why(): string | undefined {
    if (this.#readOnly) return "the server is read-only";
    const { departed, address } = this.#member ?? {};
    return departed ? `the address ${address} departed` : undefined;
  }

  async #dial(): Promise<void> {
    const { socket } = this;
    const end = new AbortController();
    socket.once("close", () => end.abort(new Error("The connection is closed")));
    try {
      const { port, connectTimeout, enableKeepAlive, keepAliveInitialDelay } = this.#config;
      const address = await this.#name.choose(end.signal, {
        limitMs: Math.min(connectTimeout || Infinity, ROLE_TIMEOUT_MS),
        // mysql2 has a time-out unless it is told otherwise: it says nothing about who wants to wait.
        patient: false,
        dismiss: async (scout) => void await scout.end(),
      });
      if (socket.writableEnded) return void socket.destroy();
      const member = this.#member = this.#name.join(this.#follower(), address);
      socket.once("close", () => member.leave());
      socket.once("error", () => this.#name.refresh());
      socket.once("connect", () => {
        socket.setNoDelay(true);
        if (enableKeepAlive) socket.setKeepAlive(true, keepAliveInitialDelay || KEEPALIVE_MS);
      });
      socket.connect(port, address);
    } catch (error) {
      if (!end.signal.aborted) socket.destroy(inDriversWords(error, WORDS));
    }
  }

  #follower() {
    const uses = () => this.#uses;
    const busy = () => this.#watch?.inTransaction !== false;
    return {
      get uses() {
        return uses();
      },
      get busy() {
        return busy();
      },
      end: () => void this.#core?.end(),
      terminate: (reason: Error) => {
        this.#core?.stream.destroy(reason);
        this.socket.destroy(reason);
      },
    };
  }

  /** Whoever handles it, or does not. */
  #hear(error: unknown): void {
    const verdict = this.#classify(error);
    if (verdict === undefined) return;
    if (verdict === "read-only") this.#readOnly = true;
    this.#name.refresh();
  }
}
