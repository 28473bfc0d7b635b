/**
 * Judges one call's obligations against the counters' values: all can be met, or the first that cannot. Pure: it reads
 * through a {@link Draft} and returns what to take.
 */
import { Decimal } from '../decision/decimal.ts';
import type { CounterTest, Obligation, Window } from '../decision/obligation.ts';
import type { Held, Rows } from './backend.ts';
import type { CounterKey, CounterKeys } from './key.ts';
import { windowAt, windowEndMs } from './window.ts';

/** No amount and no counter goes beyond this; a larger one is refused, so values stay short and sums exact. */
export const MAX_USED = Decimal.parse('1000000000000000000');
const MAX_CACHED_DECIMALS = 1024;
const MAX_CACHED_LENGTH = 40;

/** What one call takes from one counter. */
export type Taken = {
  readonly key: CounterKey;
  readonly index: number;
  readonly amount: Decimal;
  readonly generation: number;
};

export type Judgement =
  | { readonly kind: 'met'; readonly taken: readonly Taken[] }
  | {
      readonly kind: 'refused';
      readonly obligation: number;
      readonly used: string;
      readonly asked?: string;
      readonly retryAtMs: number;
    }
  | { readonly kind: 'unavailable'; readonly detail: string };

type Slot = { readonly key: CounterKey; held: Held | undefined; readonly fresh: boolean; changed: boolean };

/** The rows as a step has changed them so far; each is read once and written once however many calls share the step. */
export class Draft {
  readonly rows: Rows;
  readonly #nowMs: number;
  readonly #slots = new Map<string, Slot>();
  #last: Slot | undefined;

  constructor(rows: Rows, nowMs: number) {
    this.rows = rows;
    this.#nowMs = nowMs;
  }

  #slot(key: CounterKey): Slot {
    if (this.#last?.key === key) return this.#last;
    let slot = this.#slots.get(key.text);
    if (slot === undefined) {
      const held = this.rows.get(key);
      slot = { key, held, fresh: held === undefined, changed: false };
      this.#slots.set(key.text, slot);
    }
    this.#last = slot;
    return slot;
  }

  /** INVARIANT: never a window before the highest one seen, whatever the clock says. */
  current(key: CounterKey): Held {
    const { held } = this.#slot(key);
    const window: Window = key.ref.window;
    if (held === undefined) {
      return { index: windowAt(window, Math.max(this.#nowMs, this.rows.floorMs())), used: Decimal.ZERO };
    }
    const index = windowAt(window, this.#nowMs);
    return index > held.index ? { index, used: Decimal.ZERO } : held;
  }

  #set(key: CounterKey, held: Held): void {
    const slot = this.#slot(key);
    slot.held = held;
    slot.changed = true;
  }

  take(taken: readonly Taken[]): void {
    for (const { key, index, amount } of taken) {
      this.#set(key, { index, used: this.current(key).used.plus(amount) });
    }
  }

  /** Gives back to the window it was taken from; where that window is over there is nothing to give back to. */
  giveBack(taken: readonly Taken[]): void {
    for (const { key, index, amount, generation } of taken) {
      if (generation !== this.rows.generation) continue;
      const { held } = this.#slot(key);
      if (held === undefined || held.index !== index) continue;
      const used = held.used.minus(amount);
      this.#set(key, { index, used: used.isNegative ? Decimal.ZERO : used });
    }
  }

  flush(): void {
    for (const { key, held, fresh, changed } of this.#slots.values()) {
      if (changed && held !== undefined) this.rows.put(key, held, fresh);
    }
  }
}

/** INVARIANT: changes nothing. Reads see the values before the call's own reservations; reserves on one counter add up. */
export function judge(draft: Draft, keys: CounterKeys, obligations: readonly Obligation[]): Judgement {
  const taken: Taken[] = [];
  for (let i = 0; i < obligations.length; i++) {
    const obligation = obligations[i] as Obligation;
    const key = keys.of(obligation.counter);
    const { index, used: before } = draft.current(key);
    if (obligation.kind === 'read') {
      const holds = passes(before, obligation.test);
      // FAIL-CLOSED: a test that cannot be read is not a test that passed.
      if (holds === undefined) return broken('a test on a counter holds something that is not a number');
      if (!holds)
        return {
          kind: 'refused',
          obligation: i,
          used: before.toString(),
          retryAtMs: windowEndMs(key.ref.window, index),
        };
      continue;
    }
    const amount = decimalOf(obligation.amount);
    if (amount === undefined) return broken('the amount to reserve is not a number');
    if (amount.isNegative) return broken('the amount to reserve is negative');
    const at = taken.findIndex((t) => t.key.text === key.text);
    const own = taken[at];
    const used = own === undefined ? before : before.plus(own.amount);
    const after = used.plus(amount);
    let within = amount.compare(MAX_USED) <= 0 && after.compare(MAX_USED) <= 0;
    for (const bound of obligation.bounds) {
      const limit = decimalOf(bound.value);
      if (limit === undefined) return broken('a limit is not a number');
      const side = after.compare(limit);
      // FAIL-CLOSED: only `lte` reaches its bound; any other operator is taken for the stricter `lt`.
      if (!(side < 0 || (side === 0 && bound.op === 'lte'))) within = false;
    }
    if (!within) {
      const retryAtMs = windowEndMs(key.ref.window, index);
      return { kind: 'refused', obligation: i, used: used.toString(), asked: amount.toString(), retryAtMs };
    }
    const mine: Taken = {
      key,
      index,
      amount: own === undefined ? amount : own.amount.plus(amount),
      generation: draft.rows.generation,
    };
    if (own === undefined) taken.push(mine);
    else taken[at] = mine;
  }
  return { kind: 'met', taken };
}

function broken(detail: string): Judgement {
  return { kind: 'unavailable', detail };
}

function passes(value: Decimal, test: CounterTest): boolean | undefined {
  if ('values' in test) {
    const among = test.values.map(decimalOf);
    if (among.includes(undefined)) return undefined;
    return among.some((v) => v?.equals(value) === true) === (test.op === 'in');
  }
  const against = decimalOf(test.value);
  if (against === undefined) return undefined;
  const side = value.compare(against);
  switch (test.op) {
    case 'eq':
      return side === 0;
    case 'neq':
      return side !== 0;
    case 'lt':
      return side < 0;
    case 'lte':
      return side <= 0;
    case 'gt':
      return side > 0;
    case 'gte':
      return side >= 0;
    default:
      return undefined;
  }
}

const decimals = new Map<string, Decimal>();

/** Limits and amounts repeat from call to call. Long texts, which only an agent would send, are not kept. */
function decimalOf(text: string): Decimal | undefined {
  const known = decimals.get(text);
  if (known !== undefined) return known;
  let value: Decimal;
  try {
    value = Decimal.parse(text);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  if (text.length <= MAX_CACHED_LENGTH) {
    if (decimals.size >= MAX_CACHED_DECIMALS) decimals.clear();
    decimals.set(text, value);
  }
  return value;
}
