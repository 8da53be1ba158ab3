import { promises } from "node:dns";
const resolver = new promises.Resolver({ timeout: 2000, tries: 1 });
resolver.setServers(["127.0.0.1:15415"]);
console.log(await resolver.resolve4("alias.test").then(String, (error) => error.code));
