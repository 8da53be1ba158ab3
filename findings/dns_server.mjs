// A name server for the findings: node dns_server.mjs PORT ANSWERS.mjs. The module's default export is given the
// question and returns { rcode, answers } or nothing, which is silence.
import { createSocket } from "node:dgram";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const packet = createRequire(`${process.cwd()}/`)("dns-packet");
const [, , port, file] = process.argv;
const { default: answer } = await import(pathToFileURL(file).href);
const socket = createSocket("udp4");
socket.on("message", (bytes, { port, address }) => {
  const query = packet.decode(bytes);
  const [question] = query.questions;
  const found = answer(question);
  if (!found) return;
  const { rcode = 0, answers = [] } = found;
  const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode;
  const reply = { type: "response", id: query.id, flags, questions: [question], answers };
  socket.send(packet.encode(reply), port, address);
});
socket.bind(Number(port), "127.0.0.1", () => console.log("ready"));
