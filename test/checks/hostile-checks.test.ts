/** What a check's author or an agent may try against the sandbox itself, its guest code and the next call. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CheckBundle } from '../../src/checks/bundle.ts';
import { MAX_INPUT_BYTES } from '../../src/checks/input.ts';
import { newQuickJS } from '../../src/checks/quickjs.ts';
import { type CheckInput, CheckLoadError, createSandbox } from '../../src/checks/sandbox.ts';
import type { JsonObject, JsonValue } from '../../src/decision/value.ts';
import { readArgs } from '../policy/strict-json.ts';

const bundleOf = (source: string): CheckBundle => ({
  modules: [{ name: 'a.mjs', source }],
  entries: [{ ref: 'a', module: 'a.mjs', export: 'default' }],
});

const inputOf = (args: JsonObject): CheckInput => ({
  args,
  tool: { name: 'pay', annotations: null },
  server: 'bank',
  session: { id: 's1', clientName: null, clientVersion: null, startedMs: 5 },
  nowMs: 1_000,
});

const objectOf = (key: string, value: JsonValue): JsonObject =>
  Object.assign(Object.create(null) as object, { [key]: value });

const NONE = readArgs('{}');
const big = readArgs('{"n":[1e400]}')['n'] as readonly JsonValue[];

describe('a call too large for the sandbox', () => {
  for (const [what, args] of [
    ['one long text', objectOf('text', 'x'.repeat(12 * 1024 * 1024))],
    ['a text of wide characters', objectOf('text', '€'.repeat(MAX_INPUT_BYTES / 2))],
    ['one long name', objectOf('x'.repeat(12 * 1024 * 1024), 1)],
    ['short numbers of very many digits', objectOf('n', Array(170_000).fill(big[0]) as JsonValue[])],
    ['very many small values', objectOf('n', Array(3_000_000).fill(1) as JsonValue[])],
  ] as const) {
    test(`because of ${what} is a fault of its own, and the sandbox stays fit for the next`, async () => {
      const sandbox = await createSandbox(bundleOf('export default () => true'));
      const found = sandbox.run('a', inputOf(args));
      assert.equal(found.kind === 'fault' && found.fault, 'out_of_memory', JSON.stringify(found));
      assert.equal(sandbox.isSpent, false);
      assert.deepEqual(sandbox.run('a', inputOf(NONE)), { kind: 'passed' });
    });
  }

  test('is not one whose exact numbers lie below a long name', async () => {
    const digits = `[${Array(3_000).fill('12345678901234567890').join()}]`;
    const args = readArgs(`{"${'k'.repeat(60_000)}":${digits}}`);
    const source = `export default ({ args }) =>
      Object.values(args)[0].every((n) => n === 12345678901234567890n) && Object.values(args)[0].length === 3000`;
    const sandbox = await createSandbox(bundleOf(source));
    assert.deepEqual(sandbox.run('a', inputOf(args)), { kind: 'passed' });
  });

  test('is larger than any that a check can be given whole', async () => {
    const sandbox = await createSandbox(
      bundleOf('export default ({ args }) => ({ deny: String(args.text.length) })'),
    );
    for (const [text, length] of [
      ['x'.repeat(MAX_INPUT_BYTES - 1_000), MAX_INPUT_BYTES - 1_000],
      ['€'.repeat(MAX_INPUT_BYTES / 3 - 1_000), Math.floor(MAX_INPUT_BYTES / 3 - 1_000)],
    ] as const)
      assert.deepEqual(sandbox.run('a', inputOf(objectOf('text', text))), {
        kind: 'denied',
        reason: String(length),
      });
  });
});

test('a text for which QuickJS has no room is refused, not written over its memory', async () => {
  const { runtime, memory } = await newQuickJS(256);
  const context = runtime.newContext();
  const before = Buffer.from(memory.buffer.slice(0, 4_096));
  assert.throws(() => context.newString('x'.repeat(12 * 1024 * 1024)), /no room/);
  assert.ok(before.equals(Buffer.from(memory.buffer, 0, 4_096)));
  assert.equal(context.dump(context.unwrapResult(context.evalCode('1 + 1'))), 2);
});

describe('modules whose own code', () => {
  for (const [what, hoard] of [
    ['in large blocks', 'for (;;) kept.push(new Uint8Array(1 << 16).fill(1));'],
    ['in few large blocks', 'for (let i = 0; i < 9; i++) kept.push(new Uint8Array(1 << 20).fill(1));'],
  ] as const) {
    test(`keeps the memory that calls need, ${what}, cannot be loaded`, async () => {
      const source = `const kept = []; try { ${hoard} } catch {} export default () => kept.length > 0`;
      await assert.rejects(createSandbox(bundleOf(source)), (error) => {
        assert.ok(error instanceof CheckLoadError);
        assert.match(error.message, /keeps too much memory/);
        return true;
      });
    });
  }

  for (const [what, poison] of [
    ['iterators', `Array.prototype[Symbol.iterator] = function* () { yield ['args', 'x']; yield '5'; };`],
    ['methods of texts', `for (const key of ['indexOf', 'split', 'slice']) String.prototype[key] = () => 0;`],
    ['methods of lists', `for (const key of ['map', 'push', 'forEach']) Array.prototype[key] = () => [];`],
    ['BigInt', `globalThis.BigInt = () => 5;`],
    ['JSON.parse', `JSON.parse = () => ({ args: {} });`],
    ['freezing', `Object.freeze = (value) => value;`],
    [
      'setters of all objects',
      `for (const key of ['args', 'tool', 'decimal', 'x', '0', 'value'])
         Object.defineProperty(Object.prototype, key, { set() { throw 1 }, get() { return 'y' }, configurable: true });`,
    ],
  ] as const) {
    test(`changes ${what} still gets the call as it is`, async () => {
      const source = `const { isFrozen, keys } = Object; ${poison}
        export default ({ args }) => {
          const whole = keys(args).length === 2 && args.x === 12345678901234567890n && args.y.length === 2
            && args.y[0] === 1 && args.y[1].decimal === '0.12345678901234567890123';
          return { deny: whole + ' ' + (isFrozen(args) && isFrozen(args.y) && isFrozen(args.y[1])) };
        }`;
      const sandbox = await createSandbox(bundleOf(source));
      const args = readArgs('{"x":12345678901234567890,"y":[1,0.12345678901234567890123]}');
      assert.deepEqual(sandbox.run('a', inputOf(args)), { kind: 'denied', reason: 'true true' });
    });
  }

  for (const [what, getter, body] of [
    ['a getter for a reason', `return 'mine'`, `({ get deny() { return 'x' } })`],
    ['a getter for a reason that never ends', `for (;;);`, `({ get deny() { return 'x' } })`],
    [
      'an error with a getter for a message',
      `return 'out of memory'`,
      `{ throw Object.defineProperty(new InternalError(), 'message', { __proto__: null, get() { for (;;); } }) }`,
    ],
  ] as const) {
    test(`gives all objects a value is not asked for it, given ${what}`, async () => {
      const source = `Object.defineProperty(Object.prototype, 'value', { get() { ${getter} } });
        export default () => ${body}`;
      const sandbox = await createSandbox(bundleOf(source));
      const found = sandbox.run('a', inputOf(NONE));
      assert.equal(found.kind === 'fault' && found.fault, 'error', JSON.stringify(found));
    });
  }
});

describe('a call', () => {
  test('finds nothing of what another left in memory that is free again', async () => {
    const source = `export default ({ args }) => {
      const blocks = [];
      if (args.fill) {
        for (const size of [64, 1024, 65536, 1 << 20]) for (let i = 0; i < 6; i++) blocks.push(new Uint8Array(size).fill(0xab));
        return true;
      }
      for (const size of [64, 1024, 65536, 1 << 20]) for (let i = 0; i < 6; i++) blocks.push(new Uint8Array(size));
      const grown = new ArrayBuffer(8, { maxByteLength: 1 << 20 });
      grown.resize(1 << 20);
      blocks.push(new Uint8Array(grown), new Uint8Array(new ArrayBuffer(8).transfer(1 << 16)));
      return blocks.every((block) => !block.includes(0xab)) ? true : { deny: 'found' };
    }`;
    const sandbox = await createSandbox(bundleOf(source));
    for (const args of ['{"fill":true}', '{}', '{"fill":true}', '{}'])
      assert.deepEqual(sandbox.run('a', inputOf(readArgs(args))), { kind: 'passed' });
  });

  test('that is interrupted in a function of its own does not pass by going on elsewhere', async () => {
    for (const body of [
      '(async () => { for (;;); })(); return true;',
      'const g = (function* () { try { for (;;); } finally { yield 1; } })(); try { g.next(); } catch {} return true;',
      'try { [1].map(() => { for (;;); }); } catch {} return true;',
      'try { "x".replace(/x/, () => { for (;;); }); } catch {} return true;',
      'try { JSON.parse("[1]", () => { for (;;); }); } catch {} return true;',
      'class A { static { for (;;); } } return true;',
    ]) {
      const sandbox = await createSandbox(bundleOf(`export default () => { ${body} }`));
      const found = sandbox.run('a', inputOf(NONE));
      assert.equal(found.kind === 'fault' && found.fault, 'timeout', body);
    }
  });

  test('of any check ends in an outcome, passes for true alone, and leaves the next as it would be alone', async () => {
    const value = fc.constantFrom(
      'true',
      'false',
      'null',
      '1',
      '"true"',
      '({ deny: "no" })',
      '({ deny: 1 })',
      '[]',
      '(() => true)',
      '(async () => true)()',
      'new Map([[1, args]])',
      'args',
      'Object.create({ deny: "x" })',
      'new (class { deny = "x" })()',
      'Symbol.iterator',
      '12n',
    );
    const step = fc.constantFrom(
      'count += 1;',
      'Object.prototype.deny = "inherited";',
      'Array.prototype.push = null;',
      'JSON.parse = JSON.stringify = undefined;',
      'Object.getPrototypeOf = () => Object.prototype;',
      'globalThis.leak = args;',
      'delete globalThis.Object;',
      'try { null.x } catch (error) { error.message = args; }',
      'if (count > 1 || globalThis.leak) return { deny: "leak" };',
      'Object.setPrototypeOf(Array.prototype, null);',
      'throw args;',
      'throw null;',
      '(function f() { f(); })();',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 4 }), value, async (steps, result) => {
        const source = `let count = 0; export default ({ args }) => { ${steps.join(' ')} return ${result}; }`;
        const sandbox = await createSandbox(bundleOf(source));
        const input = inputOf(readArgs('{"a":{"deny":"b"}}'));
        const first = sandbox.run('a', input);
        assert.ok(['passed', 'denied', 'fault'].includes(first.kind));
        if (first.kind === 'passed') assert.equal(result, 'true');
        assert.deepEqual(sandbox.run('a', input), first);
      }),
      { numRuns: 50 },
    );
  });
});
