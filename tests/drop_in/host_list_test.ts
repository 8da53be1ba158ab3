import { assertEquals } from "@std/assert";
import {
  type DriverForm,
  type GivenHosts,
  readHostList,
  withHost,
} from "../../drop_in/shared/host_list.ts";

const PG: DriverForm = {
  dialect: "postgresql",
  uriOption: "connectionString",
  optionsWin: false,
  defaultPort: 5432,
};
const MYSQL: DriverForm = {
  dialect: "mysql",
  uriOption: "uri",
  optionsWin: true,
  defaultPort: 3306,
};

function read(given: Partial<GivenHosts>, form: DriverForm): unknown {
  const none = { uri: undefined, host: undefined, port: undefined, srv: false };
  const list = readHostList({ ...none, ...given }, form);
  if (list === undefined) return undefined;
  const hosts = list.hosts.map(({ host, port }) => port === undefined ? host : `${host} ${port}`);
  return [...hosts, ...(list.srv ? ["srv"] : [])];
}

Deno.test("readHostList() finds several hosts, and leaves one to the driver", () => {
  const table: [given: Partial<GivenHosts>, found: string[] | undefined][] = [
    [{}, undefined],
    [{ host: "a", port: 1 }, undefined],
    [{ host: "/var/run,b" }, undefined],
    [{ uri: "postgresql://app@a:1/d?b=c,d" }, undefined],
    [{ uri: "postgresql://app:p,w@a/d" }, undefined],
    [{ uri: "postgresql://%2Fvar%2Frun,b/d" }, undefined],
    [{ uri: "postgresql:///d?host=/var/run" }, undefined],
    [{ uri: "/var/run d,e" }, undefined],
    [{ uri: "" }, undefined],
    [{ uri: "postgresql://app@a/d?host=b" }, undefined],
    [{ host: "a,b" }, ["a 5432", "b 5432"]],
    [{ host: "a,b", port: 7 }, ["a 7", "b 7"]],
    [{ host: "a,b", port: "7,8" }, ["a 7", "b 8"]],
    [{ host: "a,b", port: null }, ["a 5432", "b 5432"]],
    [{ host: "a:7,b:8" }, ["a 7", "b 8"]],
    [{ host: "10.0.0.1,fd00::1,[fd00::2]:7" }, ["10.0.0.1 5432", "fd00::1 5432", "fd00::2 7"]],
    [{ uri: "postgresql://a,b/d" }, ["a 5432", "b 5432"]],
    [{ uri: "postgresql://a%2Cb/d" }, ["a 5432", "b 5432"]],
    [{ uri: "postgresql://app:p@w@a:7,[::1]:8,b/d?x=y" }, ["a 7", "::1 8", "b 5432"]],
    [{ uri: "postgresql://app@/d?host=a,b&port=7,8" }, ["a 7", "b 8"]],
    [{ uri: "postgresql://app@/d?host=a&host=b" }, ["a 5432", "b 5432"]],
    [{ uri: "postgresql://app@a,b/d?port=7#c,d" }, ["a 7", "b 7"]],
    [{ uri: "postgresql://a,b?x=y" }, ["a 5432", "b 5432"]],
    // As in libpq and pg, the parameter counts more.
    [{ uri: "postgresql://app@c:9/d?host=a,b" }, ["a 5432", "b 5432"]],
    // The environment, behind a connection string without a host.
    [{ uri: "postgresql:///d", host: "a,b", port: "7,8" }, ["a 7", "b 8"]],
    [{ uri: "postgresql:///d?port=9", host: "a,b", port: "7,8" }, ["a 9", "b 9"]],
    [{ uri: "postgresql://a,b/d", host: "c", port: 7 }, ["a 5432", "b 5432"]],
    [{ uri: "postgresql+srv://_db._tcp.a/d", port: 7 }, ["_db._tcp.a", "srv"]],
    [{ uri: "postgresql+pg+SRV://app@a/d" }, ["a", "srv"]],
    [{ host: "a", srv: true }, ["a", "srv"]],
    [{ host: "a", srv: true, port: 5432 }, ["a", "srv"]],
  ];
  for (const [given, found] of table) assertEquals(read(given, PG), found, JSON.stringify(given));
});

Deno.test("readHostList() gives the options of mysql2 precedence over the URI, as mysql2 does", () => {
  const table: [given: Partial<GivenHosts>, found: string[] | undefined][] = [
    [{ uri: "mysql://app@a,b:7/d" }, ["a 3306", "b 7"]],
    [{ uri: "mysql://app@a,b/d", host: "c" }, undefined],
    [{ uri: "mysql://app@a,b/d", host: "c,d" }, ["c 3306", "d 3306"]],
    [{ uri: "mysql://app@a,b/d", port: 7 }, ["a 7", "b 7"]],
    [{ uri: "mysql://app@a/d", host: "" }, undefined],
    [{ uri: "mysql+srv://app@a/d", port: 3306 }, ["a", "srv"]],
  ];
  for (const [given, found] of table) {
    assertEquals(read(given, MYSQL), found, JSON.stringify(given));
  }
});

Deno.test("withHost() writes options for one host, and changes nothing else", () => {
  const place = { host: "fd00::1", port: 7 };
  const text = (uri: string) => withHost({ connectionString: uri }, place, PG).connectionString;
  const table: [given: string, expected: string][] = [
    ["postgresql://a,b", "postgresql://[fd00::1]:7"],
    ["postgres://app:p%2Cw@a:1,b:2/d?x=1", "postgres://app:p%2Cw@[fd00::1]:7/d?x=1"],
    ["postgres://app@/d?host=a,b&x=1&port=2&y=%20", "postgres://app@[fd00::1]:7/d?x=1&y=%20"],
    ["postgres://app@a,b/d?%68ost=c#h", "postgres://app@[fd00::1]:7/d#h"],
    ["postgresql+pg+srv://app:p w@a/d", "postgresql+pg://app:p w@[fd00::1]:7/d"],
    ["not a uri", "not a uri"],
  ];
  for (const [given, expected] of table) assertEquals(text(given), expected);
  const options = Object.defineProperty({ host: "a,b", max: 3 }, "password", {
    value: "secret",
    enumerable: false,
  });
  assertEquals(withHost(options, place, PG), {
    host: "fd00::1",
    port: 7,
    dnsSrv: false,
    max: 3,
    password: "secret",
  });
  assertEquals(withHost({ uri: "mysql://a,b/d" }, { host: "a" }, MYSQL).uri, "mysql://a/d");
});
