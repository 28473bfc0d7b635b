import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { encode, isFailure, rig, waiting } from './harness.ts';

describe('closing a pool', () => {
  test('gives every job under way an outcome, and refuses those that come later', async () => {
    const { pool, cells, handle, submit, batch } = await rig({ lanes: 1, spares: 0 });
    const running = submit({ n: 0, do: 'wait' });
    await waiting(cells, 1);
    const others = batch('ok', 'ok', 'ok');
    const inReturn: JobOutcome[] = [];
    pool.submit({
      kind: 'judge',
      bytes: encode({ n: 9, do: 'ok' }),
      policy: handle,
      session: 's',
      done: () => {
        const done = (outcome: JobOutcome): void => void inReturn.push(outcome);
        pool.submit({ kind: 'read', bytes: encode({ n: 9, do: 'ok' }), policy: handle, session: 's', done });
      },
    });
    const closed = pool.close();
    for (const outcome of [await running, ...(await others)]) isFailure(outcome, 'evaluation_crash');
    await closed;
    assert.equal(inReturn.length, 1);
    isFailure(inReturn[0], 'evaluation_crash');
    isFailure(await submit({ n: 1, do: 'ok' }), 'evaluation_crash');
    assert.equal(pool.stats().state, 'closed');
    await assert.rejects(pool.load({}, 'digest'), /closed/);
    await assert.rejects(pool.ready(), /closed/);
  });

  test('twice is closing once', async () => {
    const { pool } = await rig();
    assert.equal(pool.close(), pool.close());
    await pool.close();
  });

  test('before it has started ends what was starting', async () => {
    const { createPool } = await import('../../src/pool/pool.ts');
    const pool = createPool();
    const ready = assert.rejects(pool.ready(), /closed/);
    const loading = assert.rejects(pool.load({}, 'digest'), { code: 'closed' });
    await pool.close();
    await Promise.all([ready, loading]);
  });

  test('at any point of its start leaves the process alive', () => {
    const child = spawnSync(process.execPath, [
      fileURLToPath(new URL('./child-close-early.js', import.meta.url)),
    ]);
    assert.equal(child.stdout.toString(), 'closed 60\n', child.stderr.toString());
    assert.equal(child.status, 0);
  });
});

describe('a caller', () => {
  test('that throws on its outcome takes no other job along', async () => {
    const { pool, handle, batch, notes, close } = await rig();
    try {
      const done = (): never => {
        throw new Error('of its own');
      };
      pool.submit({ kind: 'judge', bytes: encode({ n: 9, do: 'ok' }), policy: handle, session: 's', done });
      const outcomes = await batch('ok', 'ok');
      assert.deepEqual(
        outcomes.map((outcome) => outcome.kind),
        ['verdict', 'verdict'],
      );
      assert.match(notes.join(), /a caller failed/);
    } finally {
      await close();
    }
  });

  test('alone and at once has its answer when flush returns, as long as evaluations are quick', async () => {
    const { pool, handle, batch, close } = await rig();
    try {
      await batch('ok', 'ok', 'ok');
      let inTime = 0;
      for (let n = 0; n < 2000 && inTime === 0; n++) {
        const outcome = new Promise<void>((resolve) => {
          let flushed = false;
          const done = (): void => {
            if (!flushed) inTime += 1;
            resolve();
          };
          pool.submit({ kind: 'judge', bytes: encode({ n, do: 'ok' }), policy: handle, session: 's', done });
          pool.flush();
          flushed = true;
        });
        await outcome;
      }
      assert.ok(inTime > 0);
    } finally {
      await close();
    }
  });
});
