import { assertEquals } from "@std/assert";
import mysql from "npm:mysql2@^3.24";
import { classesOf } from "../../drop_in/mysql2/module.ts";
import { engineOptions, trims } from "../../drop_in/mysql2/pool_settings.ts";

const { PoolConfig } = classesOf(mysql);

/** What the engine is told, and whether idle connections are closed. */
function read(options: Record<string, unknown>, ours: Record<string, unknown> = {}) {
  const config = new PoolConfig({ ...options });
  return {
    engine: engineOptions({ ...options, ...ours }, config) as unknown,
    trims: trims(config),
  };
}

const DEFAULTS = {
  poolUseLifo: true,
  poolResetOnReturn: null,
  connectRetry: false,
  poolTimeout: Infinity,
  poolSize: 10,
  maxOverflow: 0,
  idleTimeout: Infinity,
  connectTimeout: 10,
};

Deno.test("mysql2's pool options become the engine's: defaults, milliseconds to seconds, 0 to what it means there", () => {
  assertEquals(read({}), { engine: DEFAULTS, trims: false });
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
    trims: true,
  });
  const zeros = { connectionLimit: 0, connectTimeout: 0 };
  const { connectTimeout: _, ...rest } = DEFAULTS;
  assertEquals(read(zeros), { engine: { ...rest, poolSize: 0 }, trims: false });
});

Deno.test("mysql2 closes idle connections only where maxIdle is below connectionLimit", () => {
  const of = (options: Record<string, unknown>) => {
    const { engine, trims } = read(options);
    return [trims, (engine as { idleTimeout: number }).idleTimeout];
  };
  assertEquals(of({ idleTimeout: 1000 }), [false, Infinity]);
  assertEquals(of({ idleTimeout: 1000, maxIdle: 9 }), [true, 1]);
  assertEquals(of({ idleTimeout: 0, maxIdle: 0 }), [true, 0.001]);
});

Deno.test("a role is waited for in mysql2's place, 30 seconds unless it is said how long; any role is not", () => {
  const of = (ours: Record<string, unknown>) => {
    const { poolTimeout, connectRetry } = read({}, ours).engine as Record<string, unknown>;
    return [poolTimeout, connectRetry];
  };
  assertEquals(of({ targetSessionAttrs: "primary" }), [30, true]);
  assertEquals(of({ targetSessionAttrs: "any" }), [Infinity, false]);
  assertEquals(of({ targetSessionAttrs: "primary", poolTimeout: 2 }), [2, true]);
  assertEquals(of({ poolTimeout: 2, connectRetry: false }), [2, false]);
});
