/** A seeded source of choices: the same seed makes the same choices, on every machine. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike.
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
    for (let i = 0; i < 4; i++) this.#next();
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  int(below: number): number {
    return this.#next() % below;
  }

  chance(percent: number): boolean {
    return this.int(1000) < percent * 10;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const keys = Object.keys(weights) as K[];
    let left = this.int(keys.reduce((sum, key) => sum + weights[key], 0));
    for (const key of keys) {
      left -= weights[key];
      if (left < 0) return key;
    }
    return keys[0] as K;
  }

  /** Takes one item out; mostly one of the oldest, so that little is starved. */
  take<T>(items: T[]): T {
    const among = this.chance(50) ? Math.min(2, items.length) : items.length;
    return items.splice(this.int(among), 1)[0] as T;
  }
}
