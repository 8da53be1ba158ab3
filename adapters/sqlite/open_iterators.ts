/**
 * Follows the iterators of one connection. While one that writes is open, SQLite commits nothing, although no transaction
 * is open as far as the driver knows: what follows would be acknowledged and not be done.
 *
 * @module
 */

/** What makes iterators: a statement, or a store of statements. */
interface Iterable {
  iterate?: (...values: unknown[]) => Iterator<unknown>;
}

/** Methods of a database whose results make iterators; versions of the driver differ in which they have. */
const MAKERS = ["prepare", "createTagStore"] as const;

type Makers = { [name in (typeof MAKERS)[number]]?: (...args: unknown[]) => Iterable };

/** The iterators that have not ended. */
export class OpenIterators {
  readonly #open: Set<Iterator<unknown>> = new Set();

  /** @param database The connection; what its holders iterate over is followed from now on. */
  constructor(database: object) {
    const makers = database as Makers;
    for (const name of MAKERS) {
      const make = makers[name];
      if (make) makers[name] = (...args) => this.#followAll(make.apply(database, args));
    }
  }

  /** Number of iterators that have not ended. */
  get size(): number {
    return this.#open.size;
  }

  /** Ends all iterators. */
  end(): void {
    for (const iterator of [...this.#open]) {
      try {
        iterator.return?.();
      } finally {
        this.#open.delete(iterator);
      }
    }
  }

  #followAll(iterable: Iterable): Iterable {
    const { iterate } = iterable;
    if (iterate) iterable.iterate = (...values) => this.#follow(iterate.apply(iterable, values));
    return iterable;
  }

  #follow(iterator: Iterator<unknown>): Iterator<unknown> {
    this.#open.add(iterator);
    const { next, return: end } = iterator;
    iterator.next = () => {
      let isOpen = false;
      try {
        const result = next.call(iterator);
        isOpen = !result.done;
        return result;
      } finally {
        if (!isOpen) this.#open.delete(iterator);
      }
    };
    if (end) {
      iterator.return = (value) => {
        this.#open.delete(iterator);
        return end.call(iterator, value);
      };
    }
    return iterator;
  }
}
