/** The DNS server's messages, compared with those of npm:dns-packet. */

import { assert, assertEquals } from "@std/assert";
import {
  type Query,
  readQuery,
  type ResourceRecord,
  startOfAuthority,
  writeResponse,
  type ZoneAnswer,
} from "../../testing/dns/message.ts";
import { decode as decodeQuery, encodeQuery } from "../support/dns_client.ts";
import { encode, OPT, type RawRecord } from "../support/raw_dns.ts";

const NAME = "Db.internal";

function parsed(message: Uint8Array): Query {
  const query = readQuery(message);
  assert(query !== undefined && !("refusal" in query));
  return query;
}

/** Describes a record for npm:dns-packet. */
function rawRecord(record: ResourceRecord): RawRecord {
  if (record.type !== "SOA") return record;
  const data = {
    mname: "ns.invalid",
    rname: "hostmaster.invalid",
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86400,
    minimum: record.data,
  };
  return { ...record, name: ".", data };
}

Deno.test("readQuery() reads what npm:dns-packet wrote, and names the same record types", () => {
  for (const edns of [undefined, 0, 512, 1232, 65535]) {
    // dns-packet writes 4096 for 0.
    const udpSize = edns === 0 ? 4096 : edns;
    const options = { id: 0x1234, ...(edns !== undefined && { edns }) };
    assertEquals(parsed(encodeQuery(NAME, "AAAA", options)), {
      id: 0x1234,
      name: NAME,
      type: "AAAA",
      typeNumber: 28,
      flags: 0x100,
      udpSize,
    });
  }
  const numbers = [...Array.from({ length: 300 }, (_, type) => type), 32768, 32769, 65535];
  for (const typeNumber of numbers) {
    const message = encodeQuery(NAME, `UNKNOWN_${typeNumber}`);
    const { type } = decodeQuery(message).questions[0]!;
    assertEquals(parsed(message).type, type.replace("UNKNOWN_", "TYPE"));
  }
  assertEquals(parsed(encodeQuery(".", "NS")).name, "");
});

Deno.test("writeResponse() writes the same bytes as npm:dns-packet", () => {
  const addresses = ["127.0.0.2", "255.255.255.255", "0.0.0.0"].map((data) =>
    ({ name: NAME, type: "A", ttl: 2 ** 32 - 1, data }) as const
  );
  const ipv6 = ["::", "::1", "1::", "FD00:0:0::02", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"];
  const addresses6 = ipv6.map((data) => ({ name: NAME, type: "AAAA", ttl: 0, data }) as const);
  const chain: readonly ResourceRecord[] = [
    { name: NAME, type: "CNAME", ttl: 5, data: "Node-A.internal" },
    { name: "Node-A.internal", type: "A", ttl: 300, data: "127.0.0.2" },
  ];
  const rcodes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"] as const;
  const answers: readonly ZoneAnswer[] = [
    ...[addresses, addresses6, chain, []].map((answers) =>
      ({
        rcode: "NOERROR",
        answers,
        authorities: [],
        additionals: answers.slice(0, 1),
        authoritative: true,
      }) as const
    ),
    ...rcodes.map((rcode) => ({
      rcode,
      answers: [],
      authorities: [startOfAuthority(7)],
      additionals: [],
      authoritative: rcode === "NXDOMAIN",
    })),
  ];
  for (const answer of answers) {
    for (const edns of [false, true]) {
      for (const [name, type] of [[NAME, "A"], [NAME, "UNKNOWN_65"], [".", "NS"]] as const) {
        const message = encodeQuery(name, type, { id: 7, ...(edns && { edns: 1232 }) });
        const query = { ...parsed(message), flags: 0x110 };
        const expected = encode({
          id: 7,
          type: "response",
          flags: 0x110 | 0x80 | (answer.authoritative ? 0x400 : 0) | rcodes.indexOf(answer.rcode),
          questions: [{ name, type }],
          answers: answer.answers.map(rawRecord),
          authorities: answer.authorities.map(rawRecord),
          additionals: [...answer.additionals.map(rawRecord), ...(edns ? [OPT] : [])],
        });
        assertEquals(writeResponse(query, answer, "tcp"), expected);
      }
    }
  }
});
