/**
 * Modules like a driver's, with parts of their own.
 *
 * @module
 */

/**
 * A copy of a module.
 *
 * @param original The module.
 * @param parts What takes the place of its own; the original's is not even looked at.
 * @returns The copy; its `default`, where it has one, is itself.
 */
export function moduleLike<M extends object>(original: M, parts: Record<string, unknown>): M {
  const all = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap;
  const module: Record<string, unknown> = {};
  for (const [name, { enumerable }] of Object.entries(all)) {
    if (enumerable && !(name in parts)) module[name] = original[name as keyof M];
  }
  Object.assign(module, parts);
  if ("default" in module) module.default = module;
  return module as M;
}
