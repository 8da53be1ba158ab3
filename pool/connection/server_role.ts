/**
 * The role that a server has, and the role that it must have.
 *
 * @module
 */

import type { Role } from "../../adapters/adapter.ts";

/** The role that a server must have: libpq's `target_session_attrs`. */
export type WantedRole =
  | "any"
  | "read-write"
  | "read-only"
  | "primary"
  | "standby"
  | "prefer-standby";

/** Every role that a server can be asked to have. */
export const WANTED_ROLES: readonly WantedRole[] = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
];

/** The error for a server that accepted a connection, but has another role than the wanted one. */
export class WrongRoleError extends Error {
  override readonly name = "WrongRoleError";

  /**
   * @param role The server's role.
   * @param wanted The role that it must have.
   */
  constructor({ standby, readOnly }: Role, wanted: WantedRole) {
    const is = `${standby ? "a standby" : "a primary"}${readOnly ? ", read-only" : ""}`;
    super(`it is ${is}, and "${wanted}" is wanted`);
  }
}

/** Returns whether a server's role is the wanted one. */
export function matchesRole({ standby, readOnly }: Role, wanted: WantedRole): boolean {
  switch (wanted) {
    case "read-write":
      return !standby && !readOnly;
    case "read-only":
      return standby || readOnly;
    case "primary":
      return !standby;
    case "standby":
      return standby;
    default:
      return true;
  }
}

/** Returns whether there is usually one server with the role: the one that takes writes. */
export function isWriterRole(wanted: WantedRole | undefined): boolean {
  return wanted === "read-write" || wanted === "primary";
}
