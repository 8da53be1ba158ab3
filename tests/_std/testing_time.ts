/**
 * Stand-in for `FakeTime` of `@std/testing/time` where JSR does not answer. It keeps the real one's rules where they
 * differ from those of other fake clocks: delays are rounded down, a delay of 0 is due at once even when it is set by
 * a timer, timers due at the same moment run in the order in which they were set, identifiers are numbers.
 *
 * @module
 */

/** What a fake clock replaces. */
interface Globals {
  Date: typeof Date;
  setTimeout: typeof setTimeout;
  clearTimeout: typeof clearTimeout;
  setInterval: typeof setInterval;
  clearInterval: typeof clearInterval;
  abortTimeout: typeof AbortSignal.timeout;
}

type TimerName = "Timeout" | "Interval";

const real: Globals = {
  Date,
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  abortTimeout: AbortSignal.timeout,
};

/** Fake time is used in a state in which it cannot be. */
export class TimeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "TimeError";
  }
}

interface Entry {
  id: number;
  due: number;
  /** 0 for a timer that runs once. */
  period: number;
  cleared: boolean;
  run(): void;
}

let current: FakeTime | undefined;

/** Puts `Date`, the timers and `AbortSignal.timeout` under the test's control until it is disposed. */
export class FakeTime {
  #start: number;
  #now: number;
  #lastId = 0;
  /** In the order in which they will run. A cleared entry stays until its turn. */
  #queue: Entry[] = [];
  readonly #fakeGlobals = this.#fakes();

  /** @param start What the clock shows at first; by default the current time. */
  constructor(start?: number | string | Date | null) {
    if (current) throw new TimeError("Cannot construct FakeTime: time is already faked");
    this.#start = typeof start === "number"
      ? Math.floor(start)
      : new real.Date(start ?? real.Date.now()).getTime();
    if (Number.isNaN(this.#start)) {
      throw new TypeError(`Cannot construct FakeTime: invalid start time ${this.#start}`);
    }
    this.#now = this.#start;
    current = this;
    install(this.#fakeGlobals);
  }

  /** Restores the time that is faked now. */
  static restore(): void {
    if (!current) throw new TimeError("Cannot restore time: time is already restored");
    current.restore();
  }

  /** Runs `callback` with the real clock. */
  static async restoreFor<T, A extends unknown[]>(
    callback: (...args: A) => Promise<T> | T,
    ...args: A
  ): Promise<T> {
    const faked = current;
    if (!faked) throw new TimeError("Cannot restore time: time is not faked");
    install(real);
    let result: Promise<T> | T;
    try {
      result = callback(...args);
    } catch (error) {
      install(faked.#fakeGlobals);
      throw error;
    }
    if (!(result instanceof Promise)) {
      install(faked.#fakeGlobals);
      return result;
    }
    return await result.finally(() => install(faked.#fakeGlobals));
  }

  /** Milliseconds since 1970 on the fake clock. */
  get now(): number {
    return this.#now;
  }

  /** Moves the clock and runs, one after the other, what is due on the way; stops where a callback throws. */
  set now(value: number) {
    if (value < this.#now) {
      throw new RangeError(
        `Cannot set current time in the past, time must be >= ${this.#now}: received ${value}`,
      );
    }
    for (let entry = this.#queue[0]; entry && entry.due <= value; entry = this.#queue[0]) {
      this.#queue.shift();
      if (entry.cleared) continue;
      this.#now = entry.due;
      if (entry.period > 0) this.#add(entry, entry.due + entry.period);
      else entry.cleared = true;
      entry.run();
    }
    this.#now = value;
  }

  /** What the clock showed at first. */
  get start(): number {
    return this.#start;
  }

  /** Waits for real milliseconds; the fake clock stands still. */
  delay(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const aborted = () => reject(new DOMException("Delay was aborted.", "AbortError"));
      if (signal?.aborted) return aborted();
      const onAbort = () => {
        real.clearTimeout(id);
        aborted();
      };
      const id = real.setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Lets every promise that can settle without a timer do so. */
  async runMicrotasks(): Promise<void> {
    await this.delay(0);
  }

  /** Moves the clock forward by `ms` milliseconds and runs what is due. */
  tick(ms = 0): void {
    this.now += ms;
  }

  /** Runs the microtasks, then does as `tick()`. */
  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.now += ms;
  }

  /** Moves the clock to the next timer and runs it; false if there is none. */
  next(): boolean {
    while (this.#queue[0]?.cleared) this.#queue.shift();
    const entry = this.#queue[0];
    if (entry) this.now = entry.due;
    return entry !== undefined;
  }

  /** Runs the microtasks, then does as `next()`. */
  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  /** Runs timers until none is left. */
  runAll(): void {
    while (this.#queue.length > 0) this.next();
  }

  /** Runs timers until none is left, and the microtasks before each. */
  async runAllAsync(): Promise<void> {
    while (this.#queue.length > 0) await this.nextAsync();
  }

  /** Gives the real clock back. */
  restore(): void {
    if (!current) throw new TimeError("Cannot restore time: time is already restored");
    current = undefined;
    install(real);
  }

  /** Gives the real clock back. */
  [Symbol.dispose](): void {
    this.restore();
  }

  #add(entry: Entry, due: number): void {
    entry.due = due;
    const later = this.#queue.findIndex((other) => other.due > due);
    this.#queue.splice(later < 0 ? this.#queue.length : later, 0, entry);
  }

  #set(name: TimerName, callback: unknown, delay: number, args: unknown[]): number {
    if (typeof callback !== "function") {
      throw new TimeError(`FakeTime does not support non-function callbacks to set${name}`);
    }
    if (current !== this) throw new TimeError(`Cannot set ${lower(name)}: time is not faked`);
    const repeat = name === "Interval";
    const wait = Math.max(repeat ? 1 : 0, Math.floor(delay));
    const id = ++this.#lastId;
    const run = () => void callback(...args);
    this.#add({ id, due: 0, period: repeat ? wait : 0, cleared: false, run }, this.#now + wait);
    return id;
  }

  #clear(name: TimerName, id: unknown): void {
    if (current !== this) throw new TimeError(`Cannot clear ${lower(name)}: time is not faked`);
    const entry = this.#queue.find((other) => other.id === id);
    if (entry) entry.cleared = true;
  }

  #fakes(): Globals {
    const set = (name: TimerName) =>
      ((callback: unknown, delay = 0, ...args: unknown[]) =>
        this.#set(name, callback, delay, args)) as unknown;
    return {
      Date: fakeDate(() => this.#now),
      setTimeout: set("Timeout") as typeof setTimeout,
      setInterval: set("Interval") as typeof setInterval,
      clearTimeout: (id?: unknown) => this.#clear("Timeout", id),
      clearInterval: (id?: unknown) => this.#clear("Interval", id),
      abortTimeout: (ms) => {
        const controller = new AbortController();
        const abort = () => controller.abort(new DOMException("Signal timed out.", "TimeoutError"));
        this.#set("Timeout", abort, ms, []);
        return controller.signal;
      },
    };
  }
}

function lower(name: TimerName): string {
  return name.toLowerCase();
}

function install({ abortTimeout, ...globals }: Globals): void {
  Object.assign(globalThis, globals);
  AbortSignal.timeout = abortTimeout;
}

/** `Date`, but for what asks it for the present. */
function fakeDate(now: () => number): DateConstructor {
  return new Proxy(real.Date, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new real.Date(now()).toString(),
    get: (target, key, receiver) => key === "now" ? now : Reflect.get(target, key, receiver),
  });
}
