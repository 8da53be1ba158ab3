import type { Adapter } from "../../adapters/adapter.ts";
import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import { type Client, names } from "../support/db_postgres_stand_in.ts";
import { HANDOVER_LOGIN as LOGIN } from "../support/handover_postgres.ts";
import { POSTGRES_TLS, tlsServerOf } from "../support/tls_postgres.ts";
import { tlsContract } from "../contracts/tls.ts";

/**
 * Wraps an adapter so that its driver, which dials by name, finds the address of the connect: the operating
 * system does not know the name.
 */
function withNames(adapter: Adapter<Client>): Adapter<Client> {
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
      ...LOGIN,
      factory: "dbPostgresAdapter",
      adapter: withNames(dbPostgresAdapter(dbPostgres.module)),
      probes: true,
      refuses: {
        "require":
          '"sslmode of the database URL" must be "disable" or "verify-full" (@db/postgres always verifies in full), got "require"',
        "verify-ca":
          '"sslmode of the database URL" must be "disable" or "verify-full" (@db/postgres always verifies in full), got "verify-ca"',
        "client certificate": "@db/postgres has no client certificates",
      },
    },
  ],
  tlsServerOf(LOGIN),
  LOGIN.user,
);
