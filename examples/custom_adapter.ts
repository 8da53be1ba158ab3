/**
 * A custom adapter, here for Redis: it gives a driver unknown to dnspool all features of the pool.
 *
 * `deno run -A examples/custom_adapter.ts redis://:secret@cache.internal:6379/0`
 */

import { type Adapter, getDnsEngine, type Target } from "@dnspool/dnspool";
import { createClient } from "npm:redis@^6";

type Redis = ReturnType<typeof createClient>;

/** The members above the blank line are required; each one below enables a feature. */
export const redisAdapter: Adapter<Redis> = {
  name: "redis",
  defaultPort: 6379,
  async connect(ip: string, { port, user, password, database, signal }: Target): Promise<Redis> {
    const client: Redis = createClient({
      socket: { host: ip, port, reconnectStrategy: false }, // the pool reconnects
      ...(user !== undefined && { username: user }),
      ...(password !== undefined && { password }),
      database: Number(database ?? 0),
    });
    signal.throwIfAborted();
    client.on("error", () => {}); // an error without a listener would end the process
    let connected = false;
    const abort = () => connected && client.destroy(); // has no effect before
    client.once("connect", () => (connected = true) && signal.aborted && abort());
    signal.addEventListener("abort", abort, { once: true });
    return await client.connect().finally(() =>
      signal.removeEventListener("abort", abort)
    ) as Redis;
  },

  close: (client) => client.close(),
  terminate: (client) => client.isOpen && client.destroy(),
  ping: async (client) => void await client.ping(),
  onClose: (client, listener) => void client.once("error", listener).once("end", () => listener()),
  classify: (error) =>
    /^READONLY/.test(String((error as Error)?.message)) ? "read-only" : undefined,
  async role(client) {
    const standby = (await client.role())?.role === "slave";
    return { standby, readOnly: standby };
  },
};

if (import.meta.main) {
  const engine = getDnsEngine(Deno.args[0]!, {
    adapter: redisAdapter,
    targetSessionAttrs: "primary",
  });
  await engine.use(({ client }) => client.set("greeting", "hello"));
  console.log(
    await engine.use(async ({ client, address }) => [address, await client.get("greeting")]),
  );
  await engine.close();
}
