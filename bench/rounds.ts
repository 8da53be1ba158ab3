/**
 * Times several ways of doing the same thing side by side: in rounds, each of them in each round, so that a machine
 * that slows down slows all of them. What counts is the ratio within a round.
 *
 * @module
 */

/** One way of doing it. */
export interface Contender {
  readonly name: string;
  /** Operations come in multiples of so many. Default: 1. */
  readonly unit?: number;
  /** Does it, so many times; resolves with the nanoseconds for one of them where it is timed elsewhere. */
  run(operations: number): Promise<number | void>;
}

/** What came of one contender. */
export interface Timing {
  readonly name: string;
  /** Nanoseconds for one operation: the median over the rounds, and the quartiles. */
  readonly ns: number;
  readonly spread: readonly [low: number, high: number];
  /** How many times as long as the first contender's, round by round: the median, and the quartiles. */
  readonly ratio: number;
  readonly ratioSpread: readonly [low: number, high: number];
}

/** How long it may take. */
export interface RoundOptions {
  /** Rounds that count. */
  readonly rounds: number;
  /** Milliseconds for one contender in one round, about. */
  readonly batchMs: number;
  /**
   * Whether all do as many operations in a round, where they take about as long: the end of a batch, when some are done
   * and others are not, must not weigh more for one of them. Default: false.
   */
  readonly alike?: boolean;
}

/** Times the contenders; ratios are to the first of them. */
export async function race(
  contenders: readonly Contender[],
  { rounds, batchMs, alike = false }: RoundOptions,
): Promise<Timing[]> {
  const batches: number[] = [];
  for (const contender of contenders) batches.push(await batchFor(contender, batchMs));
  if (alike) batches.fill(Math.max(...batches));
  const times: number[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    // Another one begins each time, and every other round goes backwards: what one leaves behind (garbage, a warm
    // cache) is not always the same one's burden.
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

/** How many operations take about that long, once warm. */
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

/** Nanoseconds for one operation. */
async function time(contender: Contender, operations: number): Promise<number> {
  const startMs = performance.now();
  const ns = await contender.run(operations);
  return ns ?? (performance.now() - startMs) * 1e6 / operations;
}

/** A quantile by linear interpolation. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}
