/** Files made to hurt their reader end in a clear error: no exception, no hang, no memory blow-up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_BYTES } from '../../src/policy/text/document.ts';
import { ask, codesOf, conditionPolicy, faultsOf, reasonOf } from './policies.ts';

const HEAD = 'version: "1"\n';
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));

describe('the bytes', () => {
  test('must be UTF-8', () => {
    assert.deepEqual(codesOf(bytes(`${HEAD}description: "`, [0xc3, 0x28], '"\n')), ['not_utf8']);
    assert.deepEqual(codesOf(bytes(`${HEAD}description: "`, [0xed, 0xa0, 0x80], '"\n')), ['not_utf8']);
    assert.match(faultsOf(Buffer.from(`\ufeff${HEAD}`, 'utf16le'))[0]?.found ?? '', /UTF-16/);
    assert.match(faultsOf(bytes([0xfe, 0xff, 0, 0x76]))[0]?.found ?? '', /UTF-16/);
  });

  test('may begin with a byte order mark, and columns do not count it', () => {
    assert.deepEqual(codesOf(`\ufeff${HEAD}`), []);
    assert.equal(faultsOf('\ufeffverison: "1"\n').find((fault) => fault.code === 'unknown_field')?.column, 1);
  });

  test('are at most a mebibyte', () => {
    assert.deepEqual(codesOf(`${HEAD}#${' '.repeat(MAX_BYTES - HEAD.length - 1)}`), []);
    assert.deepEqual(codesOf(`${HEAD}#${' '.repeat(MAX_BYTES - HEAD.length)}`), ['file_too_large']);
  });

  test('hold no control characters, nor a bare carriage return that some readers take for a line end', () => {
    for (const character of [
      '\0',
      '\u0001',
      '\u001b',
      '\u007f',
      '\u0085'.replace('\u0085', '\u0084'),
      '\ufffe',
      '\u000b',
    ]) {
      assert.deepEqual(codesOf(`${HEAD}description: "a${character}b"\n`), ['control_character']);
    }
    assert.deepEqual(codesOf('version: "1"\rtools: {}\n'), ['control_character']);
    assert.deepEqual(codesOf('version: "1"\r\ntools: {}\r\n'), []);
    assert.deepEqual(codesOf(`${HEAD}#\ufeff\n`), ['control_character']);
  });

  test('spell no half of a surrogate pair', () => {
    assert.deepEqual(codesOf(`${HEAD}description: "\\ud800"\n`), ['malformed_text']);
  });
});

describe('depth and size', () => {
  for (const opener of ['[', '{', '- ', '? ', '[{']) {
    test(`a mebibyte of ${JSON.stringify(opener)} is refused for its depth`, () => {
      assert.deepEqual(codesOf(opener.repeat((MAX_BYTES - 10) / opener.length)), ['too_deep']);
    });
  }

  test('an indentation staircase is refused for its depth', () => {
    const stairs = Array.from({ length: 1000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n');
    assert.deepEqual(codesOf(stairs), ['too_deep']);
  });

  test('lines without end are refused as too complex', () => {
    assert.deepEqual(codesOf('\n'.repeat(MAX_BYTES)), ['too_complex']);
  });

  test('a map of 50,000 keys is read in linear time, and its duplicate found', () => {
    const keys = Array.from({ length: 50_000 }, (_, i) => `k${i}: {}`).join(',');
    assert.ok(codesOf(`${HEAD}tools: {${keys}, k77: {}}`).includes('duplicate_key'));
  });

  test('faults without end come out as a bounded list', () => {
    const faults = faultsOf(`${HEAD}hide: [${'1,'.repeat(5_000)}]`);
    assert.equal(faults.length, 1001);
    assert.equal(faults.at(-1)?.code, 'too_many_faults');
  });
});

describe('faults by the ten thousand do not make the reader slow', () => {
  const many = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const floods: [string, string, string][] = [
    ['unknown fields', many(60_000, (i) => `k${i}: 1`), 'unknown_field'],
    ['malformed tools', `tools:\n${many(50_000, (i) => `  k${i}: 1`)}`, 'wrong_type'],
    [
      'unknown counters among many',
      `tools:\n${many(2_500, (i) => `  tool_with_a_long_name_${i}: {rules: [{name: a, rate_limit: 1/day}, {name: b, conditions: [{path: state.tool_with_a_long_nome_${i}._rate_day, op: lt, value: 1}]}]}`)}`,
      'unknown_counter',
    ],
    ['duplicate keys', `tools: {${many(60_000, () => 't: {}').replaceAll('\n', ', ')}}`, 'duplicate_key'],
    [
      'duplicate hidden names',
      `hide: [${many(60_000, () => 'a').replaceAll('\n', ', ')}]`,
      'duplicate_entry',
    ],
  ];
  for (const [what, body, code] of floods) {
    test(what, () => {
      const codes = codesOf(`${HEAD}${body}\n`);
      assert.ok(codes.includes(code) && codes.includes('too_many_faults'), codes.slice(0, 5).join());
    });
  }
});

describe('aliases', () => {
  test('repeat small values', () => {
    const text = `${HEAD}tools:
  t:
    rules:
      - name: a
        conditions:
          - {path: args.x, op: in, value: &c [red, green]}
          - {path: args.y, op: in, value: *c}
`;
    assert.equal(reasonOf(ask(text, '{"x":"red","y":"green"}')), 'allowed');
    assert.equal(reasonOf(ask(text, '{"x":"red","y":"blue"}')), 'rule_denied');
  });

  test('that expand without bound are refused', () => {
    const lines = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 20; i++) {
      const before = String.fromCharCode(96 + i);
      lines.push(
        `${String.fromCharCode(97 + i)}: &${String.fromCharCode(97 + i)} [${Array(10).fill(`*${before}`).join(',')}]`,
      );
    }
    assert.ok(codesOf(lines.join('\n')).includes('alias_expansion'));
    assert.ok(codesOf(`- &a x\n${'- *a\n'.repeat(20_000)}`).includes('alias_expansion'));
  });

  test('that hold themselves, come before their anchor or name none are refused', () => {
    assert.ok(codesOf(conditionPolicy('eq', '&a [*a]')).includes('recursive_alias'));
    assert.ok(codesOf(`${HEAD}description: *d\nhide: [&d a]\n`).includes('unknown_alias'));
    assert.ok(codesOf(`${HEAD}tools: {t: *nowhere}\n`).includes('unknown_alias'));
  });

  test('mean the anchor that last came before them', () => {
    const text = `${HEAD}hide: [&a one, &a two, *a]\n`;
    assert.deepEqual(codesOf(text), ['duplicate_entry']);
    assert.match(faultsOf(text)[0]?.found ?? '', /two/);
  });

  test('as keys count as the key they repeat', () => {
    assert.ok(codesOf(`${HEAD}description: &k tools\n*k : {}\ntools: {}\n`).includes('duplicate_key'));
  });
});

describe('the document', () => {
  const refused: [string, string, string][] = [
    ['an empty file', '', 'empty_document'],
    ['a comment alone', '# nothing\n', 'empty_document'],
    ['null alone', '~\n', 'empty_document'],
    ['a list', '- a\n', 'wrong_type'],
    ['a word', 'policy\n', 'wrong_type'],
    ['a second, empty document', `${HEAD}---\n`, 'several_documents'],
    ['a document after an end mark', `${HEAD}...\na: 1\n`, 'several_documents'],
    ['a tag directive\u2019s tag', `%TAG ! tag:x,2000:\n---\nversion: !y "1"\n`, 'tag'],
    ['an unknown directive', `%FOO\n---\n${HEAD}`, 'yaml_directive'],
    ['a list as key', `${HEAD}tools: {? [a] : {}}\n`, 'key_not_text'],
    ['null as key', `${HEAD}tools: {~: {}}\n`, 'key_not_text'],
    ['no key', `${HEAD}tools:\n  : {}\n`, 'key_not_text'],
    ['an equal key in quotes', `${HEAD}"version": "1"\n`, 'duplicate_key'],
    ['an unclosed quote', 'version: "1\n', 'yaml_syntax'],
    ['a tab for indentation', `${HEAD}tools:\n\tt: {}\n`, 'yaml_syntax'],
    ['a number beyond a double', conditionPolicy('lte', '1e999'), 'number_out_of_range'],
    ['a number of a thousand digits', conditionPolicy('lte', '9'.repeat(1000)), 'number_out_of_range'],
    [
      'a hexadecimal number of a thousand digits',
      conditionPolicy('lte', `0x${'f'.repeat(1000)}`),
      'number_out_of_range',
    ],
    ['a number with a huge exponent', conditionPolicy('lte', '1e-99999999999999'), 'number_out_of_range'],
  ];
  for (const [what, text, code] of refused) {
    test(`refuses ${what}`, () => assert.ok(codesOf(text).includes(code), JSON.stringify(faultsOf(text))));
  }

  test('may be JSON, and may name YAML 1.2', () => {
    assert.deepEqual(codesOf('{"version":"1","default":"deny","tools":{}}'), []);
    assert.deepEqual(codesOf(`%YAML 1.2\n---\n${HEAD}`), []);
  });

  test('keeps a tool called __proto__ under the schema, and its rules in force', () => {
    assert.deepEqual(codesOf(`${HEAD}tools: {__proto__: 7}\n`), ['wrong_type']);
    assert.deepEqual(codesOf(`${HEAD}__proto__: {}\n`), ['unknown_field']);
    assert.deepEqual(codesOf(`${HEAD}tools: {t: {__proto__: {}}}\n`), ['unknown_field']);
    const text = `${HEAD}tools: {__proto__: {rules: [{name: r, action: deny}]}}\n`;
    assert.equal(reasonOf(ask(text, '{}', '__proto__')), 'rule_denied');
    assert.equal(reasonOf(ask(text, '{}', 'constructor')), 'allowed');
  });
});
