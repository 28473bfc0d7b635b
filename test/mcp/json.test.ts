import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ExactNumber, type JsonValue } from '../../src/decision/value.ts';
import { decode, JsonFault, JsonReader, MAX_DEPTH } from '../../src/mcp/json.ts';

function read(bytes: Uint8Array | string): JsonValue {
  const reader = new JsonReader(decode(typeof bytes === 'string' ? Buffer.from(bytes) : bytes));
  const value = reader.value();
  reader.end();
  return value;
}

/** As JSON.parse gives it: prototypes back, exact numbers rounded. */
function plain(value: JsonValue): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof ExactNumber) return Number(value.decimal.toString());
  if (Array.isArray(value)) return value.map(plain);
  const object = {};
  for (const [key, member] of Object.entries(value))
    Object.defineProperty(object, key, {
      value: plain(member),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  return object;
}

const REFUSED: readonly (readonly [string, Uint8Array | string])[] = [
  ['nothing', ''],
  ['a byte order mark', '\ufeff{}'],
  ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ['an overlong encoding', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
  ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ['half a surrogate pair by escape', '"\\ud800"'],
  ['two halves the wrong way round', '"\\udc00\\ud800"'],
  ['UTF-16', Buffer.from('{}', 'utf16le')],
  ['a key twice', '{"a":1,"a":2}'],
  ['a key twice by an escape', '{"a":1,"\\u0061":2}'],
  ['a key twice far inside', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}'],
  ['__proto__ twice', '{"__proto__":1,"__proto__":2}'],
  ['a carriage return between tokens', '{"a":\r1}'],
  ['a carriage return before a line feed inside', '{"a":\r\n1}'],
  ['a raw line feed in a string', '"a\nb"'],
  ['a NUL in a string', '"a\0b"'],
  ['a tab in a string', '"a\tb"'],
  ['a trailing comma', '[1,]'],
  ['a comment', '[1]//'],
  ['single quotes', "'a'"],
  ['a second value', '{} {}'],
  ['a leading zero', '[01]'],
  ['a plus sign', '[+1]'],
  ['a bare point', '[1.]'],
  ['a point first', '[.5]'],
  ['NaN', 'NaN'],
  ['Infinity', '-Infinity'],
  ['hexadecimal', '0x10'],
  ['an unknown escape', '"\\x41"'],
  ['a short escape', '"\\u12"'],
  ['a string without an end', '"abc'],
  ['a string whose end is escaped', '"abc\\"'],
  ['an object without an end', '{"a":1'],
  ['a key without quotes', '{a:1}'],
  ['a non-breaking space as white space', '\u00a0{}'],
  ['an exponent beyond all bounds', '[1e400000000]'],
  ['one list too deep', '['.repeat(MAX_DEPTH + 1) + ']'.repeat(MAX_DEPTH + 1)],
  ['a hundred thousand lists', '['.repeat(100_000)],
];

describe('the JSON reader refuses', () => {
  for (const [what, bytes] of REFUSED) test(what, () => assert.throws(() => read(bytes), JsonFault));
});

describe('the JSON reader', () => {
  test('takes nesting up to its bound', () => {
    assert.doesNotThrow(() => read('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH)));
  });

  test('takes one carriage return at the very end', () => {
    assert.deepEqual(plain(read('{"a":1}\r')), { a: 1 });
  });

  test('keeps the digits that a double would lose', () => {
    const value = read(
      '[9007199254740993, 0.1, 1e400, 12345678901234567890.5, -0, 1.0, 1e2]',
    ) as readonly JsonValue[];
    assert.ok(value[0] instanceof ExactNumber);
    assert.equal(value[0].decimal.toString(), '9007199254740993');
    assert.equal(value[1], 0.1);
    assert.ok(value[2] instanceof ExactNumber);
    assert.ok(value[3] instanceof ExactNumber);
    assert.equal(value[3].decimal.toString(), '12345678901234567890.5');
    assert.ok(Object.is(value[4], 0));
    assert.deepEqual(value.slice(5), [1, 100]);
  });

  test('gives objects that inherit nothing', () => {
    const value = read('{"__proto__":{"x":1},"constructor":2}') as Record<string, JsonValue>;
    assert.deepEqual(Object.keys(value), ['__proto__', 'constructor']);
    const above = Object.getPrototypeOf(value) as object;
    assert.deepEqual(Reflect.ownKeys(above), []);
    assert.equal(Object.getPrototypeOf(above), null);
    assert.ok(Object.isFrozen(above));
    assert.equal('toString' in (read('{}') as object), false);
  });

  test('reads the keys of a message whatever the last one held at their places', () => {
    for (const text of [
      '{"name":1,"names":2}',
      '{"names":1,"name":2}',
      '{"nam":1,"name\\u0041":2}',
      '{"name\\"x":1,"":2}',
      '{"name":{"name":{"names":3}},"a b":[{"name":1}]}',
      '{"name"  :1,\t"names":2}',
    ]) {
      for (let again = 0; again < 2; again++) assert.deepEqual(plain(read(text)), JSON.parse(text), text);
    }
    read('{"name":1}');
    for (const text of ['{"name:1}', '{"name\\":1}', '{"nam"e":1}', '{"name":1,"name":2}'])
      assert.throws(() => read(text), text);
  });

  test('reads back whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        assert.deepEqual(plain(read(text)), JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  test('accepts no bytes that JSON.parse refuses or reads otherwise, and fails in one way only', () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.jsonValue({ noUnicodeString: false }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        (value, changes) => {
          const bytes = Buffer.from(JSON.stringify(value));
          for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          let ours: JsonValue;
          try {
            ours = read(bytes);
          } catch (error) {
            assert.ok(error instanceof JsonFault);
            return;
          }
          accepted += 1;
          assert.deepEqual(plain(ours), JSON.parse(bytes.toString()));
        },
      ),
      { numRuns: 3000 },
    );
    assert.ok(accepted > 100);
  });

  test('checks what it skips as strictly as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), fc.nat(127), (value, at, byte) => {
        const bytes = Buffer.from(JSON.stringify(value));
        bytes[at % bytes.length] = byte;
        try {
          const reader = new JsonReader(decode(bytes));
          reader.skip();
          reader.end();
        } catch (error) {
          assert.ok(error instanceof JsonFault);
          return;
        }
        JSON.parse(bytes.toString());
      }),
      { numRuns: 2000 },
    );
  });
});
