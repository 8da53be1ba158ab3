#!/usr/bin/env bash
# Deno's node:child_process: kill() sends one signal in the life of a child; a second one is not sent, and kill() returns false.
#
# A child that takes its time after SIGTERM, such as a server that waits for its clients, is usually sent a harder signal. On
# Node and Bun the child gets both.
#
# What dnspool learned: its lab sends signals with process.kill().
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6
cat >child.mjs <<'JS'
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
const script = "trap 'echo TERM' TERM; trap 'echo INT; exit' INT; echo ready; while :; do sleep 0.05; done";
const child = spawn("bash", ["-c", script]);
const closed = once(child, "close");
let text = "";
child.stdout.on("data", (data) => text += data);
const said = async (word) => {
  const endMs = Date.now() + 1500;
  while (!text.includes(word) && Date.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 10));
  return text.includes(word);
};
await said("ready");
const first = [child.kill("SIGTERM"), await said("TERM")];
const second = [child.kill("SIGINT"), await said("INT")];
console.log(`SIGTERM: ${first}; SIGINT after it: ${second}`);
if (!second[1]) process.kill(child.pid, "SIGINT");
await closed;
JS
seen="Node: $(node child.mjs)
Bun: $(bun child.mjs)
Deno: $(deno run --allow-all child.mjs)"
expect "Node: SIGTERM: true,true; SIGINT after it: true,true
Bun: SIGTERM: true,true; SIGINT after it: true,true
Deno: SIGTERM: true,true; SIGINT after it: false,false" "$seen"
