import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import {
  type EngineOptions,
  readAdapter,
  readDnsOptions,
  readEngineOptions,
} from "../../engine/options.ts";
import { type GetIpOptions, getIpWithTtl } from "../../resolver.ts";
import { fakeAdapter } from "../../testing/fake_adapter.ts";

type Options = Record<string, unknown>;
type Kind = typeof TypeError | typeof RangeError;

/** Values, and how messages show them. */
const SHOWN: readonly (readonly [value: unknown, shown: string])[] = [
  [null, "null"],
  [true, "true"],
  [false, "false"],
  [5, "5"],
  [NaN, "NaN"],
  [5n, "5"],
  ["5", '"5"'],
  ["", '""'],
  ["x".repeat(50), `"${"x".repeat(40)}…"`],
  [Symbol("s"), "Symbol(s)"],
  [[], "an array"],
  [[5], "an array"],
  [{}, "an object"],
  [new Date(0), "an object"],
  [() => 5, "a function"],
];

function make(options: unknown): unknown {
  return getDnsEngine("postgresql://app@127.0.0.1/orders", options as EngineOptions);
}

/** Reads options without checking whether an adapter has the methods that they need. */
function accepts(options: unknown): void {
  readAdapter(options);
  readEngineOptions(options);
}

function refuses(options: unknown, kind: Kind, message: string): void {
  const error = assertThrows(() => make(options), kind);
  assertEquals(error.message, message);
}

/** Checks that every value of another type is refused, with a message that names option, value and allowed values. */
function refusesAllBut(name: string, allowed: (value: unknown) => boolean, wanted: string): void {
  for (const [value, shown] of SHOWN) {
    if (allowed(value)) continue;
    refuses({ [name]: value }, TypeError, `"${name}" must be ${wanted}, got ${shown}`);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface NumberOption {
  readonly wanted: string;
  /** Values at the bounds. */
  readonly good: readonly number[];
  /** Values next to them, outside. */
  readonly bad: readonly number[];
  /** Whether milliseconds given by mistake are recognized. */
  readonly wait?: boolean;
}

const FROM_0: NumberOption = {
  wanted: "a number of seconds, at least 0 or Infinity",
  good: [0, 28_800, Infinity],
  bad: [-0.001, -Infinity],
};
const ABOVE_0: NumberOption = {
  wanted: "a number of seconds above 0 or Infinity",
  good: [0.001, 28_800, Infinity],
  bad: [0, -0.001, -Infinity],
};

const NUMBERS: Readonly<Record<string, NumberOption>> = {
  dnsTimeout: {
    wanted: "a number of seconds above 0 and at most 3600",
    good: [0.001, 3600],
    bad: [0, -0.001, -Infinity, Infinity],
    wait: true,
  },
  connectTimeout: {
    wanted: "a number of seconds above 0 and at most 3600",
    good: [0.001, 3600],
    bad: [0, -0.001, -Infinity, Infinity],
    wait: true,
  },
  poolTimeout: {
    wanted: "a number of seconds from 0 to 3600 or Infinity",
    good: [0, 3600, Infinity],
    bad: [-0.001, -Infinity],
    wait: true,
  },
  dnsGraceTtl: {
    wanted: "a number of seconds, at least 0",
    good: [0, 30_000],
    bad: [-0.001, -Infinity, Infinity],
  },
  dnsMaxStale: {
    wanted: "a number of seconds, at least 0",
    good: [0, 259_200],
    bad: [-0.001, -Infinity, Infinity],
  },
  dnsMinTtl: {
    wanted: "a number of seconds, at least 0",
    good: [0, 300],
    bad: [-0.001, -Infinity, Infinity],
  },
  dnsMaxTtl: {
    wanted: "a number of seconds, at least 0",
    good: [0.25, 86_400],
    bad: [-0.001, -Infinity, Infinity],
  },
  dnsMaxRetries: {
    wanted: "a whole number from 1 to 100",
    good: [1, 100],
    bad: [0, 101, 1.5, -1, -Infinity, Infinity],
  },
  poolSize: {
    wanted: "a whole number of at least 0",
    good: [0, 1, 10_000],
    bad: [-1, 0.5, -Infinity, Infinity],
  },
  maxOverflow: {
    wanted: "a whole number of at least -1 or Infinity",
    good: [-1, 0, 10_000, Infinity],
    bad: [-2, -1.5, 0.5, -Infinity],
  },
  connectStagger: ABOVE_0,
  connectConcurrency: {
    wanted: "a whole number of at least 1 or Infinity",
    good: [1, 1000, Infinity],
    bad: [0, 1.5, -1, -Infinity],
  },
  dnsAddressLinger: {
    wanted: "a number of seconds, at least 0",
    good: [0, 30_000],
    bad: [-0.001, -Infinity, Infinity],
  },
  probeTimeout: {
    wanted: "a number of seconds above 0 and at most 3600",
    good: [0.001, 3600],
    bad: [0, -0.001, -Infinity, Infinity],
    wait: true,
  },
  prePingAfter: FROM_0,
  retireGrace: FROM_0,
  poolRecycle: ABOVE_0,
  idleTimeout: ABOVE_0,
  leaseProbeAfter: ABOVE_0,
  leaseWarnAfter: ABOVE_0,
  leaseTimeout: ABOVE_0,
  maxUses: {
    wanted: "a whole number of at least 1 or Infinity",
    good: [1, 1000, Infinity],
    bad: [0, 1.5, -1, -Infinity],
  },
  minIdle: {
    wanted: "a whole number from 0 to 5",
    good: [0, 5],
    bad: [-1, 0.5, 6, -Infinity, Infinity],
  },
  minSize: {
    wanted: "a whole number from 0 to 5",
    good: [0, 5],
    bad: [-1, 0.5, 6, -Infinity, Infinity],
  },
};

const BOOLEANS = [
  "dnsExtendGrace",
  "dnsFallback",
  "dnsHosts",
  "dnsSrv",
  "hideParameters",
  "keepAlive",
  "poolPrePing",
  "poolUseLifo",
];

const CHOICES: Readonly<Record<string, readonly [good: readonly unknown[], wanted: string]>> = {
  connectRetry: [[true, false, "always"], 'one of true, false, "always"'],
  dnsFamily: [["auto", 4, 6, "both"], 'one of "auto", 4, 6, "both"'],
  dnsSrvTlsName: [["target", "service"], 'one of "target", "service"'],
  dnsRefresh: [["ahead", "on-demand"], 'one of "ahead", "on-demand"'],
  echo: [[true, false, "debug"], 'one of true, false, "debug"'],
  echoPool: [[true, false, "debug"], 'one of true, false, "debug"'],
  loadBalance: [
    ["ordered", "random", "round-robin", "least-connections"],
    'one of "ordered", "random", "round-robin", "least-connections"',
  ],
  poolClass: [
    ["queue", "null", "static", "assertion"],
    'one of "queue", "null", "static", "assertion"',
  ],
  poolResetOnReturn: [
    ["rollback", "commit", "reset", null],
    'one of "rollback", "commit", "reset", null',
  ],
  targetSessionAttrs: [
    ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"],
    'one of "any", "read-write", "read-only", "primary", "standby", "prefer-standby"',
  ],
};

const TEXTS = ["isolationLevel", "loggingName", "poolLoggingName"];

const OTHERS = [
  "adapter",
  "connectArgs",
  "credentials",
  "dnsLookup",
  "allowAddress",
  "dnsNameservers",
  "hooks",
  "logger",
  "observer",
  "plugins",
];

Deno.test("getDnsEngine() has no option without a test here", () => {
  const { message } = assertThrows(() => make({ qwertyuiop: 1 }), TypeError);
  const known = message.split("there are ")[1]?.split(", ");
  assertEquals(
    known,
    [...Object.keys(NUMBERS), ...BOOLEANS, ...Object.keys(CHOICES), ...TEXTS, ...OTHERS].sort(),
  );
});

Deno.test("readEngineOptions() returns the documented defaults, in milliseconds", () => {
  for (const none of [undefined, {}, { poolSize: undefined, creator: undefined }]) {
    assertEquals(readEngineOptions(none), {
      dns: {
        timeoutMs: 12_000,
        nameservers: [],
        hosts: "configured",
        graceMs: 30_000,
        extendGrace: true,
        maxStaleMs: 86_400_000,
        fallback: true,
        maxRetries: 3,
        minTtlMs: 250,
        maxTtlMs: 300_000,
        family: "auto",
        lookup: "system",
        allow: undefined,
      },
      srv: undefined,
      srvTlsName: "target",
      refreshAhead: true,
      lingerMs: 0,
      loadBalance: "ordered",
      targetSessionAttrs: "any",
      poolSize: 5,
      maxOverflow: 10,
      poolTimeoutMs: 30_000,
      recycleMs: Infinity,
      prePing: false,
      prePingAfterMs: 0,
      useLifo: false,
      resetOnReturn: "rollback",
      poolClass: "queue",
      idleTimeoutMs: Infinity,
      maxUses: Infinity,
      minIdle: 0,
      minSize: 0,
      connectTimeoutMs: 10_000,
      connectStaggerMs: 250,
      connectConcurrency: 4,
      connectRetry: true,
      connectArgs: {},
      credentials: undefined,
      keepAlive: true,
      retireGraceMs: Infinity,
      probeTimeoutMs: 1500,
      leaseProbeAfterMs: Infinity,
      leaseWarnAfterMs: Infinity,
      leaseTimeoutMs: Infinity,
      isolationLevel: undefined,
      hooks: {},
      echo: false,
      echoPool: false,
      logger: console,
      loggingName: undefined,
      poolName: undefined,
      hideParameters: false,
      observer: undefined,
    });
  }
});

Deno.test("readEngineOptions() converts seconds to milliseconds, and 0 and -1 to no limit", () => {
  const adapter = fakeAdapter();
  const dnsLookup = { name: "table", lookup: () => Promise.reject(new Error("not asked")) };
  const logger = { debug: () => {}, info: () => {}, warn: () => {} };
  const hooks = { connect: () => {} };
  const settings = readEngineOptions({
    adapter,
    dnsTimeout: 1.5,
    dnsNameservers: ["10.0.0.2"],
    dnsGraceTtl: 0,
    dnsExtendGrace: false,
    dnsMaxStale: 1,
    dnsFallback: false,
    dnsMaxRetries: 1,
    dnsMinTtl: 2,
    dnsMaxTtl: 2,
    dnsFamily: 6,
    dnsLookup,
    allowAddress: ["10.0.0.0/8"],
    dnsRefresh: "on-demand",
    dnsAddressLinger: 3,
    loadBalance: "random",
    targetSessionAttrs: "primary",
    poolSize: 0,
    maxOverflow: -1,
    poolTimeout: Infinity,
    poolRecycle: 28_800,
    poolPrePing: true,
    prePingAfter: 0.5,
    poolUseLifo: true,
    poolResetOnReturn: null,
    poolClass: "static",
    idleTimeout: 60,
    maxUses: 100,
    minIdle: 20,
    minSize: 30,
    connectTimeout: 0.25,
    connectStagger: 0.5,
    dnsSrv: true,
    dnsSrvTlsName: "service",
    connectConcurrency: 1,
    connectRetry: false,
    connectArgs: { application_name: "x" },
    keepAlive: false,
    retireGrace: 5,
    probeTimeout: 0.5,
    leaseProbeAfter: 7,
    leaseWarnAfter: 8,
    leaseTimeout: 9,
    isolationLevel: "serializable",
    hooks,
    echo: true,
    echoPool: "debug",
    logger,
    loggingName: "orders",
    poolLoggingName: "orders' pool",
    hideParameters: true,
  });
  assertStrictEquals(readAdapter({ adapter, poolSize: 0 }), adapter);
  assertStrictEquals(settings.dns.lookup, dnsLookup);
  assertStrictEquals(settings.logger, logger);
  assertEquals(Object.keys(settings.hooks), Object.keys(hooks));
  assertEquals(settings.dns.allow?.key, "10.0.0.0/8");
  assertEquals({ ...settings, dns: { ...settings.dns, lookup: "system" } }, {
    dns: {
      timeoutMs: 1500,
      nameservers: [{ host: "10.0.0.2", port: 53 }],
      hosts: "never",
      graceMs: 0,
      extendGrace: false,
      maxStaleMs: 1000,
      fallback: false,
      maxRetries: 1,
      minTtlMs: 2000,
      maxTtlMs: 2000,
      family: 6,
      lookup: "system",
      allow: settings.dns.allow,
    },
    refreshAhead: false,
    lingerMs: 3000,
    loadBalance: "random",
    targetSessionAttrs: "primary",
    poolSize: Infinity,
    maxOverflow: Infinity,
    poolTimeoutMs: Infinity,
    recycleMs: 28_800_000,
    prePing: true,
    prePingAfterMs: 500,
    useLifo: true,
    resetOnReturn: null,
    poolClass: "static",
    idleTimeoutMs: 60_000,
    maxUses: 100,
    minIdle: 20,
    minSize: 30,
    connectTimeoutMs: 250,
    connectStaggerMs: 500,
    srv: true,
    srvTlsName: "service",
    connectConcurrency: 1,
    connectRetry: false,
    connectArgs: { application_name: "x" },
    credentials: undefined,
    keepAlive: false,
    retireGraceMs: 5000,
    probeTimeoutMs: 500,
    leaseProbeAfterMs: 7000,
    leaseWarnAfterMs: 8000,
    leaseTimeoutMs: 9000,
    isolationLevel: "serializable",
    hooks: settings.hooks,
    echo: true,
    echoPool: "debug",
    logger,
    loggingName: "orders",
    poolName: "orders' pool",
    hideParameters: true,
    observer: undefined,
  });
});

Deno.test("getDnsEngine() refuses other values than numbers, and names option, value and allowed values", () => {
  for (const [name, { wanted }] of Object.entries(NUMBERS)) {
    refusesAllBut(name, (value) => value === 5, wanted);
  }
});

Deno.test("getDnsEngine() accepts numbers at their bounds, and refuses those next to them", () => {
  for (const [name, { wanted, good, bad }] of Object.entries(NUMBERS)) {
    for (const value of good) accepts({ [name]: value });
    for (const value of bad) {
      refuses({ [name]: value }, RangeError, `"${name}" must be ${wanted}, got ${value}`);
    }
  }
});

Deno.test("getDnsEngine() refuses a timeout in milliseconds, and names the seconds", () => {
  for (const [name, { wanted, wait }] of Object.entries(NUMBERS)) {
    if (!wait) continue;
    for (const [value, meant] of [[3601, "3.601"], [30_000, "30"], [1e9, "1000000"]]) {
      refuses(
        { [name]: value },
        RangeError,
        `"${name}" must be ${wanted}, got ${value}, did you mean ${meant}?`,
      );
    }
  }
  // Ages and TTLs may be long.
  accepts({ dnsGraceTtl: 30_000, dnsMaxStale: 30_000, dnsMaxTtl: 30_000 });
});

Deno.test("dnsMinTtl must be at most dnsMaxTtl", () => {
  accepts({ dnsMinTtl: 5, dnsMaxTtl: 5 });
  const message = (min: number, max: number) =>
    `"dnsMinTtl" must be at most "dnsMaxTtl", which is ${max}, got ${min}`;
  refuses({ dnsMinTtl: 5.001, dnsMaxTtl: 5 }, RangeError, message(5.001, 5));
  refuses({ dnsMinTtl: 301 }, RangeError, message(301, 300));
  refuses({ dnsMaxTtl: 0 }, RangeError, message(0.25, 0));
});

Deno.test("getDnsEngine() accepts true and false only for a boolean", () => {
  for (const name of BOOLEANS) {
    accepts({ [name]: true });
    accepts({ [name]: false });
    refusesAllBut(name, (value) => typeof value === "boolean", "one of true, false");
    refuses({ [name]: 1 }, TypeError, `"${name}" must be one of true, false, got 1`);
  }
});

Deno.test("getDnsEngine() accepts the listed values only, in their spelling and type", () => {
  for (const [name, [good, wanted]] of Object.entries(CHOICES)) {
    for (const value of good) accepts({ [name]: value });
    refusesAllBut(name, (value) => good.includes(value), wanted);
    for (const value of good) {
      const other = typeof value === "string" ? value.toUpperCase() : String(value);
      refuses({ [name]: other }, TypeError, `"${name}" must be ${wanted}, got "${other}"`);
    }
  }
});

Deno.test("getDnsEngine() accepts non-empty strings only for a name", () => {
  const good = (value: unknown) => typeof value === "string" && value !== "";
  for (const name of TEXTS) refusesAllBut(name, good, "a non-empty string");
});

Deno.test("minIdle and minSize must be at most poolSize", () => {
  for (const name of ["minIdle", "minSize"]) {
    accepts({ [name]: 3, poolSize: 3 });
    accepts({ [name]: 1000, poolSize: 0 });
    const message = `"${name}" must be a whole number from 0 to 3, got 4`;
    refuses({ [name]: 4, poolSize: 3 }, RangeError, message);
  }
});

Deno.test("logger must have the methods debug, info and warn", () => {
  accepts({ logger: console });
  for (const [value, shown] of [...SHOWN, [{ debug() {}, info() {} }, "an object"]]) {
    refuses(
      { logger: value },
      TypeError,
      `"logger" must be an object with the methods "debug", "info" and "warn", such as console, got ${shown}`,
    );
  }
});

Deno.test("observer must be an object of known functions", () => {
  accepts({ observer: { served() {}, waiting: undefined } });
  refusesAllBut("observer", (value) => isObject(value), "an object");
  refuses(
    { observer: { waited: () => {} } },
    TypeError,
    '"waited" is not a method of an observer; there are served, waiting, connecting, resolved, used',
  );
});

Deno.test("hooks must be an object of known functions", () => {
  const names = [
    "firstConnect",
    "connect",
    "checkout",
    "reset",
    "checkin",
    "invalidate",
    "close",
    "detach",
  ];
  accepts({ hooks: Object.fromEntries(names.map((name) => [name, () => {}])) });
  accepts({ hooks: { connect: undefined } });
  refusesAllBut("hooks", (value) => isObject(value), "an object");
  refuses(
    { hooks: { onConnect: () => {} } },
    TypeError,
    '"onConnect" is not a hook, did you mean "connect"?',
  );
  refuses(
    { hooks: { opening: () => {} } },
    TypeError,
    `"opening" is not a hook; there are ${names.join(", ")}`,
  );
  for (const [value, shown] of SHOWN) {
    if (typeof value === "function") continue;
    refuses(
      { hooks: { connect: value } },
      TypeError,
      `"hooks.connect" must be a function, got ${shown}`,
    );
  }
});

Deno.test("plugins must be an array of functions", () => {
  make({ plugins: [] });
  make({ plugins: [() => {}] });
  refusesAllBut("plugins", (value) => Array.isArray(value), "an array of functions");
  for (const [value, shown] of SHOWN) {
    if (typeof value === "function") continue;
    const message = `"plugins[1]" must be a function, got ${shown}`;
    refuses({ plugins: [() => {}, value] }, TypeError, message);
  }
});

Deno.test("dnsLookup must be a name, the URL of a DNS-over-HTTPS server, or a lookup", () => {
  const wanted =
    '"system", "wire", a URL that begins with "https://" (or "http://" and a loopback IP address), without user name and password, or an object with a method "lookup"';
  const good = [
    "system",
    "wire",
    "https://dns.internal/dns-query",
    "https://dns.internal/dns-query{?dns}",
    "http://127.0.0.1:8053/",
    "http://[::1]:8053/",
  ];
  for (const dnsLookup of good) accepts({ dnsLookup });
  refusesAllBut("dnsLookup", () => false, wanted);
  const bad: [value: unknown, shown: string][] = [
    ["System", '"System"'],
    ["dns.internal", '"dns.internal"'],
    ["http://dns.internal/", '"http://dns.internal/"'],
    ["http://localhost/", '"http://localhost/"'],
    ["http://127.internal/", '"http://127.internal/"'],
    ["udp://127.0.0.1", '"udp://127.0.0.1"'],
    ["https://", '"https://"'],
    ["https://me:s3cret@dns.internal/", 'a string with an "@"'],
    ["https://me@dns.internal/", 'a string with an "@"'],
    [{ lookup: "x" }, "an object"],
    [{ name: "x" }, "an object"],
  ];
  for (const [value, shown] of bad) {
    refuses({ dnsLookup: value }, TypeError, `"dnsLookup" must be ${wanted}, got ${shown}`);
  }
});

Deno.test("allowAddress must be a function, or an array of addresses and ranges", () => {
  const good = [
    () => true,
    ["10.0.0.0/8"],
    ["0.0.0.0/0", "::/0"],
    ["10.0.0.5", "fd00::/8", "FD00::1"],
    ["::ffff:10.0.0.0/104"],
  ];
  for (const allowAddress of good) accepts({ allowAddress });
  refusesAllBut(
    "allowAddress",
    (value) => typeof value === "function" || (Array.isArray(value) && value.length > 0),
    "a function, or an array of at least one address or range",
  );
  const bad: [value: unknown, shown: string][] = [
    ["db.internal", '"db.internal"'],
    ["10.0.0.0/33", '"10.0.0.0/33"'],
    ["10.0.0.0/", '"10.0.0.0/"'],
    ["10.0.0.0/08", '"10.0.0.0/08"'],
    ["10.0.0.5/8", '"10.0.0.5/8"'],
    ["10.0.0.0/8/8", '"10.0.0.0/8/8"'],
    ["10.0.0", '"10.0.0"'],
    ["010.0.0.0/8", '"010.0.0.0/8"'],
    ["fd00::/129", '"fd00::/129"'],
    ["fd00::1/8", '"fd00::1/8"'],
    ["::ffff:10.0.0.0/95", '"::ffff:10.0.0.0/95"'],
    [" 10.0.0.0/8", '" 10.0.0.0/8"'],
    ["", '""'],
    [5, "5"],
    [undefined, "undefined"],
  ];
  for (const [value, shown] of bad) {
    refuses(
      { allowAddress: ["10.0.0.0/8", value] },
      TypeError,
      `"allowAddress[1]" must be an IP address, or a range with zeros after its prefix, such as "10.0.0.0/8" or "fd00::/8", got ${shown}`,
    );
  }
});

Deno.test("adapter must be an adapter, not a driver", () => {
  const wanted =
    'an object with "name", "defaultPort" and a method "connect", such as pgAdapter(pg)';
  refusesAllBut("adapter", () => false, wanted);
  const whole = { name: "x", defaultPort: 1, connect: () => Promise.resolve({}) };
  accepts({ adapter: whole });
  // A driver's own pool has a method "connect" as well.
  for (const name of ["name", "defaultPort", "connect"]) {
    refuses(
      { adapter: { ...whole, [name]: undefined } },
      TypeError,
      `"adapter" must be ${wanted}, got an object`,
    );
  }
});

Deno.test("connectArgs must be an object without a host; it is copied", () => {
  refusesAllBut(
    "connectArgs",
    isObject,
    "an object",
  );
  for (const name of ["host", "hostname", "hostaddr", "socketPath", "connectionString", "uri"]) {
    for (const value of ["10.0.0.9", undefined]) {
      refuses(
        { connectArgs: { application_name: "x", [name]: value } },
        TypeError,
        `"connectArgs.${name}" must not be given: the address comes from DNS, put the host into the URL`,
      );
    }
  }
  const given: Options = { application_name: "x" };
  const { connectArgs } = readEngineOptions({ connectArgs: given });
  given["host"] = "10.0.0.9";
  assertEquals(connectArgs, { application_name: "x" });
});

Deno.test("creator and pool are refused for any URL, with the reason", () => {
  const urls = [
    "postgresql://db.internal/x",
    "postgresql://127.0.0.1/x",
    "postgresql://localhost/x",
    "sqlite::memory:",
  ];
  for (const name of ["creator", "pool"]) {
    for (const value of [() => {}, {}, null, 5]) {
      for (const url of urls) {
        const error = assertThrows(
          () => getDnsEngine(url, { [name]: value } as EngineOptions),
          TypeError,
        );
        assertEquals(
          error.message,
          `"${name}" must not be given: it opens connections by itself and would bypass DNS; write an adapter instead`,
        );
      }
    }
  }
});

Deno.test("dnsNameservers accepts IP addresses with and without a port", () => {
  const good: [text: string, host: string, port: number][] = [
    ["10.0.0.2", "10.0.0.2", 53],
    ["10.0.0.3:5353", "10.0.0.3", 5353],
    ["10.0.0.3:1", "10.0.0.3", 1],
    ["10.0.0.3:65535", "10.0.0.3", 65535],
    ["fd00::2", "fd00::2", 53],
    ["[fd00::2]", "fd00::2", 53],
    ["[FD00:0::2]:5353", "fd00::2", 5353],
    ["::1", "::1", 53],
    ["fe80::53%eth0", "fe80::53%eth0", 53],
    ["[FE80::53%2]:5353", "fe80::53%2", 5353],
  ];
  const { settings } = readDnsOptions({ dnsNameservers: good.map(([text]) => text) }, "test");
  assertEquals(settings.nameservers, good.map(([, host, port]) => ({ host, port })));
});

Deno.test("dnsNameservers refuses other values, and names the element", () => {
  refusesAllBut(
    "dnsNameservers",
    (value) => Array.isArray(value) && value.length > 0,
    "an array of at least one address",
  );
  const texts = [
    "",
    "dns.internal",
    "dns.internal:53",
    "localhost",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.2:",
    "10.0.0.2:0",
    "10.0.0.2:65536",
    "10.0.0.2:x",
    "10.0.0.2:-53",
    "10.0.0.2:53:53",
    " 10.0.0.2",
    "10.0.0.2,10.0.0.3",
    "udp://10.0.0.2",
    ":53",
    "[]",
    "[fd00::2",
    "[fd00::2]53",
    "[fd00::2]:0",
    "[10.0.0.2]:53",
    "fd00::2::1",
    "fe80::1%",
    "10.0.0.2%eth0",
    "[10.0.0.2%eth0]:53",
    "fe80::1%eth0:53%",
  ];
  const others: [unknown, string][] = [[5, "5"], [null, "null"], [undefined, "undefined"], [[
    "10.0.0.2",
  ], "an array"], [{ host: "10.0.0.2" }, "an object"]];
  for (const [value, shown] of [...texts.map((text) => [text, `"${text}"`] as const), ...others]) {
    refuses(
      { dnsNameservers: ["10.0.0.2", value] },
      TypeError,
      `"dnsNameservers[1]" must be an IP address with an optional port from 1 to 65535, such as "10.0.0.2:5353" or "[fd00::2]:53", got ${shown}`,
    );
  }
});

Deno.test("getDnsEngine() refuses an unknown option, and names the nearest one", () => {
  const slips: [given: string, meant: string][] = [
    ["pool_size", "poolSize"],
    ["poolsize", "poolSize"],
    ["POOL_SIZE", "poolSize"],
    ["min_idel", "minIdle"],
    ["poolSzie", "poolSize"],
    ["max_overflow", "maxOverflow"],
    ["pool_timeout", "poolTimeout"],
    ["pool_use_lifo", "poolUseLifo"],
    ["connect_args", "connectArgs"],
    ["dns_grace_ttl", "dnsGraceTtl"],
    ["dnsNameServers", "dnsNameservers"],
    ["dnsNameserver", "dnsNameservers"],
    ["dnsMaxTTL", "dnsMaxTtl"],
    ["keepalive", "keepAlive"],
    ["adaptor", "adapter"],
  ];
  for (const [given, meant] of slips) {
    for (const value of [5, null]) {
      refuses(
        { poolSize: 1, [given]: value },
        TypeError,
        `"${given}" is not an option of getDnsEngine(), did you mean "${meant}"?`,
      );
    }
  }
});

Deno.test("getDnsEngine() refuses an unknown option without a similar one, and lists the options, without those that are refused", () => {
  for (
    const name of ["qwertyuiop", "x", "poll", "creators", "__proto_", "toString", "constructor"]
  ) {
    const { message } = assertThrows(() => make({ [name]: 1 }), TypeError);
    assertStringIncludes(
      message,
      `"${name}" is not an option of getDnsEngine(); there are adapter, allowAddress, connectArgs,`,
    );
    assertFalse(/\b(pool|creator)\b/.test(message.split("there are")[1]!), message);
  }
});

Deno.test("getDnsEngine() refuses options that are not an object", () => {
  for (const [value, shown] of SHOWN) {
    if (shown === "an object") continue;
    refuses(
      value,
      TypeError,
      `"options of getDnsEngine()" must be an object, got ${shown}`,
    );
  }
});

Deno.test("getIpWithTtl() accepts the DNS options and signal, and rejects invalid ones", async () => {
  const ask = (options: unknown) => getIpWithTtl("127.0.0.1", options as GetIpOptions);
  assertEquals(await ask({ signal: new AbortController().signal, dnsMaxTtl: 9 }), ["127.0.0.1", 9]);
  const refused: [options: unknown, kind: Kind, message: string][] = [
    [
      { dnsTimeout: 12_000 },
      RangeError,
      '"dnsTimeout" must be a number of seconds above 0 and at most 3600, got 12000, did you mean 12?',
    ],
    [
      { dnsTimeout: 0 },
      RangeError,
      '"dnsTimeout" must be a number of seconds above 0 and at most 3600, got 0',
    ],
    [
      { dnsNameservers: [] },
      TypeError,
      '"dnsNameservers" must be an array of at least one address, got an array',
    ],
    [{ signal: {} }, TypeError, '"signal" must be an AbortSignal, got an object'],
    [
      { poolSize: 5 },
      TypeError,
      '"poolSize" is not an option of getIpWithTtl(); there are allowAddress, dnsExtendGrace,',
    ],
    [
      { dnsTimeOut: 5 },
      TypeError,
      '"dnsTimeOut" is not an option of getIpWithTtl(), did you mean "dnsTimeout"?',
    ],
    [null, TypeError, '"options of getIpWithTtl()" must be an object, got null'],
  ];
  for (const [options, kind, message] of refused) {
    const error = await assertRejects(() => ask(options), kind);
    assert(error.message.startsWith(message), error.message);
  }
});

Deno.test("Engine.connect() and close() reject invalid options, and the engine goes on", async () => {
  const engine = getDnsEngine("fake://127.0.0.1", { adapter: fakeAdapter() });
  const connect = (options: unknown) => engine.connect(options as { timeout?: number });
  const close = (options: unknown) => engine.close(options as { drain?: number });
  const seconds = "must be a number of seconds from 0 to 3600 or Infinity";
  const refused: [call: () => Promise<unknown>, kind: Kind, message: string][] = [
    [
      () => connect({ timeout: 30_000 }),
      RangeError,
      `"timeout" ${seconds}, got 30000, did you mean 30?`,
    ],
    [() => connect({ timeout: -1 }), RangeError, `"timeout" ${seconds}, got -1`],
    [() => connect({ timeout: NaN }), TypeError, `"timeout" ${seconds}, got NaN`],
    [() => connect({ timeout: "5" }), TypeError, `"timeout" ${seconds}, got "5"`],
    [() => connect({ signal: 5 }), TypeError, '"signal" must be an AbortSignal, got 5'],
    [
      () => connect({ timeOut: 5 }),
      TypeError,
      '"timeOut" is not an option of connect(), did you mean "timeout"?',
    ],
    [() => connect(5), TypeError, '"options of connect()" must be an object, got 5'],
    [
      () => close({ drain: 30_000 }),
      RangeError,
      `"drain" ${seconds}, got 30000, did you mean 30?`,
    ],
    [() => close({ drain: -1 }), RangeError, `"drain" ${seconds}, got -1`],
    [
      () => close({ drian: 1 }),
      TypeError,
      '"drian" is not an option of close(), did you mean "drain"?',
    ],
  ];
  for (const [call, kind, message] of refused) {
    assertEquals((await assertRejects(call, kind)).message, message);
  }
  const { opened, inUse, waiting } = engine.status();
  assertEquals({ opened, inUse, waiting }, { opened: 0, inUse: 0, waiting: 0 });
  assertEquals(await engine.use((lease) => lease.address, { timeout: 0 }), "127.0.0.1");
  await engine.close();
});
