/** The policy file changes while calls go on: a good one takes over in one step, any other leaves the old one in force. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { assertAllowed, assertDenied, eventually, start, textOf } from './harness.ts';

const policy = (limit: number): string => `version: "1"
default: deny
hide: [secret]
tools:
  pay:
    rules:
      - name: small
        conditions:
          - {path: args.amount, op: lte, value: ${limit}}
        on_deny: At most ${limit}.
`;

describe('hot reload', () => {
  test('a changed file that is valid takes over, and decisions name its digest', async (t) => {
    const { peer, scratch } = await start(t, { policy: policy(10) });
    assert.match(assertDenied(await peer.call('pay', { amount: 50 }), 'rule_denied').message, /At most 10\./);
    scratch.writePolicy(policy(100));
    await eventually(
      'the new policy',
      async () => (await peer.call('pay', { amount: 50 })).result?.isError !== true,
    );
    assert.match(
      assertDenied(await peer.call('pay', { amount: 500 }), 'rule_denied').message,
      /At most 100\./,
    );
    const digests = scratch.decisions().map((decision) => decision['policy_digest']);
    assert.notEqual(digests[0], digests.at(-1));
    assert.equal(new Set(digests).size, 2);
  });

  test('a file put in place by renaming, as editors do, takes over, more than once', async (t) => {
    const { peer, scratch } = await start(t, { policy: policy(10) });
    for (const limit of [20, 30, 40]) {
      writeFileSync(`${scratch.policyFile}.new`, policy(limit));
      renameSync(`${scratch.policyFile}.new`, scratch.policyFile);
      await eventually(`the limit of ${limit}`, async () =>
        textOf(await peer.call('pay', { amount: 1000 })).includes(`At most ${limit}.`),
      );
      assertAllowed(await peer.call('pay', { amount: limit }), 'ok pay');
    }
  });

  test('a changed file with a fault is reported with its place and leaves the old policy in force', async (t) => {
    const { peer, scratch } = await start(t, { policy: policy(10) });
    scratch.writePolicy(policy(100).replace('op: lte', 'op: lower'));
    await peer.said(/lower/);
    assertAllowed(await peer.call('pay', { amount: 10 }), 'ok pay');
    assertDenied(await peer.call('pay', { amount: 50 }), 'rule_denied');
    scratch.writePolicy(policy(100));
    await eventually(
      'the mended policy',
      async () => (await peer.call('pay', { amount: 50 })).result?.isError !== true,
    );
  });

  test('a file that was emptied or deleted leaves the old policy in force', async (t) => {
    const { peer, scratch } = await start(t, { policy: policy(10) });
    scratch.writePolicy('');
    await peer.said(/stays/);
    assertDenied(await peer.call('pay', { amount: 50 }), 'rule_denied');
    const said = peer.stderr.length;
    rmSync(scratch.policyFile);
    await peer.until('the missing file to be reported', () => /stays/.test(peer.stderr.slice(said)));
    assertAllowed(await peer.call('pay', { amount: 10 }), 'ok pay');
    assertDenied(await peer.call('pay', { amount: 50 }), 'rule_denied');
  });

  test('no call falls between two policies while they change under load', async (t) => {
    const { peer, scratch } = await start(t, { policy: policy(10) });
    let limit = 10;
    for (let round = 0; round < 5; round++) {
      limit += 10;
      scratch.writePolicy(policy(limit));
      const ids = Array.from({ length: 200 }, () => peer.id);
      for (const id of ids)
        peer.send({ id, method: 'tools/call', params: { name: 'pay', arguments: { amount: 1000 } } });
      for (const id of ids) assertDenied(await peer.answer(id), 'rule_denied');
    }
    assert.deepEqual(scratch.recordedCalls(), []);
  });
});
