/**
 * The contract that every adapter keeps: it opens connections of one driver, each to the one IP it is given.
 *
 * @module
 */

/** Where a connection goes, and as whom. The socket goes to the `ip`; the certificate is checked for `host`. */
export interface Target {
  /** The host name of the URL: for TLS and for messages, never to be dialled. */
  readonly host: string;
  /** TCP port, 1 to 65535. */
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
   * Opens a connection to `ip`, whatever the name in `target` says, and finishes the handshake.
   *
   * @param ip The address to dial.
   * @param target Everything else about the connection.
   * @returns The driver's own client.
   */
  connect(ip: string, target: Target): Promise<C>;
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
  /** What an error of the driver means for the connection. */
  classify?(error: unknown): "disconnect" | "read-only" | undefined;
  /** Calls `listener` once if the socket dies by itself. */
  onClose?(client: C, listener: (error?: unknown) => void): void;
  /** Runs one statement and gives its rows. */
  query?(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]>;
}
