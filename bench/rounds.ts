/**
 * Compares several ways of doing the same thing in interleaved rounds: each contender runs in each round, and the
 * result is the ratio of their times within a round. So a machine that slows down slows all contenders.
 *
 * mitata and tinybench are not used because they time one contender after the other: a machine that is busy for a
 * while then favors some of them, and the ratio of two separate medians has no quartiles.
 *
 * @module
 */

/** One way of doing it. */
export interface Contender {
  readonly name: string;
  /** The number of operations is a multiple of it. Default: 1. */
  readonly unit?: number;
  /** Runs the operations; resolves with the nanoseconds for one of them if it measures them itself. */
  run(operations: number): Promise<number | void>;
}

/** The result of one contender. */
export interface Timing {
  readonly name: string;
  /** Nanoseconds for one operation: the median over the rounds. */
  readonly ns: number;
  /** The quartiles of `ns`. */
  readonly spread: readonly [low: number, high: number];
  /** Time divided by the first contender's time in the same round: the median over the rounds. */
  readonly ratio: number;
  /** The quartiles of `ratio`. */
  readonly ratioSpread: readonly [low: number, high: number];
}

/** The length of a comparison. */
export interface RoundOptions {
  /** Number of rounds. */
  readonly rounds: number;
  /** Approximate duration of one contender in one round. */
  readonly batchMs: number;
  /**
   * Whether all contenders run the same number of operations in a round. For contenders of about the same speed: the
   * end of a batch, when only some workers are busy, then has the same weight for each. Default: false.
   */
  readonly sameBatch?: boolean;
}

/** Compares the contenders; ratios are relative to the first one. */
export async function compare(
  contenders: readonly Contender[],
  { rounds, batchMs, sameBatch = false }: RoundOptions,
): Promise<Timing[]> {
  const batches: number[] = [];
  for (const contender of contenders) batches.push(await batchFor(contender, batchMs));
  if (sameBatch) batches.fill(Math.max(...batches));
  const times: number[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    // The first contender changes with each round, and every other round runs in reverse order, so that garbage or a
    // warm cache left by one contender does not always affect the same next one.
    const count = contenders.length;
    for (let turn = 0; turn < count; turn++) {
      const index = (round + (round % 2 === 0 ? turn : count - turn)) % count;
      times[index]!.push(await time(contenders[index]!, batches[index]!));
    }
  }
  return contenders.map(({ name }, index) => {
    const own = times[index]!;
    const ratios = own.map((ns, round) => ns / times[0]![round]!);
    return {
      name,
      ns: quantile(own, 0.5),
      spread: [quantile(own, 0.25), quantile(own, 0.75)],
      ratio: quantile(ratios, 0.5),
      ratioSpread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    };
  });
}

/** Returns the number of operations that take about `batchMs` once the code is warm. */
async function batchFor(contender: Contender, batchMs: number): Promise<number> {
  const { unit = 1 } = contender;
  const whole = (operations: number) => Math.max(1, Math.round(operations / unit)) * unit;
  let operations = unit;
  for (;;) {
    const ms = await time(contender, operations) * operations / 1e6;
    const share = batchMs / Math.max(ms, 0.01);
    if (share <= 2) return whole(operations * share);
    operations = whole(operations * Math.min(10, share));
  }
}

/** Measures the nanoseconds for one operation. */
async function time(contender: Contender, operations: number): Promise<number> {
  const startMs = performance.now();
  const ns = await contender.run(operations);
  return ns ?? (performance.now() - startMs) * 1e6 / operations;
}

/** Returns a quantile by linear interpolation. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}
