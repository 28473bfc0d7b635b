/** What the base dialect's first implementation reads with a shrug is refused at load, with a code and a hint. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask, codesOf, conditionPolicy, faultsOf, reasonOf, rulePolicy, statePolicy } from './policies.ts';

function head(fields: string): string {
  return `version: "1"\n${fields}\n`;
}

describe('refused at load', () => {
  const refused: [string, string, string][] = [
    [
      'a state block whose rule sets no limit on its counter',
      rulePolicy('conditions: [{path: args.x, op: exists, value: true}], state: {counter: c, window: day}'),
      'counter_without_limit',
    ],
    [
      'a state block limited only by another operator',
      statePolicy('', 'gte, value: 0'),
      'counter_without_limit',
    ],
    ['a negative increment', statePolicy(', increment: -3'), 'bad_increment'],
    ['an increment of zero', statePolicy(', increment: 0'), 'bad_increment'],
    ['an increment beyond 2^63', statePolicy(', increment: 99999999999999999999'), 'bad_increment'],
    ['a state path that names no counter', conditionPolicy('lte', '5', 'state.t.c'), 'unknown_counter'],
    ['an empty default', head('default: ""\ntools: {}'), 'unknown_word'],
    ['a default of null', head('default:\ntools: {}'), 'wrong_type'],
    ['a condition without a value', rulePolicy('conditions: [{path: args.x, op: eq}]'), 'missing_field'],
    ['a field spelt with a capital', head('Default: deny\ntools: {}'), 'unknown_field'],
    [
      'an unknown field in a condition',
      rulePolicy('conditions: [{path: args.x, op: eq, value: 1, negate: true}]'),
      'unknown_field',
    ],
    ['an unknown field in a tool', head('tools: {t: {rule: []}}'), 'unknown_field'],
    ['an unknown field in state', statePolicy(', colour: red'), 'unknown_field'],
    ['a further document', head('tools: {}\n---\ntools: {}'), 'several_documents'],
    ['.nan as a value', conditionPolicy('neq', '.nan'), 'number_not_finite'],
    ['.inf as a value', conditionPolicy('lte', '-.INF'), 'number_not_finite'],
    ['a rate limit with a plus', rulePolicy('rate_limit: "+2/hour"'), 'bad_rate_limit'],
    ['a rate limit in hexadecimal', rulePolicy('rate_limit: "0x2/hour"'), 'bad_rate_limit'],
    ['a rate limit of zero', rulePolicy('rate_limit: "0/hour"'), 'bad_rate_limit'],
    ['a name of spaces', head('hide: ["  "]'), 'blank_text'],
    ['a tool name of spaces', head('tools: {" ": {rules: []}}'), 'blank_text'],
    [
      'a counter name of spaces',
      rulePolicy('conditions: [{path: "state.t. ", op: lte, value: 1}], state: {counter: " ", window: day}'),
      'blank_text',
    ],
    ['a path with an empty end', conditionPolicy('eq', '1', 'args.'), 'bad_path'],
    ['a path with an empty middle', conditionPolicy('eq', '1', 'args.a..b'), 'bad_path'],
    ['an amount from an empty path', statePolicy(', increment_from: "args."'), 'bad_path'],
    ['a repetition over 1000', conditionPolicy('regex', '"a{1001}"'), 'bad_regex'],
    ['repetitions over 1000 when written out', conditionPolicy('regex', '"(a{100}){100}"'), 'bad_regex'],
    ['a merge key', head('tools: {t: {<<: {rules: []}}}'), 'merge_key'],
    ['a binary tag', conditionPolicy('eq', '!!binary bWFpbg=='), 'tag'],
    ['a tag even where it says what is there', conditionPolicy('eq', '!!str a'), 'tag'],
    ['the tag that stands for none', conditionPolicy('eq', '! a'), 'tag'],
    ['UTF-16', '', 'not_utf8'],
    ['YAML 1.1', '%YAML 1.1\n---\nversion: "1"\n', 'yaml_directive'],
    ['a number as a rule name', head('tools: {t: {rules: [{name: 7, action: deny}]}}'), 'wrong_type'],
    ['a number as a description', head('description: 5'), 'wrong_type'],
    ['a number as a message', rulePolicy('action: deny, on_deny: 5'), 'wrong_type'],
    ['a boolean among hidden names', head('hide: [true]'), 'wrong_type'],
    ['a number as a tool name', head('tools: {42: {rules: []}}'), 'key_not_text'],
    ['a null among the rules', head('tools: {t: {rules: [~]}}'), 'wrong_type'],
    ['a null among hidden names', head('hide: [a, ~]'), 'wrong_type'],
    [
      'an action of null',
      rulePolicy('action: , conditions: [{path: args.x, op: eq, value: 1}]'),
      'wrong_type',
    ],
    [
      'an empty action',
      rulePolicy('action: "", conditions: [{path: args.x, op: eq, value: 1}]'),
      'unknown_word',
    ],
    ['an increment of null', statePolicy(', increment: null'), 'wrong_type'],
    ['an amount from null', statePolicy(', increment_from: null'), 'wrong_type'],
    ['a rate limit of null', rulePolicy('rate_limit: null'), 'wrong_type'],
    ['an empty rate limit', rulePolicy('rate_limit: ""'), 'bad_rate_limit'],
    ['a rate limit with a misspelt action', rulePolicy('rate_limit: 1/hour, action: banana'), 'unknown_word'],
    ['an underscore in a number', conditionPolicy('lte', '1_000'), 'wrong_type'],
    ['approvals, which are not built yet', rulePolicy('action: require_approval'), 'unsupported_action'],
    ['a name hidden twice', head('hide: [a, a]'), 'duplicate_entry'],
  ];
  for (const [what, text, code] of refused) {
    test(what, () => {
      const bytes = code === 'not_utf8' ? Buffer.from('\ufeffversion: "1"\n', 'utf16le') : text;
      assert.ok(codesOf(bytes).includes(code), JSON.stringify(faultsOf(bytes)));
    });
  }
});

describe('read as YAML 1.2 has it', () => {
  const read: [string, string, string, string][] = [
    ['010 is ten', '010', '{"x":10}', '{"x":8}'],
    ['0o10 is eight', '0o10', '{"x":8}', '{"x":10}'],
    ['0x10 is sixteen', '0x10', '{"x":16}', '{"x":"0x10"}'],
    ['0b101 is text', '0b101', '{"x":"0b101"}', '{"x":5}'],
    ['1_000 is text', '1_000', '{"x":"1_000"}', '{"x":1000}'],
    ['a date is text', '2024-05-01', '{"x":"2024-05-01"}', '{"x":"2024-05-02"}'],
    ['+5 is five', '+5', '{"x":5}', '{"x":"+5"}'],
    ['.5 and 5. are numbers', '.5', '{"x":0.5}', '{"x":".5"}'],
    ['yes is text', 'yes', '{"x":"yes"}', '{"x":true}'],
    ['TRUE is true', 'TRUE', '{"x":true}', '{"x":"TRUE"}'],
  ];
  for (const [what, value, same, other] of read) {
    test(what, () => {
      assert.equal(reasonOf(ask(conditionPolicy('eq', value), same)), 'allowed');
      assert.notEqual(reasonOf(ask(conditionPolicy('eq', value), other)), 'allowed');
    });
  }

  test('so that an unquoted date is denied by neq', () => {
    assert.equal(reasonOf(ask(conditionPolicy('neq', '2024-05-01'), '{"x":"2024-05-01"}')), 'rule_denied');
    assert.equal(
      reasonOf(ask(conditionPolicy('not_in', '[2024-12-24, 2024-12-25]'), '{"x":"2024-12-25"}')),
      'rule_denied',
    );
  });

  test('version 1 without quotes is common and accepted, 1.0 and 0x1 are not', () => {
    assert.deepEqual(codesOf('version: 1\n'), []);
    for (const version of ['1.0', '0x1', '+1', '01', '2', '"1.0"'])
      assert.deepEqual(codesOf(`version: ${version}\n`), ['unknown_word'], version);
  });
});

test('the counter behind rate_limit is read under its own name', () => {
  const text = `version: "1"
tools:
  t:
    rules:
      - {name: limit, rate_limit: 2/hour}
      - {name: start, conditions: [{path: state.t._rate_hour, op: lt, value: 1}]}
`;
  const ruling = ask(text);
  assert.deepEqual(ruling.effect === 'allow' && ruling.obligations.map((one) => [one.kind, one.rule.rule]), [
    ['read', 'limit'],
    ['read', 'start'],
    ['reserve', 'limit'],
  ]);
});
