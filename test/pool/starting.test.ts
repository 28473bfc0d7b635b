import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { PolicyLoadError } from '../../src/pool/policies.ts';
import { createPool } from '../../src/pool/pool.ts';
import { encode, fixture, isFailure, isVerdict, openGate, rig, waiting } from './harness.ts';

function rejectsWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof PolicyLoadError && error.code === code;
}

describe('a policy', () => {
  test('that a worker cannot compile is in force nowhere, and the one in force stays', async () => {
    const { pool, batch, loaded, close } = await rig();
    try {
      await assert.rejects(loaded('second', { compile: 'throw' }), rejectsWith('compile_failed'));
      assert.deepEqual([pool.stats().policies, pool.stats().started], [1, 2]);
      isVerdict((await batch('ok'))[0], 0);
    } finally {
      await close();
    }
  });

  test('that kills the worker compiling it is in force nowhere; the worker is replaced', async () => {
    const { pool, batch, loaded, close } = await rig();
    try {
      await assert.rejects(loaded('second', { compile: 'exit' }), rejectsWith('worker_died'));
      isVerdict((await batch('ok'))[0], 0);
      await pool.ready();
      assert.deepEqual([pool.stats().policies, pool.stats().lost.crash], [1, 1]);
    } finally {
      await close();
    }
  });

  test('that hangs the worker compiling it is given up in time; the worker is replaced', async () => {
    const { pool, batch, loaded, close } = await rig({ loadTimeoutMs: 2_000 });
    try {
      await assert.rejects(loaded('second', { compile: 'hang' }), rejectsWith('timed_out'));
      isVerdict((await batch('ok'))[0], 0);
      await pool.ready();
      assert.equal(pool.stats().policies, 1);
    } finally {
      await close();
    }
  });

  test('slow to compile holds up nobody who is judged under another', async () => {
    const { batch, loaded, cells, submit, close } = await rig();
    try {
      const second = loaded('second', { compile: 'wait' });
      await waiting(cells, 1);
      for (const [n, outcome] of (await batch('ok', 'ok', 'ok', 'ok', 'ok', 'ok')).entries())
        isVerdict(outcome, n);
      openGate(cells);
      isVerdict(await submit({ n: 1, do: 'ok' }, { policy: await second }), 1, 'second');
    } finally {
      await close();
    }
  });

  test('that no worker compiles at start-up is refused, and the next one is not', async () => {
    const pool = createPool({ workerFile: fixture('scripted') });
    try {
      const cells = new SharedArrayBuffer(64);
      await assert.rejects(pool.load({ cells, name: 'x', compile: 'exit' }, 'x'), rejectsWith('worker_died'));
      const { handle } = await pool.load({ cells, name: 'first' }, 'y');
      assert.equal(handle, 2);
    } finally {
      await pool.close();
    }
  });

  test('judges what it began with when another is loaded meanwhile, and goes when the last of it has ended', async () => {
    const { pool, cells, handle, loaded, submit, close } = await rig();
    try {
      const begun = submit({ n: 1, do: 'wait' });
      await waiting(cells, 1);
      const loading = loaded('second');
      pool.unload(handle);
      const alsoFirst = submit({ n: 2, do: 'ok' });
      isVerdict(await alsoFirst, 2);
      openGate(cells);
      isVerdict(await begun, 1);
      isVerdict(await submit({ n: 3, do: 'ok' }, { policy: await loading }), 3, 'second');
      while (pool.stats().policies > 1) await new Promise((resolve) => setImmediate(resolve));
      isFailure(await submit({ n: 4, do: 'ok' }), 'evaluation_error');
      const read = await submit({ n: 5, do: 'ok' }, { kind: 'read' });
      assert.equal(read.kind === 'verdict' && read.verdict.kind === 'call' && read.verdict.id, '5');
    } finally {
      await close();
    }
  });
});

describe('a pool', () => {
  test('whose workers fail to start at first comes up by itself', async () => {
    const { pool, batch, close } = await rig({ workerFile: fixture('fails-at-first'), firstRestartMs: 1 });
    try {
      assert.equal(pool.stats().lost.start_failed, 4);
      isVerdict((await batch('ok'))[0], 0);
    } finally {
      await close();
    }
  });

  test('that cannot start a worker denies at once', async () => {
    const pool = createPool({
      workerFile: fixture('fails-to-start'),
      firstRestartMs: 1,
      maxRestartMs: 2,
      loadTimeoutMs: 10,
    });
    try {
      await assert.rejects(pool.load({}, 'digest'), rejectsWith('no_lane'));
      while (pool.stats().state !== 'down') await new Promise((resolve) => setImmediate(resolve));
      const outcome = await new Promise<JobOutcome>((done) => {
        pool.submit({ kind: 'read', bytes: encode({ n: 1, do: 'ok' }), policy: 1, session: 's', done });
      });
      isFailure(outcome, 'evaluation_crash');
    } finally {
      await pool.close();
    }
  });

  test('whose workers die while idle is soon whole again', async () => {
    const { pool, batch, loaded, close } = await rig({ lanes: 2, firstRestartMs: 1 });
    try {
      const doomed = await loaded('second', { onUnload: 'exit' });
      const before = pool.stats();
      pool.unload(doomed);
      while (pool.stats().lost.crash < 3) await new Promise((resolve) => setImmediate(resolve));
      await pool.ready();
      assert.deepEqual([before.started, pool.stats().started, pool.stats().ready], [3, 6, 3]);
      for (const [n, outcome] of (await batch('ok', 'ok', 'ok')).entries()) isVerdict(outcome, n);
    } finally {
      await close();
    }
  });
});
