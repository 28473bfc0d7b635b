/** The driver alone, between fakes: what comes before what, who is held back when, and what `judged` and `drain` wait for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { call, type FakeChannel, outcomeOf, type Pace, result, scene, turns, type When } from './fakes.ts';

const FAILURE: JobOutcome = {
  kind: 'failure',
  reason: 'evaluation_crash',
  detail: 'gone',
  queueUs: 1,
  evaluationUs: 1,
};
const PACES: readonly Pace[] = ['at once', 'later'];
const MAX_SUBMITTED = 512;

function before(journal: readonly string[], first: string, then: string): void {
  const [a, b] = [journal.indexOf(first), journal.indexOf(then)];
  assert.ok(
    a >= 0 && b >= 0 && a < b,
    `"${first}" does not come before "${then}" in ${JSON.stringify(journal)}`,
  );
}

/** The reason in the denial or error that answers `id`. */
function reasonOf(agent: FakeChannel, id: number): string | undefined {
  const answers = agent.got.filter((text) => text.startsWith(`{"jsonrpc":"2.0","id":${id},`));
  assert.equal(answers.length, 1, `answers to ${id}: ${JSON.stringify(agent.got)}`);
  return /"reason":"(\w+)"/.exec(answers[0] ?? '')?.[1];
}

describe('an effect follows its record', () => {
  for (const when of ['at submit', 'at flush', 'later'] as const satisfies readonly When[])
    for (const counting of PACES)
      for (const logging of PACES)
        test(`evaluator ${when}, counters ${counting}, log ${logging}`, async () => {
          const { evaluator, counters, log, journal, agent, upstream, fromAgent, fromServer } = scene();
          evaluator.when = when;
          counters.pace = counting;
          log.pace = logging;
          fromAgent(
            call(1, 'free'),
            call(2, 'limited'),
            call(3, 'denied'),
            call(4, 'peeked'),
            call(5, 'free'),
          );
          evaluator.finish();
          await turns();
          for (const id of [1, 2, 5]) before(journal, `allow of ${id} on record`, `upstream got ${id}`);
          before(journal, 'reserved 1', 'allow of 2 on record');
          for (const id of [3, 4]) before(journal, `deny of ${id} on record`, `agent got ${id}`);
          assert.equal(upstream.got.length, 3);
          assert.deepEqual(upstream.got.toSorted(), [call(1, 'free'), call(2, 'limited'), call(5, 'free')]);
          assert.deepEqual(counters.settled, []);
          fromServer(result(5), result(2), result(1));
          await turns();
          assert.deepEqual(agent.got.slice(-3), [result(5), result(2), result(1)]);
          assert.equal(counters.settled.length, 1);
          assert.match(counters.settled[0] ?? '', /^commit /);
        });

  test('nothing leaves while the log has not answered, and calls of one burst share its answer', async () => {
    const { evaluator, log, journal, upstream, fromAgent } = scene();
    evaluator.when = 'at flush';
    log.pace = 'later';
    fromAgent(call(1, 'free'), call(2, 'free'));
    assert.deepEqual(upstream.got, []);
    await turns();
    assert.deepEqual(journal, [
      'allow of 1 on record',
      'allow of 2 on record',
      'upstream got 1',
      'upstream got 2',
    ]);
  });
});

describe('a part that fails denies', () => {
  for (const pace of PACES) {
    for (const [what, outcome] of [
      ['cannot be written', () => ({ kind: 'unavailable', detail: 'full' }) as const],
      [
        'breaks its promise',
        (): never => {
          throw new Error('broken');
        },
      ],
    ] as const) {
      if (pace === 'at once' && what === 'breaks its promise') continue;
      test(`a log that ${what}, ${pace}: nothing is forwarded, and what was reserved is given back`, async () => {
        const { evaluator, counters, log, agent, upstream, fromAgent } = scene();
        evaluator.when = 'at flush';
        log.pace = pace;
        const works = log.outcome;
        log.outcome = outcome;
        fromAgent(call(1, 'limited'), call(2, 'denied'));
        await turns();
        assert.deepEqual(upstream.got, []);
        assert.equal(reasonOf(agent, 1), 'log_unavailable');
        assert.equal(reasonOf(agent, 2), 'rule_denied');
        assert.equal(counters.settled.length, 1);
        assert.match(counters.settled[0] ?? '', /^rollback /);
        log.outcome = works;
        fromAgent(call(3, 'free'));
        await turns();
        assert.deepEqual(upstream.got, [call(3, 'free')]);
      });
    }
    for (const [what, outcome] of [
      ['are not there', () => ({ kind: 'unavailable', detail: 'gone' }) as const],
      [
        'break their promise',
        (): never => {
          throw new Error('broken');
        },
      ],
    ] as const) {
      if (pace === 'at once' && what === 'break their promise') continue;
      test(`counters that ${what}, ${pace}: only the call that needs them is denied`, async () => {
        const { evaluator, counters, agent, upstream, fromAgent } = scene();
        evaluator.when = 'at flush';
        counters.pace = pace;
        counters.outcome = outcome;
        fromAgent(call(1, 'limited'), call(2, 'peeked'), call(3, 'free'));
        await turns();
        assert.deepEqual(upstream.got, [call(3, 'free')]);
        assert.equal(reasonOf(agent, 1), 'state_unavailable');
        assert.equal(reasonOf(agent, 2), 'rule_denied');
      });
    }
  }

  test('counters that answer for fewer calls than they were asked about', async () => {
    const { evaluator, counters, agent, upstream, fromAgent } = scene();
    evaluator.when = 'at flush';
    counters.reserve = (requests) =>
      requests.slice(1).map(({ reservation }) => ({ kind: 'reserved', id: reservation }));
    fromAgent(call(1, 'limited'), call(2, 'limited'));
    await turns();
    assert.deepEqual(upstream.got, [call(1, 'limited')]);
    assert.equal(reasonOf(agent, 2), 'state_unavailable');
  });

  for (const when of ['at submit', 'at flush', 'later'] as const)
    test(`an evaluation that fails, ${when}: it is read again only to know whom to answer`, async () => {
      const { evaluator, agent, upstream, fromAgent } = scene();
      evaluator.when = when;
      evaluator.answer = (job) => (job.kind === 'judge' ? FAILURE : outcomeOf(job));
      fromAgent(call(1, 'free'));
      evaluator.finish();
      await turns();
      evaluator.finish();
      await turns();
      assert.deepEqual(evaluator.kinds, ['judge', 'read']);
      assert.equal(reasonOf(agent, 1), 'evaluation_crash');
      assert.deepEqual(upstream.got, []);
    });

  test('an evaluator that fails at reading too: its sender is still answered', async () => {
    const { evaluator, agent, upstream, fromAgent } = scene();
    evaluator.when = 'at flush';
    evaluator.answer = () => FAILURE;
    fromAgent(call(1, 'free'), call(2, 'free', 'x'.repeat(20_000)));
    await turns();
    assert.equal(reasonOf(agent, 1), 'evaluation_crash');
    // Too long to be read here: all that can be told is that there was a message.
    assert.equal(agent.got.filter((text) => text.includes('"id":null')).length, 1);
    assert.deepEqual(upstream.got, []);
  });

  test('an evaluator that answers for another kind of message', async () => {
    const { evaluator, agent, upstream, fromAgent, fromServer } = scene();
    evaluator.when = 'at flush';
    const notification = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}';
    evaluator.answer = (job) =>
      job.kind === 'judge'
        ? { kind: 'reading', reading: { kind: 'notification', method: 'x' }, queueUs: 1, evaluationUs: 1 }
        : outcomeOf(job);
    fromAgent(call(1, 'free'));
    await turns();
    assert.equal(reasonOf(agent, 1), 'evaluation_error');
    assert.deepEqual(upstream.got, []);
    // A message of the server's, long enough to go to the evaluator, that comes back as a verdict.
    evaluator.answer = () => ({
      kind: 'verdict',
      verdict: { kind: 'notification', method: 'x' },
      queueUs: 1,
      evaluationUs: 1,
    });
    fromServer(notification.replace('{}', `{"data":"${'x'.repeat(20_000)}"}`), notification);
    await turns();
    assert.equal(agent.got.at(-1), notification);
    assert.equal(agent.got.length, 2);
  });
});

describe('who is too fast is held back', () => {
  test('reading begins with both sides open', () => {
    const { agent, upstream } = scene();
    assert.deepEqual([agent.paused, upstream.paused], [false, false]);
  });

  test('the agent, while the upstream has not taken what it was sent', () => {
    const { session, agent, upstream } = scene();
    for (const [buffered, paused] of [
      [1 << 20, false],
      [(1 << 20) + 1, true],
      [(1 << 18) + 1, true],
      [1 << 18, false],
      [1 << 20, false],
    ] as const) {
      upstream.buffered = buffered;
      session.drained();
      assert.equal(agent.paused, paused, `with ${buffered}`);
      assert.equal(upstream.paused, false);
    }
  });

  test('both, while the agent has not taken what it was sent', () => {
    const { session, agent, upstream } = scene();
    agent.buffered = (1 << 20) + 1;
    session.drained();
    assert.deepEqual([agent.paused, upstream.paused], [true, true]);
    agent.buffered = 0;
    session.drained();
    assert.deepEqual([agent.paused, upstream.paused], [false, false]);
  });

  test('the agent, while too many of its messages wait to be judged', async () => {
    const { evaluator, agent, upstream, fromAgent } = scene();
    fromAgent(...Array.from({ length: 513 }, (_, i) => call(i, 'free')));
    await turns();
    assert.equal(agent.paused, true);
    evaluator.finish(513 - 129);
    await turns();
    assert.equal(agent.paused, true);
    evaluator.finish(1);
    await turns();
    assert.equal(agent.paused, false);
    assert.equal(upstream.paused, false);
  });

  test('the agent, while too many bytes wait to be judged', async () => {
    const { evaluator, agent, fromAgent } = scene();
    const long = 'x'.repeat(3 << 20);
    fromAgent(call(1, 'free', long), call(2, 'free', long), call(3, 'free', long));
    await turns();
    assert.equal(agent.paused, true);
    evaluator.finish(2);
    await turns();
    assert.equal(agent.paused, true);
    evaluator.finish();
    await turns();
    assert.equal(agent.paused, false);
  });

  test('the server, while too many bytes of it wait to be read', async () => {
    const { evaluator, agent, upstream, fromServer } = scene();
    const long = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${'x'.repeat(3 << 20)}"}}`;
    fromServer(long, long, long);
    await turns();
    assert.equal(upstream.paused, true);
    evaluator.finish(2);
    await turns();
    assert.equal(upstream.paused, true);
    evaluator.finish();
    await turns();
    assert.equal(upstream.paused, false);
    assert.equal(agent.got.length, 3);
  });

  test('the server, while too many of its messages wait behind one', async () => {
    const { evaluator, agent, upstream, fromServer } = scene();
    const note = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}';
    fromServer(note.replace('{}', `{"data":"${'x'.repeat(20_000)}"}`), ...Array(512).fill(note));
    await turns();
    assert.equal(upstream.paused, true);
    assert.deepEqual(agent.got, []);
    evaluator.finish();
    await turns();
    assert.equal(upstream.paused, false);
    assert.equal(agent.got.length, 513);
  });
});

describe('a flood', () => {
  test('is handed to the evaluator in order, and no more of it at once than it is sure to take', async () => {
    const { evaluator, log, upstream, fromAgent } = scene();
    const sent = Array.from({ length: 1200 }, (_, i) => call(i, 'free'));
    fromAgent(...sent);
    await turns();
    assert.equal(evaluator.jobs.length, MAX_SUBMITTED);
    for (let left = 1200; left > 0; left -= Math.min(left, 100)) {
      assert.equal(evaluator.jobs.length, Math.min(left, MAX_SUBMITTED));
      evaluator.finish(100);
      await turns();
    }
    assert.deepEqual(upstream.got, sent);
    assert.equal(log.decisions.length, 1200);
  });

  test('does not keep one that failed from being answered first', async () => {
    const { evaluator, agent, fromAgent } = scene();
    fromAgent(...Array.from({ length: 600 }, (_, i) => call(i, 'free')));
    await turns();
    evaluator.answer = () => FAILURE;
    evaluator.finish(1);
    await turns();
    assert.equal(evaluator.jobs.at(-1)?.kind, 'read');
    evaluator.answer = outcomeOf;
    evaluator.jobs.at(-1)?.done(outcomeOf(evaluator.jobs.pop() as never));
    await turns();
    assert.equal(reasonOf(agent, 0), 'evaluation_crash');
  });

  for (const when of ['at submit', 'at flush'] as const)
    test(`is answered in full by an evaluator that answers ${when}`, async () => {
      const { evaluator, upstream, fromAgent } = scene();
      evaluator.when = when;
      const sent = Array.from({ length: 2000 }, (_, i) => call(i, 'free'));
      fromAgent(...sent);
      await turns();
      assert.deepEqual(upstream.got, sent);
    });
});

describe('judged', () => {
  test('resolves at once where nothing waits', async () => {
    await scene().session.judged();
  });

  test('waits for every message that came, and not for what the server owes', async () => {
    const { session, evaluator, log, upstream, fromAgent } = scene();
    log.pace = 'later';
    fromAgent(call(1, 'free'), call(2, 'denied'), 'nonsense');
    let judged = false;
    const waiting = session.judged().then(() => {
      judged = true;
    });
    await turns();
    evaluator.finish(2);
    await turns();
    assert.equal(judged, false);
    evaluator.finish();
    await waiting;
    assert.deepEqual(upstream.got, [call(1, 'free')]);
  });
});

describe('drain', () => {
  test('resolves at once where nothing is owed', async () => {
    await scene().session.drain();
  });

  test('waits for what the server owes, and takes no further call', async () => {
    const { session, evaluator, agent, upstream, fromAgent, fromServer } = scene();
    evaluator.when = 'at flush';
    fromAgent(call(1, 'free'));
    await turns();
    let drained = false;
    const waiting = session.drain().then(() => {
      drained = true;
    });
    fromAgent(call(2, 'free'));
    await turns();
    assert.equal(drained, false);
    assert.equal(reasonOf(agent, 2), 'daemon_unavailable');
    fromServer(result(1));
    await waiting;
    assert.deepEqual(upstream.got, [call(1, 'free')]);
    assert.equal(agent.got.at(-1), result(1));
  });

  test('ends when the server goes, with every call answered', async () => {
    const { session, evaluator, agent, fromAgent } = scene();
    evaluator.when = 'at flush';
    fromAgent(call(1, 'free'), call(2, 'free'));
    await turns();
    const waiting = session.drain();
    session.upstreamClosed('it left');
    await waiting;
    await turns();
    for (const id of [1, 2]) assert.equal(reasonOf(agent, id), 'upstream_unavailable');
  });
});

describe('a name that only the server’s own list can vouch for', () => {
  test('waits for that list, of which the agent sees nothing', async () => {
    const { evaluator, agent, upstream, notes, fromAgent, fromServer } = scene();
    evaluator.when = 'at flush';
    fromAgent(call(1, 'a/b'), call(2, 'c/d'), call(3, 'free'));
    await turns();
    assert.equal(upstream.got.length, 2);
    const { id, method } = JSON.parse(upstream.got.find((text) => text.includes('tools/list')) ?? '{}') as {
      id: string;
      method: string;
    };
    assert.equal(method, 'tools/list');
    fromServer(`{"jsonrpc":"2.0","id":"${id}","result":{"tools":[{"name":"a/b"}]}}`);
    await turns();
    assert.deepEqual(upstream.got.slice(2), [call(1, 'a/b')]);
    assert.equal(reasonOf(agent, 2), 'malformed_message');
    assert.equal(agent.got.length, 1);
    assert.deepEqual(notes, []);
  });

  test('is refused when the server goes before it answers', async () => {
    const { session, evaluator, agent, fromAgent } = scene();
    evaluator.when = 'at flush';
    fromAgent(call(1, 'a/b'));
    await turns();
    session.upstreamClosed('it left');
    await turns();
    assert.match(reasonOf(agent, 1) ?? '', /malformed_message|upstream_unavailable/);
  });
});
