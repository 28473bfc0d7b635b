import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PoolOptions } from '../../src/pool/pool.ts';
import type { Action } from '../fixtures/workers/script.ts';
import { fixture, isFailure, isVerdict, rig } from './harness.ts';

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
        assert.deepEqual(
          { state, inFlight, queued, bytes },
          { state: 'up', inFlight: 0, queued: 0, bytes: 0 },
        );
        isVerdict((await batch('ok'))[0], 0);
      } finally {
        await close();
      }
    });
  }
});

/** Where the lie cannot be pinned on the culprit at once, it must be there in a second lane: no innocent is denied. */
const LIES: readonly {
  readonly act: Action;
  readonly what: string;
  readonly reason: string | null;
  readonly lanes: number;
}[] = [
  { act: 'garbage', what: 'is answered with what is not JSON', reason: 'evaluation_crash', lanes: 1 },
  {
    act: 'wrong_shape',
    what: 'is answered with what is not a verdict',
    reason: 'evaluation_crash',
    lanes: 1,
  },
  { act: 'wrong_tag', what: 'is answered in an unknown way', reason: 'evaluation_crash', lanes: 1 },
  { act: 'not_sent', what: 'is answered by reference to nothing', reason: 'evaluation_crash', lanes: 1 },
  {
    act: 'again_unknown',
    what: 'is answered like one that was never answered',
    reason: 'evaluation_crash',
    lanes: 1,
  },
  {
    act: 'again_no_id',
    what: 'is answered like another, under what is no id',
    reason: 'evaluation_crash',
    lanes: 1,
  },
  { act: 'again_beyond', what: 'is answered twice, the second time by reference', reason: null, lanes: 1 },
  { act: 'for_another', what: 'is answered in the name of another', reason: 'evaluation_crash', lanes: 2 },
  {
    act: 'absurd_ring',
    what: 'is answered beyond the end of the ring',
    reason: 'evaluation_crash',
    lanes: 2,
  },
  { act: 'twice', what: 'is answered twice', reason: null, lanes: 1 },
];

describe('a lane that lies', () => {
  for (const { act, what, reason, lanes } of LIES) {
    test(`is replaced when an evaluation ${what}; the others get their own verdicts`, async () => {
      const { pool, batch, close } = await rig({ workerFile: fixture('liar') });
      try {
        const outcomes = await batch('ok', 'ok', act, 'ok', 'ok', 'ok');
        for (const n of [0, 1, 3, 4, 5]) isVerdict(outcomes[n], n);
        if (reason === null) isVerdict(outcomes[2], 2);
        else isFailure(outcomes[2], reason);
        assert.equal(pool.stats().lost.distrusted, lanes);
        await pool.ready();
        isVerdict((await batch('ok'))[0], 0);
      } finally {
        await close();
      }
    });
  }
});
