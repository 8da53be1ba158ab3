#!/usr/bin/env bash
# Deno: the option `recvBufferSize` of a node:dgram socket is the maximum length of a message. What is longer loses its end.
#
# On Node and Bun it is the buffer of the kernel, for all messages that wait (SO_RCVBUF): a socket with 1024 receives a message of
# 3000 bytes whole. On Deno each message but the first comes with 2048 bytes, twice the option as Linux has it,
# without an error.
# Without the option, Deno allocates 64 KB for each message.
#
# What dnspool learned: it sets the option on Deno, to more than a name server may send, because a buffer of 64 KB for each
# answer is most of the memory of thousands of questions.
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6
cat >receive.mjs <<'EOF'
import { createSocket } from "node:dgram";
import { once } from "node:events";
import process from "node:process";
const receiver = createSocket({ type: "udp4", recvBufferSize: 1024 });
receiver.bind(0, "127.0.0.1");
await once(receiver, "listening");
const sender = createSocket("udp4");
const lengths = [];
for (let count = 0; count < 3; count++) {
  sender.send(new Uint8Array(3000), receiver.address().port, "127.0.0.1");
  const [message] = await once(receiver, "message");
  lengths.push(message.length);
}
console.log(`3 messages of 3000 bytes came with ${lengths.join(", ")}`);
process.exit(0);
EOF
seen="Node: $(node receive.mjs)
Bun: $(bun receive.mjs)
Deno: $(deno run --allow-all receive.mjs)"
expect "Node: 3 messages of 3000 bytes came with 3000, 3000, 3000
Bun: 3 messages of 3000 bytes came with 3000, 3000, 3000
Deno: 3 messages of 3000 bytes came with 3000, 2048, 2048" "$seen"
