/** Allowed, denied, hidden, limited: what an agent sees, what reaches the upstream, and what the decision log says. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllowed, assertDenied, start, textOf } from './harness.ts';

const POLICY = `version: "1"
default: deny
hide: [secret]
tools:
  echo:
    rules: []
  pay:
    rules:
      - name: small amounts
        conditions:
          - path: args.amount
            op: lte
            value: 100
        on_deny: At most 100.
  forbidden:
    rules:
      - name: never this
        action: deny
        on_deny: Not from here.
  twice:
    rules:
      - name: two a day
        rate_limit: 2/day
`;
const recording = ['--tools', 'echo,pay,forbidden,twice,secret,other,rpc_error'];

describe('portcullis run', () => {
  test('lets an allowed call through and brings the upstream’s answer back', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    assertAllowed(await peer.call('echo', { text: 'x' }), 'ok echo');
    assertAllowed(await peer.call('pay', { amount: 100 }), 'ok pay');
    assert.equal(scratch.recordedCalls().length, 2);
  });

  test('denies with a reason a model can act on, and the upstream never hears of it', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    const tooMuch = assertDenied(await peer.call('pay', { amount: 101 }), 'rule_denied');
    assert.match(tooMuch.message, /At most 100\./);
    assert.match(tooMuch.message, /small amounts/);
    const wrongType = assertDenied(await peer.call('pay', { amount: 'lots-of-money' }), 'invalid_argument');
    assert.match(wrongType.message, /amount/);
    assert.match(wrongType.message, /string/);
    assert.match(wrongType.message, /number/);
    assert.doesNotMatch(wrongType.message, /lots-of-money/);
    assertDenied(await peer.call('pay', {}), 'invalid_argument');
    assert.match(assertDenied(await peer.call('forbidden'), 'rule_denied').message, /Not from here\./);
    assertDenied(await peer.call('other'), 'tool_not_listed');
    assertDenied(await peer.call('secret'), 'tool_hidden');
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.equal(scratch.recordedCalls().length, 1, 'only the last call reached the upstream');
  });

  test('lists only what is visible, whatever the page', async (t) => {
    const { peer } = await start(t, { policy: POLICY, recording: [...recording, '--page', '2'] });
    const names: string[] = [];
    let cursor: unknown;
    do {
      const answer = await peer.request('tools/list', cursor === undefined ? {} : { cursor });
      names.push(...((answer.result?.['tools'] ?? []) as { name: string }[]).map((tool) => tool.name));
      cursor = answer.result?.['nextCursor'];
    } while (cursor !== undefined);
    assert.ok(names.includes('echo'));
    assert.ok(!names.includes('secret'));
    assert.ok(!peer.seen.some((seen) => seen.text.includes('secret')), 'the hidden name reached the agent');
  });

  test('stops at a limit, says when to retry, and a denied call takes nothing from it', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    assertAllowed(await peer.call('twice'), 'ok twice');
    assertAllowed(await peer.call('twice'), 'ok twice');
    const denied = assertDenied(await peer.call('twice'), 'limit_reached');
    assert.match(denied.message, /two a day/);
    assert.match(denied.message, /\d{4}-\d\d-\d\dT|retry|again/i);
    assertDenied(await peer.call('twice'), 'limit_reached');
    assert.equal(scratch.recordedCalls().length, 2);
  });

  test('a denied tools/call notification is answered with nothing, forwarded to nobody, and logged', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    const before = peer.seen.length;
    peer.send({ method: 'tools/call', params: { name: 'forbidden', arguments: {} } });
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.equal(peer.seen.length, before + 1);
    assert.equal(scratch.recordedCalls().length, 1);
    assert.equal(scratch.decisions().filter((decision) => decision['tool'] === 'forbidden').length, 1);
  });

  test('a call that asks to run as a task is judged like any other', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    assertDenied(await peer.call('pay', { amount: 101 }, { task: { ttl: 60000 } }), 'rule_denied');
    assertAllowed(await peer.call('pay', { amount: 1 }, { task: { ttl: 60000 } }), 'ok pay');
    assert.equal(scratch.recordedCalls().length, 1);
    assert.match(scratch.recordedCalls()[0] ?? '', /"task":\{"ttl":60000\}/);
  });

  test('puts one line on record for each decision, before its effect', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    await peer.call('pay', { amount: 1, note: 'a-value-of-the-agent' });
    const denied = assertDenied(await peer.call('pay', { amount: 5000 }), 'rule_denied');
    const decisions = scratch.decisions();
    assert.equal(decisions.length, 2);
    const [first, second] = decisions;
    assert.equal(first?.['effect'], 'allow');
    assert.equal(first?.['reason'], 'allowed');
    assert.equal(first?.['tool'], 'pay');
    assert.equal(second?.['effect'], 'deny');
    assert.equal(second?.['reason'], 'rule_denied');
    assert.equal(second?.['id'], denied.decision);
    assert.equal(typeof second?.['session'], 'string');
    assert.equal(second?.['server'], 'policy');
    for (const key of ['queue_us', 'evaluation_us', 'total_us'])
      assert.equal(typeof second?.[key], 'number', key);
    assert.match(String(second?.['policy_digest']), /[0-9a-f]{16}/);
    assert.doesNotMatch(JSON.stringify(decisions), /a-value-of-the-agent/);
  });

  test('stdout carries protocol messages and nothing else', async (t) => {
    const { peer } = await start(t, {
      policy: POLICY,
      recording,
      flags: ['--dry-run', '--inject', 'echo=throw', '--log-level', 'debug'],
    });
    await peer.call('echo');
    await peer.call('pay', { amount: 5000 });
    peer.write('nonsense\n');
    await peer.message('the error for nonsense', (m) => m.error !== undefined && m.id === null);
    peer.end();
    await peer.exit();
    assert.deepEqual(peer.garbage, []);
    for (const { message, text } of peer.seen) assert.equal(message.jsonrpc, '2.0', text);
  });

  test('a denial has exactly this shape', async (t) => {
    const { peer } = await start(t, { policy: POLICY, recording });
    peer.write('{"jsonrpc":"2.0","id":"the id","method":"tools/call","params":{"name":"forbidden"}}\n');
    const answer = await peer.answer('the id');
    const decision = assertDenied(answer, 'rule_denied').decision;
    assert.deepEqual(Object.keys(answer).sort(), ['id', 'jsonrpc', 'result']);
    assert.equal(answer.result?.content?.length, 1);
    assert.equal(answer.result?.content?.[0]?.type, 'text');
    assert.ok(textOf(answer).endsWith(`(rule_denied, decision ${decision})`), textOf(answer));
    assert.equal(answer.result?.isError, true);
  });
});
