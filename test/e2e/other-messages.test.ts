/** Everything but tool calls passes in order, both ways, with its unknown fields, for every revision. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllowed, assertDenied, type Json, type Peer, start } from './harness.ts';

const POLICY = `version: "1"
default: deny
tools:
  echo: {rules: []}
  ask: {rules: []}
  hold: {rules: []}
  pid: {rules: []}
  say: {rules: []}
  forbidden:
    rules: [{name: never, action: deny}]
`;

const REQUESTS: readonly (readonly [string, Json])[] = [
  ['ping', {}],
  ['resources/list', { cursor: 'a' }],
  ['resources/templates/list', {}],
  ['resources/read', { uri: 'file:///x' }],
  ['resources/subscribe', { uri: 'file:///x' }],
  ['resources/unsubscribe', { uri: 'file:///x' }],
  ['prompts/list', {}],
  ['prompts/get', { name: 'p', arguments: { a: 'b' } }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: 'b' } }],
  ['logging/setLevel', { level: 'debug' }],
  ['tasks/list', {}],
  ['tasks/get', { taskId: 't' }],
  ['tasks/cancel', { taskId: 't' }],
  ['server/discover', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }],
];
const NOTIFICATIONS: readonly string[] = ['notifications/roots/list_changed', 'notifications/initialized'];
const FROM_SERVER: readonly (readonly [string, Json])[] = [
  ['sampling/createMessage', { messages: [], maxTokens: 1, vendor: { x: [1] } }],
  ['elicitation/create', { message: 'm', requestedSchema: { type: 'object', properties: {} } }],
  ['roots/list', {}],
  ['ping', {}],
];

/** Answers the server's next request with `result`, and tells what the request was. */
async function answerNext(peer: Peer, method: string, result: Json): Promise<Json> {
  const { message } = await peer.message(
    `the server's ${method}`,
    (m) => m.method === method && m.id !== undefined,
  );
  peer.send({ id: message.id, result });
  return message.params ?? {};
}

describe('other messages', () => {
  for (const revision of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) {
    test(`requests of the agent pass unchanged and are answered, under ${revision}`, async (t) => {
      const { peer, scratch } = await start(t, { policy: POLICY, initialize: false });
      await peer.initialize({ sampling: {}, vendor: { kept: true } }, revision);
      for (const [method, params] of REQUESTS) {
        const id = peer.id;
        const line = JSON.stringify({
          jsonrpc: '2.0',
          id,
          method,
          params: { ...params, unknown: [1, { kept: null }] },
        });
        peer.write(`${line}\n`);
        const answer = await peer.answer(id);
        assert.ok(answer.result, `${method}: ${JSON.stringify(answer)}`);
        assert.ok(scratch.recorded().includes(line), `${method} did not reach the upstream unchanged`);
      }
      assert.ok(scratch.recorded().some((line) => line.includes('"vendor":{"kept":true}')));
    });
  }

  for (const [method, params] of FROM_SERVER) {
    test(`the server may ask the agent for ${method} while a call is under way`, async (t) => {
      const { peer, scratch } = await start(t, { policy: POLICY });
      const id = peer.id;
      peer.send({ id, method: 'tools/call', params: { name: 'ask', arguments: { method, params } } });
      assert.deepEqual(await answerNext(peer, method, { kept: [1.5, 'é'] }), params);
      assertAllowed(await peer.answer(id), JSON.stringify({ kept: [1.5, 'é'] }));
      assert.ok(scratch.recorded().some((line) => line.includes('"result":{"kept"')));
    });
  }

  test('notifications of the agent pass', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    for (const method of NOTIFICATIONS) peer.send({ method, params: { n: method } });
    await peer.request('ping');
    for (const method of NOTIFICATIONS)
      assert.ok(
        scratch.recorded().some((line) => line.includes(`"n":"${method}"`)),
        method,
      );
  });

  test('progress on a forwarded call reaches the agent, with its token and unknown fields', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    for (const token of ['text', 7]) {
      assertAllowed(await peer.call('echo', {}, { _meta: { progressToken: token } }), 'ok echo');
      const { message } = await peer.message(
        'progress',
        (m) => m.method === 'notifications/progress' && m.params?.['progressToken'] === token,
      );
      assert.deepEqual(message.params?.['extra'], { kept: true });
    }
  });

  test('cancelling a forwarded call reaches the upstream', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const id = peer.id;
    peer.send({ id, method: 'tools/call', params: { name: 'hold' } });
    assertAllowed(await peer.call('echo'), 'ok echo');
    peer.send({ method: 'notifications/cancelled', params: { requestId: id, reason: 'enough' } });
    await peer.request('ping');
    assert.equal(scratch.recorded().filter((line) => line.includes('notifications/cancelled')).length, 1);
  });

  test('cancelling or reporting on a denied call leaves no trace upstream', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const id = peer.id;
    peer.send({
      id,
      method: 'tools/call',
      params: { name: 'forbidden', _meta: { progressToken: 'denied-token' } },
    });
    peer.send({ method: 'notifications/cancelled', params: { requestId: id } });
    peer.send({ method: 'notifications/progress', params: { progressToken: 'denied-token', progress: 1 } });
    await peer.call('echo');
    peer.send({ method: 'notifications/cancelled', params: { requestId: id } });
    await peer.request('ping');
    assert.ok(
      !scratch.recorded().some((line) => line.includes('notifications/cancelled')),
      'the cancellation got through',
    );
    assert.ok(!scratch.recorded().some((line) => line.includes('denied-token')), 'the token got through');
  });

  test('a denied call is answered while an earlier one is still under way', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const held = peer.id;
    peer.send({ id: held, method: 'tools/call', params: { name: 'hold' } });
    assertDenied(await peer.call('forbidden'), 'rule_denied');
    const pid = Number((await peer.call('pid')).result?.content?.[0]?.text);
    process.kill(pid, 'SIGUSR2');
    assertAllowed(await peer.answer(held), 'held');
  });

  test('notifications keep their order among themselves and before the requests that follow them', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    let lines = '';
    for (let n = 0; n < 200; n++)
      lines += `{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{"n":${n}}}\n`;
    peer.write(lines);
    await peer.request('ping');
    const numbers = scratch
      .recorded()
      .flatMap((line) => /"n":(\d+)/.exec(line)?.[1] ?? [])
      .map(Number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 200 }, (_, n) => n),
    );
  });

  test('a stateless request of revision 2026-07-28 is judged and forwarded without a handshake', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, initialize: false });
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'e2e', version: '1' },
    };
    assert.ok((await peer.request('server/discover', { _meta })).result);
    assertAllowed(await peer.call('echo', {}, { _meta }), 'ok echo');
    assertDenied(await peer.call('forbidden', {}, { _meta }), 'rule_denied');
    assert.equal(scratch.recordedCalls().length, 1);
    assert.ok(scratch.recordedCalls()[0]?.includes(JSON.stringify(_meta)));
  });

  test('the retry of a call that needed input is judged again', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const more = { inputResponses: { a: { action: 'accept' } }, requestState: 'opaque' };
    assertAllowed(await peer.call('echo', {}, more), 'ok echo');
    assertDenied(await peer.call('forbidden', {}, more), 'rule_denied');
    assert.equal(scratch.recordedCalls().length, 1);
  });
});
