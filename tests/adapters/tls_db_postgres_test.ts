import type { Adapter } from "../../adapters/adapter.ts";
import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { Client, names } from "../support/db_postgres_stand_in.ts";
import { WHO } from "../support/postgres_subject.ts";
import { POSTGRES_TLS, startShowing } from "../support/tls_postgres.ts";
import { tlsContract } from "../contracts/tls.ts";

/**
 * The stand-in for `@db/postgres`, everywhere: it dials by name, and the operating system does not know ours. So it is
 * told, at each connect, what DNS is supposed to say.
 */
function byName(adapter: Adapter<Client>): Adapter<Client> {
  return {
    ...adapter,
    connect(ip, target) {
      names.set(target.host, ip);
      return adapter.connect(ip, target);
    },
  };
}

tlsContract(
  [
    {
      ...POSTGRES_TLS,
      name: "db-postgres",
      adapter: byName(dbPostgresAdapter({ Client })),
      knocks: true,
      refuses: {
        "require":
          "Cannot use sslmode=require: @db/postgres always verifies the certificate in full",
        "verify-ca":
          "Cannot use sslmode=verify-ca: @db/postgres always verifies the certificate in full",
        "client certificate": "@db/postgres has no client certificates",
      },
    },
  ],
  startShowing,
  WHO.user,
);
