import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DENY_REASONS, type DenyReason } from '../../src/decision/reason.ts';
import { decide } from '../../src/gate/decide.ts';

const FAILURES: readonly DenyReason[] = [
  'evaluation_timeout',
  'evaluation_error',
  'evaluation_crash',
  'evaluation_out_of_memory',
];
const NEVER_REHEARSED: readonly DenyReason[] = [
  'malformed_message',
  'unknown_method',
  'log_unavailable',
  'upstream_unavailable',
  'upstream_timeout',
  'daemon_unavailable',
  'cancelled',
];

describe('a decision', () => {
  test('allows where nothing stands against the call, in every mode', () => {
    for (const mode of ['enforce', 'dry_run'] as const) {
      for (const failMode of ['closed', 'open'] as const) {
        const { effect, reason, wouldDeny, failure } = decide(null, mode, failMode);
        assert.deepEqual([effect, reason, wouldDeny, failure], ['allow', 'allowed', undefined, undefined]);
      }
    }
  });

  for (const reason of DENY_REASONS) {
    const refusal = { reason, message: 'why' };
    test(`denies for ${reason} when it is enforced and fails closed`, () => {
      const outcome = decide(refusal, 'enforce', 'closed');
      assert.deepEqual([outcome.effect, outcome.reason, outcome.wouldDeny], ['deny', reason, undefined]);
    });

    test(`${FAILURES.includes(reason) ? 'lets through' : 'denies'} for ${reason} with an open fail mode`, () => {
      for (const mode of ['enforce', 'dry_run'] as const) {
        const outcome = decide(refusal, mode, 'open');
        if (FAILURES.includes(reason)) {
          assert.deepEqual(
            [outcome.effect, outcome.reason, outcome.failure],
            ['allow', 'failed_open', reason],
          );
          assert.match(outcome.message, /fail mode is open.*why/);
        } else if (mode === 'enforce') assert.deepEqual([outcome.effect, outcome.reason], ['deny', reason]);
      }
    });

    test(`${NEVER_REHEARSED.includes(reason) ? 'denies' : 'lets through'} for ${reason} in a dry run`, () => {
      const outcome = decide(refusal, 'dry_run', 'closed');
      if (NEVER_REHEARSED.includes(reason))
        assert.deepEqual([outcome.effect, outcome.reason], ['deny', reason]);
      else
        assert.deepEqual([outcome.effect, outcome.reason, outcome.wouldDeny], ['allow', 'allowed', reason]);
    });

    test(`denies for ${reason} in every mode where it is final`, () => {
      for (const mode of ['enforce', 'dry_run'] as const) {
        for (const failMode of ['closed', 'open'] as const) {
          assert.equal(decide({ ...refusal, final: true }, mode, failMode).effect, 'deny');
        }
      }
    });
  }

  test('denies under evaluation_error for a reason that nobody knows', () => {
    const refusal = { reason: 'allowed' as DenyReason, message: 'm' };
    for (const mode of ['enforce', 'dry_run'] as const) {
      const { effect, reason } = decide(refusal, mode, 'open');
      assert.deepEqual([effect, reason], ['deny', 'evaluation_error']);
    }
  });

  test("holds the rule's own words before what was wrong, once", () => {
    const refusal = {
      reason: 'rule_denied' as const,
      message: 'the amount is too high',
      onDeny: 'Ask a human.',
    };
    assert.equal(decide(refusal, 'enforce', 'closed').message, 'Ask a human. (the amount is too high)');
    const composed = { ...refusal, message: 'Ask a human. (the amount is too high)' };
    assert.equal(decide(composed, 'enforce', 'closed').message, 'Ask a human. (the amount is too high)');
  });
});
