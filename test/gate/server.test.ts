import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServerReading, ToolListing } from '../../src/decision/verdict.ts';
import { call, decisionIn, deny, LIMITED, only, Rig, replyIn, types } from './harness.ts';

const LISTING: ToolListing = { names: ['pay/out'], tools: [], cuts: [[10, 20]], hidden: 1 };
const result = (id: string): ServerReading => ({ kind: 'response', id, outcome: 'result' });
const ping = { kind: 'request', id: '"p"', method: 'ping' } as const;

describe('an answer of the server', () => {
  test('is passed on once; a second one and one that nobody asked for are not', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    assert.deepEqual(types(rig.answer('1')), ['settle', 'relay']);
    assert.deepEqual(types(rig.answer('1')), ['discard']);
    assert.deepEqual(types(rig.answer('9')), ['discard']);
  });

  test('counts only under exactly the id that was asked under', () => {
    const rig = new Rig();
    rig.forwarded('1');
    assert.deepEqual(types(rig.answer('"1"')), ['discard']);
    assert.deepEqual(types(rig.answer('1')), ['relay']);
  });

  test('to a request that is not with the server is not passed on', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1'));
    assert.deepEqual(types(rig.answer('1')), ['discard'], 'not forwarded yet');
    rig.recorded(seq);
    assert.deepEqual(types(rig.answer('1')), ['relay']);
    rig.send(call('2', { ruling: deny() }));
    assert.deepEqual(types(rig.answer('2')), ['discard'], 'denied');
  });

  test('that lists tools is passed on with its cuts, in a dry run without', () => {
    for (const mode of ['enforce', 'dry_run'] as const) {
      const rig = new Rig({ mode });
      rig.send({ kind: 'request', id: '1', method: 'tools/list' });
      const relay = only(
        rig.server({ kind: 'response', id: '1', outcome: 'result', listing: LISTING }),
        'relay',
      );
      assert.deepEqual(relay.listing, mode === 'enforce' ? LISTING : undefined);
    }
  });

  test('is cut whatever it answers', () => {
    const rig = new Rig();
    rig.forwarded('1');
    const relay = only(
      rig.server({ kind: 'response', id: '1', outcome: 'result', listing: LISTING }),
      'relay',
    );
    assert.deepEqual(relay.listing, LISTING);
  });
});

describe("the server's messages", () => {
  test('are acted on in the order they came, however they were read', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.forwarded('2');
    for (let sseq = 1; sseq <= 4; sseq++) {
      assert.deepEqual(rig.do({ type: 'server_message', sseq }), [{ type: 'read_server', sseq, policy: 1 }]);
    }
    const read = (sseq: number, reading: ServerReading): unknown[] =>
      rig.do({ type: 'server_read', sseq, reading });
    assert.deepEqual(read(3, { kind: 'notification', method: 'notifications/message' }), []);
    assert.deepEqual(read(2, result('2')), []);
    assert.deepEqual(
      read(1, result('1')),
      [1, 2, 3].map((sseq) => ({ type: 'relay', sseq })),
    );
    assert.deepEqual(read(4, ping), [{ type: 'relay', sseq: 4 }]);
    rig.assertEmpty();
  });

  test('are read under the policy in force', () => {
    const rig = new Rig();
    rig.do({ type: 'policy', policy: { handle: 2, digest: 'd2' } });
    assert.equal(only(rig.do({ type: 'server_message', sseq: 1 }), 'read_server').policy, 2);
  });

  test('are not acted on twice', () => {
    const rig = new Rig();
    rig.do({ type: 'server_message', sseq: 1 });
    rig.do({ type: 'server_message', sseq: 2 });
    rig.do({ type: 'server_read', sseq: 2, reading: ping });
    assert.deepEqual(types(rig.do({ type: 'server_read', sseq: 2, reading: ping })), ['note']);
    assert.deepEqual(types(rig.do({ type: 'server_read', sseq: 1, reading: { ...ping, id: '2' } })), [
      'relay',
      'relay',
    ]);
    assert.deepEqual(types(rig.do({ type: 'server_read', sseq: 1, reading: ping })), ['note']);
  });
});

describe('a request of the server', () => {
  test('is passed on; another under an id in use is not', () => {
    const rig = new Rig();
    assert.deepEqual(types(rig.server({ ...ping, id: '1' })), ['relay']);
    for (const id of ['1', '"1"']) assert.deepEqual(types(rig.server({ ...ping, id })), ['discard']);
    rig.send({ kind: 'response', id: '1' });
    assert.deepEqual(types(rig.server({ ...ping, id: '1' })), ['relay']);
  });

  test('that the server cancels is owed no answer', () => {
    const rig = new Rig();
    rig.server({ ...ping, id: '1' });
    const cancel = { kind: 'notification', method: 'notifications/cancelled', cancels: '1' } as const;
    assert.deepEqual(types(rig.server(cancel)), ['relay']);
    assert.deepEqual(types(rig.send({ kind: 'response', id: '1' }).effects), ['note', 'drop']);
  });

  test('beyond the bound is not passed on', () => {
    const rig = new Rig({ maxPending: 2 });
    rig.server({ ...ping, id: '1' });
    rig.server({ ...ping, id: '2' });
    assert.deepEqual(types(rig.server({ ...ping, id: '3' })), ['discard']);
  });
});

describe('nonsense of the server', () => {
  test('about a pending request ends that request with an error, its quota kept', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    const effects = rig.server({ kind: 'malformed', message: 'duplicate keys', id: '1' });
    assert.deepEqual(types(effects), ['settle', 'reply', 'discard']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
    const reply = replyIn(effects);
    assert.ok(reply.kind === 'error' && reply.id === '1' && reply.code === -32000);
    assert.equal(reply.reason, 'upstream_unavailable');
    assert.match(reply.message, /nonsense/);
    rig.assertEmpty();
  });

  test('about a cancelled request ends it in silence', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.send({ kind: 'notification', method: 'notifications/cancelled', cancels: '1' });
    assert.deepEqual(types(rig.server({ kind: 'malformed', message: 'x', id: '1' })), ['discard']);
    rig.assertEmpty();
  });

  test('about nothing, unread or too long is discarded, in its place in the order', () => {
    const rig = new Rig();
    rig.forwarded('1');
    assert.deepEqual(types(rig.server({ kind: 'malformed', message: 'x' })), ['discard']);
    assert.deepEqual(types(rig.server({ kind: 'malformed', message: 'x', id: '9' })), ['discard']);
    rig.do({ type: 'server_message', sseq: 3 });
    assert.deepEqual(rig.do({ type: 'server_oversize', sseq: 4, maxBytes: 10 }), []);
    const failed = { kind: 'failed', detail: 'too slow' } as const;
    assert.deepEqual(types(rig.do({ type: 'server_read', sseq: 3, reading: failed })), [
      'discard',
      'discard',
    ]);
    rig.sseq = 4;
    assert.deepEqual(types(rig.answer('1')), ['relay']);
  });
});

describe('silence of the server', () => {
  test('past the deadline ends the request with an error, quota kept, and tells the server; a late answer is discarded', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    assert.deepEqual(rig.pass(1000), []);
    const effects = rig.pass(1);
    assert.deepEqual(types(effects), ['settle', 'reply', 'cancel_upstream']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
    assert.equal(only(effects, 'cancel_upstream').id, '1');
    const reply = replyIn(effects);
    assert.ok(reply.kind === 'error' && reply.code === -32001 && reply.reason === 'upstream_timeout');
    assert.deepEqual(types(rig.answer('1')), ['discard']);
    assert.deepEqual(rig.pass(5000), []);
    rig.assertEmpty();
  });

  test('counts from the forwarding, and anew from each progress on the request', () => {
    const rig = new Rig();
    rig.forwarded('1', { progressToken: '"t"' });
    rig.pass(900);
    rig.forwarded('2');
    const report = { kind: 'notification', method: 'notifications/progress', progressToken: '"t"' } as const;
    assert.deepEqual(types(rig.server(report)), ['relay']);
    rig.pass(900);
    rig.server(report);
    assert.equal(replyIn(rig.pass(101)).id, '2');
    assert.equal(replyIn(rig.pass(900)).id, '1');
    assert.deepEqual(types(rig.server(report)), ['relay']);
    rig.assertEmpty();
  });

  test('is not renewed by progress under another token', () => {
    const rig = new Rig();
    rig.forwarded('1', { progressToken: '5' });
    rig.pass(900);
    rig.server({ kind: 'notification', method: 'notifications/progress', progressToken: '"5"' });
    assert.equal(replyIn(rig.pass(101)).id, '1');
  });

  test('on a handshake is not told to the server, which must not be sent a cancellation of it', () => {
    const rig = new Rig();
    rig.send({ kind: 'request', id: '1', method: 'initialize' });
    assert.deepEqual(types(rig.pass(1001)), ['reply']);
  });

  test('on a subscription, which is open until one side ends it, means nothing until it is cancelled', () => {
    const rig = new Rig();
    rig.send({ kind: 'request', id: '1', method: 'subscriptions/listen' });
    assert.deepEqual(rig.pass(1_000_000), []);
    rig.send({ kind: 'notification', method: 'notifications/cancelled', cancels: '1' });
    assert.deepEqual(rig.pass(1001), []);
    rig.assertEmpty();
  });
});

describe("the upstream's end", () => {
  const close = { type: 'upstream_closed', detail: 'it exited with code 3' } as const;

  test('answers every pending request with an error, quota kept, and cancelled ones with nothing', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    rig.send({ kind: 'request', id: '2', method: 'ping' });
    rig.forwarded('3', { ruling: LIMITED });
    rig.send({ kind: 'notification', method: 'notifications/cancelled', cancels: '3' });
    const effects = rig.do(close);
    assert.deepEqual(types(effects), ['settle', 'reply', 'reply', 'settle']);
    for (const effect of effects) {
      if (effect.type === 'settle') assert.equal(effect.settlement, 'commit');
      if (effect.type === 'reply') {
        assert.ok(effect.reply.kind === 'error' && effect.reply.code === -32000);
        assert.match(effect.reply.message, /exited with code 3/);
      }
    }
    rig.assertEmpty();
    assert.deepEqual(rig.do(close), [], 'once');
  });

  test('lets count what it had said before, read or not', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.forwarded('2');
    rig.do({ type: 'server_message', sseq: 1 });
    assert.deepEqual(rig.do(close), []);
    const effects = rig.do({ type: 'server_read', sseq: 1, reading: result('1') });
    assert.deepEqual(types(effects), ['relay', 'reply']);
    assert.equal(replyIn(effects).id, '2');
    assert.deepEqual(types(rig.do({ type: 'server_message', sseq: 2 })), ['discard'], 'the dead say nothing');
  });

  test('leaves nothing to be forwarded: requests are answered the same, the rest dropped', () => {
    for (const options of [{}, { mode: 'dry_run' }, { failMode: 'open' }] as const) {
      const rig = new Rig(options);
      rig.do(close);
      const allowed = rig.send(call('1', { ruling: LIMITED }));
      assert.deepEqual(types(allowed.effects), ['record'], 'nothing is reserved');
      assert.deepEqual(
        [decisionIn(allowed.effects).effect, decisionIn(allowed.effects).reason],
        ['deny', 'upstream_unavailable'],
      );
      const reply = replyIn(rig.recorded(allowed.seq));
      assert.ok(reply.kind === 'error' && reply.code === -32000 && reply.decision !== undefined);
      assert.deepEqual(types(rig.send({ kind: 'request', id: '2', method: 'ping' }).effects), [
        'drop',
        'reply',
      ]);
      assert.deepEqual(
        types(rig.send({ kind: 'notification', method: 'notifications/initialized' }).effects),
        ['drop'],
      );
      rig.assertEmpty();
    }
  });

  test('between a reservation and its answer gives it back', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1', { ruling: LIMITED }));
    rig.do(close);
    const effects = rig.reserved(seq);
    assert.deepEqual(types(effects), ['settle', 'record']);
    assert.equal(only(effects, 'settle').settlement, 'rollback');
    assert.equal(decisionIn(effects).reason, 'upstream_unavailable');
    assert.deepEqual(types(rig.recorded(seq)), ['drop', 'reply']);
    rig.assertEmpty();
  });

  test('while an allow is put on record, or held, adds a record that denies under the same id', () => {
    for (const held of [false, true]) {
      const rig = new Rig();
      const blocker = held ? rig.arrive(true) : 0;
      const { seq } = rig.send(call('1', { ruling: LIMITED }));
      const allowed = decisionIn(rig.reserved(seq));
      const first = held ? rig.recorded(seq) : [];
      assert.deepEqual(first, []);
      const closing = rig.do(close);
      const effects = held ? closing : rig.recorded(seq);
      assert.deepEqual(types(effects), ['settle', 'record']);
      const denied = decisionIn(effects);
      assert.deepEqual(
        [denied.id, denied.effect, denied.reason],
        [allowed.id, 'deny', 'upstream_unavailable'],
      );
      assert.deepEqual(types(rig.recorded(seq)), ['drop', 'reply']);
      if (held) rig.judged(blocker, { kind: 'notification', method: 'x' });
      rig.assertEmpty();
    }
  });

  test('ends what was held: requests are answered, the rest dropped', () => {
    const rig = new Rig();
    const blocker = rig.arrive(true);
    rig.send({ kind: 'notification', method: 'n' });
    rig.send({ kind: 'request', id: '1', method: 'ping' });
    assert.deepEqual(types(rig.do(close)), ['drop', 'drop', 'reply']);
    rig.judged(blocker, { kind: 'notification', method: 'n' });
    rig.assertEmpty();
  });
});

describe('draining', () => {
  const drain = { type: 'drain' } as const;

  test('lets what is under way end, and says once that nothing is owed', () => {
    const rig = new Rig();
    rig.forwarded('1');
    const unread = rig.arrive();
    assert.deepEqual(rig.do(drain), []);
    rig.judged(unread, call('2'));
    assert.deepEqual(types(rig.recorded(unread)), ['forward']);
    assert.deepEqual(types(rig.answer('1')), ['relay']);
    assert.deepEqual(types(rig.answer('2')), ['relay', 'drained']);
    assert.deepEqual(rig.do(drain), []);
    assert.deepEqual(rig.do({ type: 'tick' }), []);
  });

  test('with nothing under way is over at once', () => {
    assert.deepEqual(types(new Rig().do(drain)), ['drained']);
  });

  test('reads new requests and answers them with an error, in every mode', () => {
    for (const options of [{}, { mode: 'dry_run' }, { failMode: 'open' }] as const) {
      const rig = new Rig(options);
      rig.forwarded('1');
      rig.do(drain);
      const seq = rig.arrive();
      assert.equal(only(rig.all.slice(-1), 'evaluate').kind, 'read');
      const effects = rig.judged(seq, { kind: 'call', id: '2', tool: 'pay' });
      assert.deepEqual(
        [decisionIn(effects).effect, decisionIn(effects).reason],
        ['deny', 'daemon_unavailable'],
      );
      const reply = replyIn(rig.recorded(seq));
      assert.ok(reply.kind === 'error' && reply.code === -32004);
      assert.match(reply.message, /shutting down/);
      const other = rig.send({ kind: 'request', id: '3', method: 'ping' }).effects;
      assert.deepEqual(types(other), ['drop', 'reply']);
      assert.deepEqual(types(rig.answer('1')), ['relay', 'drained']);
    }
  });

  test('still passes cancellations, answers and notifications', () => {
    const rig = new Rig();
    rig.server({ kind: 'request', id: '"s"', method: 'roots/list' });
    rig.forwarded('1');
    rig.forwarded('2');
    rig.do(drain);
    assert.deepEqual(types(rig.send({ kind: 'response', id: '"s"' }).effects), ['forward']);
    assert.deepEqual(types(rig.send({ kind: 'notification', method: 'n' }).effects), ['forward']);
    assert.deepEqual(
      types(rig.send({ kind: 'notification', method: 'notifications/cancelled', cancels: '1' }).effects),
      ['forward'],
    );
    assert.deepEqual(types(rig.answer('2')), ['relay', 'drained'], 'nobody waits for the cancelled one');
    rig.assertEmpty();
  });

  test('keeps the quota of a cancelled call that nobody waits for', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    rig.send({ kind: 'notification', method: 'notifications/cancelled', cancels: '1' });
    const effects = rig.do(drain);
    assert.deepEqual(types(effects), ['settle', 'drained']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
  });

  test('ends subscriptions, which would never end by themselves', () => {
    const rig = new Rig();
    rig.send({ kind: 'request', id: '1', method: 'subscriptions/listen' });
    const effects = rig.do(drain);
    assert.deepEqual(types(effects), ['reply', 'cancel_upstream', 'drained']);
    const reply = replyIn(effects);
    assert.ok(reply.kind === 'error' && reply.reason === 'daemon_unavailable' && reply.id === '1');
  });
});
