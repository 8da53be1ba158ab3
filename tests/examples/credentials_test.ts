/**
 * The examples of passwords that change, with the real packages of the clouds, whose services are played by a server on
 * loopback.
 */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openEngine as openAws } from "../../examples/credentials_aws.ts";
import { openEngine as openAzure } from "../../examples/credentials_azure.ts";
import { openEngine as openFile, passwordFile } from "../../examples/credentials_file.ts";
import { openEngine as openGoogle } from "../../examples/credentials_google.ts";
import { openEngine as openVault } from "../../examples/credentials_vault.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { CredentialsError, type Engine } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

/** The services of the clouds, as far as the packages ask them. Each answer has another token. */
function startServices() {
  const requests: string[] = [];
  let number = 0;
  const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;
  const answers: Record<string, (request: Request) => Response> = {
    // The credentials of a container (Amazon ECS, EKS).
    "/aws": () =>
      Response.json({
        AccessKeyId: "AKIDEXAMPLE",
        SecretAccessKey: "wJalrXUtnFEMI/K7MDENG",
        Token: "session",
        Expiration: new Date(inAnHour() * 1000).toISOString(),
      }),
    // The identity endpoint of an App Service.
    "/azure": (request) =>
      Response.json({
        access_token: `azure-${++number}`,
        expires_on: String(inAnHour()),
        resource: new URL(request.url).searchParams.get("resource"),
        token_type: "Bearer",
        client_id: "id",
      }),
    // The metadata server of a virtual machine.
    "/computeMetadata/v1/instance/service-accounts/default/token": () =>
      Response.json(
        { access_token: `google-${++number}`, expires_in: 3599, token_type: "Bearer" },
        { headers: { "Metadata-Flavor": "Google" } },
      ),
    "/computeMetadata/v1/instance": () =>
      new Response("", { headers: { "Metadata-Flavor": "Google" } }),
    "/v1/database/creds/app": (request) =>
      request.headers.get("X-Vault-Token") === "vault-token"
        ? Response.json({
          lease_duration: 3600,
          data: { username: "app", password: `vault-${++number}` },
        })
        : new Response("denied", { status: 403 }),
  };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    const answer = answers[pathname] ?? answers[pathname.replace(/\/$/, "")];
    return answer?.(request) ??
      new Response("", { status: 404, headers: { "Metadata-Flavor": "Google" } });
  });
  const { port } = server.addr;
  const address = `127.0.0.1:${port}`;
  const environment = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${address}/aws`,
    AWS_EC2_METADATA_DISABLED: "true",
    IDENTITY_ENDPOINT: `http://${address}/azure`,
    IDENTITY_HEADER: "header",
    GCE_METADATA_HOST: address,
    METADATA_SERVER_DETECTION: "assume-present",
    VAULT_ADDR: `http://${address}`,
    VAULT_TOKEN: "vault-token",
  };
  for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
  return {
    requests,
    async [Symbol.asyncDispose]() {
      for (const name of Object.keys(environment)) Deno.env.delete(name);
      await server.shutdown();
    },
  };
}

const NAME = "orders.internal";
const dns = { dnsLookup: fakeLookup(["127.0.0.1"], 60), dnsFallback: false } as const;

/** Logs in three times; returns user and password of each login, as the database got them. */
async function loginsWith(open: (url: string, options: object) => Engine<FakeClient>) {
  const logins: (readonly [string | undefined, string | undefined])[] = [];
  const adapter = fakeAdapter({
    connect: (_ip, { user, password }) => void logins.push([user, password]),
  });
  const engine = open(`fake://app@${NAME}:5432/orders`, { adapter, ...dns });
  for (let i = 0; i < 3; i++) await engine.use((lease) => lease.invalidate());
  await engine.close();
  return logins;
}

Deno.test("examples/credentials_aws.ts logs in with a token for the endpoint's name, and keeps it", async () => {
  await using services = startServices();
  const logins = await loginsWith(openAws);
  const [[user, token]] = logins as [[string, string]];
  assertEquals(user, "app");
  const url = new URL(`https://${token}`);
  assertEquals(url.host, `${NAME}:5432`);
  const { Action, DBUser, "X-Amz-Expires": expires, "X-Amz-Security-Token": session } = Object
    .fromEntries(url.searchParams);
  assertEquals([Action, DBUser, expires, session], ["connect", "app", "900", "session"]);
  assertMatch(url.searchParams.get("X-Amz-Signature")!, /^[0-9a-f]{64}$/);
  assertMatch(
    url.searchParams.get("X-Amz-Credential")!,
    /^AKIDEXAMPLE\/\d+\/eu-central-1\/rds-db\/aws4_request$/,
  );
  assertEquals(new Set(logins.map(([, token]) => token)).size, 1);
  assertEquals(services.requests, ["/aws"]);
});

Deno.test("examples/credentials_azure.ts logs in with an access token, and keeps it", async () => {
  await using services = startServices();
  const logins = await loginsWith(openAzure);
  assertEquals(logins, Array(3).fill(["app", "azure-1"]));
  assertEquals(services.requests, ["/azure"]);
});

Deno.test("examples/credentials_google.ts logs in with an access token, which the library keeps", async () => {
  await using services = startServices();
  const logins = await loginsWith(openGoogle);
  assertEquals(logins, Array(3).fill(["app", "google-1"]));
  const path = "/computeMetadata/v1/instance/service-accounts/default/token";
  assertEquals(services.requests.filter((each) => each === path).length, 1);
});

Deno.test("examples/credentials_vault.ts logs in as a user of Vault; what Vault refuses is an error", async () => {
  await using services = startServices();
  const logins = await loginsWith(openVault);
  assertEquals(logins, Array(3).fill(["app", "vault-1"]));
  assertEquals(services.requests, ["/v1/database/creds/app"]);
  Deno.env.set("VAULT_TOKEN", "expired");
  const adapter = fakeAdapter();
  const engine = openVault(`fake://${NAME}/orders`, { adapter, ...dns });
  const error = await assertRejects(() => engine.connect(), CredentialsError);
  assertEquals((error.cause as Error).message, "Vault answered 403: denied");
  await engine.close();
});

Deno.test("examples/credentials_file.ts: no checkout fails while the password of a real server is rotated", async () => {
  const [host] = await loopbackPair();
  const login = { user: "app", password: "first", database: "orders" };
  const server = await startPostgres({ ...login, host, port: await freePort([host]) });
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "first\n");
  try {
    const engine = openFile(`postgresql://app@${NAME}:${server.port}/orders`, {
      credentials: passwordFile(path),
      dnsLookup: fakeLookup([host], 60),
      dnsFallback: false,
      maxUses: 1,
    });
    const who = async () =>
      (await engine.query("SELECT current_user AS who") as { who: string }[])[0]!.who;
    assertEquals(await who(), "app");
    await engine.query("ALTER ROLE app PASSWORD 'second'");
    await Deno.writeTextFile(path, "second\n");
    assertEquals(await who(), "app");
    await Deno.writeTextFile(path, "");
    await assertRejects(who, CredentialsError);
    await Deno.writeTextFile(path, "second");
    assertEquals(await who(), "app");
    await engine.close();
  } finally {
    await Deno.remove(path);
    await server.stop({ mode: "immediate" });
  }
});
