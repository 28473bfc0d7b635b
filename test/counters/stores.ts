/** The stores that every counter test runs against, each with a clock that the test turns. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CounterStore } from '../../src/counters/ledger.ts';
import { openLmdbCounters } from '../../src/counters/lmdb.ts';
import { createMemoryCounters } from '../../src/counters/memory.ts';
import type { CounterTest, Obligation, Window } from '../../src/decision/obligation.ts';
import type { ReserveOutcome } from '../../src/gate/ports.ts';

/** 2026-03-01T12:30:30.500Z */
export const NOON = Date.UTC(2026, 2, 1, 12, 30, 30, 500);

export type Clock = { ms: number };

export type Opened = {
  readonly store: CounterStore;
  readonly clock: Clock;
  readonly done: () => Promise<void>;
};

export type Kind = { readonly name: string; readonly open: (server?: string) => Opened };

export function freshDir(): string {
  return mkdtempSync(join(tmpdir(), 'portcullis-counters-'));
}

export function openLmdb(dir: string, clock: Clock = { ms: NOON }, server = 'github'): CounterStore {
  const opened = openLmdbCounters({ dir, server, now: () => clock.ms });
  assert.ok(opened.ok, opened.ok ? '' : opened.detail);
  return opened.counters;
}

export const KINDS: readonly Kind[] = [
  {
    name: 'memory',
    open: (server = 'github') => {
      const clock = { ms: NOON };
      const store = createMemoryCounters({ server, now: () => clock.ms });
      return { store, clock, done: () => store.close() };
    },
  },
  {
    name: 'lmdb',
    open: (server = 'github') => {
      const clock = { ms: NOON };
      const dir = freshDir();
      const store = openLmdb(dir, clock, server);
      return {
        store,
        clock,
        done: async () => {
          await store.close();
          rmSync(dir, { recursive: true });
        },
      };
    },
  },
];

const RULE = { tool: 't', rule: 'r', index: 0 };

export type ReserveOptions = {
  readonly scope?: string | null;
  readonly name?: string;
  readonly window?: Window;
  readonly amount?: string;
  readonly lt?: string;
  readonly lte?: string;
};

export function reserve(options: ReserveOptions = {}): Obligation {
  const { scope = 'charge', name = 'spend', window = 'day', amount = '1', lt, lte } = options;
  const bounds: { op: 'lt' | 'lte'; value: string }[] = [];
  if (lt !== undefined) bounds.push({ op: 'lt', value: lt });
  if (lte !== undefined) bounds.push({ op: 'lte', value: lte });
  return { kind: 'reserve', counter: { scope, name, window }, amount, bounds, rule: RULE };
}

export function read(
  testOf: CounterTest,
  options: { readonly scope?: string | null; readonly name?: string; readonly window?: Window } = {},
): Obligation {
  const { scope = 'charge', name = 'spend', window = 'day' } = options;
  return { kind: 'read', counter: { scope, name, window }, test: testOf, rule: RULE };
}

/** Asks for one reservation alone. */
export function ask(
  store: CounterStore,
  reservation: string,
  obligations: readonly Obligation[],
): ReserveOutcome {
  const [outcome, ...more] = store.reserve([{ reservation, obligations }]);
  assert.ok(outcome !== undefined && more.length === 0);
  return outcome;
}

let ids = 0;

/** Reserves under a new id; answers the id, or why not. */
export function take(store: CounterStore, ...obligations: Obligation[]): string {
  ids += 1;
  const outcome = ask(store, `call-${ids}`, obligations);
  if (outcome.kind === 'reserved') return outcome.id;
  return outcome.kind === 'refused' ? `refused ${outcome.obligation}` : `unavailable: ${outcome.detail}`;
}

export function used(store: CounterStore, name = 'spend'): string {
  const usage = store.list();
  assert.ok(usage.ok, usage.ok ? '' : usage.detail);
  return usage.counters.find((c) => c.name === name)?.used ?? 'none';
}
