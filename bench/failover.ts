/**
 * `deno task bench:failover`, the drill: measures what pools do when the record moves, on real servers, each pool
 * configured as its users do. `--quick` takes less than a minute; `--scenario=a,c` and `--lane=dnspool,postgres.js`
 * select (with `--lane`, no results are written); `--together=6` sets the number of lanes that run at the same time.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves the name at
 * the DNS server of the drill. PgBouncer and MariaDB must be installed
 * (`apt-get install pgbouncer mariadb-server nftables`); without them, it names and omits their lanes.
 *
 * A lane of dnspool that misses a goal runs twice more, and the medians of the three runs count, so that other programs
 * on the machine do not decide. Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

import { findMariadb } from "../lab/mariadb.ts";
import { ROOT } from "../scripts/check/run_deno.ts";
import { type Figures, figuresOf, medianFigures, slicesOf } from "./failover/figures.ts";
import { missedGoals } from "./failover/goals.ts";
import { type LaneReport, LANES, type LaneSpec } from "./failover/lanes.ts";
import {
  bundle,
  canDropPackets,
  INSIDE,
  NODE,
  PREPARED,
  runInside,
  setUpNamespace,
  whyUnsupported,
} from "./namespace.ts";
import { type Panel, picture, type Row, type Span } from "./failover/picture.ts";
import { type LaneResult, type ScenarioResult, showScenario } from "./failover/report.ts";
import { type Programs, runScenario, type ScenarioRun } from "./failover/run.ts";
import { type Scenario, SCENARIOS } from "./failover/scenarios.ts";
import { hasPgbouncer, Names } from "./failover/environment.ts";

const RESULTS = new URL("bench/results/", ROOT);
/** The scenarios that each picture shows, and their period. */
const PICTURES = {
  "failover.svg": ["a", "a-reads", "b", "c"],
  "failover_hosts.svg": ["h", "h-kill", "i", "j"],
};
const SPAN: Span = { fromMs: -1000, toMs: 7000, stepMs: 50 };
/** Number of runs of a lane that missed a goal. */
const RUNS = 3;

/** The bundle with the lanes. */
const BUNDLE = "lane.mjs";
const PROGRAMS: Programs = { bundle: PREPARED + BUNDLE, node: NODE, deno: Deno.execPath() };

/** The selection of the command line. */
interface Selection {
  readonly quick: boolean;
  readonly scenarios: readonly Scenario[];
  readonly lanes: readonly LaneSpec[];
  readonly together: number;
  /** Whether all lanes take part, so that the results are kept. */
  readonly keepsResults: boolean;
}

function readArgs(args: readonly string[]): Selection {
  const quick = args.includes("--quick");
  const list = (name: string) =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3).split(",");
  const pick = <T extends { readonly name: string; readonly quick?: true }>(
    all: readonly T[],
    names: readonly string[] | undefined,
  ) => {
    const missing = names?.find((name) => !all.some((one) => one.name === name));
    if (missing !== undefined) {
      const known = all.map(({ name }) => name).join(", ");
      console.error(`Unknown name "${missing}": there are ${known}`);
      Deno.exit(2);
    }
    return all.filter((one) => names ? names.includes(one.name) : !quick || one.quick);
  };
  return {
    quick,
    scenarios: pick(SCENARIOS, list("scenario")),
    lanes: pick(LANES, list("lane")),
    together: Number(list("together")?.[0] ?? (quick ? 5 : 6)),
    keepsResults: list("lane") === undefined,
  };
}

/** Omits, with a message, what this machine lacks. */
async function supported({ scenarios, lanes, ...rest }: Selection): Promise<Selection> {
  const filter = await canDropPackets();
  const pgbouncer = await hasPgbouncer();
  const mariadb = findMariadb() !== undefined;
  const skip = (name: string, hint: string) => console.error(`Omitted: ${name} (${hint})`);
  return {
    ...rest,
    scenarios: scenarios.filter(({ name, filter: needed }) => {
      if (!needed || filter) return true;
      skip(`scenario ${name}`, "nft cannot drop packets here: apt-get install nftables");
      return false;
    }),
    lanes: lanes.filter(({ name, pgbouncer: needed, database }) => {
      if (needed && !pgbouncer) skip(name, "apt-get install pgbouncer");
      if (database === "mariadb" && !mariadb) skip(name, "apt-get install mariadb-server");
      return (!needed || pgbouncer) && (database !== "mariadb" || mariadb);
    }),
  };
}

/** Returns the lanes that take part in a scenario. */
function lanesOf(scenario: Scenario, { lanes }: Selection): LaneSpec[] {
  return lanes.filter(({ name }) => scenario.lanes?.includes(name) ?? true);
}

/** Groups the lanes that run at the same time, on the same servers. */
function groups(lanes: readonly LaneSpec[], together: number): LaneSpec[][] {
  const result: LaneSpec[][] = [];
  for (const database of ["postgres", "mariadb"]) {
    const own = lanes.filter((lane) => lane.database === database);
    for (let at = 0; at < own.length; at += together) result.push(own.slice(at, at + together));
  }
  return result;
}

/** The runs of one lane in one scenario; the picture shows the first one. */
interface Runs {
  readonly lane: LaneSpec;
  readonly all: {
    readonly figures: Figures;
    readonly run: ScenarioRun;
    readonly report: LaneReport;
  }[];
  error?: string;
}

async function runLanes(
  scenario: Scenario,
  lanes: readonly LaneSpec[],
  names: Names,
): Promise<Runs[]> {
  const runs: Runs[] = lanes.map((lane) => ({ lane, all: [] }));
  for (let turn = 0; turn < RUNS; turn++) {
    // Lanes that missed nothing in the first run are done; the others run each time.
    const again = runs.filter((each) =>
      turn === 0 ||
      each.all.length === turn &&
        missed(scenario, { ...each, all: each.all.slice(0, 1) }).length > 0
    );
    if (again.length === 0) break;
    const run = await runScenario(scenario, again.map(({ lane }) => lane), {
      names,
      programs: PROGRAMS,
    });
    for (const each of again) {
      const report = run.reports.get(each.lane.name)!;
      if (report instanceof Error) each.error = report.message;
      else each.all.push({ figures: figuresOf(report, run.timeline), run, report });
    }
  }
  return runs;
}

function missed(scenario: Scenario, { lane, all, error }: Runs): string[] {
  if (!lane.ours) return [];
  if (all.length === 0) return [error ?? "it did not run"];
  const figures = medianFigures(all.map((one) => one.figures));
  const { outageMs } = scenario;
  return missedGoals(scenario.name, figures, { outageMs, closesOnError: lane.closesOnError });
}

function resultOf(scenario: Scenario, runs: Runs): LaneResult {
  const figures = runs.all.map((one) => one.figures);
  return {
    lane: runs.lane.name,
    figures: figures.length > 0 ? medianFigures(figures) : undefined,
    runs: figures,
    error: runs.error,
    errors: runs.all[0] ? commonErrors(runs.all[0].report) : [],
    missed: missed(scenario, runs),
  };
}

function commonErrors({ operations, results }: LaneReport): [string, number][] {
  const counts = new Map<string, number>();
  for (const [, , index] of operations) {
    const error = results[index]?.error;
    if (error !== undefined) counts.set(error, (counts.get(error) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, 3);
}

function panelOf(scenario: Scenario, all: readonly Runs[]): Panel {
  const rows = all.flatMap(({ lane, all: [first] }): Row[] => {
    if (!first) return [];
    const { allMs, hung } = first.figures;
    const moved = allMs === null ? "never moved completely" : `moved after ${seconds(allMs)}`;
    return [{
      name: lane.name,
      ours: lane.ours ?? false,
      slices: slicesOf(first.report, first.run.timeline, SPAN),
      note: hung > 0 ? `${hung} calls hung` : moved,
    }];
  });
  return { title: `(${scenario.name}) ${scenario.title}`, rows };
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

async function drill(selection: Selection): Promise<boolean> {
  await using names = await Names.start();
  const results: ScenarioResult[] = [];
  const panels = new Map<string, Panel>();
  for (const scenario of selection.scenarios) {
    const all: Runs[] = [];
    const together = scenario.allTogether ? Infinity : selection.together;
    for (const lanes of groups(lanesOf(scenario, selection), together)) {
      all.push(...await runLanes(scenario, lanes, names));
    }
    const lanes = all.map((runs) => resultOf(scenario, runs));
    showScenario(scenario, lanes);
    results.push({ scenario: scenario.name, title: scenario.title, lanes });
    panels.set(scenario.name, panelOf(scenario, all));
    // After each scenario, so that an aborted run keeps its results.
    if (selection.keepsResults) await write(selection, results, panels);
  }
  return results.every(({ lanes }) => lanes.every(({ missed }) => missed.length === 0));
}

/** Writes the results. A run of some scenarios keeps those of the others, and the pictures that lack one. */
async function write(
  { quick, together }: Selection,
  results: readonly ScenarioResult[],
  panels: ReadonlyMap<string, Panel>,
): Promise<void> {
  const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
  const file = new URL("failover.json", RESULTS);
  const before = JSON.parse(await Deno.readTextFile(file).catch(() => "{}"));
  const kept: ScenarioResult[] = before.quick === quick ? before.results : [];
  const all = SCENARIOS.flatMap(({ name }) =>
    [results, kept].map((list) => list.find(({ scenario }) => scenario === name))
      .find((result) => result !== undefined) ?? []
  );
  const json = JSON.stringify({ machine, quick, together, results: all }, null, 2);
  await Deno.mkdir(RESULTS, { recursive: true });
  await Deno.writeTextFile(file, json + "\n");
  for (const [name, scenarios] of Object.entries(PICTURES)) {
    const shown = scenarios.flatMap((scenario) => panels.get(scenario) ?? []);
    if (shown.length < scenarios.length) continue;
    await Deno.writeTextFile(new URL(name, RESULTS), picture(shown, SPAN));
  }
}

const inside = Deno.args.find((arg) => arg.startsWith(INSIDE))?.slice(INSIDE.length);
const selection = readArgs(Deno.args);
const reason = whyUnsupported();
if (reason !== undefined) {
  console.error(`Cannot run the drill: ${reason}`);
  Deno.exit(2);
}
if (inside === undefined) {
  const prepare = async () => void await bundle("bench/failover/lane.ts", BUNDLE);
  Deno.exit(await runInside("bench/failover.ts", Deno.args, prepare));
}
await setUpNamespace(inside);
const met = await drill(await supported(selection));
console.log(met ? "\nEvery goal is met" : "\nA goal is missed");
Deno.exit(met ? 0 : 1);
