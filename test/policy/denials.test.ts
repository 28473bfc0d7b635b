/** A denial tells a model which rule, which argument and what would satisfy it, and never the argument's own value. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluate, prepare, ruleByNumber } from '../../src/policy/evaluate.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { ask, conditionPolicy, denialOf, policyOf, programOf, reasonOf, rulePolicy } from './policies.ts';

describe('the message', () => {
  const messages: [string, string, string, string][] = [
    ['lte', '500', '{"x":777123}', 'rule "r": "x" must be at most 500'],
    ['lt', '500', '{"x":777123}', 'rule "r": "x" must be less than 500'],
    ['gt', '5', '{"x":-777123}', 'rule "r": "x" must be greater than 5'],
    ['gte', '5', '{"x":-777123}', 'rule "r": "x" must be at least 5'],
    ['eq', 'main', '{"x":"777123"}', 'rule "r": "x" must be "main"'],
    ['neq', '"777123"', '{"x":"777123"}', 'rule "r": "x" must not be "777123"'],
    ['in', '[eu, us]', '{"x":"777123"}', 'rule "r": "x" must be one of ["eu", "us"]'],
    ['not_in', '[root]', '{"x":"root"}', 'rule "r": "x" must be none of ["root"]'],
    ['regex', '"^/tmp/"', '{"x":"777123"}', 'rule "r": "x" must match the pattern "^/tmp/"'],
    ['contains', 'k', '{"x":"777123"}', 'rule "r": "x" must contain "k"'],
    ['exists', 'false', '{"x":"777123"}', 'rule "r": "x" must not be given'],
    ['exists', 'true', '{}', 'rule "r": "x" must be given, and not null'],
    [
      'lte',
      '500',
      '{"x":"777123"}',
      'rule "r": "x" is a string, but has to be a number: it must be at most 500',
    ],
    [
      'regex',
      'a',
      '{"x":["777123"]}',
      'rule "r": "x" is a list, but has to be a string: it must match the pattern "a"',
    ],
    [
      'contains',
      'a',
      '{"x":{"777123":1}}',
      'rule "r": "x" is an object, but has to be a string or a list: it must contain "a"',
    ],
    [
      'in',
      '[a, 1]',
      '{"x":null}',
      'rule "r": "x" is null, but has to be a string or a number: it must be one of ["a", 1]',
    ],
    ['lte', '500', '{}', 'rule "r": "x" is missing; it must be at most 500'],
  ];
  for (const [op, value, args, message] of messages) {
    test(message, () => {
      const denial = denialOf(ask(conditionPolicy(op, value), args));
      assert.equal(denial.message, message);
      if (op !== 'neq') assert.doesNotMatch(denial.message, /777123/);
    });
  }

  test('begins with the rule\u2019s own words, whatever the reason', () => {
    const policy = policyOf(
      rulePolicy('conditions: [{path: args.x, op: lte, value: 5}], on_deny: "100% no %s ${x} $1"'),
    );
    for (const args of ['{"x":6}', '{"x":"6"}', '{}']) {
      const denial = denialOf(ask(policy, args));
      assert.ok(denial.message.startsWith('100% no %s ${x} $1 (rule "r": '), denial.message);
      assert.equal(denial.onDeny, '100% no %s ${x} $1');
    }
  });

  test('clips a long constant of the policy', () => {
    const { message } = denialOf(ask(conditionPolicy('eq', 'a'.repeat(5_000)), '{"x":"b"}'));
    assert.ok(message.length < 200, message);
  });
});

test('hidden and unlisted tools are denied under codes of their own, without naming a rule', () => {
  const policy = policyOf('version: "1"\ndefault: deny\nhide: [h]\ntools: {t: {}, h: {}}\n');
  assert.deepEqual(
    [reasonOf(ask(policy, '{}', 'h')), reasonOf(ask(policy, '{}', 'u')), reasonOf(ask(policy))],
    ['tool_hidden', 'tool_not_listed', 'allowed'],
  );
  assert.equal(denialOf(ask(policy, '{}', 'u')).rule, undefined);
});

describe('an evaluation that breaks', () => {
  const broken = {
    get x(): never {
      throw new Error('secret 777123');
    },
  };

  test('denies under a code of its own, in the name of its rule', () => {
    const policy = policyOf(rulePolicy('conditions: [{path: args.x, op: neq, value: 5}], on_deny: "no"'));
    const denial = denialOf(evaluate(policy, { tool: 't', args: broken }));
    assert.equal(denial.reason, 'evaluation_error');
    assert.equal(denial.rule?.rule, 'r');
    assert.equal(denial.message, 'no (rule "r": it could not be evaluated for this call)');
  });

  test('denies where a pattern throws while it matches', () => {
    const program = programOf(conditionPolicy('regex', '"a"'));
    const policy = prepare(program, {
      compileRegex: () => () => {
        throw 'not even an error';
      },
    });
    assert.equal(reasonOf(ask(policy, '{"x":"a"}')), 'evaluation_error');
  });
});

test('the cursor holds the rule and condition under judgement, numbered through the whole policy', () => {
  const program = programOf(`version: "1"
tools:
  a: {rules: [{name: a0, action: deny}, {name: a1, action: deny}]}
  t: {rules: [{name: t0, conditions: [{path: args.x, op: exists, value: true}]}, {name: t1, conditions: [{path: args.x, op: exists, value: true}, {path: args.x, op: regex, value: a}]}]}
`);
  const cursor = new Int32Array(2);
  let seen: number[] = [];
  const policy = prepare(program, {
    compileRegex: (pattern) => (text) => {
      seen = [...cursor];
      return compileRegex(pattern)(text);
    },
  });
  assert.equal(evaluate(policy, { tool: 't', args: { x: 'a' } }, cursor).effect, 'allow');
  assert.deepEqual(seen, [4, 2]);
  assert.deepEqual(ruleByNumber(program, 4), { tool: 't', rule: 't1', index: 1 });
  assert.deepEqual(ruleByNumber(program, 2), { tool: 'a', rule: 'a1', index: 1 });
  assert.equal(ruleByNumber(program, 5), undefined);
  assert.equal(ruleByNumber(program, 0), undefined);
});

test('counters that earlier rules read are named to the gate, so that a limit already passed is what gets told', () => {
  const ruling = ask(
    `version: "1"
tools:
  t:
    rules:
      - {name: limit, conditions: [{path: state.t.c, op: lte, value: 2}], state: {counter: c, window: day}, on_deny: enough}
      - {name: no, action: deny}
`,
  );
  assert.deepEqual(ruling.effect === 'deny' && ruling.earlier, [
    {
      kind: 'read',
      counter: { scope: 't', name: 'c', window: 'day' },
      test: { op: 'lte', value: '2' },
      rule: { tool: 't', rule: 'limit', index: 0 },
      onDeny: 'enough',
    },
  ]);
});
