/** What holds for any file and any call: no exception, one answer, and doubts deny. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Decimal } from '../../src/decision/decimal.ts';
import { ExactNumber, type JsonObject, type JsonValue } from '../../src/decision/value.ts';
import { evaluate, isVisible, nameStanding, prepare } from '../../src/policy/evaluate.ts';
import type { Program, Rule } from '../../src/policy/program.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { digestOf } from '../../src/store/load-policy.ts';

const WORDS = [
  'version: "1"',
  'default: deny',
  'tools:',
  'rules:',
  'name: r',
  '- ',
  '  ',
  '\n',
  ': ',
  '{',
  '}',
  '[',
  ']',
  ',',
  '&a ',
  '*a',
  '!!str ',
  '<<',
  '? ',
  '"',
  "'",
  '|',
  '>',
  '#',
  '---',
  '...',
  '%YAML 1.2',
  'conditions:',
  'path: args.x',
  'op: eq',
  'value: 1',
  'state:',
  'counter: c',
  'rate_limit: 1/day',
  'action: deny',
  '~',
  '.nan',
  '0x',
  '1e9',
  '\t',
  '\r',
  '\u0000',
  '\ufeff',
  '__proto__',
  'on_deny:',
  'hide:',
  '*',
];

test('any bytes come out as a program or as diagnostics with places, and never as an exception', () => {
  const soup = fc
    .array(fc.constantFrom(...WORDS), { maxLength: 60 })
    .map((words) => new TextEncoder().encode(words.join('')));
  fc.assert(
    fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const reading = readPolicy(bytes, 'p.yaml');
      if (reading.ok) return;
      assert.ok(reading.diagnostics.length > 0);
      for (const fault of reading.diagnostics)
        assert.ok(fault.line >= 1 && fault.column >= 1 && fault.found !== '' && fault.expected !== '');
    }),
    { numRuns: 3_000 },
  );
});

const GOOD_RULES = [
  '{name: a, conditions: [{path: args.x, op: lte, value: 5}]}',
  '{name: b, rate_limit: 3/hour}',
  '{name: c, action: deny}',
  '{name: d, conditions: [{path: state.t.n, op: lt, value: 9}], state: {counter: n, window: day, increment_from: args.x}}',
];
const BAD_RULES: [string, string][] = [
  ['{name: a, conditions: [{path: args.x, op: le, value: 5}]}', 'unknown_word'],
  ['{name: b, rate_limit: 3/hours}', 'bad_rate_limit'],
  ['{name: c, action: deny, wen: x}', 'unknown_field'],
  ['{name: d, conditions: [{path: x, op: eq, value: 5}]}', 'bad_path'],
  ['{name: e, conditions: [{path: args.x, op: regex, value: "("}]}', 'bad_regex'],
  ['{name: f}', 'rule_without_conditions'],
  ['{name: g, conditions: [{path: state.t.zz, op: lt, value: 5}]}', 'unknown_counter'],
];

test('faults among good rules are all reported, whatever their number and order', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...GOOD_RULES.map((rule) => [rule, ''] as [string, string]), ...BAD_RULES]),
      (rules) => {
        const text = `version: "1"\ntools:\n  t:\n    rules:\n${rules.map(([rule]) => `      - ${rule}\n`).join('')}`;
        const reading = readPolicy(Buffer.from(rules.length === 0 ? 'version: "1"' : text), 'p.yaml');
        const found = reading.ok ? [] : reading.diagnostics.map((fault) => `${fault.line} ${fault.code}`);
        const expected = rules.flatMap(([, code], i) => (code === '' ? [] : [`${i + 5} ${code}`]));
        assert.deepEqual(found, expected);
      },
    ),
  );
});

const leaf: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.string({ maxLength: 4 }),
  fc.constantFrom('a', 'ab', ''),
  fc.integer({ min: -3, max: 9 }),
  fc.double(),
  fc
    .constantFrom('9007199254740993', '0.1000000000000000000001', '-1e30')
    .map((text) => new ExactNumber(Decimal.parse(text))),
);
const { value: anyValue } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('x', 'y', '__proto__', 'constructor'), tie('value'), {
      noNullPrototype: false,
    }),
  ),
}));
const anyArgs = fc.dictionary(fc.constantFrom('x', 'y', 'z'), anyValue) as fc.Arbitrary<JsonObject>;

const CONDITIONS = [
  'op: eq, value: 5',
  'op: neq, value: a',
  'op: in, value: [a, 1, null]',
  'op: not_in, value: [[1], {x: a}]',
  'op: lt, value: 2.5',
  'op: gte, value: 9007199254740993',
  'op: regex, value: "^a"',
  'op: contains, value: a',
  'op: contains, value: 5',
  'op: exists, value: true',
  'op: exists, value: false',
  'op: eq, value: {x: [1, "1"]}',
];
const anyRule = fc.oneof(
  fc
    .tuple(fc.constantFrom('args.x', 'args.y', 'args.x.y'), fc.constantFrom(...CONDITIONS))
    .map(([path, rest]) => `conditions: [{path: ${path}, ${rest}}]`),
  fc.constant('action: deny'),
);

function programWith(bodies: readonly string[]): Program {
  const rules = bodies.map((body, i) => `      - {name: r${i}, ${body}, on_deny: "message ${i}"}\n`).join('');
  const limit =
    '      - {name: n, conditions: [{path: state.t.n, op: lte, value: 9}], state: {counter: n, window: day, increment_from: args.z}}\n';
  const reading = readPolicy(
    Buffer.from(`version: "1"\ntools:\n  t:\n    rules:\n${limit}${rules}`),
    'p.yaml',
  );
  assert.ok(reading.ok, JSON.stringify(reading));
  return reading.program;
}

test('any call gets one ruling, a denial holds its rule\u2019s message, and no exception comes out', () => {
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 4 }), anyArgs, (bodies, args) => {
      const cursor = new Int32Array(2);
      const program = programWith(bodies);
      const ruling = evaluate(prepare(program, { compileRegex }), { tool: 't', args }, cursor);
      if (ruling.effect === 'allow') {
        assert.ok(ruling.obligations.every((one) => one.kind === 'read' || !one.amount.startsWith('-')));
        return;
      }
      const { rule, onDeny, message } = ruling.denial;
      assert.ok(rule !== undefined && message.includes(onDeny ?? 'rule "n"'));
      assert.equal(program.tools[0]?.rules[(cursor[0] ?? 0) - 1]?.name, rule.rule);
    }),
    { numRuns: 500 },
  );
});

test('no order of the rules makes a denied call an allowed one', () => {
  fc.assert(
    fc.property(
      fc.array(anyRule, { minLength: 1, maxLength: 4 }),
      anyArgs,
      fc.infiniteStream(fc.nat()),
      (bodies, args, random) => {
        const program = programWith(bodies);
        const effect = evaluate(prepare(program, { compileRegex }), { tool: 't', args }).effect;
        const shuffled: Rule[] = [];
        for (const rule of program.tools[0]?.rules ?? [])
          shuffled.splice((random.next().value ?? 0) % (shuffled.length + 1), 0, rule);
        const other = { ...program, tools: [{ key: 't', rules: shuffled }] };
        assert.equal(evaluate(prepare(other, { compileRegex }), { tool: 't', args }).effect, effect);
      },
    ),
    { numRuns: 300 },
  );
});

test('a program survives the structured clone to a thread with its digest and its rulings', () => {
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 3 }), anyArgs, (bodies, args) => {
      const program = programWith(bodies);
      const clone = structuredClone(program);
      assert.equal(digestOf(clone), digestOf(program));
      assert.deepEqual(
        evaluate(prepare(clone, { compileRegex }), { tool: 't', args }),
        evaluate(prepare(program, { compileRegex }), { tool: 't', args }),
      );
    }),
    { numRuns: 100 },
  );
});

test('any text can be asked about as a tool name', () => {
  const policy = prepare(programWith(['action: deny']), { compileRegex });
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), (name) => {
      assert.ok(['named', 'look_alike', 'other'].includes(nameStanding(policy, name)));
      assert.equal(typeof isVisible(policy, name), 'boolean');
      assert.ok(['allow', 'deny'].includes(evaluate(policy, { tool: name, args: {} }).effect));
    }),
    { numRuns: 500 },
  );
});
