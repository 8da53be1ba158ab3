/**
 * LISTEN and UNLISTEN of PostgreSQL.
 *
 * @module
 */

import { mustBeUndisclosed } from "../../internal/argument_error.ts";
import type { Notifications } from "../adapter.ts";
import { quoteIdentifier } from "./sql.ts";

/** Maximum length of a name; the server cuts off the rest of a longer one (NAMEDATALEN of a server as it is built). */
const MAX_NAME_BYTES = 63;

const RULE = `1 to ${MAX_NAME_BYTES} bytes of UTF-8 without NUL`;

/**
 * Makes the adapter's `notifications`.
 *
 * @param parts How the driver runs a statement, and how it passes on notifications.
 */
export function postgresNotifications<C>({ run, onNotify }: {
  readonly run: (client: C, text: string) => Promise<unknown>;
  readonly onNotify: Notifications<C>["onNotify"];
}): Notifications<C> {
  return {
    check: checkChannel,
    onNotify,
    async listen(client: C, channel: string): Promise<void> {
      await run(client, `LISTEN ${quoteIdentifier(channel)}`);
    },
    async unlisten(client: C, channel: string): Promise<void> {
      await run(client, `UNLISTEN ${quoteIdentifier(channel)}`);
    },
  };
}

function checkChannel(channel: string): void {
  const bytes = new TextEncoder().encode(channel);
  if (channel.includes("\0")) throw mustBeUndisclosed("channel", RULE, "one with NUL");
  if (new TextDecoder().decode(bytes) !== channel) {
    throw mustBeUndisclosed("channel", RULE, "half of a surrogate pair");
  }
  if (bytes.length > MAX_NAME_BYTES) {
    throw mustBeUndisclosed("channel", RULE, `${bytes.length} bytes`);
  }
}
