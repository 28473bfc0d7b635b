import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { SHARED } from '../fixtures/workers/script.ts';
import { encode, idle, isFailure, isVerdict, openGate, rig, waiting } from './harness.ts';

describe('an evaluation that takes long', () => {
  test('holds up nobody behind it: another lane takes over, and none is judged twice', async () => {
    const { cells, batch, submit, close } = await rig();
    try {
      const slow = submit({ n: 9, do: 'wait' });
      const others = batch('ok', 'ok', 'ok', 'ok', 'ok', 'ok');
      for (const [n, outcome] of (await others).entries()) isVerdict(outcome, n);
      assert.equal(Atomics.load(cells, SHARED.waiting), 1);
      openGate(cells);
      isVerdict(await slow, 9);
      assert.equal(Atomics.load(cells, SHARED.evaluations), 7);
    } finally {
      await close();
    }
  });

  test('and ends in time leaves its lane at work', async () => {
    const { pool, cells, batch, submit, close } = await rig();
    try {
      const slow = submit({ n: 9, do: 'wait' });
      await waiting(cells, 1);
      await batch('ok', 'ok');
      openGate(cells);
      isVerdict(await slow, 9);
      // More than one lane's share, so that the lane that was held up gets some.
      for (let round = 0; round < 20; round++) {
        for (const [n, outcome] of (await batch('ok', 'ok', 'ok', 'ok', 'ok')).entries())
          isVerdict(outcome, n);
      }
      assert.deepEqual([pool.stats().started, pool.stats().ready], [2, 2]);
    } finally {
      await close();
    }
  });

  test('has its time counted apart from the time it waited', async () => {
    const { submit, close } = await rig({ lanes: 1, spares: 0, runTimeoutMs: 60 });
    try {
      const hung = submit({ n: 0, do: 'hang' });
      const next = submit({ n: 1, do: 'ok' });
      const [first, second] = [await hung, await next];
      isFailure(first, 'evaluation_timeout');
      isVerdict(second, 1);
      assert.ok(first.evaluationUs >= 60_000, String(first.evaluationUs));
      assert.ok(second.queueUs >= 60_000, String(second.queueUs));
      assert.ok(second.evaluationUs < second.queueUs);
    } finally {
      await close();
    }
  });
});

describe('a job that waits', () => {
  test('longer than the total time is denied, and the one that runs is not', async () => {
    const { cells, submit, close } = await rig({ lanes: 1, spares: 0, totalTimeoutMs: 40 });
    try {
      const running = submit({ n: 0, do: 'wait' });
      await waiting(cells, 1);
      const late = await submit({ n: 1, do: 'ok' });
      isFailure(late, 'evaluation_timeout');
      assert.equal(late.evaluationUs, 0);
      assert.ok(late.queueUs >= 40_000);
      openGate(cells);
      isVerdict(await running, 0);
    } finally {
      await close();
    }
  });

  test('is one of a bounded number: one more is answered overload at once, but for twice as many reads', async () => {
    const { pool, cells, handle, submit, close } = await rig({ lanes: 1, spares: 0, queueLimit: 3 });
    try {
      const running = submit({ n: 0, do: 'wait' });
      await waiting(cells, 1);
      const outcomes: (JobOutcome | undefined)[] = [];
      const put = (n: number, kind: 'judge' | 'read' | 'server'): void => {
        const done = (outcome: JobOutcome): void => {
          outcomes[n] = outcome;
        };
        pool.submit({ kind, bytes: encode({ n, do: 'ok' }), policy: handle, session: 's', done });
      };
      put(1, 'judge');
      put(2, 'judge');
      put(3, 'judge');
      put(4, 'server');
      assert.deepEqual(outcomes, [], 'no caller is called back while it submits');
      pool.flush();
      isFailure(outcomes[3], 'overload');
      isFailure(outcomes[4], 'overload');
      for (const n of [5, 6, 7, 8]) put(n, 'read');
      pool.flush();
      isFailure(outcomes[8], 'overload');
      assert.deepEqual(
        [1, 2, 5, 6, 7].map((n) => outcomes[n]),
        Array(5).fill(undefined),
      );
      openGate(cells);
      isVerdict(await running, 0);
      await idle(pool);
      isVerdict(await submit({ n: 9, do: 'ok' }), 9);
      for (const n of [1, 2]) isVerdict(outcomes[n], n);
    } finally {
      await close();
    }
  });

  test('is one of a bounded number of bytes', async () => {
    const { cells, submit, close } = await rig({ lanes: 1, spares: 0, queueBytes: 1000 });
    try {
      const running = submit({ n: 0, do: 'wait' });
      await waiting(cells, 1);
      isFailure(await submit({ n: 1, do: 'ok', tool: 'x'.repeat(1000) }), 'overload');
      openGate(cells);
      isVerdict(await running, 0);
    } finally {
      await close();
    }
  });
});

describe('a message', () => {
  for (const [what, length] of [
    ['of a few hundred bytes', 300],
    ['larger than a quarter of the ring', 40_000],
    ['larger than the ring', 3_000_000],
  ] as const) {
    test(`${what} is judged as it is`, async () => {
      const { batch, submit, close } = await rig({ ringBytes: 64 * 1024 });
      try {
        const tool = 'é'.repeat(length / 2);
        const outcomes = await Promise.all([1, 2, 3].map((n) => submit({ n, do: 'ok', tool })));
        for (const [n, outcome] of outcomes.entries()) {
          isVerdict(outcome, n + 1);
          assert.equal(
            outcome.kind === 'verdict' && outcome.verdict.kind === 'call' && outcome.verdict.tool,
            tool,
          );
        }
        // Answers that are larger than the ring as well.
        for (const [n, outcome] of (await batch('large', 'ok', 'large')).entries()) isVerdict(outcome, n);
      } finally {
        await close();
      }
    });
  }

  test('is one of thousands, through rings that hold a few', async () => {
    const { submit, close } = await rig({ ringBytes: 2048, queueLimit: 5000 });
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 3000 }, (_, n) => submit({ n, do: 'ok', tool: 'x'.repeat(n % 400) })),
      );
      for (const [n, outcome] of outcomes.entries()) isVerdict(outcome, n);
    } finally {
      await close();
    }
  });
});
