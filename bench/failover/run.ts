/**
 * Runs some lanes through one scenario, at the same time and on the same servers, and gathers their reports.
 *
 * @module
 */

import { pause } from "../../lab/processes.ts";
import type { Timeline } from "./figures.ts";
import { type LaneOrders, type LaneReport, type LaneSpec, READY, REPORT } from "./lanes.ts";
import type { Scenario, Scene } from "./scenarios.ts";
import { credentialsFor, HOST, type Names, startPgbouncer, startServers } from "./stage.ts";

/** How the lanes' processes are started. */
export interface Programs {
  /** The bundle with the lanes, in a directory with the drivers. */
  readonly bundle: string;
  readonly node: string;
  readonly deno: string;
}

/** What came of it. */
export interface ScenarioRun {
  readonly timeline: Timeline;
  /** By lane; a lane that did not get to work says why. */
  readonly reports: ReadonlyMap<string, LaneReport | Error>;
}

/** How long lanes work before anything happens. */
const BEFORE_MS = 2000;
const READY_LIMIT_MS = 20_000;
const REPORT_LIMIT_MS = 20_000;

/** Runs it. */
export async function runScenario(
  scenario: Scenario,
  lanes: readonly LaneSpec[],
  { names, programs }: { readonly names: Names; readonly programs: Programs },
): Promise<ScenarioRun> {
  await using stack = new AsyncDisposableStack();
  const servers = await startServers(stack, lanes[0]!.database, scenario.servers);
  const scene: Scene = { servers, names, stack };
  names.record = [];
  if (scenario.begin) scenario.begin(scene);
  else names.point(servers.all[0]!.host);
  await pause(1100); // nothing that was remembered of the run before is left
  const processes = await Promise.all(lanes.map((lane) => start(lane, scenario, scene, programs)));
  stack.defer(async () => void await Promise.all(processes.map((each) => each.end())));
  await Promise.all(processes.map((each) => each.ready()));

  const startMs = Date.now();
  for (const each of processes) each.say("go");
  await pause(BEFORE_MS);
  const faultMs = Date.now();
  const { doneMs, movedMs } = await scenario.happen(scene);
  const endsMs = Date.now() + scenario.afterMs;
  const fresh = servers.all[1]!.host;
  const shownMs = movedMs === undefined ? undefined : await names.shown(fresh);
  await pause(endsMs - Date.now());
  const endMs = Date.now();
  for (const each of processes) each.say("stop");
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
      old: servers.all[0]!.host,
      new: fresh,
    },
    reports: new Map(lanes.map(({ name }, index) => [name, reports[index]!])),
  };
}

async function start(
  lane: LaneSpec,
  scenario: Scenario,
  { servers, stack }: Scene,
  programs: Programs,
): Promise<LaneProcess> {
  const { port } = servers;
  const where = lane.pgbouncer
    ? { host: "127.0.0.1", port: await startPgbouncer(stack, port, lane.pgbouncer) }
    : { host: HOST, port };
  const orders: LaneOrders = {
    lane: lane.name,
    dialect: lane.database,
    ...where,
    ...credentialsFor(),
    work: scenario.work,
    perSecond: scenario.perSecond,
    linger: scenario.linger,
  };
  const [program, ...args] = lane.runtime === "deno"
    ? [programs.deno, "run", "-A", "--no-lock", "--cached-only"]
    : [programs.node];
  return new LaneProcess(program!, [...args, programs.bundle, JSON.stringify(orders)]);
}

/** The process of one lane. */
class LaneProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #isReady = Promise.withResolvers<void>();
  readonly #reported = Promise.withResolvers<LaneReport>();

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

  /** Waits until it can begin; a lane that cannot is heard of in its report. */
  async ready(): Promise<void> {
    await within(READY_LIMIT_MS, this.#isReady.promise).catch(() => {});
  }

  say(word: "go" | "stop"): void {
    this.#input.write(new TextEncoder().encode(`${word}\n`)).catch(() => {});
  }

  report(): Promise<LaneReport | Error> {
    return within(REPORT_LIMIT_MS, this.#reported.promise).catch((error: Error) => error);
  }

  async end(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // gone already
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

async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error(`Not within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}
