/**
 * A table of things under way by their running number, for numbers that only grow. What is young, which is nearly
 * everything, lies in a ring: no hashing, and no table that is rebuilt as its entries come and go.
 */

const FIRST_SLOTS = 64;
const MAX_SLOTS = 4096;

export class SeqTable<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(FIRST_SLOTS).fill(undefined);
  /** INVARIANT: every entry below this number is in `#old`, every other in the ring, which spans at most its length. */
  #from = 0;
  readonly #old = new Map<number, T>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @throws RangeError for a number not above all that were added before and are still in the ring's span. */
  add(seq: number, value: T): void {
    if (seq < this.#from || this.get(seq) !== undefined) throw new RangeError(`${seq} was added before`);
    while (seq - this.#from >= this.#slots.length) this.#makeRoom(seq);
    this.#slots[seq & (this.#slots.length - 1)] = value;
    this.#size += 1;
  }

  get(seq: number): T | undefined {
    if (seq < this.#from) return this.#old.size === 0 ? undefined : this.#old.get(seq);
    if (seq - this.#from >= this.#slots.length) return undefined;
    return this.#slots[seq & (this.#slots.length - 1)];
  }

  /** The entry taken out, if there was one. */
  take(seq: number): T | undefined {
    const value = this.get(seq);
    if (value === undefined) return undefined;
    if (seq < this.#from) this.#old.delete(seq);
    else this.#slots[seq & (this.#slots.length - 1)] = undefined;
    this.#size -= 1;
    return value;
  }

  /** All entries, in the order of their numbers. */
  values(): T[] {
    const all = [...this.#old.entries()].sort(([a], [b]) => a - b).map(([, value]) => value);
    for (let i = 0; i < this.#slots.length; i++) {
      const value = this.#slots[(this.#from + i) & (this.#slots.length - 1)];
      if (value !== undefined) all.push(value);
    }
    return all;
  }

  /** Lets the ring's span reach `seq`: over free slots by moving on, else by growing, and in the end by moving the oldest out. */
  #makeRoom(seq: number): void {
    const mask = this.#slots.length - 1;
    if (this.#size === this.#old.size) {
      this.#from = seq;
      return;
    }
    if (this.#slots[this.#from & mask] === undefined) {
      this.#from += 1;
      return;
    }
    if (this.#slots.length < MAX_SLOTS) {
      const grown = new Array<T | undefined>(2 * this.#slots.length).fill(undefined);
      for (let i = 0; i <= mask; i++) {
        const at = this.#from + i;
        grown[at & (grown.length - 1)] = this.#slots[at & mask];
      }
      this.#slots = grown;
      return;
    }
    this.#old.set(this.#from, this.#slots[this.#from & mask] as T);
    this.#slots[this.#from & mask] = undefined;
    this.#from += 1;
  }
}
