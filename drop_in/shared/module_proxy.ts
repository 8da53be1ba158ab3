/**
 * Copies a driver's module with some members replaced.
 *
 * @module
 */

/**
 * Copies a module.
 *
 * @param original The module.
 * @param overrides The members to replace; the original's are not read, because reading one may load a package.
 * @returns The copy. If the module has a `default`, the copy's is the copy itself.
 */
export function withOverrides<M extends object>(
  original: M,
  overrides: Record<string, unknown>,
): M {
  const all = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap;
  const module: Record<string, unknown> = {};
  for (const [name, { enumerable }] of Object.entries(all)) {
    if (enumerable && !(name in overrides)) module[name] = original[name as keyof M];
  }
  Object.assign(module, overrides);
  if ("default" in module) module.default = module;
  return module as M;
}
