// Questions for the findings: import { ask } from "…/dns_client.mjs". It asks once, as a client with EDNS, and returns
// { rcode, answers }; undefined is silence.
import { createSocket } from "node:dgram";
import { createRequire } from "node:module";
const packet = createRequire(`${process.cwd()}/`)("dns-packet");
const edns = { type: "OPT", name: ".", udpPayloadSize: 4096, flags: 0, options: [] };
export async function ask(port, name, type = "A", limitMs = 3000) {
  const socket = createSocket("udp4");
  const query = {
    type: "query",
    id: 1,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type, name }],
  };
  const answer = await new Promise((resolve) => {
    const limit = setTimeout(resolve, limitMs);
    socket.once("message", (bytes) => {
      clearTimeout(limit);
      resolve(packet.decode(bytes));
    });
    socket.send(packet.encode({ ...query, additionals: [edns] }), port, "127.0.0.1");
  });
  socket.close();
  return answer && { rcode: answer.rcode, answers: answer.answers };
}
// Waits until the server on a port answers, and fails after ten seconds.
export async function ready(port, name) {
  for (let tries = 0; tries < 50; tries++) {
    if (await ask(port, name, "A", 200)) return;
  }
  throw new Error(`nothing answers on port ${port}`);
}
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
