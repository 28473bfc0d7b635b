/** Where the base dialect's first implementation lets calls through, this one denies: the evaluation's half of the list. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluate } from '../../src/policy/evaluate.ts';
import { ask, conditionPolicy, denialOf, policyOf, reasonOf, rulePolicy, statePolicy } from './policies.ts';

function reasons(policy: string, argsTexts: readonly string[]): string[] {
  const prepared = policyOf(policy);
  return argsTexts.map((args) => reasonOf(ask(prepared, args)));
}

describe('comparison is typed', () => {
  test('text never equals what prints alike, and another type is a fault', () => {
    assert.deepEqual(
      reasons(conditionPolicy('eq', '5'), ['{"x":5}', '{"x":"5"}', '{"x":[5]}', '{"x":null}']),
      ['allowed', 'invalid_argument', 'invalid_argument', 'invalid_argument'],
    );
    assert.equal(reasonOf(ask(conditionPolicy('eq', 'null'), '{"x":"<nil>"}')), 'invalid_argument');
    assert.equal(reasonOf(ask(conditionPolicy('eq', '"true"'), '{"x":true}')), 'invalid_argument');
    assert.equal(reasonOf(ask(conditionPolicy('in', '["5"]'), '{"x":5}')), 'invalid_argument');
    assert.equal(reasonOf(ask(conditionPolicy('contains', '5'), '{"x":["5"]}')), 'rule_denied');
    assert.equal(reasonOf(ask(conditionPolicy('contains', 'null'), '{"x":["<nil>"]}')), 'rule_denied');
  });

  test('lists and maps are compared by value, item by item', () => {
    assert.deepEqual(
      reasons(conditionPolicy('eq', '[a, b]'), ['{"x":["a","b"]}', '{"x":["a b"]}', '{"x":["b","a"]}']),
      ['allowed', 'rule_denied', 'rule_denied'],
    );
    const maps = [
      '{"x":{"k":1,"l":[2]}}',
      '{"x":{"l":[2],"k":1}}',
      '{"x":{"k":"1","l":[2]}}',
      '{"x":{"k":1,"l":[2],"m":0}}',
      '{"x":{"k":1}}',
    ];
    assert.deepEqual(reasons(conditionPolicy('eq', '{k: 1, l: [2]}'), maps), [
      'allowed',
      'allowed',
      'rule_denied',
      'rule_denied',
      'rule_denied',
    ]);
  });

  test('a value of another type does not slip past neq and not_in', () => {
    for (const policy of [conditionPolicy('neq', 'root'), conditionPolicy('not_in', '[root, admin]')]) {
      assert.deepEqual(
        reasons(policy, [
          '{"x":"bob"}',
          '{"x":"root"}',
          '{"x":["root"]}',
          '{"x":null}',
          '{"x":{"root":1}}',
          '{}',
        ]),
        [
          'allowed',
          'rule_denied',
          'invalid_argument',
          'invalid_argument',
          'invalid_argument',
          'invalid_argument',
        ],
      );
    }
  });

  test('not_in takes any type that its list holds, and every type where the list is empty', () => {
    assert.deepEqual(
      reasons(conditionPolicy('not_in', '[a, 1]'), ['{"x":"1"}', '{"x":1}', '{"x":2}', '{"x":true}']),
      ['allowed', 'rule_denied', 'allowed', 'invalid_argument'],
    );
    assert.equal(reasonOf(ask(conditionPolicy('not_in', '[]'), '{"x":null}')), 'allowed');
  });
});

describe('a missing argument satisfies no operator', () => {
  const operators: [string, string][] = [
    ['eq', 'a'],
    ['neq', 'a'],
    ['in', '[a]'],
    ['not_in', '[a]'],
    ['lt', '1'],
    ['lte', '1'],
    ['gt', '1'],
    ['gte', '1'],
    ['regex', '".*"'],
    ['contains', '""'],
  ];
  for (const [op, value] of operators) {
    test(`not even ${op}`, () => {
      const denial = denialOf(ask(conditionPolicy(op, value)));
      assert.equal(denial.reason, 'invalid_argument');
      assert.match(denial.message, /^rule "r": "x" is missing; it must /);
    });
  }

  test('but for exists: false', () => {
    assert.deepEqual(reasons(conditionPolicy('exists', 'false'), ['{}', '{"x":1}']), [
      'allowed',
      'rule_denied',
    ]);
    assert.deepEqual(reasons(conditionPolicy('exists', 'true'), ['{}', '{"x":1}', '{"x":null}']), [
      'rule_denied',
      'allowed',
      'rule_denied',
    ]);
  });
});

describe('numbers are exact', () => {
  test('beyond 2^53', () => {
    assert.deepEqual(
      reasons(conditionPolicy('eq', '9007199254740993'), [
        '{"x":9007199254740993}',
        '{"x":9007199254740992}',
        '{"x":9007199254740993.0}',
      ]),
      ['allowed', 'rule_denied', 'allowed'],
    );
    assert.deepEqual(
      reasons(conditionPolicy('lt', '9007199254740993'), [
        '{"x":9007199254740992}',
        '{"x":9007199254740993}',
      ]),
      ['allowed', 'rule_denied'],
    );
    assert.deepEqual(
      reasons(conditionPolicy('lte', '9223372036854775808'), [
        '{"x":9223372036854775808}',
        '{"x":9223372036854775809}',
      ]),
      ['allowed', 'rule_denied'],
    );
    assert.deepEqual(
      reasons(conditionPolicy('neq', '9007199254740993'), [
        '{"x":9007199254740993}',
        '{"x":9007199254740992}',
      ]),
      ['rule_denied', 'allowed'],
    );
  });

  test('in decimals', () => {
    assert.deepEqual(
      reasons(conditionPolicy('lte', '0.3'), [
        '{"x":0.3}',
        '{"x":0.30000000000000004}',
        '{"x":0.3000000000000000001}',
        '{"x":3e-1}',
      ]),
      ['allowed', 'rule_denied', 'rule_denied', 'allowed'],
    );
    assert.equal(
      reasonOf(ask(conditionPolicy('eq', '0.1000000000000000000001'), '{"x":0.1}')),
      'rule_denied',
    );
    assert.equal(
      reasonOf(ask(conditionPolicy('not_in', '[9007199254740993]'), '{"x":9007199254740993}')),
      'rule_denied',
    );
  });

  test('a number that no JSON text yields is denied, not let through', () => {
    const prepared = policyOf(conditionPolicy('neq', '5'));
    for (const x of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const ruling = evaluate(prepared, { tool: 't', args: { x } });
      assert.equal(reasonOf(ruling), 'evaluation_error');
    }
  });
});

describe('amounts that count towards a limit', () => {
  const policy = statePolicy(', increment_from: args.amount');

  test('are exact decimals, not negative, and at most 10^18', () => {
    const texts = [
      '0',
      '0.99',
      '1000000000000000000',
      '1000000000000000001',
      '1e300',
      '9223372036854775808',
      '-0.01',
      '-5',
      '"5"',
      '[5]',
      'null',
    ];
    assert.deepEqual(
      reasons(
        policy,
        texts.map((text) => `{"amount":${text}}`),
      ),
      ['allowed', 'allowed', 'allowed', ...Array(8).fill('invalid_argument')],
    );
    assert.equal(reasonOf(ask(policy)), 'invalid_argument');
    const ruling = ask(policy, '{"amount":0.10}');
    assert.deepEqual(ruling.effect === 'allow' && ruling.obligations, [
      {
        kind: 'reserve',
        counter: { scope: 't', name: 'c', window: 'hour' },
        amount: '0.1',
        bounds: [{ op: 'lte', value: '5' }],
        rule: { tool: 't', rule: 'r', index: 0 },
      },
    ]);
  });

  test('are named in the denial without being told', () => {
    const { message } = denialOf(ask(policy, '{"amount":-7777}'));
    assert.match(message, /"amount" must not be negative/);
    assert.doesNotMatch(message, /7777/);
  });
});

test('of two limits on one counter in one rule both bind', () => {
  const conditions =
    'conditions: [{path: state.t.c, op: lte, value: 5}, {path: state.t.c, op: lt, value: 2.5}]';
  const ruling = ask(rulePolicy(`${conditions}, state: {counter: c, window: hour}`));
  const [obligation] = ruling.effect === 'allow' ? ruling.obligations : [];
  assert.deepEqual(obligation?.kind === 'reserve' && obligation.bounds, [
    { op: 'lte', value: '5' },
    { op: 'lt', value: '2.5' },
  ]);
});

test('a tool with dots in its name has counters, and the tool _global shares none with the wildcard', () => {
  const text = `version: "1"
tools:
  ns.tool:
    rules: [{name: a, conditions: [{path: state.ns.tool.c, op: lte, value: 1}], state: {counter: c, window: day}}]
  _global:
    rules: [{name: b, conditions: [{path: state._global.c, op: lte, value: 2}], state: {counter: c, window: day}}]
  "*":
    rules: [{name: g, conditions: [{path: state._global.c, op: lte, value: 3}], state: {counter: c, window: day}}]
`;
  const scopes = (tool: string) => {
    const ruling = ask(text, '{}', tool);
    return ruling.effect === 'allow' ? ruling.obligations.map((one) => one.counter.scope) : [];
  };
  assert.deepEqual(scopes('ns.tool'), ['ns.tool', null]);
  assert.deepEqual(scopes('_global'), ['_global', null]);
});

test('neither * nor an empty name is a tool, whatever the wildcard says', () => {
  const policy = policyOf('version: "1"\ntools:\n  "*": {rules: []}\n');
  assert.equal(reasonOf(ask(policy, '{}', '*')), 'malformed_message');
  assert.equal(reasonOf(ask(policy, '{}', '')), 'malformed_message');
  assert.equal(reasonOf(ask(policy, '{}', 'a')), 'allowed');
});
