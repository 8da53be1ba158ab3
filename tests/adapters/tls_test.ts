import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { PeerCertificate } from "node:tls";
import { checkSecured, checkTls, readTls } from "../../adapters/shared/tls.ts";
import type { Destination } from "../../adapters/adapter.ts";
import { someTarget } from "../support/target.ts";

function destination(params: Destination["params"], ssl?: unknown): Destination {
  return someTarget({ params, connectArgs: ssl === undefined ? {} : { ssl } });
}

/** A socket whose other side showed a certificate for `db.internal`. */
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

Deno.test("checkSecured() says what is made sure of", () => {
  assertEquals(checkSecured(socket(), OPTIONS), { checked: "name" });
  const own = { ...OPTIONS, checkServerIdentity: () => undefined };
  assertEquals(checkSecured(socket(), own), { checked: "chain" });
  const any = { ...OPTIONS, rejectUnauthorized: false };
  assertEquals(checkSecured(socket({ authorized: false }), any), { checked: "nothing" });
  for (const none of [false, undefined] as const) assertEquals(checkSecured({}, none), undefined);
});

Deno.test("checkSecured() refuses plain text, an authority that is not trusted and another name", () => {
  for (const plain of [undefined, {}, { encrypted: false }, { encrypted: true }]) {
    assertThrows(() => checkSecured(plain, OPTIONS), Error, "TLS was asked for, and it has none");
  }
  const cases: [changes: object, why: string][] = [
    [{ authorized: false, authorizationError: new Error("self-signed") }, "self-signed"],
    [{ authorized: false, authorizationError: "SELF_SIGNED" }, "SELF_SIGNED"],
    [{ authorized: false }, "it is not of an authority that is trusted"],
    [{ getPeerCertificate: () => ({ subject: {}, subjectaltname: "DNS:other" }) }, "other"],
  ];
  for (const [changes, why] of cases) {
    const { message } = assertThrows(() => checkSecured(socket(changes), OPTIONS), Error);
    assertEquals(message.startsWith("Cannot trust the server's certificate: "), true, message);
    assertEquals(message.includes(why), true, message);
  }
});

Deno.test("checkTls() refuses half a client's certificate, and files without TLS", () => {
  checkTls(destination({ sslmode: "verify-full", sslcert: "a.pem", sslkey: "b.pem" }));
  const cases: [params: Destination["params"], message: string][] = [
    [{ sslmode: "verify-full", sslcert: "a.pem" }, "without the other"],
    [{ sslmode: "verify-full", sslkey: "b.pem" }, "without the other"],
    [{ sslrootcert: "a.pem" }, "without TLS: add sslmode=verify-full"],
    [{ sslmode: "disable", sslrootcert: "a.pem" }, "without TLS: add sslmode=verify-full"],
  ];
  for (const [params, message] of cases) {
    assertThrows(() => checkTls(destination(params)), TypeError, message);
  }
});

Deno.test("readTls(): sslrootcert=system is the runtime's own authorities, anything else a file", async () => {
  const asked = destination({ sslmode: "verify-full", sslrootcert: "system" });
  assertEquals(await readTls(asked), { servername: "db.internal", rejectUnauthorized: true });
  const missing = destination({ sslmode: "verify-full", sslrootcert: "/nowhere/ca.pem" });
  await assertRejects(
    () => readTls(missing),
    Error,
    'Cannot read the file of the URL parameter "sslrootcert": /nowhere/ca.pem',
  );
});
