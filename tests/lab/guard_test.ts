import { assert, assertEquals, assertFalse } from "@std/assert";
import { existsSync } from "node:fs";
import path from "node:path";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { isRunning } from "../../lab/processes.ts";
import { mariadbTest, redisTest } from "../support/servers.ts";

const KINDS = [
  { register: Deno.test, start: "startPostgres", file: "postgres.ts" },
  { register: mariadbTest, start: "startMariadb", file: "mariadb.ts" },
  { register: redisTest, start: "startRedis", file: "redis.ts" },
];

/** A program that runs two servers, one of them frozen, says what there is, and stays until it is killed. */
function program(start: string, file: string, servers: unknown): string {
  return `
    import { ${start} as start } from "${new URL(`../../lab/${file}`, import.meta.url)}";
    import { childrenOf } from "${new URL("../../lab/processes.ts", import.meta.url)}";
    const [first, second] = await Promise.all(${
    JSON.stringify(servers)
  }.map((each) => start(each)));
    await second.freeze();
    const pids = [first.pid, second.pid].flatMap((pid) => [pid, ...childrenOf(pid)]);
    console.log(JSON.stringify({ pids, dirs: [first.dataDir, second.dataDir] }));
    setInterval(() => {}, 1000);
  `;
}

/** Asks until it holds, for 10 seconds. */
async function soon(holds: () => boolean): Promise<boolean> {
  const endMs = performance.now() + 10_000;
  while (!holds() && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return holds();
}

for (const { register, start, file } of KINDS) {
  register(
    `${start}() leaves no server and no file behind when the process is killed`,
    async () => {
      const hosts = await loopbackPair();
      const port = await freePort(hosts);
      const servers = hosts.map((host) => ({ host, port, user: "app", password: "secret" }));
      const owner = new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-lock", "--no-config", program(start, file, servers)],
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
      const reader = owner.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const { value = "" } = await reader.read();
      const { pids, dirs } = JSON.parse(value) as { pids: number[]; dirs: string[] };
      const places = [...dirs, ...dirs.map((dir) => path.dirname(dir))];
      assert(pids.length >= 2 && pids.every(isRunning));
      assert(places.every((place) => existsSync(place)));

      owner.kill("SIGKILL");
      assertEquals((await owner.status).signal, "SIGKILL");
      await reader.cancel();
      assert(await soon(() => !pids.some(isRunning)), `still running: ${pids.filter(isRunning)}`);
      assert(
        await soon(() => !places.some((place) => existsSync(place))),
        `still there: ${places}`,
      );
      assertFalse(pids.some(isRunning));
    },
  );
}
