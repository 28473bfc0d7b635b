/** Patterns are RE2's, searched for anywhere in the text, in linear time; the quick way for literals gives the same answers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { compileRegex, MAX_PATTERN_LENGTH } from '../../src/policy/regex.ts';

test('a pattern is searched for anywhere, with ^ and $ at the ends of the text', () => {
  const cases: [string, string, boolean][] = [
    ['b', 'abc', true],
    ['^b', 'abc', false],
    ['^a', 'abc', true],
    ['c$', 'abc', true],
    ['c$', 'abc\n', false],
    ['^abc$', 'abc', true],
    ['^abc$', 'abcd', false],
    ['', '', true],
    ['^$', 'x', false],
    ['^a.b$', 'a\nb', false],
    ['^.$', '😀', true],
    ['(?i)^drop ', 'DROP table', true],
    ['^\\Qa.b\\E$', 'a.b', true],
    ['\\.csv\\z', 'a.csv\n', false],
    ['a\\.b', 'axb', false],
    ['[[:digit:]]+', 'a1', true],
    ['\\p{Han}', '漢', true],
    ['a b', 'xa by', true],
  ];
  for (const [pattern, text, expected] of cases)
    assert.equal(compileRegex(pattern)(text), expected, `${pattern} on ${JSON.stringify(text)}`);
});

test('what RE2 does not have is refused with a reason', () => {
  for (const pattern of [
    '(?=a)b',
    '(?<!a)b',
    '(?>a)',
    '\\1',
    'a**',
    '[z-a]',
    '(',
    ')',
    'a\\',
    '\\cA',
    '(?x)a',
    '[[:nope:]]',
    '\\p{Nope}',
    'a{1001}',
    '(a{100}){100}',
    '\\Z',
  ]) {
    assert.throws(
      () => compileRegex(pattern),
      /invalid|missing|unexpected|trailing|unsupported|repeat/i,
      pattern,
    );
  }
  assert.throws(() => compileRegex('a'.repeat(MAX_PATTERN_LENGTH + 1)), /longer than/);
  assert.throws(
    () =>
      compileRegex(
        '(?:\\pL?\\pN?){500}(?:\\pL?\\pN?){500}(?:\\pL?\\pN?){500}(?:\\pL?\\pN?){500}(?:\\pL?\\pN?){500}(?:\\pL?\\pN?){500}',
      ),
    /too large/,
  );
});

describe('time', () => {
  test('grows with the text alone, on patterns that backtracking engines take for ever on', () => {
    const long = `${'a'.repeat(50_000)}!`;
    for (const pattern of ['^(\\w+\\s?)*$', '(a+)+$', '(x+x+)+y', '(a|aa)+$'])
      assert.equal(compileRegex(pattern)(long), false, pattern);
  });
});

test('the quick way for literal patterns agrees with RE2 on any text', () => {
  const literal = fc.stringMatching(/^[A-Za-z0-9 _/@:,;=<>~'"!#%&-]{0,6}$/);
  const escaped = fc.constantFrom('\\.', '\\-', '\\/', '\\+', '\\$', '\\\\', '\\[', '\\@', '');
  const pattern = fc
    .tuple(fc.constantFrom('', '^'), literal, escaped, literal, fc.constantFrom('', '$'))
    .map((parts) => parts.join(''));
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    literal,
    fc.stringMatching(/^[\ud800-\udfffa]{0,4}$/),
  );
  fc.assert(
    fc.property(pattern, text, text, (source, before, after) => {
      const plain = source.replace(/^\^|\$$/g, '').replace(/\\(.)/g, '$1');
      const regex = RE2JS.compile(source);
      const quick = compileRegex(source);
      for (const subject of [
        before,
        plain,
        before + plain,
        plain + after,
        before + plain + after,
        `${plain}\n`,
      ]) {
        assert.equal(quick(subject), regex.test(subject), JSON.stringify([source, subject]));
      }
    }),
    { numRuns: 300 },
  );
});
