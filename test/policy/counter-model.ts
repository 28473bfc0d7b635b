/** The simplest counters that discharge obligations: all or none, in memory, windows turned by hand. For tests only. */
import { Decimal } from '../../src/decision/decimal.ts';
import type { CounterRef, CounterTest, Obligation, Window } from '../../src/decision/obligation.ts';

export class CounterModel {
  readonly #values = new Map<string, { window: Window; value: Decimal }>();

  /** null where all are discharged; else the first that is not. */
  discharge(obligations: readonly Obligation[], take = true): Obligation | null {
    const pending = new Map<string, Decimal>();
    for (const obligation of obligations) {
      const key = keyOf(obligation.counter);
      const before = this.#values.get(key)?.value ?? Decimal.ZERO;
      if (obligation.kind === 'read') {
        if (!holds(before, obligation.test)) return obligation;
        continue;
      }
      const after = (pending.get(key) ?? before).plus(Decimal.parse(obligation.amount));
      for (const bound of obligation.bounds) {
        const order = after.compare(Decimal.parse(bound.value));
        if (bound.op === 'lt' ? order >= 0 : order > 0) return obligation;
      }
      pending.set(key, after);
    }
    if (take) {
      for (const obligation of obligations) {
        const value = pending.get(keyOf(obligation.counter));
        if (value !== undefined)
          this.#values.set(keyOf(obligation.counter), { window: obligation.counter.window, value });
      }
    }
    return null;
  }

  giveBack(obligations: readonly Obligation[]): void {
    for (const obligation of obligations) {
      const held = this.#values.get(keyOf(obligation.counter));
      if (obligation.kind === 'reserve' && held !== undefined)
        held.value = held.value.minus(Decimal.parse(obligation.amount));
    }
  }

  turn(window: Window): void {
    for (const [key, held] of this.#values) if (held.window === window) this.#values.delete(key);
  }
}

function keyOf(counter: CounterRef): string {
  return JSON.stringify([counter.scope, counter.name, counter.window]);
}

function holds(value: Decimal, test: CounterTest): boolean {
  if ('values' in test) {
    return test.values.some((one) => value.equals(Decimal.parse(one))) === (test.op === 'in');
  }
  const order = value.compare(Decimal.parse(test.value));
  switch (test.op) {
    case 'eq':
      return order === 0;
    case 'neq':
      return order !== 0;
    case 'lt':
      return order < 0;
    case 'lte':
      return order <= 0;
    case 'gt':
      return order > 0;
    case 'gte':
      return order >= 0;
  }
}
