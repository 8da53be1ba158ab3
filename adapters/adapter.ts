/**
 * The contract that every adapter keeps: it opens connections of one driver, each to the one IP it is given.
 *
 * @module
 */

/** What a URL and `connectArgs` ask for: where connections go, and as whom. */
export interface Destination {
  /** The host name of the URL: for TLS and for messages, never to be dialled. */
  readonly host: string;
  /** TCP port, 1 to 65535; 0 for an adapter that is `local`. */
  readonly port: number;
  /** The user name, where the URL has one. */
  readonly user?: string | undefined;
  /** The password, where the URL has one. Never to be put into a message. */
  readonly password?: string | undefined;
  /** The database name, where the URL has one. */
  readonly database?: string | undefined;
  /** The URL's query parameters. */
  readonly params: Readonly<Record<string, string | readonly string[]>>;
  /** The engine's `connectArgs`: merged over what the URL gives, and winning. */
  readonly connectArgs: Readonly<Record<string, unknown>>;
  /** Whether the socket shall have TCP keepalive, its first probe after 30 s. */
  readonly keepAlive: boolean;
}

/** One connection to be opened. The socket goes to the `ip`; the certificate is checked for `host`. */
export interface Target extends Destination {
  /**
   * The addresses that the host has now; they may change while the attempt is under way. Only for a driver that
   * cannot be given an address: whoever can dials the `ip`.
   */
  addresses(): readonly string[];
  /** Ends the attempt: `connect` rejects, and no socket is left. */
  readonly signal: AbortSignal;
}

/** What a connection to a server with roles turned out to be. */
export interface Role {
  /** Whether the server replays another one (a hot standby, a replica). */
  readonly standby: boolean;
  /** Whether a write would be refused. */
  readonly readOnly: boolean;
}

/** How an encrypted connection was made sure of. */
export interface TlsState {
  /**
   * What was looked at in the server's certificate. `"name"`: it is trusted, and for the host's name; `"chain"`: it is
   * trusted; `"nothing"`: it was taken as it came.
   */
  readonly checked: "name" | "chain" | "nothing";
}

/**
 * Opens and tends the connections of one driver. `name`, `defaultPort` and `connect` are all that a new driver
 * needs; each further member switches something on.
 */
export interface Adapter<C> {
  /** The driver's name in a URL, such as `"pg"`. */
  readonly name: string;
  /** The port for a URL that names none. */
  readonly defaultPort: number;
  /**
   * There is no network in between: the URL has no host, no DNS is asked, and `connect` is given the database as
   * `ip`. Such an engine has one connection unless `poolSize` says otherwise.
   */
  readonly local?: boolean;
  /**
   * Whether the data live in the connection and are gone with it, as those of a database in memory. Then the engine
   * has one connection, and refuses options that would close it.
   */
  volatile?(destination: Destination): boolean;
  /**
   * Looks at what the URL and `connectArgs` ask for when the engine is made, before anything is opened.
   *
   * @throws {TypeError} for what the driver would ignore or could not mean.
   */
  check?(destination: Destination): void;
  /**
   * Opens a connection to `ip`, whatever the name in `target` says, and finishes the handshake.
   *
   * @param ip The address to dial.
   * @param target Everything else about the connection.
   * @returns The driver's own client.
   */
  connect(ip: string, target: Target): Promise<C>;
  /**
   * The address that a new connection is really open to, for a driver that had to dial by name; it must be one of
   * the target's `addresses`. Where this is missing or `undefined`, it is the `ip` that was given.
   */
  address?(client: C): string | undefined;
  /** Says goodbye politely and closes the socket. */
  close?(client: C): Promise<void>;
  /** Drops the socket now; pending work rejects, with `reason` where the driver allows it. */
  terminate?(client: C, reason?: Error): void;
  /** The connection is in use: it holds the process up. */
  ref?(client: C): void;
  /** The connection is idle: it does not. */
  unref?(client: C): void;
  /** One round trip; rejects when the server does not answer. */
  ping?(client: C): Promise<void>;
  /** Ends an open transaction. */
  reset?(client: C, how: "rollback" | "commit"): Promise<void>;
  /** Whether a transaction is open, known without asking the server; `undefined`: not known. */
  inTransaction?(client: C): boolean | undefined;
  /** Sets the isolation level of the session, such as `"serializable"`; `undefined`: back to the server's. */
  setIsolationLevel?(client: C, level: string | undefined): Promise<void>;
  /** Asks the server for its role. */
  role?(client: C): Promise<Role>;
  /** How the connection is protected; `undefined`: it is not encrypted. No question to the server. */
  tls?(client: C): TlsState | undefined;
  /** What an error of the driver means for the connection. */
  classify?(error: unknown): "disconnect" | "read-only" | undefined;
  /** Calls `listener` once if the socket dies by itself. */
  onClose?(client: C, listener: (error?: unknown) => void): void;
  /**
   * Calls `listener` for each error that the server reports on the connection, whoever sent what failed and whether
   * or not they handle it: so a read-only server is noticed though an ORM swallowed its error.
   */
  onError?(client: C, listener: (error: unknown) => void): void;
  /** Runs one statement and gives its rows. */
  query?(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]>;
}
