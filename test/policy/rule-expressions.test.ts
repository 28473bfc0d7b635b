import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareExpression } from '../../src/policy/cel/expression.ts';
import { evaluate, prepare, ruleByNumber } from '../../src/policy/evaluate.ts';
import { type Facts, NO_FACTS } from '../../src/policy/facts.ts';
import { partsOf } from '../../src/policy/program.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { programOf } from './policies.ts';
import { readArgs } from './strict-json.ts';

const ENGINES = { compileRegex, compileExpression: prepareExpression };

function rules(text: string): string {
  return `version: "1"\ntools:\n  t:\n    rules:\n${text}`;
}

function ruling(policy: string, args = '{}', facts: Facts = NO_FACTS, cursor?: Int32Array) {
  return evaluate(prepare(programOf(policy), ENGINES), { tool: 't', args: readArgs(args), facts }, cursor);
}

/** The reason of a denial with the rule that gave it, or the counters that an allow takes from. */
function outcome(policy: string, args = '{}', facts?: Facts): string {
  const found = ruling(policy, args, facts);
  if (found.effect === 'allow')
    return `allow ${found.obligations.map((o) => o.counter.name).join(',')}`.trim();
  return `${found.denial.reason} ${found.denial.rule?.rule ?? ''}`.trim();
}

describe('when', () => {
  const policy = rules(`
      - {name: never big, action: deny, when: args.n > 100, on_deny: too big}
      - {name: small, when: args.n < 10, conditions: [{path: args.why, op: exists, value: true}]}
      - {name: often, when: args.n >= 50, rate_limit: 5/minute}
      - {name: hourly, rate_limit: 9/hour}
`);
  test('false leaves out all of its rule: conditions, denial and limits', () => {
    assert.equal(outcome(policy, '{"n":20}'), 'allow _rate_hour');
    assert.equal(outcome(policy, '{"n":60}'), 'allow _rate_minute,_rate_hour');
    assert.equal(outcome(policy, '{"n":5}'), 'rule_denied small');
    assert.equal(outcome(policy, '{"n":5,"why":"x"}'), 'allow _rate_hour');
    assert.equal(outcome(policy, '{"n":101}'), 'rule_denied never big');
  });

  test('that cannot be evaluated denies under a code of its own, and in the rule’s name', () => {
    for (const args of ['{}', '{"n":"x"}', '{"n":null}', '{"n":[]}', '{"n":12345678901234567890123}'])
      assert.equal(outcome(policy, args), 'evaluation_error never big', args);
    const found = ruling(policy, '{}');
    assert.ok(found.effect === 'deny');
    assert.match(found.denial.message, /^too big \(rule "never big": it could not be evaluated/);
  });

  test('gives the same ruling object to calls to which the same rules apply, and another to others', () => {
    const prepared = prepare(programOf(policy), ENGINES);
    const ask = (n: number) => evaluate(prepared, { tool: 't', args: readArgs(`{"n":${n}}`) });
    assert.equal(ask(20), ask(30));
    assert.equal(ask(60), ask(70));
    assert.notEqual(ask(20), ask(60));
    assert.ok(Object.isFrozen(ask(20)));
  });

  test('is judged for each call, though amounts of other rules depend on the arguments', () => {
    const counted = rules(`
      - name: spend
        when: args.n > 1
        conditions: [{path: state.t.spent, op: lte, value: 10}]
        state: {counter: spent, window: day, increment_from: args.n}
`);
    assert.equal(outcome(counted, '{"n":1}'), 'allow');
    assert.equal(outcome(counted, '{"n":2}'), 'allow spent');
    assert.equal(outcome(counted, '{"n":2.5}'), 'allow spent');
    assert.equal(outcome(counted, '{"n":"2"}'), 'evaluation_error spend');
  });
});

describe('require', () => {
  const policy = rules(`
      - name: r
        require: [args.n < 10, "args.s.startsWith('a')"]
`);
  test('must hold, each of them', () => {
    assert.equal(outcome(policy, '{"n":1,"s":"ab"}'), 'allow');
    assert.equal(outcome(policy, '{"n":11,"s":"ab"}'), 'rule_denied r');
    assert.equal(outcome(policy, '{"n":1,"s":"b"}'), 'rule_denied r');
    assert.equal(outcome(policy, '{"n":1}'), 'evaluation_error r');
    assert.equal(outcome(policy, '{"n":11}'), 'rule_denied r');
  });

  test('is shown in the denial, as the policy has it and without the call’s values', () => {
    const found = ruling(policy, '{"n":987654,"s":"ab"}');
    assert.ok(found.effect === 'deny');
    assert.equal(found.denial.message, 'rule "r": it must hold that `args.n < 10`');
  });

  test('stands beside conditions, a counter and a rate limit', () => {
    const mixed = rules(`
      - {name: a, conditions: [{path: args.n, op: lt, value: 5}], require: args.n > 1}
      - {name: b, rate_limit: 3/day, require: args.n != 3}
`);
    assert.equal(outcome(mixed, '{"n":2}'), 'allow _rate_day');
    assert.equal(outcome(mixed, '{"n":1}'), 'rule_denied a');
    assert.equal(outcome(mixed, '{"n":3}'), 'rule_denied b');
    assert.equal(outcome(mixed, '{"n":7}'), 'rule_denied a');
  });
});

describe('faults of expressions in a file', () => {
  const faults = (text: string) => {
    const reading = readPolicy(Buffer.from(text), 'p.yaml');
    return reading.ok
      ? []
      : reading.diagnostics.map(({ code, line, column, path }) => `${code} ${line}:${column} ${path}`);
  };
  test('name line and column inside the YAML, however the text is written', () => {
    assert.deepEqual(
      faults(`version: "1"
tools:
  t:
    rules:
      - {name: a, action: deny, when: args.n > foo}
      - {name: b, require: "args.n > foo"}
      - {name: c, require: ['args.n > 1', 'args.n > foo']}
      - name: d
        when: |
          args.n > 1 &&
            args.m > foo
        action: deny
      - name: e
        when: >
          args.n > 1 &&
          args.m > foo
        action: deny
      - {name: f, require: "args.s == \\"x\\" && foo"}
`),
      [
        'bad_expression 5:48 tools.t.rules[0].when',
        'bad_expression 6:38 tools.t.rules[1].require',
        'bad_expression 7:53 tools.t.rules[2].require[1]',
        'bad_expression 11:22 tools.t.rules[3].when',
        'bad_expression 14:15 tools.t.rules[4].when',
        'bad_expression 18:28 tools.t.rules[5].require',
      ],
    );
  });

  test('and of rules that do not go together with them', () => {
    assert.deepEqual(faults(rules('      - {name: a, when: "true"}\n')), [
      'rule_without_conditions 5:10 tools.t.rules[0]',
    ]);
    assert.deepEqual(faults(rules('      - {name: a, action: deny, require: "true", check: ./a.mjs}\n')), [
      'conflicting_fields 5:33 tools.t.rules[0].require',
      'conflicting_fields 5:50 tools.t.rules[0].check',
    ]);
    assert.deepEqual(faults(rules('      - {name: a, require: " "}\n')), [
      'blank_text 5:28 tools.t.rules[0].require',
    ]);
    for (const bad of ['../a.mjs', '/a.mjs', 'a.mjs', './a.js', './a.mjs#', './a.mjs#b c', './b/../a.mjs'])
      assert.deepEqual(faults(rules(`      - {name: a, check: "${bad}"}\n`)), [
        'bad_check 5:26 tools.t.rules[0].check',
      ]);
  });
});

test('arguments that expressions read may not be spelt otherwise', () => {
  const policy = rules(`
      - {name: a, action: deny, when: has(args.force) && args.force}
      - {name: b, require: 'args.limits["max"] < 5 && !hasPointer(args, "/o/deep")'}
`);
  const good = '{"force":false,"limits":{"max":1},"other":1,"Others":2}';
  assert.equal(outcome(policy, good), 'allow');
  for (const args of [
    '{"Force":true,"limits":{"max":1}}',
    '{"force":false,"FORCE":true,"limits":{"max":1}}',
    '{"limits":{"max":1,"Max":9}}',
    '{"limits":{"max":1},"Limits":{"max":9}}',
    '{"limits":{"max":1},"o":{"Deep":1}}',
  ])
    assert.equal(outcome(policy, args), 'invalid_argument', args);
});

test('the cursor tells which part of a rule is judged, as partsOf names them', () => {
  const program = programOf(
    rules(`
      - {name: a, when: args.n > 0, conditions: [{path: args.n, op: lt, value: 9}, {path: args.s, op: exists, value: true}], require: [args.n > 1, args.n > 2]}
`),
  );
  const rule = program.tools[0]?.rules[0];
  assert.ok(rule !== undefined);
  assert.deepEqual(partsOf(rule), ['when', 'condition 1', 'condition 2', 'require 1', 'require 2']);
  const prepared = prepare(program, ENGINES);
  const partOf = (args: string): string | undefined => {
    const cursor = new Int32Array(2);
    evaluate(prepared, { tool: 't', args: readArgs(args) }, cursor);
    assert.equal(ruleByNumber(program, cursor[0] ?? 0)?.rule, 'a');
    return partsOf(rule)[(cursor[1] ?? 0) - 1];
  };
  assert.equal(partOf('{"n":0}'), 'when');
  assert.equal(partOf('{"n":10}'), 'condition 1');
  assert.equal(partOf('{"n":1}'), 'condition 2');
  assert.equal(partOf('{"n":1,"s":1}'), 'require 1');
  assert.equal(partOf('{"n":2,"s":1}'), 'require 2');
});

test('a policy with expressions is not prepared where nothing evaluates them', () => {
  assert.throws(() => prepare(programOf(rules('      - {name: a, require: "true"}\n')), { compileRegex }));
});
