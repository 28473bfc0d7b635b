import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PoolOptions } from '../../src/pool/pool.ts';
import type { Action } from '../fixtures/workers/script.ts';
import { isFailure, isVerdict, rig } from './harness.ts';

/** The culprit stands third of six; the others are to keep their own verdicts. */
const CULPRITS: readonly {
  readonly act: Action;
  readonly what: string;
  readonly reason: string | null;
  readonly options?: PoolOptions;
}[] = [
  { act: 'throw', what: 'throws an Error', reason: 'evaluation_error' },
  { act: 'throw_string', what: 'throws a string', reason: 'evaluation_error' },
  { act: 'throw_null', what: 'throws null', reason: 'evaluation_error' },
  { act: 'stack', what: 'exhausts the stack', reason: 'evaluation_error' },
  { act: 'hang', what: 'never returns', reason: 'evaluation_timeout', options: { runTimeoutMs: 50 } },
  { act: 'exit', what: 'ends its thread', reason: 'evaluation_crash' },
  { act: 'oom', what: 'exhausts the heap', reason: 'evaluation_out_of_memory' },
  { act: 'reject_later', what: 'leaves rejected promises behind', reason: null },
];

describe('the evaluations of one batch', () => {
  for (const { act, what, reason, options } of CULPRITS) {
    test(`when one ${what}, the others get their own verdicts and the pool is soon whole again`, async () => {
      const { pool, batch, close } = await rig(options);
      try {
        const outcomes = await batch('ok', 'ok', act, 'ok', 'ok', 'ok');
        for (const n of [0, 1, 3, 4, 5]) isVerdict(outcomes[n], n);
        if (reason === null) isVerdict(outcomes[2], 2);
        else isFailure(outcomes[2], reason);
        await pool.ready();
        const { state, inFlight, queued, bytes } = pool.stats();
        assert.deepEqual({ state, inFlight, queued, bytes }, { state: 'up', inFlight: 0, queued: 0, bytes: 0 });
        isVerdict((await batch('ok'))[0], 0);
      } finally {
        await close();
      }
    });
  }
});
