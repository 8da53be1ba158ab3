import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { PeerCertificate } from "node:tls";
import { checkTls, readTls, verifyTls } from "../../adapters/shared/tls.ts";
import type { Destination } from "../../adapters/adapter.ts";
import { makeTarget } from "../support/target.ts";

function destination(params: Destination["params"], ssl?: unknown): Destination {
  return makeTarget({ params, connectArgs: ssl === undefined ? {} : { ssl } });
}

/** Makes a socket whose server showed a certificate for `db.internal`. */
function socket(changes: object = {}) {
  return {
    encrypted: true,
    authorized: true,
    getPeerCertificate: () =>
      ({ subject: {}, subjectaltname: "DNS:db.internal" }) as PeerCertificate,
    ...changes,
  };
}

const OPTIONS = { servername: "db.internal", rejectUnauthorized: true };

Deno.test("verifyTls(): returns what was verified", () => {
  assertEquals(verifyTls(socket(), OPTIONS), { checked: "name" });
  const own = { ...OPTIONS, checkServerIdentity: () => undefined };
  assertEquals(verifyTls(socket(), own), { checked: "chain" });
  const any = { ...OPTIONS, rejectUnauthorized: false };
  assertEquals(verifyTls(socket({ authorized: false }), any), { checked: "nothing" });
  for (const none of [false, undefined] as const) assertEquals(verifyTls({}, none), undefined);
});

Deno.test("verifyTls(): refuses plain text, an untrusted issuer and another name", () => {
  for (const plain of [undefined, {}, { encrypted: false }, { encrypted: true }]) {
    assertThrows(
      () => verifyTls(plain, OPTIONS),
      Error,
      "TLS was requested, and it is not encrypted",
    );
  }
  const cases: [changes: object, why: string][] = [
    [{ authorized: false, authorizationError: new Error("self-signed") }, "self-signed"],
    [{ authorized: false, authorizationError: "SELF_SIGNED" }, "SELF_SIGNED"],
    [{ authorized: false }, "its issuer is not trusted"],
    [{ getPeerCertificate: () => ({ subject: {}, subjectaltname: "DNS:other" }) }, "other"],
  ];
  for (const [changes, why] of cases) {
    const { message } = assertThrows(() => verifyTls(socket(changes), OPTIONS), Error);
    assertEquals(message.startsWith("Cannot trust the server's certificate: "), true, message);
    assertEquals(message.includes(why), true, message);
  }
});

Deno.test("checkTls(): refuses a client certificate without its key, and files without TLS", () => {
  checkTls(destination({ sslmode: "verify-full", sslcert: "a.pem", sslkey: "b.pem" }));
  const cases: [params: Destination["params"], message: string][] = [
    [{ sslmode: "verify-full", sslcert: "a.pem" }, 'a client certificate needs "sslkey" as well'],
    [{ sslmode: "verify-full", sslkey: "b.pem" }, 'a client certificate needs "sslcert" as well'],
    [
      { sslrootcert: "a.pem" },
      '"sslrootcert of the database URL" must not be given: TLS is off, add sslmode=verify-full',
    ],
    [
      { sslmode: "disable", sslrootcert: "a.pem" },
      '"sslrootcert of the database URL" must not be given: TLS is off, add sslmode=verify-full',
    ],
  ];
  for (const [params, message] of cases) {
    assertThrows(() => checkTls(destination(params)), TypeError, message);
  }
});

Deno.test("readTls(): reads sslrootcert from a file, or takes the runtime's own authorities for `system`", async () => {
  const system = destination({ sslmode: "verify-full", sslrootcert: "system" });
  assertEquals(await readTls(system), { servername: "db.internal", rejectUnauthorized: true });
  const missing = destination({ sslmode: "verify-full", sslrootcert: "/nowhere/ca.pem" });
  await assertRejects(
    () => readTls(missing),
    Error,
    'Cannot read the file of the URL parameter "sslrootcert": /nowhere/ca.pem',
  );
});
