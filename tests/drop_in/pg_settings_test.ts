import { assertEquals } from "@std/assert";
import { readPoolSettings } from "../../drop_in/pg/pool_settings.ts";

Deno.test("readPoolSettings() converts pg.Pool's options: defaults, milliseconds to seconds, 0 to what it means to pg.Pool", () => {
  const { engine, ...rest } = readPoolSettings({});
  assertEquals(engine as unknown, {
    poolUseLifo: true,
    poolResetOnReturn: null,
    connectConcurrency: Infinity,
    connectRetry: false,
    poolSize: 10,
    maxOverflow: 0,
    minSize: 0,
    maxUses: Infinity,
    idleTimeout: 10,
    poolRecycle: Infinity,
    poolTimeout: Infinity,
  });
  assertEquals(rest, {
    timeoutMs: Infinity,
    lifetimeMs: Infinity,
    mayExitOnIdle: false,
    onConnect: undefined,
    verify: undefined,
  });
  const onConnect = () => {};
  const given = readPoolSettings({
    max: 20,
    min: 2,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: 2500,
    maxUses: 7500,
    maxLifetimeSeconds: 60,
    allowExitOnIdle: true,
    onConnect,
    dnsTimeout: 3,
    loadBalance: "random",
    user: "app",
  });
  assertEquals(given.engine as unknown, {
    poolUseLifo: true,
    poolResetOnReturn: null,
    connectConcurrency: Infinity,
    connectRetry: true,
    dnsTimeout: 3,
    loadBalance: "random",
    poolSize: 20,
    maxOverflow: 0,
    minSize: 2,
    maxUses: 7500,
    idleTimeout: Infinity,
    poolRecycle: 60,
    poolTimeout: 2.5,
    connectTimeout: 2.5,
  });
  assertEquals([given.timeoutMs, given.lifetimeMs, given.mayExitOnIdle, given.onConnect], [
    2500,
    60_000,
    true,
    onConnect,
  ]);
});

Deno.test("readPoolSettings(): the timeout is 30 seconds by default if a role is required, else there is none", () => {
  const of = (options: Record<string, unknown>) => {
    const { timeoutMs, engine } = readPoolSettings(options);
    return [timeoutMs, engine.poolTimeout, engine.connectRetry];
  };
  assertEquals(of({ targetSessionAttrs: "primary" }), [30_000, 30, true]);
  assertEquals(of({ targetSessionAttrs: "any" }), [Infinity, Infinity, false]);
  assertEquals(of({ targetSessionAttrs: "primary", connectionTimeoutMillis: 5 }), [5, 0.005, true]);
});

Deno.test("readPoolSettings(): dnspool's options take precedence; a timeout over an hour is none to the engine", () => {
  const settings = readPoolSettings({
    connectionTimeoutMillis: 7_200_000,
    connectRetry: false,
    poolResetOnReturn: "rollback",
  });
  const { poolTimeout, connectTimeout, connectRetry, poolResetOnReturn } = settings.engine;
  assertEquals(
    [settings.timeoutMs, poolTimeout, connectTimeout, connectRetry, poolResetOnReturn],
    [7_200_000, Infinity, 3600, false, "rollback"],
  );
});
