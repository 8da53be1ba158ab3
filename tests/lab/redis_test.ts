import { assertEquals, assertFalse, assertRejects, assertStringIncludes } from "@std/assert";
import { existsSync } from "node:fs";
import path from "node:path";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type RedisServer, startRedis } from "../../lab/redis.ts";
import { redisTest } from "../support/servers.ts";

/** Sends commands, one a line, and resolves with the lines of the answer. */
async function ask({ address }: RedisServer, commands: string[]): Promise<string[]> {
  using conn = await Deno.connect({ hostname: address.host, port: address.port });
  const text = commands.map((command) => `${command}\r\n`).join("");
  await conn.write(new TextEncoder().encode(text));
  let answer = "";
  for await (const chunk of conn.readable.pipeThrough(new TextDecoderStream())) {
    answer += chunk;
    if (answer.split("\r\n").length > commands.length) break;
  }
  return answer.trim().split("\r\n");
}

redisTest(
  "startRedis() runs a server that demands the password, and stop() leaves nothing",
  async () => {
    const [host] = await loopbackPair();
    const port = await freePort([host]);
    const server = await startRedis({ host, port, password: `it's a "s3cret"` });
    assertEquals(server.url(), `redis://default:it's%20a%20%22s3cret%22@${host}:${port}`);
    const login = `AUTH "it's a \\"s3cret\\""`;
    assertEquals(await ask(server, [login, "PING"]), ["+OK", "+PONG"]);
    assertStringIncludes((await ask(server, ["PING"]))[0]!, "NOAUTH");
    await assertRejects(() => startRedis({ host, port }), Error, "Address already in use");
    const { dataDir } = server;
    await server.stop();
    assertFalse(existsSync(dataDir) || existsSync(path.dirname(dataDir)));
  },
);

redisTest(
  "RedisServer says nothing while it is frozen, and starts empty after kill()",
  async () => {
    const [host] = await loopbackPair();
    await using server = await startRedis({ host, port: await freePort([host]) });
    await server.freeze();
    let answered = false;
    const answer = ask(server, ["SET n 1"]).finally(() => answered = true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertFalse(answered);
    await server.thaw();
    assertEquals(await answer, ["+OK"]);

    await server.kill();
    await server.start();
    assertEquals(await ask(server, ["DBSIZE"]), [":0"]);
  },
);
