import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ask, KINDS, type Kind, NOON, type Opened, read, reserve, take, used } from './stores.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

for (const kind of KINDS) {
  const it = (title: string, body: (opened: Opened) => void | Promise<void>): void => {
    test(title, async () => {
      const opened = kind.open();
      try {
        await body(opened);
      } finally {
        await opened.done();
      }
    });
  };

  describe(`counters in ${kind.name}: bounds`, () => {
    it('a limit of three lets three calls through and refuses the fourth with what is used and asked', ({
      store,
    }) => {
      for (let i = 0; i < 3; i++) store.settle(take(store, reserve({ lte: '3' })), 'commit');
      assert.deepEqual(ask(store, 'fourth', [reserve({ lte: '3' })]), {
        kind: 'refused',
        obligation: 0,
        used: '3',
        asked: '1',
        retryAtMs: Date.UTC(2026, 2, 2),
      });
    });

    it('lt stops before its bound, lte at it', ({ store }) => {
      assert.match(take(store, reserve({ name: 'a', amount: '5', lt: '5' })), /^refused/);
      assert.match(take(store, reserve({ name: 'a', amount: '5', lte: '5' })), /^call/);
      assert.match(take(store, reserve({ name: 'b', amount: '4.99', lt: '5' })), /^call/);
    });

    it('all bounds of a reserve bind, the stricter one too when it stands last', ({ store }) => {
      const both = reserve({ lte: '5', lt: '3' });
      const turned = {
        ...both,
        bounds: both.kind === 'reserve' ? [...both.bounds].reverse() : [],
      } as typeof both;
      for (const obligation of [both, turned]) take(store, obligation);
      assert.match(take(store, both), /^refused/);
      assert.match(take(store, turned), /^refused/);
      assert.equal(used(store), '2');
    });

    it('a reserve without a bound counts and never refuses', ({ store }) => {
      for (let i = 0; i < 5; i++) take(store, reserve());
      assert.equal(used(store), '5');
    });

    it('two reserves of one call on one counter add up, whatever rules they come from', ({ store }) => {
      assert.equal(
        take(store, reserve({ amount: '2', lte: '3' }), reserve({ amount: '2', lte: '3' })),
        'refused 1',
      );
      assert.equal(used(store), 'none');
      assert.match(
        take(store, reserve({ amount: '2', lte: '3' }), reserve({ amount: '1', lte: '3' })),
        /^call/,
      );
      assert.equal(used(store), '3');
    });

    it('decimals are exact: 0.1 and 0.2 fill a bound of 0.3, and 2^53 + 1 is not 2^53', ({ store }) => {
      take(store, reserve({ amount: '0.1', lte: '0.3' }));
      assert.match(take(store, reserve({ amount: '0.2', lte: '0.3' })), /^call/);
      assert.equal(used(store), '0.3');
      assert.match(take(store, reserve({ amount: '0.0000000000000000000000001', lte: '0.3' })), /^refused/);
      assert.match(
        take(store, reserve({ name: 'big', amount: '9007199254740993', lte: '9007199254740992' })),
        /^refused/,
      );
    });

    it('no amount and no sum goes beyond 10^18, bound or no bound', ({ store }) => {
      assert.equal(take(store, reserve({ amount: '1000000000000000001' })), 'refused 0');
      assert.equal(take(store, reserve({ amount: '1e300' })), 'refused 0');
      assert.match(take(store, reserve({ amount: '1000000000000000000' })), /^call/);
      assert.equal(take(store, reserve({ amount: '1' })), 'refused 0');
      assert.equal(used(store), '1000000000000000000');
    });

    it('a negative amount, or one that is no number, is a fault and takes nothing', ({ store }) => {
      take(store, reserve({ amount: '2' }));
      for (const amount of ['-1', 'NaN', '', '1e999999999', '0x10']) {
        assert.match(take(store, reserve({ amount, lte: '100' })), /^unavailable/);
      }
      assert.match(take(store, reserve({ lte: 'Infinity' })), /^unavailable/);
      assert.equal(used(store), '2');
    });

    it('an operator that is not lte is taken for the stricter lt', ({ store }) => {
      const odd = { ...reserve(), bounds: [{ op: 'gte', value: '1' }] } as unknown as ReturnType<
        typeof reserve
      >;
      assert.match(take(store, odd), /^refused/);
    });
  });

  describe(`counters in ${kind.name}: one step or none`, () => {
    it('when the second of two counters is full the first is left as it was, and the second is named', ({
      store,
    }) => {
      take(store, reserve({ name: 'b', lte: '1' }));
      assert.equal(
        take(store, reserve({ name: 'a', lte: '9' }), reserve({ name: 'b', lte: '1' })),
        'refused 1',
      );
      assert.equal(used(store, 'a'), 'none');
    });

    it('a fault in a later obligation takes nothing of the earlier ones', ({ store }) => {
      assert.match(take(store, reserve({ name: 'a' }), reserve({ name: 'b', amount: 'x' })), /^unavailable/);
      assert.equal(used(store, 'a'), 'none');
    });

    it('reads see the value before the call itself, also behind a reserve', ({ store }) => {
      take(store, reserve({ amount: '4' }));
      assert.match(take(store, reserve({ amount: '1' }), read({ op: 'eq', value: '4' })), /^call/);
      assert.equal(take(store, reserve({ amount: '1' }), read({ op: 'eq', value: '6' })), 'refused 1');
      assert.equal(used(store), '5');
    });

    it('each test of a read means what its name says', ({ store }) => {
      take(store, reserve({ amount: '4' }));
      const holds = (t: Parameters<typeof read>[0]): boolean => take(store, read(t)).startsWith('call');
      for (const [op, below, same, above] of [
        ['eq', false, true, false],
        ['neq', true, false, true],
        ['lt', false, false, true],
        ['lte', false, true, true],
        ['gt', true, false, false],
        ['gte', true, true, false],
      ] as const) {
        assert.deepEqual(
          [holds({ op, value: '3.5' }), holds({ op, value: '4.0' }), holds({ op, value: '4.5' })],
          [below, same, above],
          op,
        );
      }
      assert.equal(holds({ op: 'in', values: ['1', '4'] }), true);
      assert.equal(holds({ op: 'in', values: [] }), false);
      assert.equal(holds({ op: 'not_in', values: ['1', '4'] }), false);
      assert.equal(holds({ op: 'not_in', values: ['1'] }), true);
    });

    it('a test that cannot be read is a fault, not a pass', ({ store }) => {
      assert.match(take(store, read({ op: 'neq', value: 'seven' })), /^unavailable/);
      assert.match(take(store, read({ op: 'not_in', values: ['seven'] })), /^unavailable/);
      assert.match(
        take(store, read({ op: 'like', value: '7' } as unknown as Parameters<typeof read>[0])),
        /^unavailable/,
      );
    });

    it('a read that fails tells what is used and nothing asked', ({ store }) => {
      assert.deepEqual(ask(store, 'r', [read({ op: 'gt', value: '0' }, { window: 'minute' })]), {
        kind: 'refused',
        obligation: 0,
        used: '0',
        retryAtMs: Date.UTC(2026, 2, 1, 12, 31),
      });
    });

    it('peek tells what reserve would and takes nothing', ({ store }) => {
      assert.equal(store.peek([reserve({ lte: '1' })]).kind, 'reserved');
      assert.equal(store.peek([reserve({ lte: '1' })]).kind, 'reserved');
      take(store, reserve({ lte: '1' }));
      assert.deepEqual(store.peek([reserve({ lte: '1' })]), ask(store, 'x', [reserve({ lte: '1' })]));
      assert.equal(used(store), '1');
    });

    it('requests handed over together are judged one after the other', ({ store }) => {
      const outcomes = store.reserve(
        ['p', 'q', 'r'].map((reservation) => ({ reservation, obligations: [reserve({ lte: '2' })] })),
      );
      assert.deepEqual(
        outcomes.map((o) => o.kind),
        ['reserved', 'reserved', 'refused'],
      );
      store.settle('q', 'rollback');
      assert.equal(used(store), '1');
    });

    it('a call without obligations is reserved and touches no counter', ({ store }) => {
      assert.deepEqual(ask(store, 'none', []), { kind: 'reserved', id: 'none' });
      assert.deepEqual(store.list(), { ok: true, counters: [] });
    });
  });

  describe(`counters in ${kind.name}: settling`, () => {
    it('a rollback gives back once, a commit never', ({ store }) => {
      const a = take(store, reserve({ amount: '3' }));
      const b = take(store, reserve({ amount: '3' }));
      store.settle(a, 'rollback');
      store.settle(a, 'rollback');
      store.settle(a, 'commit');
      assert.equal(used(store), '3');
      store.settle(b, 'commit');
      store.settle(b, 'rollback');
      assert.equal(used(store), '3');
    });

    it('settling what was never reserved, or was refused, changes nothing', ({ store }) => {
      take(store, reserve({ lte: '1' }));
      assert.equal(ask(store, 'refused-one', [reserve({ lte: '1' })]).kind, 'refused');
      store.settle('refused-one', 'rollback');
      store.settle('unknown', 'rollback');
      assert.equal(used(store), '1');
    });

    it('a rollback gives back all that the call took, from each counter', ({ store }) => {
      const id = take(
        store,
        reserve({ name: 'a', amount: '2' }),
        reserve({ name: 'b' }),
        reserve({ name: 'a', amount: '0.5' }),
      );
      take(store, reserve({ name: 'a' }), reserve({ name: 'b' }));
      store.settle(id, 'rollback');
      assert.deepEqual([used(store, 'a'), used(store, 'b')], ['1', '1']);
    });

    it('an id that is open cannot be reserved again, or one call could give back what the other took', ({
      store,
    }) => {
      assert.equal(ask(store, 'same', [reserve()]).kind, 'reserved');
      assert.equal(ask(store, 'same', [reserve()]).kind, 'unavailable');
      const twice = store.reserve([
        { reservation: 'd', obligations: [reserve()] },
        { reservation: 'd', obligations: [reserve()] },
      ]);
      assert.deepEqual(
        twice.map((o) => o.kind),
        ['reserved', 'unavailable'],
      );
      assert.equal(used(store), '2');
    });

    it('a rollback after the window turned leaves the new window alone', ({ store, clock }) => {
      const id = take(store, reserve({ amount: '5', window: 'hour', lte: '5' }));
      clock.ms += HOUR;
      take(store, reserve({ amount: '4', window: 'hour', lte: '5' }));
      store.settle(id, 'rollback');
      assert.equal(used(store), '4');
    });

    it('after close everything is unavailable and nothing throws', async ({ store }) => {
      const id = take(store, reserve());
      await store.close();
      assert.match(take(store, reserve()), /^unavailable: the counters are closed/);
      assert.equal(store.peek([reserve()]).kind, 'unavailable');
      assert.equal(store.list().ok, false);
      store.settle(id, 'rollback');
    });
  });

  describe(`counters in ${kind.name}: windows`, () => {
    for (const [window, lastMs, retry] of [
      ['minute', Date.UTC(2026, 2, 1, 12, 30, 59, 999), Date.UTC(2026, 2, 1, 12, 31)],
      ['hour', Date.UTC(2026, 2, 1, 12, 59, 59, 999), Date.UTC(2026, 2, 1, 13)],
      ['day', Date.UTC(2026, 2, 1, 23, 59, 59, 999), Date.UTC(2026, 2, 2)],
    ] as const) {
      it(`a ${window} is a calendar ${window} of UTC: full to its last millisecond, empty at the next`, ({
        store,
        clock,
      }) => {
        take(store, reserve({ window, lte: '1' }));
        clock.ms = lastMs;
        const outcome = ask(store, 'late', [reserve({ window, lte: '1' })]);
        assert.deepEqual([outcome.kind, outcome.kind === 'refused' && outcome.retryAtMs], ['refused', retry]);
        clock.ms = retry;
        assert.match(take(store, reserve({ window, lte: '1' })), /^call/);
      });
    }

    it('a clock that jumps back stays in the highest window seen', ({ store, clock }) => {
      take(store, reserve({ window: 'hour', lte: '1' }));
      clock.ms += HOUR;
      take(store, reserve({ window: 'hour', lte: '1' }));
      clock.ms -= HOUR;
      assert.deepEqual(ask(store, 'back', [reserve({ window: 'hour', lte: '1' })]), {
        kind: 'refused',
        obligation: 0,
        used: '1',
        asked: '1',
        retryAtMs: Date.UTC(2026, 2, 1, 14),
      });
      clock.ms -= 30 * DAY;
      assert.match(take(store, reserve({ window: 'hour', lte: '1' })), /^refused/);
    });

    it('a spent window that was cleaned away is not opened again by a clock that jumps back', ({
      store,
      clock,
    }) => {
      take(store, reserve({ name: 'old', window: 'hour', lte: '1' }));
      clock.ms += 2 * HOUR;
      for (let i = 0; i < 300; i++) take(store, reserve({ name: `n${i % 5}`, window: 'hour' }));
      assert.equal(used(store, 'old'), 'none');
      clock.ms = NOON;
      assert.match(
        take(store, reserve({ name: 'old', window: 'hour', lte: '1' })),
        /^call/,
        'a later window than the spent one',
      );
      assert.match(take(store, reserve({ name: 'old', window: 'hour', lte: '1' })), /^refused/);
      const usage = store.list();
      assert.ok(usage.ok);
      assert.equal(usage.counters.find((c) => c.name === 'old')?.startsMs, Date.UTC(2026, 2, 1, 13));
    });

    it('counters of past windows do not pile up', ({ store, clock }) => {
      for (let i = 0; i < 3000; i++) {
        take(store, reserve({ name: `n${i}`, window: 'minute' }));
        clock.ms += 2000;
      }
      const usage = store.list();
      assert.ok(
        usage.ok && usage.counters.length < 1000,
        usage.ok ? String(usage.counters.length) : usage.detail,
      );
    });

    for (const [what, now] of [
      [
        'throws',
        () => {
          throw new Error('no clock');
        },
      ],
      ['is not a number', () => Number.NaN],
      ['is before the epoch', () => -1],
      ['is beyond all dates', () => 1e300],
    ] as const) {
      it(`a clock that ${what} makes limits unavailable`, ({ store, clock }) => {
        Object.defineProperty(clock, 'ms', { get: now, configurable: true });
        assert.match(take(store, reserve()), /^unavailable: the clock/);
        assert.equal(store.peek([reserve()]).kind, 'unavailable');
      });
    }
  });

  describe(`counters in ${kind.name}: whose counter it is`, () => {
    it('scopes, names and windows cannot be mistaken for one another', ({ store }) => {
      const parts: readonly (readonly [string | null, string])[] = [
        [null, 'spend'],
        ['_global', 'spend'],
        ['null', 'spend'],
        ['', 'spend'],
        ['-', 'spend'],
        ['ab', 'c'],
        ['a', 'bc'],
        ['a', 'b.c'],
        ['a.b', 'c'],
        ['a","b', 'c'],
        ['a', '","b","c'],
        ['1:a', 'b'],
        ['\ud800', 'x'],
        ['\ufffd', 'x'],
        ['a'.repeat(5000), 'x'],
        [`${'a'.repeat(4999)}b`, 'x'],
      ];
      for (const [scope, name] of parts) {
        for (const window of ['hour', 'day'] as const) {
          assert.match(
            take(store, reserve({ scope, name, window, lte: '1' })),
            /^call/,
            JSON.stringify([scope?.slice(0, 9), name, window]),
          );
        }
      }
      const usage = store.list();
      assert.ok(usage.ok);
      assert.equal(usage.counters.length, 2 * parts.length);
      assert.deepEqual([...new Set(usage.counters.map((c) => c.used))], ['1']);
    });

    it('list names server, scope, name, window, its bounds and what is used', ({ store }) => {
      take(store, reserve({ scope: null, amount: '2.5' }));
      assert.deepEqual(store.list(), {
        ok: true,
        counters: [
          {
            server: 'github',
            scope: null,
            name: 'spend',
            window: 'day',
            startsMs: Date.UTC(2026, 2, 1),
            endsMs: Date.UTC(2026, 2, 2),
            used: '2.5',
          },
        ],
      });
    });
  });

  describe(`counters in ${kind.name}: any run of events`, () => {
    test('agrees with a plain model while the clock goes on', () => agreesWithModel(kind));
    test('never grants more than the limit in one window, however the clock jumps', () => neverExceeds(kind));
  });
}

type Step =
  | { readonly do: 'reserve'; readonly counters: readonly number[]; readonly amount: number }
  | { readonly do: 'settle'; readonly which: number; readonly how: 'commit' | 'rollback' }
  | { readonly do: 'clock'; readonly by: number };

const LIMITS = [7, 12, 20];
const NAMES = LIMITS.map((_, i) => `n${i}`);

function steps(earliest: number): fc.Arbitrary<Step[]> {
  const amounts = { counters: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }), amount: fc.nat(4) };
  const ways = fc.constantFrom('commit' as const, 'rollback' as const);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('reserve' as const), ...amounts }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(20), how: ways }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('clock' as const), by: fc.integer({ min: earliest, max: 90 }) }),
    },
  );
  return fc.array(step, { maxLength: 60 });
}

function wanted(step: {
  readonly counters: readonly number[];
  readonly amount: number;
}): ReturnType<typeof reserve>[] {
  return step.counters.map((c) =>
    reserve({ name: `n${c}`, window: 'minute', amount: String(step.amount), lte: String(LIMITS[c]) }),
  );
}

type Took = { readonly counter: number; readonly index: number; readonly amount: number };
type Call = { readonly id: string; readonly took: readonly Took[]; settled: boolean };

function runs(kind: Kind): { readonly numRuns: number } {
  return { numRuns: kind.name === 'memory' ? 300 : 60 };
}

async function agreesWithModel(kind: Kind): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps(0), async (run) => {
      const { store, clock, done } = kind.open();
      try {
        const model = LIMITS.map(() => ({ index: -1, used: 0 }));
        const calls: Call[] = [];
        for (const step of run) {
          if (step.do === 'clock') clock.ms += step.by * 1000;
          else if (step.do === 'settle') {
            const call = calls[step.which % Math.max(calls.length, 1)];
            if (call === undefined) continue;
            store.settle(call.id, step.how);
            for (const { counter, index, amount } of call.settled || step.how === 'commit' ? [] : call.took) {
              const m = model[counter];
              if (m?.index === index) m.used -= amount;
            }
            call.settled = true;
          } else {
            const index = Math.floor(clock.ms / 60_000);
            const next = model.map((m) => (index > m.index ? { index, used: 0 } : { ...m }));
            let refusedAt = -1;
            step.counters.forEach((c, i) => {
              const m = next[c];
              if (refusedAt >= 0 || m === undefined) return;
              m.used += step.amount;
              if (m.used > (LIMITS[c] ?? 0)) refusedAt = i;
            });
            const id = take(store, ...wanted(step));
            assert.equal(id.startsWith('call') ? -1 : Number(id.split(' ')[1]), refusedAt);
            if (refusedAt >= 0) continue;
            for (const c of step.counters) model[c] = next[c] ?? { index: -1, used: 0 };
            calls.push({
              id,
              took: step.counters.map((counter) => ({ counter, index, amount: step.amount })),
              settled: false,
            });
          }
        }
      } finally {
        await done();
      }
    }),
    runs(kind),
  );
}

async function neverExceeds(kind: Kind): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps(-180), async (run) => {
      const { store, clock, done } = kind.open();
      try {
        const granted = new Map<string, number>();
        const calls: Call[] = [];
        for (const step of run) {
          if (step.do === 'clock') clock.ms += step.by * 1000;
          else if (step.do === 'settle') {
            const call = calls[step.which % Math.max(calls.length, 1)];
            if (call === undefined) continue;
            store.settle(call.id, step.how);
            for (const { counter, index, amount } of call.settled || step.how === 'commit' ? [] : call.took) {
              granted.set(`${counter}@${index}`, (granted.get(`${counter}@${index}`) ?? 0) - amount);
            }
            call.settled = true;
          } else {
            const id = take(store, ...wanted(step));
            if (!id.startsWith('call')) continue;
            // Which window a counter is in after it was reserved is what the store says itself.
            const usage = store.list();
            assert.ok(usage.ok);
            const took = step.counters.map((counter) => {
              const row = usage.counters.find((c) => c.name === NAMES[counter]);
              return { counter, index: row?.startsMs ?? -1, amount: step.amount };
            });
            calls.push({ id, took, settled: false });
            for (const { counter, index, amount } of took) {
              const sum = (granted.get(`${counter}@${index}`) ?? 0) + amount;
              granted.set(`${counter}@${index}`, sum);
              assert.ok(sum <= (LIMITS[counter] ?? 0), `${sum} of ${LIMITS[counter]} in the window ${index}`);
            }
          }
        }
      } finally {
        await done();
      }
    }),
    runs(kind),
  );
}
