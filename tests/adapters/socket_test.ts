import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import net from "node:net";
import { dialThroughLoss, probeSocket } from "../../adapters/shared/socket.ts";
import { delayConnects } from "../support/late_connects.ts";
import { soon, until } from "../support/waiting.ts";

const NEVER_MS = 60_000;

/** Starts a server that ends its side when the other ends its own; `accepted` are its sockets. */
async function startServer() {
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    accepted,
    at: { host: "127.0.0.1", port },
    async [Symbol.asyncDispose]() {
      for (const socket of accepted) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const target = (port: number, signal = new AbortController().signal) => ({
  port,
  keepAlive: false,
  signal,
});

Deno.test("dialThroughLoss() needs no second request if the first is answered", async () => {
  await using server = await startServer();
  const socket = await soon(dialThroughLoss("127.0.0.1", target(server.at.port)));
  await until(() => server.accepted.length === 1);
  socket.destroy();
});

Deno.test("dialThroughLoss() connects though its first two requests are lost, and leaves no socket of them", async () => {
  await using server = await startServer();
  let requests = 0;
  using _lost = delayConnects(server.at, () => ++requests <= 2 ? NEVER_MS : 0);
  const socket = await soon(dialThroughLoss("127.0.0.1", target(server.at.port)));
  assertEquals(requests, 3);
  assert(!socket.destroyed);
  socket.destroy();
});

Deno.test("dialThroughLoss() ends with its signal, and with the first refusal", async () => {
  await using server = await startServer();
  const controller = new AbortController();
  {
    using _lost = delayConnects(server.at, () => NEVER_MS);
    const dialing = dialThroughLoss("127.0.0.1", target(server.at.port, controller.signal));
    controller.abort(new Error("enough"));
    await assertRejects(() => soon(dialing), Error, "enough");
  }
  await assertRejects(() => soon(dialThroughLoss("127.0.0.1", target(1))), Error, "ECONNREFUSED");
  assertEquals(server.accepted.length, 0);
});

Deno.test("probeSocket() hears a server though its first request is lost", async () => {
  await using server = await startServer();
  let requests = 0;
  using _lost = delayConnects(server.at, () => ++requests === 1 ? NEVER_MS : 0);
  await soon(probeSocket("127.0.0.1", target(server.at.port)));
  assertEquals(requests, 2);
});
