/**
 * Notices each statement of postgres.js before its bytes are sent: the driver keeps them until the end of a turn of the
 * event loop.
 *
 * @module
 */

/** What the driver does with statements. */
export interface StatementEvents {
  /** A statement was made; it may be executed at once. */
  onMade(): void;
  /** A statement was turned into bytes, which are still to be sent. */
  onBuilt(): void;
}

/** Members of a client that the driver's types leave out. */
interface Internals {
  /** The parsed options; `prepare` is read once for each statement that is turned into bytes. */
  readonly options?: Record<string, unknown>;
  /** Makes a statement. Its `handler` is the same for all; the property `debug` is read once for each that is made. */
  unsafe(text: string): { readonly handler?: unknown };
}

/**
 * Calls functions when the driver does something with a statement.
 *
 * @param sql The client.
 * @param events The functions.
 * @returns Whether they will be called: the driver has the internals that are needed.
 */
export function watchStatements(sql: unknown, { onMade, onBuilt }: StatementEvents): boolean {
  const { options, unsafe } = sql as Internals;
  const { handler } = unsafe(""); // a statement is executed only if it is awaited
  if (!options || !("prepare" in options) || typeof handler !== "function") return false;
  onRead(options, "prepare", onBuilt);
  onRead(handler as unknown as Record<string, unknown>, "debug", onMade);
  return true;
}

/** Calls a function whenever a property is read. */
function onRead(target: Record<string, unknown>, name: string, listener: () => void): void {
  let current = target[name];
  Object.defineProperty(target, name, {
    configurable: true,
    enumerable: true,
    get() {
      listener();
      return current;
    },
    set: (value: unknown) => current = value,
  });
}
