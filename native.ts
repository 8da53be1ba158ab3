const nameServer = { ipAddr: "127.0.0.1", port: 15415 };
console.log(
  await Deno.resolveDns("alias.test", "A", { nameServer }).then(String, (error) => error.name),
);
