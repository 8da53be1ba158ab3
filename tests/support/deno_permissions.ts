/**
 * Permissions that a test takes away, on Deno only.
 *
 * @module
 */

/**
 * Takes permissions away until the result is disposed of: `Deno.permissions.querySync` says that they are denied.
 *
 * @param isDenied Returns whether a permission is denied.
 */
export function denying(
  isDenied: (permission: Deno.PermissionDescriptor) => boolean,
): Disposable {
  const { permissions } = Deno;
  const real = permissions.querySync;
  permissions.querySync = (asked) =>
    isDenied(asked) ? { state: "denied" } as Deno.PermissionStatus : real.call(permissions, asked);
  return { [Symbol.dispose]: () => void (permissions.querySync = real) };
}

/** The permission that `wire` needs for UDP: without it, Deno's own resolver is asked. */
export function noDatagrams(asked: Deno.PermissionDescriptor): boolean {
  return asked.name === "net" && asked.host?.endsWith(":0") === true;
}
