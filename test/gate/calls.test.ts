import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReserveOutcome } from '../../src/gate/ports.ts';
import {
  ALLOW,
  call,
  decisionIn,
  deny,
  LIMITED,
  LOST,
  only,
  READ,
  RESERVE,
  Rig,
  RULE,
  replyIn,
  START_MS,
  types,
  unjudged,
} from './harness.ts';

const REFUSED: ReserveOutcome = {
  kind: 'refused',
  obligation: 0,
  used: '5',
  asked: '1',
  retryAtMs: START_MS + 1_800_000,
};
const FAILURES = [
  'evaluation_timeout',
  'evaluation_error',
  'evaluation_crash',
  'evaluation_out_of_memory',
] as const;

describe('an allowed call', () => {
  test('is judged, recorded and forwarded, each only after the one before', () => {
    const rig = new Rig();
    const seq = rig.arrive();
    assert.deepEqual(rig.all, [{ type: 'evaluate', seq, kind: 'judge', policy: 1 }]);
    const judged = rig.judged(seq, call('7'));
    assert.deepEqual(types(judged), ['record']);
    assert.deepEqual(decisionIn(judged), {
      id: 'id-1',
      session: 's1',
      server: 'bank',
      tool: 'pay',
      requestId: '7',
      effect: 'allow',
      reason: 'allowed',
      message: 'allowed',
      policyDigest: 'digest-1',
      mode: 'enforce',
      failMode: 'closed',
      timeMs: START_MS,
      queueUs: 3,
      evaluationUs: 4,
      totalUs: 0,
    });
    assert.deepEqual(rig.recorded(seq), [{ type: 'forward', seq }]);
    assert.deepEqual(rig.answer('7'), [{ type: 'relay', sseq: 1 }]);
    rig.assertEmpty();
  });

  test('reserves its limits before it is recorded, and keeps them when the answer is a result', () => {
    const rig = new Rig();
    const { seq, effects } = rig.send(call('7', { ruling: LIMITED }));
    assert.deepEqual(effects, [{ type: 'reserve', seq, reservation: 'id-1', obligations: [RESERVE] }]);
    const reserved = rig.reserved(seq);
    assert.equal(decisionIn(reserved).reservation, 'id-1');
    assert.deepEqual(types(rig.recorded(seq)), ['forward']);
    assert.deepEqual(rig.answer('7'), [
      { type: 'settle', reservation: 'id-1', settlement: 'commit' },
      { type: 'relay', sseq: 1 },
    ]);
    rig.assertEmpty();
  });

  for (const outcome of ['error', 'input_required'] as const) {
    test(`gives back what it took when the answer is ${outcome}`, () => {
      const rig = new Rig();
      rig.forwarded('7', { ruling: LIMITED });
      const effects = rig.answer('7', outcome);
      assert.equal(only(effects, 'settle').settlement, 'rollback');
      assert.deepEqual(types(effects), ['settle', 'relay']);
    });
  }

  test('sent as a notification is forwarded, keeps what it took, and is over', () => {
    const rig = new Rig();
    const { seq } = rig.send(call(null, { ruling: LIMITED }));
    rig.reserved(seq);
    const effects = rig.recorded(seq);
    assert.deepEqual(types(effects), ['forward', 'settle']);
    assert.equal(only(effects, 'settle').settlement, 'commit');
    rig.assertEmpty();
  });

  test('whose record is lost is denied, and gives back what it took', () => {
    for (const mode of ['enforce', 'dry_run'] as const) {
      const rig = new Rig({ mode });
      const { seq } = rig.send(call('7', { ruling: LIMITED }));
      rig.reserved(seq);
      const effects = rig.recorded(seq, LOST);
      assert.deepEqual(types(effects), ['note', 'settle', 'drop', 'reply']);
      assert.equal(only(effects, 'settle').settlement, 'rollback');
      const reply = replyIn(effects);
      assert.ok(reply.kind === 'denial' && reply.decision.reason === 'log_unavailable');
      assert.equal(reply.decision.effect, 'deny');
      rig.assertEmpty();
    }
  });
});

describe('a denied call', () => {
  test('is recorded, then answered and dropped', () => {
    const rig = new Rig();
    const { seq, effects } = rig.send(call('"a"', { ruling: deny() }));
    assert.deepEqual(types(effects), ['record']);
    const decision = decisionIn(effects);
    assert.deepEqual([decision.effect, decision.reason, decision.rule], ['deny', 'rule_denied', RULE]);
    assert.deepEqual(rig.recorded(seq), [
      { type: 'drop', seq },
      { type: 'reply', reply: { kind: 'denial', id: '"a"', decision } },
    ]);
    rig.assertEmpty();
  });

  test('sent as a notification is recorded and not answered', () => {
    const rig = new Rig();
    const { seq, effects } = rig.send(call(null, { ruling: deny() }));
    assert.equal(decisionIn(effects).requestId, null);
    assert.deepEqual(types(rig.recorded(seq)), ['drop']);
    rig.assertEmpty();
  });

  test('stays denied as decided when its record is lost', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: deny() }));
    const effects = rig.recorded(seq, LOST);
    assert.deepEqual(types(effects), ['note', 'drop', 'reply']);
    const reply = replyIn(effects);
    assert.ok(reply.kind === 'denial' && reply.decision.reason === 'rule_denied');
  });

  test("by the protocol's rules is answered with a JSON-RPC error", () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: deny({ reason: 'malformed_message' }) }));
    const reply = replyIn(rig.recorded(seq));
    assert.ok(reply.kind === 'error' && reply.code === -32602 && reply.id === '7');
    assert.equal(reply.decision?.effect, 'deny');
  });

  test('looks at the limits of earlier rules first, and is denied for one that is reached', () => {
    const rig = new Rig();
    const { seq, effects } = rig.send(call('7', { ruling: deny({}, [READ]) }));
    assert.deepEqual(effects, [{ type: 'peek', seq, obligations: [READ] }]);
    const decision = decisionIn(rig.reserved(seq, REFUSED));
    assert.deepEqual([decision.reason, decision.rule], ['limit_reached', READ.rule]);
    assert.equal(decision.retryAtMs, START_MS + 1_800_000);
    rig.recorded(seq);
    rig.assertEmpty();
  });

  for (const outcome of [
    { kind: 'reserved', id: '' },
    { kind: 'unavailable', detail: 'gone' },
  ] as const) {
    test(`keeps its own denial when looking says ${outcome.kind}`, () => {
      const rig = new Rig();
      const { seq } = rig.send(call('7', { ruling: deny({}, [READ]) }));
      assert.equal(decisionIn(rig.reserved(seq, outcome)).reason, 'rule_denied');
    });
  }
});

describe('a limit', () => {
  test('that is reached denies, saying which rule, how much is used, and when it frees', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: LIMITED }));
    const effects = rig.reserved(seq, REFUSED);
    const decision = decisionIn(effects);
    assert.equal(
      decision.message,
      'Five an hour. (rule "hourly": its limit of at most 5 in one hour does not leave room for this call, with 5 used; ' +
        'the counter starts anew at 2026-01-01T11:00:00.000Z, in 1800 seconds: try again then)',
    );
    assert.deepEqual([decision.reason, decision.retryAtMs], ['limit_reached', START_MS + 1_800_000]);
    assert.deepEqual(types(effects), ['record'], 'a refused reservation is not settled');
    rig.recorded(seq);
    rig.assertEmpty();
  });

  const own: typeof READ = { ...READ, rule: RESERVE.rule };
  for (const [what, obligations, reason] of [
    [
      'a condition on a counter that other rules raise is a rule that says no',
      [READ, RESERVE],
      'rule_denied',
    ],
    ['a bound that is passed before anything is added is a limit', [own, RESERVE], 'limit_reached'],
    ['a condition alone is a rule that says no', [READ], 'rule_denied'],
  ] as const) {
    test(`${what}`, () => {
      const rig = new Rig();
      const { seq } = rig.send(call('7', { ruling: { effect: 'allow', obligations } }));
      const decision = decisionIn(rig.reserved(seq, REFUSED));
      assert.equal(decision.reason, reason);
      assert.match(decision.message, /^Not today\. \(rule "/);
    });
  }

  test('whose counters cannot be read denies with state_unavailable', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: LIMITED }));
    const effects = rig.reserved(seq, { kind: 'unavailable', detail: 'locked' });
    assert.equal(decisionIn(effects).reason, 'state_unavailable');
    assert.deepEqual(types(effects), ['record']);
  });

  test('of another call than was asked about denies with state_unavailable', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: LIMITED }));
    assert.equal(decisionIn(rig.reserved(seq, { ...REFUSED, obligation: 4 })).reason, 'state_unavailable');
  });

  test('whose window turns at no time that can be told is said so', () => {
    const rig = new Rig();
    const { seq } = rig.send(call('7', { ruling: LIMITED }));
    assert.match(decisionIn(rig.reserved(seq, { ...REFUSED, retryAtMs: Number.NaN })).message, /not known/);
  });
});

describe('a failed evaluation', () => {
  for (const reason of [...FAILURES, 'overload'] as const) {
    test(`(${reason}) is read again to know whom to answer, under the same policy, and denied`, () => {
      const rig = new Rig();
      const seq = rig.arrive();
      rig.do({ type: 'policy', policy: { handle: 2, digest: 'digest-2' } });
      assert.deepEqual(rig.failed(seq, reason), [{ type: 'evaluate', seq, kind: 'read', policy: 1 }]);
      const effects = rig.judged(seq, unjudged('7'));
      const decision = decisionIn(effects);
      assert.deepEqual([decision.effect, decision.reason, decision.tool], ['deny', reason, 'pay']);
      assert.equal(decision.policyDigest, 'digest-1');
      assert.deepEqual([decision.queueUs, decision.evaluationUs], [8, 10]);
      const reply = replyIn(rig.recorded(seq));
      assert.ok(reply.kind === 'denial' && reply.id === '7');
      rig.assertEmpty();
    });
  }

  for (const reason of FAILURES) {
    test(`(${reason}) is let through by an open fail mode, marked, and takes nothing`, () => {
      const rig = new Rig({ failMode: 'open' });
      const seq = rig.arrive();
      rig.failed(seq, reason);
      const effects = rig.judged(seq, unjudged('7'));
      const decision = decisionIn(effects);
      assert.deepEqual(
        [decision.effect, decision.reason, decision.failure],
        ['allow', 'failed_open', reason],
      );
      assert.equal(decision.reservation, undefined);
      assert.deepEqual(types(rig.recorded(seq)), ['forward']);
      assert.deepEqual(types(rig.answer('7')), ['relay']);
    });
  }

  test('stays a denial in an open fail mode where the lane had no room or the record is lost', () => {
    const rig = new Rig({ failMode: 'open' });
    const seq = rig.arrive();
    rig.failed(seq, 'overload');
    assert.equal(decisionIn(rig.judged(seq, unjudged('7'))).reason, 'overload');
    const other = rig.arrive();
    rig.failed(other, 'evaluation_crash');
    rig.judged(other, unjudged('8'));
    assert.deepEqual(types(rig.recorded(other, LOST)), ['note', 'drop', 'reply']);
  });

  test('of a message that cannot even be read is answered without an id, recorded, and never forwarded', () => {
    for (const options of [{}, { failMode: 'open' }, { mode: 'dry_run' }] as const) {
      const rig = new Rig(options);
      const seq = rig.arrive();
      rig.failed(seq, 'evaluation_crash');
      const effects = rig.failed(seq, 'evaluation_timeout');
      const decision = decisionIn(effects);
      assert.deepEqual([decision.effect, decision.reason, decision.tool], ['deny', 'evaluation_crash', null]);
      const done = rig.recorded(seq);
      assert.deepEqual(types(done), ['drop', 'reply']);
      const reply = replyIn(done);
      assert.ok(reply.kind === 'error' && reply.id === null && reply.code === -32603);
      assert.equal(reply.reason, 'evaluation_crash');
      rig.assertEmpty();
    }
  });

  test('of something that is not a call changes nothing for it', () => {
    const rig = new Rig();
    const seq = rig.arrive(true);
    rig.failed(seq, 'evaluation_crash');
    assert.deepEqual(types(rig.judged(seq, { kind: 'request', id: '1', method: 'ping' })), ['forward']);
  });

  test('of a malformed message leaves it malformed, in an open fail mode too', () => {
    const rig = new Rig({ failMode: 'open' });
    const seq = rig.arrive();
    rig.failed(seq, 'evaluation_crash');
    const effects = rig.judged(seq, {
      kind: 'malformed',
      reason: 'malformed_message',
      code: -32700,
      message: 'no',
      id: null,
    });
    assert.equal(decisionIn(effects).reason, 'malformed_message');
    assert.deepEqual(types(rig.recorded(seq)), ['drop', 'reply']);
  });

  test('is what an answer about another kind of message is', () => {
    const rig = new Rig();
    const seq = rig.arrive();
    const reading = { kind: 'response', id: '1', outcome: 'result' } as const;
    const effects = rig.outcome(seq, { kind: 'reading', reading, queueUs: 0, evaluationUs: 0 });
    assert.equal(only(effects, 'evaluate').kind, 'read');
    assert.equal(decisionIn(rig.judged(seq, unjudged('7'))).reason, 'evaluation_error');
  });
});

describe('a call without a ruling', () => {
  test('is denied as quarantined where its bulkhead is, in an open fail mode too', () => {
    const rig = new Rig({ failMode: 'open' });
    const { effects } = rig.send(unjudged('7', { suspect: 'quarantined' }));
    assert.deepEqual([decisionIn(effects).effect, decisionIn(effects).reason], ['deny', 'quarantined']);
  });

  for (const verdict of [
    unjudged('7'),
    unjudged('7', { suspect: 'probation' }),
    call('7', { suspect: 'probation' }),
  ]) {
    test(`is a failed evaluation (${verdict.suspect ?? 'nothing suspected'}, ${verdict.ruling === undefined ? 'no ruling' : 'ruled all the same'})`, () => {
      const { effects } = new Rig().send(verdict);
      assert.deepEqual(
        [decisionIn(effects).effect, decisionIn(effects).reason],
        ['deny', 'evaluation_error'],
      );
    });
  }
});

describe('a tool with an unusual name', () => {
  const list = (rig: Rig, names: readonly string[], method = 'tools/list'): void => {
    rig.send({ kind: 'request', id: '"list"', method });
    rig.server({
      kind: 'response',
      id: '"list"',
      outcome: 'result',
      listing: { names, tools: [], cuts: [], hidden: 0 },
    });
  };

  test('is denied until the server has listed exactly this name, in every mode', () => {
    for (const options of [{}, { failMode: 'open' }, { mode: 'dry_run' }] as const) {
      const rig = new Rig(options);
      const before = rig.send(call('1', { tool: 'pay/out', unusualName: true }));
      assert.deepEqual(
        [decisionIn(before.effects).effect, decisionIn(before.effects).reason],
        ['deny', 'malformed_message'],
      );
      assert.match(decisionIn(before.effects).message, /tools\/list.*policy/);
      const reply = replyIn(rig.recorded(before.seq));
      assert.ok(reply.kind === 'error' && reply.code === -32602);
      list(rig, ['Pay/out', 'pay/out']);
      assert.equal(
        decisionIn(rig.send(call('2', { tool: 'pay/out', unusualName: true })).effects).effect,
        'allow',
      );
      assert.equal(
        decisionIn(rig.send(call('3', { tool: 'pay/out ', unusualName: true })).effects).effect,
        'deny',
      );
    }
  });

  test('is not let through by a failed evaluation in an open fail mode', () => {
    const rig = new Rig({ failMode: 'open' });
    const seq = rig.arrive();
    rig.failed(seq, 'evaluation_crash');
    assert.equal(
      decisionIn(rig.judged(seq, unjudged('1', { unusualName: true }))).reason,
      'malformed_message',
    );
  });

  test('is not announced by a list that answers something else or nothing', () => {
    const rig = new Rig();
    list(rig, ['pay/out'], 'resources/list');
    const reading = { kind: 'response', id: '99', outcome: 'result' } as const;
    rig.server({ ...reading, listing: { names: ['pay/out'], tools: [], cuts: [], hidden: 0 } });
    assert.equal(
      decisionIn(rig.send(call('1', { tool: 'pay/out', unusualName: true })).effects).effect,
      'deny',
    );
  });

  test('is forgotten beyond ten thousand names or a mebibyte of them, so memory stays bounded', () => {
    const many = new Rig();
    list(
      many,
      Array.from({ length: 10_001 }, (_, i) => `n ${i}`),
    );
    assert.equal(many.gate.announced.has('n 9999'), true);
    assert.equal(many.gate.announced.has('n 10000'), false);
    assert.equal(only(many.all, 'note').level, 'warn');
    const long = new Rig();
    list(long, ['x'.repeat(1025), ...Array.from({ length: 1100 }, (_, i) => String(i).padStart(1024, 'x'))]);
    assert.equal(long.gate.announced.has('x'.repeat(1025)), false);
    assert.equal(long.gate.announced.has('1023'.padStart(1024, 'x')), true);
    assert.equal(long.gate.announced.has('1024'.padStart(1024, 'x')), false);
  });
});

describe('a rehearsed fault', () => {
  test('marks every decision about its tool, and says so where it is a failure', () => {
    const rig = new Rig({ injected: new Set(['pay']), failMode: 'open' });
    const allowed = decisionIn(rig.send(call('1')).effects);
    assert.equal(allowed.injected, true);
    assert.doesNotMatch(allowed.message, /rehearsed/);
    const seq = rig.arrive();
    rig.failed(seq, 'evaluation_timeout');
    const failed = decisionIn(rig.judged(seq, unjudged('2')));
    assert.equal(failed.injected, true);
    assert.match(failed.message, /rehearsed/);
    assert.equal(decisionIn(rig.send(call('3', { tool: 'other' })).effects).injected, undefined);
  });
});

describe('a dry run', () => {
  test('forwards what would be denied, records both, and reserves nothing for it', () => {
    for (const [ruling, reason] of [
      [deny(), 'rule_denied'],
      [deny({ reason: 'tool_hidden' }), 'tool_hidden'],
      [deny({ reason: 'tool_not_listed' }), 'tool_not_listed'],
      [deny({ reason: 'invalid_argument' }), 'invalid_argument'],
    ] as const) {
      const rig = new Rig({ mode: 'dry_run' });
      const { seq, effects } = rig.send(call('7', { ruling }));
      const decision = decisionIn(effects);
      assert.deepEqual([decision.effect, decision.reason, decision.wouldDeny], ['allow', 'allowed', reason]);
      assert.equal(decision.mode, 'dry_run');
      assert.deepEqual(types(rig.recorded(seq)), ['forward']);
      assert.deepEqual(types(rig.answer('7')), ['relay']);
    }
  });

  test('takes limits for what would be allowed and forwards what they refuse', () => {
    const rig = new Rig({ mode: 'dry_run' });
    const first = rig.send(call('1', { ruling: LIMITED }));
    assert.deepEqual(types(first.effects), ['reserve']);
    rig.reserved(first.seq);
    assert.deepEqual(types(rig.recorded(first.seq)), ['forward']);
    assert.equal(only(rig.answer('1'), 'settle').settlement, 'commit');
    for (const [id, outcome, reason] of [
      ['2', REFUSED, 'limit_reached'],
      ['3', { kind: 'unavailable', detail: 'x' }, 'state_unavailable'],
    ] as const) {
      const { seq } = rig.send(call(id, { ruling: LIMITED }));
      assert.equal(decisionIn(rig.reserved(seq, outcome)).wouldDeny, reason);
      assert.deepEqual(types(rig.recorded(seq)), ['forward']);
      assert.deepEqual(types(rig.answer(id)), ['relay'], 'nothing was taken, so nothing is settled');
    }
  });

  test('forwards calls that could not be judged, if they could be read', () => {
    const rig = new Rig({ mode: 'dry_run' });
    for (const [id, reason] of [
      ['1', 'evaluation_crash'],
      ['2', 'overload'],
    ] as const) {
      const seq = rig.arrive();
      rig.failed(seq, reason);
      assert.equal(decisionIn(rig.judged(seq, unjudged(id))).wouldDeny, reason);
      assert.deepEqual(types(rig.recorded(seq)), ['forward']);
    }
    const { effects } = rig.send(unjudged('3', { suspect: 'quarantined' }));
    assert.equal(decisionIn(effects).wouldDeny, 'quarantined');
  });

  test('still refuses look-alikes', () => {
    const { effects } = new Rig({ mode: 'dry_run' }).send(
      call('1', { ruling: deny({ reason: 'malformed_message' }) }),
    );
    assert.equal(decisionIn(effects).effect, 'deny');
  });
});

describe('a policy swap', () => {
  test('changes later evaluations and no earlier one', () => {
    const rig = new Rig();
    const before = rig.arrive();
    rig.do({ type: 'policy', policy: { handle: 2, digest: 'digest-2' } });
    const after = rig.arrive();
    assert.deepEqual(
      rig.all.map((effect) => effect.type === 'evaluate' && effect.policy),
      [1, 2],
    );
    assert.equal(decisionIn(rig.judged(after, call('2'))).policyDigest, 'digest-2');
    assert.equal(decisionIn(rig.judged(before, call('1', { ruling: ALLOW }))).policyDigest, 'digest-1');
  });
});
