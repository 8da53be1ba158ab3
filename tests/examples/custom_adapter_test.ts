import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { redisAdapter } from "../../examples/custom_adapter.ts";
import { ConnectError, getDnsEngine } from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type RedisServer, startRedis } from "../../lab/redis.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { redisTest } from "../support/servers.ts";
import { soon, until } from "../support/waiting.ts";

const password = "s3cret";

async function withTwo(test: (first: RedisServer, second: RedisServer) => Promise<void>) {
  await using stack = new AsyncDisposableStack();
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const start = async (host: string) => stack.use(await startRedis({ host, port, password }));
  await test(await start(first), await start(second));
}

function engineFor(server: RedisServer, options: Parameters<typeof getDnsEngine>[1] = {}) {
  const dns = fakeLookup([server.host], 0);
  const engine = getDnsEngine(server.url("cache.internal"), {
    ...options as Record<string, never>,
    adapter: redisAdapter,
    dnsLookup: dns,
    dnsMinTtl: 0,
    dnsFallback: false,
  });
  return { dns, engine };
}

redisTest(
  "an adapter of one's own follows the name, and notices a server that is gone",
  () =>
    withTwo(async (first, second) => {
      const { dns, engine } = engineFor(first);
      await engine.use(({ client }) => client.set("where", "first"));
      assertEquals(await engine.use(({ client }) => client.get("where")), "first");
      assertEquals(engine.status().opened, 1);

      dns.addresses = [second.host];
      assertEquals(
        await engine.use(async ({ client, address }) => [address, await client.get("where")]),
        [second.host, null],
      );
      await second.kill();
      await until(() => engine.status().idle === 0, "the end");
      await second.start();
      assertEquals(await engine.use(({ client }) => client.ping()), "PONG");
      await engine.close();
    }),
);

redisTest(
  "an adapter of one's own is asked for the role, and knows a read-only error",
  () =>
    withTwo(async (first, second) => {
      const plain = engineFor(second);
      await plain.engine.use(async ({ client }) => {
        await client.sendCommand(["CONFIG", "SET", "masterauth", password]);
        await client.sendCommand(["REPLICAOF", first.host, String(first.port)]);
      });
      const error = await assertRejects(() =>
        plain.engine.use(({ client }) => client.set("n", "1"))
      );
      assertEquals(redisAdapter.classify!(error), "read-only");
      await plain.engine.close();

      const { dns, engine } = engineFor(second, {
        targetSessionAttrs: "primary",
        poolTimeout: 0.3,
      });
      await assertRejects(() => engine.connect(), ConnectError, "it is a standby");
      dns.addresses = [first.host];
      assertEquals(await engine.use(({ address }) => address), first.host);
      await engine.close();
    }),
);

redisTest(
  "an adapter of one's own gives a silent server up, and leaves no socket",
  () =>
    withMute([], async ({ port, conn }) => {
      const engine = getDnsEngine(`redis://default:${password}@127.0.0.1:${port}`, {
        adapter: redisAdapter,
        connectTimeout: 0.2,
      });
      const error = await assertRejects(() => soon(engine.connect()), ConnectError);
      assert(!Deno.inspect(error).includes(password));
      await hungUp(await conn);
      await engine.close();

      const reason = new Error("enough");
      const target = { host: "x", port, params: {}, connectArgs: {}, keepAlive: true };
      const aborted = redisAdapter.connect("127.0.0.1", {
        ...target,
        addresses: () => [],
        signal: AbortSignal.abort(reason),
      });
      assertStrictEquals(await aborted.catch((error) => error), reason);
    }),
);

redisTest(
  "an adapter of one's own is heard when it is given up before its socket is open",
  () =>
    withMute([], async ({ port, conn }) => {
      const controller = new AbortController();
      const target = { host: "x", port, params: {}, connectArgs: {}, keepAlive: true };
      const { signal } = controller;
      const connecting = redisAdapter.connect("127.0.0.1", {
        ...target,
        addresses: () => [],
        signal,
      });
      controller.abort(new Error("enough"));
      await assertRejects(() => soon(connecting));
      await hungUp(await conn);
    }),
);

redisTest("examples/custom_adapter.ts runs as it stands", () =>
  withTwo(async (first) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-lock", "--config", "deno.json", "examples/custom_adapter.ts"],
        first.url(),
      ],
      signal: AbortSignal.timeout(20_000),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    assertEquals([code, out], [0, `[ "${first.host}", "hello" ]`], err);
  }));

Deno.test("docs/adapters.md shows the adapter of examples/custom_adapter.ts as it is", async () => {
  const example = await Deno.readTextFile(
    new URL("../../examples/custom_adapter.ts", import.meta.url),
  );
  const page = await Deno.readTextFile(new URL("../../docs/adapters.md", import.meta.url));
  const shown = /```ts ignore\n(.*?)```/s.exec(page)?.[1];
  assert(shown && example.includes(shown.trim()));
});
