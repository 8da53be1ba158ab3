import { assertEquals } from "@std/assert";
import type { Role } from "../../adapters/adapter.ts";
import { postgresRoleMethods, ReportedRole } from "../../adapters/shared/postgres_role.ts";

const PRIMARY: Role = { standby: false, readOnly: false };
const STANDBY: Role = { standby: true, readOnly: true };

/** A session whose server reports, answers questions about its role, and counts them. */
class FakeSession {
  readonly reports = new ReportedRole();
  /** What the server answers. */
  row = { standby: false, readonly: false as boolean | null, pid: 7 as number | string };
  questions = 0;
  /** Whether it has an answer to end. */
  isBusy = false;
  /** Number of times that the role may have changed. */
  changes = 0;

  readonly #methods = postgresRoleMethods<FakeSession>({
    run: () => {
      this.questions++;
      return Promise.resolve([this.row]);
    },
    reported: () => this.reports,
    isBusy: () => this.isBusy,
    processId: () => 7,
  });

  constructor({ standby = false, readOnly = false } = {}) {
    this.row.standby = standby;
    this.report("in_hot_standby", standby);
    this.report("default_transaction_read_only", readOnly);
  }

  report(name: string, on: boolean): void {
    this.reports.note(name, on ? "on" : "off");
  }

  role(): Promise<Role> {
    return this.#methods.role(this);
  }

  listen(): void {
    this.#methods.onRoleChange!(this, () => this.changes++);
  }
}

/** A session that was asked for its role at the login, and is listened to. */
async function opened(options?: { standby?: boolean; readOnly?: boolean }): Promise<FakeSession> {
  const session = new FakeSession(options);
  await session.role();
  session.listen();
  assertEquals([session.questions, session.changes], [1, 0]);
  return session;
}

Deno.test("ReportedRole: after the first question, the role is known without another one", async () => {
  const session = await opened();
  assertEquals(await session.role(), PRIMARY);
  const standby = await opened({ standby: true });
  assertEquals(await standby.role(), STANDBY);
  assertEquals([session.questions, standby.questions], [1, 1]);
});

Deno.test("ReportedRole: a promotion is reported once, and the role is asked for no more", async () => {
  const session = await opened({ standby: true });
  session.report("in_hot_standby", true);
  session.report("client_encoding", false);
  assertEquals(session.changes, 0);
  session.report("in_hot_standby", false);
  assertEquals(session.changes, 1);
  assertEquals(await session.role(), PRIMARY);
  assertEquals(session.questions, 1);
});

Deno.test("ReportedRole: default_transaction_read_only may be the session's own, so the server is asked", async () => {
  const session = await opened();
  session.report("default_transaction_read_only", true);
  assertEquals(session.changes, 1);
  assertEquals(await session.role(), PRIMARY);
  session.row.readonly = true;
  assertEquals(await session.role(), { standby: false, readOnly: true });
  assertEquals(session.questions, 3);
  session.report("default_transaction_read_only", false);
  assertEquals(session.changes, 1); // as at the login
  assertEquals(await session.role(), PRIMARY);
  assertEquals(session.questions, 3);
});

Deno.test("ReportedRole: while the server has an answer to end, a report may be on its way, so it is asked", async () => {
  const session = new FakeSession();
  assertEquals(await session.role(), PRIMARY);
  session.isBusy = true;
  session.row.readonly = true;
  assertEquals(await session.role(), { standby: false, readOnly: true });
  assertEquals(session.questions, 2);
  session.isBusy = false;
  assertEquals(await session.role(), PRIMARY);
  assertEquals(session.questions, 2);
});

Deno.test("ReportedRole: a session that made itself writable on a read-only server says nothing about the server", async () => {
  const session = new FakeSession({ readOnly: true });
  session.row.readonly = true;
  assertEquals(await session.role(), { standby: false, readOnly: true });
  session.report("default_transaction_read_only", false);
  assertEquals(await session.role(), { standby: false, readOnly: true });
  assertEquals(session.questions, 2);
});

Deno.test("ReportedRole: what a pooler reports is not believed", async () => {
  const session = new FakeSession({ standby: true });
  session.row = { standby: false, readonly: false, pid: 8 };
  assertEquals(await session.role(), PRIMARY);
  assertEquals(await session.role(), PRIMARY);
  assertEquals(session.questions, 2);
});

Deno.test("ReportedRole: a change between the question and the first listener is not missed", async () => {
  const session = new FakeSession({ standby: true });
  await session.role();
  session.report("in_hot_standby", false);
  session.listen();
  assertEquals(session.changes, 1);
});

Deno.test("ReportedRole: a server before PostgreSQL 14 reports nothing, and is asked each time", async () => {
  const session = new FakeSession();
  const methods = postgresRoleMethods<FakeSession>({
    run: () => Promise.resolve([{ standby: true, readonly: null, pid: "7" }]),
    reported: () => new ReportedRole(),
    processId: () => 7,
  });
  assertEquals(await methods.role(session), STANDBY);
  assertEquals(await methods.role(session), STANDBY);
});
