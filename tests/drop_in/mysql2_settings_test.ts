import { assertEquals } from "@std/assert";
import mysql from "npm:mysql2@^3.24";
import { classesOf } from "../../drop_in/mysql2/module.ts";
import { engineOptions, readLimits } from "../../drop_in/mysql2/pool_settings.ts";

const { PoolConfig } = classesOf(mysql);

/** Reads options; returns the engine's, and how many idle connections there may be. */
function read(options: Record<string, unknown>, ours: Record<string, unknown> = {}) {
  const config = new PoolConfig({ ...options });
  return {
    engine: engineOptions({ ...options, ...ours }, config) as unknown,
    maxIdle: readLimits(config).maxIdle(config.maxIdle).maxIdle,
  };
}

const DEFAULTS = {
  poolUseLifo: true,
  poolResetOnReturn: null,
  connectConcurrency: Infinity,
  connectRetry: false,
  poolTimeout: Infinity,
  poolSize: 10,
  maxOverflow: 0,
  idleTimeout: Infinity,
  connectTimeout: 10,
};

Deno.test("engineOptions() converts mysql2's options: defaults, milliseconds to seconds, 0 to what it means to mysql2", () => {
  assertEquals(read({}), { engine: DEFAULTS, maxIdle: Infinity });
  const options = {
    connectionLimit: 20,
    maxIdle: 5,
    idleTimeout: 30_000,
    connectTimeout: 2500,
    enableKeepAlive: false,
    user: "app",
  };
  const ours = { poolTimeout: 3, poolRecycle: 60, dnsTimeout: 4, loadBalance: "random" };
  assertEquals(read(options, ours), {
    engine: {
      ...DEFAULTS,
      ...ours,
      connectRetry: true,
      poolSize: 20,
      idleTimeout: 30,
      connectTimeout: 2.5,
      connectArgs: { enableKeepAlive: false },
    },
    maxIdle: 5,
  });
  const zeros = { connectionLimit: 0, connectTimeout: 0 };
  const { connectTimeout: _, ...rest } = DEFAULTS;
  assertEquals(read(zeros), { engine: { ...rest, poolSize: 0 }, maxIdle: Infinity });
});

Deno.test("readLimits(): maxIdle is a limit only if it is below connectionLimit at first", () => {
  const of = (options: Record<string, unknown>) => {
    const { engine, maxIdle } = read(options);
    return [maxIdle, (engine as { idleTimeout: number }).idleTimeout];
  };
  assertEquals(of({ idleTimeout: 1000 }), [Infinity, Infinity]);
  assertEquals(of({ idleTimeout: 1000, maxIdle: 9 }), [9, 1]);
  assertEquals(of({ idleTimeout: 0, maxIdle: 0 }), [0, 0.001]);
  assertEquals(of({ idleTimeout: Infinity, maxIdle: 9 }), [9, 1e9]);
});

Deno.test("engineOptions(): poolTimeout is 30 seconds by default if a role is required, else there is none", () => {
  const of = (ours: Record<string, unknown>) => {
    const { poolTimeout, connectRetry } = read({}, ours).engine as Record<string, unknown>;
    return [poolTimeout, connectRetry];
  };
  assertEquals(of({ targetSessionAttrs: "primary" }), [30, true]);
  assertEquals(of({ targetSessionAttrs: "any" }), [Infinity, false]);
  assertEquals(of({ targetSessionAttrs: "primary", poolTimeout: 2 }), [2, true]);
  assertEquals(of({ poolTimeout: 2, connectRetry: false }), [2, false]);
});
