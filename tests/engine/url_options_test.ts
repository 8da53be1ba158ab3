import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import type { EngineOptions } from "../../engine/options.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { driverParams, readUrlOptions } from "../../engine/url_options.ts";

function read(query: string, given?: EngineOptions): EngineOptions {
  return readUrlOptions(DatabaseUrl.parse(`postgresql://db.internal/orders?${query}`), given);
}

Deno.test("readUrlOptions() reads the parameters of libpq, and an option counts more", () => {
  assertEquals(read(""), {});
  for (
    const role of [
      "any",
      "read-write",
      "read-only",
      "primary",
      "standby",
      "prefer-standby",
    ] as const
  ) {
    assertEquals(read(`target_session_attrs=${role}`), { targetSessionAttrs: role });
    assertEquals(read(`target_session_attrs=${role}`, { targetSessionAttrs: role, poolSize: 1 }), {
      targetSessionAttrs: role,
      poolSize: 1,
    });
  }
  assertEquals(read("load_balance_hosts=disable"), { loadBalance: "ordered" });
  assertEquals(read("load_balance_hosts=random"), { loadBalance: "random" });
  assertEquals(read("load_balance_hosts=random", { loadBalance: "round-robin" }), {
    loadBalance: "round-robin",
  });
  for (const seconds of [1, 3600]) {
    assertEquals(read(`connect_timeout=${seconds}`), { connectTimeout: seconds });
  }
  assertEquals(read("connect_timeout=5", { connectTimeout: 7 }), { connectTimeout: 7 });
});

Deno.test("readUrlOptions() refuses values that libpq would not take, and a contradiction", () => {
  const roles = 'one of "any", "read-write", "read-only", "primary", "standby", "prefer-standby"';
  const seconds = "a whole number of seconds from 1 to 3600";
  const table: [query: string, given: EngineOptions, message: string][] = [
    [
      "target_session_attrs=write",
      {},
      `"target_session_attrs of the database URL" must be ${roles}, got "write"`,
    ],
    [
      "target_session_attrs=any&target_session_attrs=primary",
      {},
      `"target_session_attrs of the database URL" must be ${roles}, got 2 values`,
    ],
    [
      "target_session_attrs=primary",
      { targetSessionAttrs: "any" },
      '"targetSessionAttrs" must not be given: the database URL has target_session_attrs=primary',
    ],
    [
      "load_balance_hosts=ordered",
      { loadBalance: "random" },
      '"load_balance_hosts of the database URL" must be one of "disable", "random", got "ordered"',
    ],
    ...["0", "3601", "-1", "1.5", "x", "1x", "x1", ""].map((
      text,
    ): [string, EngineOptions, string] => [
      `connect_timeout=${text}`,
      {},
      `"connect_timeout of the database URL" must be ${seconds}, got "${text}"`,
    ]),
    [
      "connect_timeout=1&connect_timeout=2",
      {},
      `"connect_timeout of the database URL" must be ${seconds}, got 2 values`,
    ],
  ];
  for (const [query, given, message] of table) {
    const { message: text } = assertThrows(() => read(query, given), TypeError);
    assertEquals(text, message);
  }
});

Deno.test("readUrlOptions() and driverParams() leave the parameters of other dialects to the driver", () => {
  const query = "target_session_attrs=x&load_balance_hosts=x&connect_timeout=x";
  const url = DatabaseUrl.parse(`mysql://db.internal/orders?${query}&a=1`);
  const given = { poolSize: 1 };
  assertStrictEquals(readUrlOptions(url, given), given);
  assertStrictEquals(driverParams(url), url.params);
  const postgres = DatabaseUrl.parse(`postgresql://db.internal/orders?${query}&a=1`);
  assertEquals(driverParams(postgres), { a: "1" });
});
