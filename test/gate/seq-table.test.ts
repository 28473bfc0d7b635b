import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SeqTable } from '../../src/gate/seq-table.ts';

describe('a table by running number', () => {
  test('holds what a map holds, whatever comes and goes', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ take: fc.nat(400) }),
      fc.record({ burst: fc.nat(300) }),
      fc.record({ takeAllBut: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new SeqTable<string>();
        const model = new Map<number, string>();
        let last = 0;
        const add = (gap: number): void => {
          last += gap;
          table.add(last, `v${last}`);
          model.set(last, `v${last}`);
        };
        for (const s of steps) {
          if ('add' in s) add(s.add);
          else if ('burst' in s) for (let i = 0; i < s.burst; i++) add(1);
          else if ('take' in s) {
            const seq = Math.max(0, last - s.take);
            assert.equal(table.take(seq), model.get(seq));
            model.delete(seq);
          } else
            for (const seq of [...model.keys()].slice(s.takeAllBut)) {
              assert.equal(table.take(seq), model.get(seq));
              model.delete(seq);
            }
          assert.equal(table.size, model.size);
          assert.deepEqual(table.values(), [...model.values()]);
          for (const seq of [0, 1, last, last + 1, last - 200]) assert.equal(table.get(seq), model.get(seq));
        }
      }),
    );
  });

  test('keeps an old entry while very many come and go, and does not grow with them', () => {
    const table = new SeqTable<number>();
    table.add(1, 1);
    for (let seq = 2; seq < 100_000; seq++) {
      table.add(seq, seq);
      if (seq % 10_000 !== 0) table.take(seq);
    }
    assert.deepEqual(
      table.values(),
      [1, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000, 80_000, 90_000],
    );
    assert.equal(table.get(1), 1);
    assert.equal(table.take(10_000), 10_000);
    assert.equal(table.take(10_000), undefined);
    assert.equal(table.size, 9);
  });

  test('refuses a number that was given before', () => {
    const table = new SeqTable<number>();
    table.add(5, 5);
    assert.throws(() => table.add(5, 6), RangeError);
    assert.equal(table.get(5), 5);
  });
});
