/**
 * What the two stores have in common: rows that are read and written in one atomic step. All meaning (bounds, windows,
 * reservations) is in ledger.ts, above this line; all durability is below it.
 */

import type { Decimal } from '../decision/decimal.ts';
import type { CounterRef } from '../decision/obligation.ts';
import type { CounterKey } from './key.ts';

/** A counter as stored: the highest window ever seen for it, and what is used in that window. Earlier windows are gone. */
export type Held = { readonly index: number; readonly used: Decimal };

export type Rows = {
  get(key: CounterKey): Held | undefined;
  /** `fresh`: `get` found no row of this key. */
  put(key: CounterKey, held: Held, fresh: boolean): void;
  /**
   * The latest end of a window whose row was cleaned away. A counter without a row starts no window that ends before
   * this instant, so cleaning up and a clock that jumps back cannot between them open a spent window again.
   */
  floorMs(): number;
  /** Rises when the rows were replaced by others (a deleted file); what was reserved in the old rows is not theirs to give back. */
  readonly generation: number;
};

export type Done = { readonly ok: true } | { readonly ok: false; readonly detail: string };

export type CounterUsage = CounterRef & {
  readonly server: string;
  readonly startsMs: number;
  readonly endsMs: number;
  readonly used: string;
};

export type Usage =
  | { readonly ok: true; readonly counters: readonly CounterUsage[] }
  | { readonly ok: false; readonly detail: string };

export type Backend = {
  /** Runs `work` alone among all users of the store. If it returns, all it put is kept; if it throws, nothing. Never throws itself. */
  transact(nowMs: number, work: (rows: Rows) => void): Done;
  /** Runs `work`, which puts nothing, against one consistent state. Never throws. */
  snapshot(work: (rows: Rows) => void): Done;
  usage(): Usage;
  close(): Promise<void>;
};

/** Thrown inside `work` for what the store holds and must not: the step is undone and the calls are denied. */
export class StoreFault extends Error {}

/** Rows looked at for cleaning, per step. INVARIANT: more than a typical step adds, so stores do not grow without end. */
export const SWEEP_ROWS = 4;

/** More counters than any policy needs; beyond it something makes names up. */
export const MAX_COUNTERS = 100_000;

export function tooManyCounters(): StoreFault {
  return new StoreFault(
    `the store holds ${MAX_COUNTERS} counters, which is its limit: a policy or an agent makes up counter names`,
  );
}
