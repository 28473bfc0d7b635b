import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Verdict } from '../../src/decision/verdict.ts';
import {
  ALLOW,
  call,
  decisionIn,
  deny,
  LIMITED,
  LOST,
  only,
  READ,
  Rig,
  replyIn,
  types,
  unjudged,
} from './harness.ts';

const request = (id: string, method = 'ping'): Verdict => ({ kind: 'request', id, method });
const notification = (method = 'notifications/roots/list_changed'): Verdict => ({
  kind: 'notification',
  method,
});
const cancels = (id: string): Verdict => ({
  kind: 'notification',
  method: 'notifications/cancelled',
  cancels: id,
});
const progress = (progressToken: string): Verdict => ({
  kind: 'notification',
  method: 'notifications/progress',
  progressToken,
});

/** The numbers of the forwarded messages, in the order of their forwarding. */
const order = (rig: Rig): number[] =>
  rig.all.flatMap((effect) => (effect.type === 'forward' ? [effect.seq] : []));

describe('a message that is no call', () => {
  test('is forwarded at once and not recorded', () => {
    const rig = new Rig();
    assert.deepEqual(types(rig.send(request('1')).effects), ['forward']);
    assert.deepEqual(types(rig.send(notification()).effects), ['forward']);
    assert.deepEqual(types(rig.answer('1')), ['relay']);
    rig.assertEmpty();
  });

  test('that names the method of a call is refused, since nothing has judged it', () => {
    for (const verdict of [request('1', 'tools/call'), notification('tools/call')]) {
      const rig = new Rig({ mode: 'dry_run', failMode: 'open' });
      const { seq, effects } = rig.send(verdict);
      assert.equal(decisionIn(effects).effect, 'deny');
      assert.deepEqual(types(rig.recorded(seq)), verdict.kind === 'request' ? ['drop', 'reply'] : ['drop']);
      rig.assertEmpty();
    }
  });
});

describe('a malformed message', () => {
  const malformed = (more: object): Verdict => ({
    kind: 'malformed',
    reason: 'malformed_message',
    code: -32700,
    message: 'not JSON',
    ...more,
  });

  for (const [what, more, answered] of [
    ['with an id is answered under it', { id: '7' }, '7'],
    ['without a readable id is answered with null', { id: null }, null],
    ['without an id is not answered', {}, undefined],
  ] as const) {
    test(`${what}, recorded first, dropped, and the session goes on`, () => {
      for (const options of [{}, { mode: 'dry_run' }, { failMode: 'open' }] as const) {
        const rig = new Rig(options);
        const { seq, effects } = rig.send(malformed({ ...more, tool: 'pay' }));
        assert.deepEqual(types(effects), ['record']);
        const decision = decisionIn(effects);
        assert.deepEqual(
          [decision.effect, decision.reason, decision.tool],
          ['deny', 'malformed_message', 'pay'],
        );
        const done = rig.recorded(seq);
        assert.deepEqual(types(done), answered === undefined ? ['drop'] : ['drop', 'reply']);
        if (answered !== undefined) {
          const reply = replyIn(done);
          assert.ok(reply.kind === 'error');
          assert.deepEqual([reply.id, reply.code, reply.reason], [answered, -32700, 'malformed_message']);
        }
        rig.forwarded('8');
      }
    });
  }

  test('keeps its own code and reason', () => {
    const rig = new Rig();
    const { seq, effects } = rig.send(malformed({ reason: 'unknown_method', code: -32601, id: '7' }));
    assert.equal(decisionIn(effects).reason, 'unknown_method');
    const reply = replyIn(rig.recorded(seq));
    assert.ok(reply.kind === 'error' && reply.code === -32601 && reply.reason === 'unknown_method');
  });

  test('is answered even when its record is lost', () => {
    const rig = new Rig();
    const { seq } = rig.send(malformed({ id: null }));
    assert.deepEqual(types(rig.recorded(seq, LOST)), ['note', 'drop', 'reply']);
  });

  test('too long to be read is answered without an id', () => {
    const rig = new Rig();
    rig.seq += 1;
    const effects = rig.do({ type: 'agent_oversize', seq: rig.seq, maxBytes: 4096 });
    assert.equal(decisionIn(effects).reason, 'malformed_message');
    const reply = replyIn(rig.recorded(rig.seq));
    assert.ok(reply.kind === 'error' && reply.id === null && reply.code === -32600);
    assert.match(reply.message, /4096/);
    rig.assertEmpty();
  });
});

describe('an id in flight', () => {
  for (const [first, second] of [
    ['1', '1'],
    ['1', '"1"'],
    ['"1"', '1'],
    ['"a"', '"a"'],
    ['"\\u0001"', '"\\u0001"'],
  ] as const) {
    test(`${first} refuses ${second}, for calls and other requests, under the second's own id`, () => {
      for (const verdict of [call(second), request(second)]) {
        const rig = new Rig({ mode: 'dry_run' });
        rig.forwarded(first);
        const { seq, effects } = rig.send(verdict);
        assert.equal(decisionIn(effects).reason, 'malformed_message');
        const reply = replyIn(rig.recorded(seq));
        assert.ok(reply.kind === 'error' && reply.id === second && reply.code === -32600);
        assert.deepEqual(types(rig.answer(first)), ['relay'], 'the first keeps its answer');
        rig.assertEmpty();
      }
    });
  }

  test('counts from the reading of it, also while the first is being denied', () => {
    const rig = new Rig();
    rig.send(call('1', { ruling: deny() }));
    assert.equal(decisionIn(rig.send(call('1')).effects).reason, 'malformed_message');
  });

  test('may be used again once it is answered', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.answer('1');
    rig.forwarded('1');
  });
});

describe('the requests that the upstream may owe', () => {
  test('are bounded: one more call is denied, one more request refused, in a dry run too', () => {
    for (const mode of ['enforce', 'dry_run'] as const) {
      const rig = new Rig({ maxPending: 2, mode });
      rig.forwarded('1');
      assert.deepEqual(types(rig.send(request('2')).effects), ['forward']);
      for (const ruling of [ALLOW, LIMITED]) {
        const { seq, effects } = rig.send(call('3', { ruling }));
        assert.deepEqual(types(effects), ['record'], 'nothing is reserved');
        assert.deepEqual([decisionIn(effects).effect, decisionIn(effects).reason], ['deny', 'overload']);
        const denied = replyIn(rig.recorded(seq));
        assert.equal(denied.kind, 'denial');
      }
      const refused = rig.send(request('4')).effects;
      assert.deepEqual(types(refused), ['drop', 'reply']);
      const reply = replyIn(refused);
      assert.ok(reply.kind === 'error' && reply.code === -32603 && reply.reason === 'overload');
      rig.answer('1');
      rig.forwarded('5');
    }
  });

  test('include calls that are still being reserved or recorded', () => {
    const rig = new Rig({ maxPending: 1 });
    const { seq } = rig.send(call('1', { ruling: LIMITED }));
    assert.equal(decisionIn(rig.send(call('2')).effects).reason, 'overload');
    rig.reserved(seq, { kind: 'unavailable', detail: '' });
    rig.recorded(seq);
    rig.forwarded('3');
  });
});

describe('the order', () => {
  test('holds everything behind a message that may be no call until that is read', () => {
    const rig = new Rig();
    const first = rig.arrive(true);
    const quick = rig.arrive(false);
    const third = rig.arrive(true);
    rig.judged(third, notification());
    rig.judged(quick, call('2'));
    rig.recorded(quick);
    assert.deepEqual(order(rig), []);
    rig.judged(first, request('1', 'initialize'));
    assert.deepEqual(order(rig), [first, quick, third]);
  });

  test('lets a slow call hold up nobody', () => {
    const rig = new Rig();
    const slow = rig.arrive(false);
    const next = rig.arrive(true);
    rig.judged(next, notification());
    const call2 = rig.send(call('2', { ruling: LIMITED }));
    const after = rig.arrive(true);
    rig.judged(after, notification());
    assert.deepEqual(order(rig), [next, after], 'neither the unread call nor the one that reserves');
    rig.judged(slow, call('1'));
    rig.recorded(slow);
    rig.reserved(call2.seq);
    rig.recorded(call2.seq);
    assert.deepEqual(order(rig), [next, after, slow, call2.seq]);
  });

  test('is not held up by a call that might have been something else, once it is read', () => {
    const rig = new Rig();
    const might = rig.arrive(true);
    const next = rig.arrive(true);
    rig.judged(next, notification());
    assert.deepEqual(order(rig), []);
    rig.judged(might, call('1'));
    assert.deepEqual(order(rig), [next]);
  });

  test('waits through a failed evaluation until the message is read', () => {
    const rig = new Rig();
    const first = rig.arrive(true);
    const next = rig.arrive(true);
    rig.judged(next, notification());
    rig.failed(first, 'evaluation_crash');
    assert.deepEqual(order(rig), []);
    rig.judged(first, notification());
    assert.deepEqual(order(rig), [first, next]);
  });

  test('does not wait for what is malformed, dropped, or cannot be read at all', () => {
    const rig = new Rig();
    const bad = rig.arrive(true);
    const dead = rig.arrive(true);
    const next = rig.arrive(true);
    rig.judged(next, notification());
    rig.judged(bad, { kind: 'malformed', reason: 'malformed_message', code: -32700, message: '', id: null });
    rig.failed(dead, 'evaluation_crash');
    rig.failed(dead, 'evaluation_crash');
    assert.deepEqual(order(rig), [next]);
  });

  test('lets denials be answered at any time', () => {
    const rig = new Rig();
    rig.arrive(true);
    const { seq } = rig.send(call('1', { ruling: deny() }));
    assert.deepEqual(types(rig.recorded(seq)), ['drop', 'reply']);
  });

  test('keeps hundreds of held messages in their order, however they were judged', () => {
    const rig = new Rig();
    const first = rig.arrive(true);
    const behind = Array.from({ length: 300 }, () => rig.arrive(true));
    for (const seq of [...behind].sort((a, b) => ((a * 7919) % 307) - ((b * 7919) % 307)))
      rig.judged(seq, notification());
    rig.judged(first, notification());
    assert.deepEqual(order(rig), [first, ...behind]);
    rig.assertEmpty();
  });
});

describe('a cancellation', () => {
  test('of a forwarded request is forwarded; a late answer is passed on, its quota as it says', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    assert.deepEqual(types(rig.send(cancels('1')).effects), ['forward']);
    const effects = rig.answer('1');
    assert.deepEqual(types(effects), ['settle', 'relay']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
    rig.assertEmpty();
  });

  test('of a forwarded request that is never answered ends in silence at the deadline, quota kept', () => {
    const rig = new Rig();
    rig.forwarded('1', { ruling: LIMITED });
    rig.send(cancels('1'));
    const effects = rig.pass(1001);
    assert.deepEqual(types(effects), ['settle']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
    rig.assertEmpty();
  });

  test('a second time is dropped', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.send(cancels('1'));
    assert.deepEqual(types(rig.send(cancels('1')).effects), ['drop']);
  });

  for (const [what, target] of [
    ['an unknown request', '9'],
    ['the same id in another spelling', '"1"'],
  ] as const) {
    test(`of ${what} is dropped`, () => {
      const rig = new Rig();
      rig.forwarded('1');
      assert.deepEqual(types(rig.send(cancels(target)).effects), ['drop']);
      assert.deepEqual(types(rig.answer('1')), ['relay']);
    });
  }

  test('without a target is dropped', () => {
    const { effects } = new Rig().send({ kind: 'notification', method: 'notifications/cancelled' });
    assert.deepEqual(types(effects), ['drop']);
  });

  test('of a finished or a denied request is dropped, and the denial answered', () => {
    const rig = new Rig();
    rig.forwarded('1');
    rig.answer('1');
    assert.deepEqual(types(rig.send(cancels('1')).effects), ['drop']);
    const { seq } = rig.send(call('2', { ruling: deny() }));
    assert.deepEqual(types(rig.send(cancels('2')).effects), ['drop']);
    assert.deepEqual(types(rig.recorded(seq)), ['drop', 'reply']);
  });

  test('waits until every message before it is read, and holds up nobody', () => {
    const rig = new Rig();
    const target = rig.arrive(false);
    const cancel = rig.arrive(true);
    const next = rig.arrive(true);
    assert.deepEqual(rig.judged(cancel, cancels('1')), []);
    assert.deepEqual(types(rig.judged(next, notification())), ['forward']);
    const effects = rig.judged(target, call('1'));
    assert.deepEqual(types(effects), ['record', 'drop'], 'it takes effect when the call is known');
    assert.equal(only(effects, 'drop').seq, cancel);
  });

  test('while limits are reserved gives them back; nothing is answered and nothing reaches the upstream', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1', { ruling: LIMITED }));
    const cancel = rig.send(cancels('1'));
    assert.deepEqual(types(cancel.effects), ['drop']);
    const effects = rig.reserved(seq);
    assert.deepEqual(types(effects), ['settle', 'record']);
    assert.equal(only(effects, 'settle').settlement, 'rollback');
    assert.deepEqual([decisionIn(effects).effect, decisionIn(effects).reason], ['deny', 'cancelled']);
    assert.deepEqual(types(rig.recorded(seq)), ['drop']);
    rig.assertEmpty();
  });

  test('while limits are looked at or refused ends the call all the same', () => {
    const rig = new Rig({ mode: 'dry_run' });
    const peeked = rig.send(call('1', { ruling: deny({}, [READ]) }));
    rig.send(cancels('1'));
    assert.equal(decisionIn(rig.reserved(peeked.seq)).reason, 'cancelled');
    assert.deepEqual(types(rig.recorded(peeked.seq)), ['drop']);
    const refused = rig.send(call('2', { ruling: LIMITED }));
    rig.send(cancels('2'));
    const effects = rig.reserved(refused.seq, { kind: 'unavailable', detail: '' });
    assert.deepEqual(types(effects), ['record'], 'nothing was reserved, so nothing is settled');
    assert.equal(decisionIn(effects).reason, 'cancelled');
    assert.deepEqual(types(rig.recorded(refused.seq)), ['drop']);
    rig.assertEmpty();
  });

  test('while an allow is put on record adds a record that denies under the same id', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1', { ruling: LIMITED }));
    const allowed = decisionIn(rig.reserved(seq));
    rig.send(cancels('1'));
    const effects = rig.recorded(seq);
    assert.deepEqual(types(effects), ['settle', 'record']);
    const denied = decisionIn(effects);
    assert.deepEqual([denied.id, denied.effect, denied.reason], [allowed.id, 'deny', 'cancelled']);
    assert.equal(only(effects, 'settle').settlement, 'rollback');
    assert.deepEqual(types(rig.recorded(seq)), ['drop']);
    rig.assertEmpty();
  });

  test('while the record of an allow is lost is not answered either', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1', { ruling: LIMITED }));
    rig.reserved(seq);
    rig.send(cancels('1'));
    assert.deepEqual(types(rig.recorded(seq, LOST)), ['note', 'settle', 'drop']);
    rig.assertEmpty();
  });

  test('does not touch a later request under the same id', () => {
    const rig = new Rig();
    const slow = rig.arrive(false);
    const cancel = rig.arrive(true);
    rig.judged(cancel, cancels('1'));
    rig.forwarded('1');
    const effects = rig.judged(slow, call('2'));
    assert.equal(only(effects, 'drop').seq, cancel);
    assert.deepEqual(types(rig.answer('1')), ['relay']);
  });
});

describe('progress that the agent reports', () => {
  test('passes', () => {
    assert.deepEqual(types(new Rig().send(progress('5')).effects), ['forward']);
  });

  test('on a denied call is dropped, from the reading of that call on', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('1', { ruling: deny(), progressToken: '"t"' }));
    assert.deepEqual(types(rig.send(progress('"t"')).effects), ['drop']);
    rig.recorded(seq);
    assert.deepEqual(types(rig.send(progress('"t"')).effects), ['drop']);
    assert.deepEqual(types(rig.send(progress('"u"')).effects), ['forward']);
    rig.assertEmpty();
  });

  test('waits until every message before it is read, since one of them may be the denied call', () => {
    const rig = new Rig();
    const unread = rig.arrive(false);
    const { effects } = rig.send(progress('5'));
    assert.deepEqual(effects, []);
    assert.deepEqual(types(rig.judged(unread, call('1', { ruling: deny(), progressToken: '5' }))), [
      'record',
      'drop',
    ]);
  });

  test('passes at once under a token that the server chose, though a denied call has the same', () => {
    const rig = new Rig();
    rig.arrive(false);
    const denied = rig.send(call('1', { ruling: deny(), progressToken: '5' }));
    rig.recorded(denied.seq);
    rig.server({ kind: 'request', id: '1', method: 'sampling/createMessage', progressToken: '5' });
    assert.deepEqual(types(rig.send(progress('5')).effects), ['forward']);
  });

  test('passes again under a token that a later, forwarded call uses', () => {
    const rig = new Rig();
    rig.send(call('1', { ruling: deny(), progressToken: '5' }));
    rig.forwarded('2', { progressToken: '5' });
    assert.deepEqual(types(rig.send(progress('5')).effects), ['forward']);
  });

  test('on one of the last thousand denied calls is dropped; memory stays bounded', () => {
    const rig = new Rig();
    for (let i = 0; i < 1025; i++) rig.send(call(String(i), { ruling: deny(), progressToken: String(i) }));
    assert.deepEqual(types(rig.send(progress('0')).effects), ['forward']);
    assert.deepEqual(types(rig.send(progress('1')).effects), ['drop']);
    assert.deepEqual(
      types(rig.send(progress(`"${'x'.repeat(2000)}"`)).effects),
      ['drop'],
      'too long to be kept',
    );
  });
});

describe("the agent's answer to a request of the server's", () => {
  test('passes once, and only under exactly its id', () => {
    const rig = new Rig();
    rig.server({ kind: 'request', id: '1', method: 'roots/list' });
    assert.deepEqual(types(rig.send({ kind: 'response', id: '"1"' }).effects), ['note', 'drop']);
    assert.deepEqual(types(rig.send({ kind: 'response', id: '1' }).effects), ['forward']);
    assert.deepEqual(types(rig.send({ kind: 'response', id: '1' }).effects), ['note', 'drop']);
    assert.deepEqual(types(rig.send({ kind: 'response', id: '2' }).effects), ['note', 'drop']);
    rig.assertEmpty();
  });
});

describe('an event that nothing waits for', () => {
  test('changes nothing', () => {
    const rig = new Rig();
    const seq = rig.forwarded('1');
    for (const effects of [
      rig.recorded(seq),
      rig.judged(seq, call('1')),
      rig.reserved(seq),
      rig.recorded(77),
    ]) {
      assert.deepEqual(types(effects), ['note']);
    }
    assert.deepEqual(types(rig.do({ type: 'agent_message', seq, ordered: false })), ['note']);
    assert.deepEqual(
      types(
        rig.do({ type: 'server_read', sseq: 5, reading: { kind: 'response', id: '1', outcome: 'result' } }),
      ),
      ['note'],
    );
    assert.deepEqual(types(rig.do({ type: 'server_message', sseq: 5 })), ['note']);
    const other = rig.arrive();
    assert.deepEqual(types(rig.recorded(other)), ['note']);
    rig.judged(other, unjudged('2'));
    assert.deepEqual(types(rig.judged(other, call('2'))), ['note'], 'a second verdict is not heard');
    assert.deepEqual(types(rig.answer('1')), ['relay']);
  });
});
