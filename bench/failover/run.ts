/**
 * Runs some lanes through one scenario, at the same time and on the same servers, and collects their reports.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import type { Timeline } from "./figures.ts";
import { type LaneReport, type LaneSpec, type LaneTask, READY, REPORT } from "./lanes.ts";
import { type Environment, graceMs, type Scenario } from "./scenarios.ts";
import {
  CREDENTIALS,
  HOST,
  type Names,
  SERVER_HOSTS,
  SERVICE,
  startPgbouncer,
  startServers,
} from "./environment.ts";

/** The programs that run the lanes. */
export interface Programs {
  /** The bundle with the lanes, in a directory with the drivers. */
  readonly bundle: string;
  readonly node: string;
  readonly deno: string;
}

/** The result of a run. */
export interface ScenarioRun {
  readonly timeline: Timeline;
  /** The reports by lane; an error if the lane did not start or report. */
  readonly reports: ReadonlyMap<string, LaneReport | Error>;
}

/** Time of undisturbed work before the fault. */
const BEFORE_MS = 2000;
const READY_TIMEOUT_MS = 20_000;
const REPORT_TIMEOUT_MS = 20_000;

/** Runs a scenario. */
export async function runScenario(
  scenario: Scenario,
  lanes: readonly LaneSpec[],
  { names, programs }: { readonly names: Names; readonly programs: Programs },
): Promise<ScenarioRun> {
  await using stack = new AsyncDisposableStack();
  const servers = await startServers(stack, lanes[0]!.database, scenario.servers);
  const environment: Environment = { servers, names, stack };
  names.record = [];
  if (scenario.prepare) scenario.prepare(environment);
  else names.pointTo(servers.all[0]!.host);
  await pause(1100); // answers cached in the previous run expire
  const processes = await Promise.all(
    lanes.map((lane) => start(lane, scenario, environment, programs)),
  );
  stack.defer(async () => void await Promise.all(processes.map((each) => each.terminate())));
  await Promise.all(processes.map((each) => each.ready()));

  const startMs = Date.now();
  for (const each of processes) each.send("go");
  await pause(BEFORE_MS);
  const faultMs = Date.now();
  const { doneMs, movedMs } = await scenario.run(environment);
  const stopMs = Date.now() + scenario.afterMs;
  const oldHost = servers.all[0]!.host;
  const shownMs = movedMs === undefined || scenario.naming === "several hosts"
    ? undefined
    : await names.waitUntilGone(oldHost, scenario.naming === "SRV");
  await pause(stopMs - Date.now());
  const endMs = Date.now();
  for (const each of processes) each.send("stop");
  const reports = await Promise.all(processes.map((each) => each.report()));
  return {
    timeline: {
      startMs,
      faultMs,
      faultDoneMs: doneMs,
      movedMs: movedMs ?? faultMs,
      shownMs,
      endMs,
      record: names.record,
      old: oldHost,
      graceMs: graceMs(scenario),
    },
    reports: new Map(lanes.map(({ name }, index) => [name, reports[index]!])),
  };
}

async function start(
  lane: LaneSpec,
  scenario: Scenario,
  { servers, stack }: Environment,
  programs: Programs,
): Promise<LaneProcess> {
  const { port } = servers;
  const target = lane.pgbouncer
    ? { host: "127.0.0.1", port: await startPgbouncer(stack, port, lane.pgbouncer) }
    : { host: HOST, port };
  const task: LaneTask = {
    lane: lane.name,
    dialect: lane.database,
    ...target,
    ...CREDENTIALS,
    work: scenario.work,
    perSecond: scenario.perSecond,
    hosts: scenario.naming === "several hosts"
      ? SERVER_HOSTS.slice(0, servers.all.length)
      : undefined,
    srv: scenario.naming === "SRV" ? SERVICE : undefined,
    options: scenario.options,
  };
  const [program, ...args] = lane.runtime === "deno"
    ? [programs.deno, "run", "-A", "--no-lock", "--cached-only"]
    : [programs.node];
  return new LaneProcess(program!, [...args, programs.bundle, JSON.stringify(task)]);
}

/** The process of one lane. */
export class LaneProcess<Report = LaneReport> {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #isReady = Promise.withResolvers<void>();
  readonly #reported = Promise.withResolvers<Report>();

  constructor(program: string, args: readonly string[]) {
    this.#child = new Deno.Command(program, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#isReady.promise.catch(() => {});
    this.#reported.promise.catch(() => {});
    void this.#read();
  }

  /** Waits until the lane is ready. A lane that fails to start reports an error. */
  async ready(): Promise<void> {
    await within(READY_TIMEOUT_MS, this.#isReady.promise).catch(() => {});
  }

  send(word: "go" | "stop"): void {
    this.#input.write(new TextEncoder().encode(`${word}\n`)).catch(() => {});
  }

  report(): Promise<Report | Error> {
    return within(REPORT_TIMEOUT_MS, this.#reported.promise).catch((error: Error) => error);
  }

  async terminate(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has exited
    }
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      rest += text;
      if (!text.includes("\n")) continue;
      const lines = rest.split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line === READY) this.#isReady.resolve();
        else if (line.startsWith(REPORT)) {
          this.#reported.resolve(JSON.parse(line.slice(REPORT.length)));
        } else console.error(line);
      }
    }
    const { code, signal } = await this.#child.status;
    const error = new Error(`It ended with ${signal ?? code}`);
    this.#isReady.reject(error);
    this.#reported.reject(error);
  }
}

async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
