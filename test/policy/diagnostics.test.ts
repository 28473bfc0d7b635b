/** All faults of a file come out together: each with its place, what was found, what was expected, the nearest word. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { POLICY_ERROR_CODES, POLICY_WARNING_CODES } from '../../src/policy/text/codes.ts';
import { nearest } from '../../src/policy/text/nearest.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { policyJsonSchema } from '../../src/policy/text/write-schema.ts';
import { faultsOf, programOf } from './policies.ts';

const FAULTY = `version: "1"
defualt: deny
hide: [a, a]
tools:
  charge:
    rules:
      - name: cap
        conditions:
          - path: arg.amount
            op: let
            value: 5
          - {path: state.charge.spnt, op: lte, value: "5"}
          - {path: args.x, op: regex, value: "(?=a)"}
        state: {counter: spent, window: hours}
      - name: 7
        action: dney
      - {nmae: q, rate_limit: 5/hours}
      - {name: twice, rate_limit: 1/day}
      - {name: twice, rate_limit: 2/day, state: {counter: d, window: day}}
`;

test('every fault of a file is reported, in the order of their places', () => {
  const shown = faultsOf(FAULTY).map((fault) => `${fault.line}:${fault.column} ${fault.code} ${fault.path}`);
  assert.deepEqual(shown, [
    '2:1 unknown_field defualt',
    '3:11 duplicate_entry hide[1]',
    '9:19 bad_path tools.charge.rules[0].conditions[0].path',
    '10:17 unknown_word tools.charge.rules[0].conditions[0].op',
    '12:20 unknown_counter tools.charge.rules[0].conditions[1].path',
    '12:55 wrong_type tools.charge.rules[0].conditions[1].value',
    '13:46 bad_regex tools.charge.rules[0].conditions[2].value',
    '14:41 unknown_word tools.charge.rules[0].state.window',
    '15:15 wrong_type tools.charge.rules[1].name',
    '16:17 unknown_word tools.charge.rules[1].action',
    '17:9 missing_field tools.charge.rules[2].name',
    '17:10 unknown_field tools.charge.rules[2].nmae',
    '17:31 bad_rate_limit tools.charge.rules[2].rate_limit',
    '19:42 conflicting_fields tools.charge.rules[4].state',
  ]);
});

test('each names the nearest correct word, and how to mend it', () => {
  const hints = Object.fromEntries(faultsOf(FAULTY).map((fault) => [fault.path, fault.hint]));
  assert.equal(hints.defualt, 'did you mean default?');
  assert.equal(hints['tools.charge.rules[0].conditions[0].path'], 'begin with args.');
  assert.equal(hints['tools.charge.rules[0].conditions[0].op'], 'did you mean lt?');
  assert.equal(hints['tools.charge.rules[0].conditions[1].path'], 'did you mean state.charge.spent?');
  assert.equal(
    hints['tools.charge.rules[0].conditions[1].value'],
    'take the quotes away to make it a number',
  );
  assert.equal(hints['tools.charge.rules[0].state.window'], 'did you mean hour?');
  assert.equal(hints['tools.charge.rules[1].name'], 'put quotes around it to make it text');
  assert.equal(hints['tools.charge.rules[1].action'], 'did you mean deny?');
  assert.equal(hints['tools.charge.rules[2].nmae'], 'did you mean name?');
  assert.equal(hints['tools.charge.rules[2].rate_limit'], 'did you mean 5/hour?');
});

test('a counter raised twice is reported where it is raised again', () => {
  const text = FAULTY.replace(', state: {counter: d, window: day}', '');
  assert.deepEqual(
    faultsOf(text)
      .filter((fault) => fault.code === 'duplicate_counter')
      .map((fault) => [fault.line, fault.path]),
    [[19, 'tools.charge.rules[4].rate_limit']],
  );
});

describe('a counter\u2019s path that reads as two counters, since names hold dots', () => {
  const counter = (path: string, name: string) =>
    `{name: ${name}, conditions: [{path: ${path}, op: lte, value: 1}], state: {counter: ${name}, window: day}}`;
  const text = (readers: { own?: string; other?: string }) => `version: "1"
tools:
  a: {rules: [${counter('state.a.b.c', 'b.c')}${readers.own ?? ''}]}
  a.b: {rules: [${counter('state.a.b.c', 'c')}]}
  z: {rules: [${readers.other ?? ''}]}
`;
  const reader = '{name: reads, conditions: [{path: state.a.b.c, op: lt, value: 1}]}';

  test('means the one of its own tool', () => {
    const program = programOf(text({ own: `, ${reader}` }));
    const rule = program.tools[0]?.rules[1];
    const condition = rule?.action === 'evaluate' ? rule.conditions[0] : undefined;
    assert.deepEqual(condition?.on === 'state' && condition.counter, {
      scope: 'a',
      name: 'b.c',
      window: 'day',
    });
  });

  test('is refused elsewhere', () => {
    assert.deepEqual(
      faultsOf(text({ other: reader })).map((fault) => `${fault.line} ${fault.code}`),
      ['5 ambiguous_counter'],
    );
  });
});

test('a fault in a value that an alias repeats is reported once', () => {
  const text = 'version: "1"\ntools:\n  a: &t {rules: [{name: r, action: dney}]}\n  b: *t\n  c: *t\n';
  assert.deepEqual(
    faultsOf(text).map((fault) => fault.code),
    ['unknown_word'],
  );
});

test('what a policy hardly means is a warning, not an error', () => {
  const text = `version: "1"
default: deny
tools:
  "*":
    rules:
      - {name: off, action: deny, state: {counter: c, window: day}}
      - {name: nul, conditions: [{path: args.x, op: neq, value: null}]}
      - {name: text, conditions: [{path: state._global._rate_day, op: regex, value: "."}]}
      - {name: rate, rate_limit: 1/day}
`;
  const reading = readPolicy(Buffer.from(text), 'p.yaml');
  assert.ok(reading.ok);
  assert.deepEqual(
    reading.warnings.map((warning) => [warning.line, warning.code]),
    [
      [2, 'nothing_listed'],
      [6, 'counter_never_raised'],
      [7, 'never_holds'],
      [8, 'never_holds'],
    ],
  );
});

describe('the nearest word', () => {
  test('is near, or none', () => {
    assert.equal(nearest('conditons', ['conditions', 'name']), 'conditions');
    assert.equal(nearest('on-deny', ['on_deny']), 'on_deny');
    assert.equal(nearest('RateLimit', ['rate_limit']), 'rate_limit');
    assert.equal(nearest('eqs', ['eq', 'neq']), 'eq');
    assert.equal(nearest('ot', ['to']), 'to');
    assert.equal(nearest('colour', ['name', 'action']), undefined);
    assert.equal(nearest('x'.repeat(100_000), ['name']), undefined);
  });
});

test('docs/policy-errors.md explains exactly the codes there are', () => {
  const text = readFileSync(new URL('../../../docs/policy-errors.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented, [...POLICY_ERROR_CODES, ...POLICY_WARNING_CODES]);
});

test('the JSON Schema for editors is strict and holds the whole shape', () => {
  const text = JSON.stringify(policyJsonSchema());
  for (const word of [
    '"version"',
    '"hide"',
    '"rate_limit"',
    '"increment_from"',
    '"not_in"',
    '"minute"',
    '"on_deny"',
  ])
    assert.ok(text.includes(word), word);
  assert.equal(text.match(/"additionalProperties":false/g)?.length, 5);
  assert.match(text, /"required":\["path","op","value"\]/);
});
