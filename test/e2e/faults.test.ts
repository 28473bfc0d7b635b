/** Rehearsed faults (--inject), --dry-run and --fail-mode open: who is denied, who is not, and how loudly it is said. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllowed, assertDenied, start } from './harness.ts';

const POLICY = `version: "1"
default: deny
hide: [secret]
tools:
  echo: {rules: []}
  bad: {rules: []}
  pay:
    rules:
      - name: small
        conditions:
          - {path: args.amount, op: lte, value: 100}
  twice:
    rules:
      - {name: two a day, rate_limit: 2/day}
`;
const REASONS = {
  hang: 'evaluation_timeout',
  crash: 'evaluation_crash',
  throw: 'evaluation_error',
  oom: 'evaluation_out_of_memory',
} as const;

describe('a rehearsed fault', () => {
  for (const [fault, reason] of Object.entries(REASONS)) {
    test(`${fault} denies its own call with ${reason} and nobody else`, async (t) => {
      const { peer, scratch } = await start(t, { policy: POLICY, flags: ['--inject', `bad=${fault}`] });
      await peer.said(/REHEARSING/i);
      const good = Array.from({ length: 30 }, () => peer.id);
      const bad = peer.id;
      const line = (id: number, name: string): string =>
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}"}}\n`;
      // In one write, so that they share batches.
      peer.write(
        good
          .slice(0, 15)
          .map((id) => line(id, 'echo'))
          .join('') +
          line(bad, 'bad') +
          good
            .slice(15)
            .map((id) => line(id, 'echo'))
            .join(''),
      );
      assertDenied(await peer.answer(bad), reason);
      for (const id of good) assertAllowed(await peer.answer(id), 'ok echo');
      assertAllowed(await peer.call('echo'), 'ok echo');
      assert.equal(scratch.recordedCalls().length, 31);
      const decision = scratch.decisions().find((one) => one['tool'] === 'bad');
      assert.equal(decision?.['reason'], reason);
      assert.equal(decision?.['injected'], true);
      assert.ok(
        !scratch
          .decisions()
          .some((one) => one['tool'] === 'echo' && 'injected' in one && one['injected'] === true),
      );
    });
  }

  test('again and again ends in quarantine, and good calls go on', async (t) => {
    const { peer } = await start(t, { policy: POLICY, flags: ['--inject', 'bad=throw'] });
    const reasons = new Set<string>();
    for (let n = 0; n < 40; n++) {
      const answer = await peer.call('bad');
      reasons.add(
        /\(([a-z_]+), decision/.exec(answer.result?.content?.[0]?.text ?? '')?.[1] ?? JSON.stringify(answer),
      );
      assertAllowed(await peer.call('echo'), 'ok echo');
    }
    assert.deepEqual([...reasons].sort(), ['evaluation_error', 'quarantined']);
  });
});

describe('--dry-run', () => {
  test('forwards what would be denied, and logs that it would be', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, flags: ['--dry-run'] });
    await peer.said(/DRY RUN/i);
    assertAllowed(await peer.call('pay', { amount: 5000 }), 'ok pay');
    assertAllowed(await peer.call('unlisted'), 'ok unlisted');
    for (let n = 0; n < 3; n++) assertAllowed(await peer.call('twice'), 'ok twice');
    const would = scratch
      .decisions()
      .map((decision) => [decision['tool'], decision['effect'], decision['would_deny'] ?? null]);
    assert.deepEqual(would, [
      ['pay', 'allow', 'rule_denied'],
      ['unlisted', 'allow', 'tool_not_listed'],
      ['twice', 'allow', null],
      ['twice', 'allow', null],
      ['twice', 'allow', 'limit_reached'],
    ]);
    for (const decision of scratch.decisions()) assert.equal(decision['mode'], 'dry_run');
  });

  test('still forwards nothing malformed', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, flags: ['--dry-run'] });
    peer.write('{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo","name":"secret"}}\n');
    await peer.message('the error', (m) => m.error !== undefined);
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.equal(scratch.recordedCalls().length, 1);
  });
});

describe('--fail-mode open', () => {
  for (const fault of Object.keys(REASONS)) {
    test(`lets a call through whose evaluation fails (${fault}), and marks it`, async (t) => {
      const { peer, scratch } = await start(t, {
        policy: POLICY,
        flags: ['--fail-mode', 'open', '--inject', `bad=${fault}`],
      });
      await peer.said(/FAIL MODE OPEN/i);
      assertAllowed(await peer.call('bad'), 'ok bad');
      const decision = scratch.decisions().find((one) => one['tool'] === 'bad');
      assert.equal(decision?.['effect'], 'allow');
      assert.equal(decision?.['reason'], 'failed_open');
      assert.equal(decision?.['failure'], REASONS[fault as keyof typeof REASONS]);
      assert.equal(decision?.['fail_mode'], 'open');
    });
  }

  test('leaves every no of the policy a no, and forwards nothing malformed', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, flags: ['--fail-mode', 'open'] });
    assertDenied(await peer.call('pay', { amount: 5000 }), 'rule_denied');
    assertDenied(await peer.call('pay', { amount: 'x' }), 'invalid_argument');
    assertDenied(await peer.call('unlisted'), 'tool_not_listed');
    assertDenied(await peer.call('secret'), 'tool_hidden');
    peer.write('{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo","Name":"secret"}}\n');
    await peer.message('the error', (m) => m.error !== undefined);
    await peer.request('ping');
    assert.deepEqual(scratch.recordedCalls(), []);
  });
});
