/**
 * What a PostgreSQL server reports about its role by itself: 14 and later send `in_hot_standby` and
 * `default_transaction_read_only` at the login, and again after the statement behind which they have changed (PostgreSQL,
 * chapter "Message Flow", "Asynchronous Operations").
 *
 * @module
 */

import type { Adapter, Role } from "../adapter.ts";

const HOT_STANDBY = "in_hot_standby";
const READ_ONLY = "default_transaction_read_only";

/**
 * Asks for the role. `reset_val` is what the server says of a new session: `transaction_read_only` is also on if the
 * session, or its transaction, was made read-only by its caller.
 */
const ROLE_QUERY =
  "SELECT pg_is_in_recovery() AS standby, (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only') AS readonly, pg_backend_pid() AS pid";

/** What the server of one connection has reported. */
export class ReportedRole {
  readonly #values: Map<string, string> = new Map();
  /** What the server reported last before its role was asked for the first time. */
  #atFirst: ReadonlyMap<string, string> | undefined;
  /** Whether the reports are of the server that answers: a pooler sends its own, or those of another server. */
  #isDirect = false;
  #onChange: (() => void) | undefined;
  #changed = false;
  /** Whether the server was a standby at the login, and is none any more. */
  promoted = false;

  /** Records what the server reports about a setting. */
  note(name: string, value: string): void {
    if (name !== HOT_STANDBY && name !== READ_ONLY) return;
    const former = this.#values.get(name);
    this.#values.set(name, value);
    // A session that is as it was at its login, on a server that is what it was, has nothing to be asked for.
    const isBack = name === READ_ONLY && value === this.#atFirst?.get(name);
    if (former === undefined || former === value || isBack) return;
    if (name === HOT_STANDBY) this.promoted = value === "off";
    this.#changed = true;
    this.#onChange?.();
  }

  /** Calls a function when the role may have changed: at once, if it may have done so since it was asked for. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
    if (this.#changed) listener();
  }

  /** Records the answer to the first question, which a server itself gives and a pooler only passes on. */
  confirm({ direct }: { readonly direct: boolean }): void {
    this.#isDirect = direct;
    this.#atFirst = new Map(this.#values);
    this.#changed = false;
  }

  /** Whether the role was asked for before. */
  get confirmed(): boolean {
    return this.#atFirst !== undefined;
  }

  /** The server's role, as far as it is certain without a question. */
  get role(): Role | undefined {
    if (!this.#isDirect) return undefined;
    switch (this.#values.get(HOT_STANDBY)) {
      case "on":
        return { standby: true, readOnly: true };
      case "off":
        // Otherwise it is either the server's setting or that of the session.
        return this.#values.get(READ_ONLY) === "off" && this.#atFirst?.get(READ_ONLY) === "off"
          ? { standby: false, readOnly: false }
          : undefined;
      default:
        return undefined;
    }
  }
}

/** How a driver asks for the role of its server. */
export interface RoleParts<C> {
  /** Runs one statement and returns its rows as objects. */
  readonly run: (client: C, text: string) => Promise<readonly unknown[]>;
  /** Returns what the server reported; `undefined` if the driver does not show it. */
  readonly reported?: (client: C) => ReportedRole | undefined;
  /**
   * Returns whether the server has still to end an answer: a report comes behind the error that it explains. Default: it has
   * none.
   */
  readonly isBusy?: (client: C) => boolean;
  /** Returns the process that the server named at the login. */
  readonly processId?: (client: C) => number | null | undefined;
}

/**
 * Makes the adapter methods about the role of a server. The first time, the server is asked; later only if its reports
 * leave it open.
 *
 * @param parts How the driver asks.
 */
export function postgresRoleMethods<C extends object>(
  { run, reported, isBusy, processId }: RoleParts<C>,
): Required<Pick<Adapter<C>, "role">> & Pick<Adapter<C>, "onRoleChange"> {
  return {
    async role(client: C): Promise<Role> {
      const reports = reported?.(client);
      if (reports?.role && !isBusy?.(client)) return reports.role;
      const [row] = await run(client, ROLE_QUERY);
      const { standby, readonly, pid } = row as {
        standby: boolean;
        readonly: boolean | null;
        pid: number;
      };
      if (!reports?.confirmed) reports?.confirm({ direct: processId?.(client) === Number(pid) });
      return { standby, readOnly: standby || readonly === true };
    },
    ...(reported && {
      onRoleChange: (client: C, listener: () => void) => reported(client)?.onChange(listener),
    }),
  };
}
