/**
 * Modules of the runtime, loaded when they are needed: on Deno, `node:fs` takes longer to load than the whole package.
 *
 * @module
 */

interface Modules {
  readonly "node:fs": typeof import("node:fs");
  readonly "node:os": typeof import("node:os");
}

interface MaybeProcess {
  readonly process?: {
    getBuiltinModule?<K extends keyof Modules>(name: K): Modules[K] | undefined;
  };
}

/**
 * Returns a module of the runtime.
 *
 * @param name Its name.
 * @throws {Error} if the runtime has none.
 */
export function builtinModule<K extends keyof Modules>(name: K): Modules[K] {
  // Not `import`, which is asynchronous.
  const module = (globalThis as unknown as MaybeProcess).process?.getBuiltinModule?.(name);
  if (module === undefined) throw new Error(`There is no module ${name}`);
  return module;
}
