import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ABSENT } from '../../src/checks/guest.ts';
import { type CheckInput, CheckLoadError, createSandbox } from '../../src/checks/sandbox.ts';
import { readArgs } from '../policy/strict-json.ts';

const bundleOf = (source: string, name = 'default') => ({
  modules: [{ name: 'checks/a.mjs', source }],
  entries: [{ ref: 'a', module: 'checks/a.mjs', export: name }],
});

const inputOf = (args = '{}'): CheckInput => ({
  args: readArgs(args),
  tool: { name: 'pay', annotations: readArgs('{"readOnlyHint":false}') },
  server: 'bank',
  session: { id: 's1', clientName: 'agent', clientVersion: null, startedMs: 5 },
  nowMs: 1_000,
});

/** `passed`, `denied REASON`, or the fault with its detail. Asked twice: no call leaves anything for the next. */
async function outcome(source: string, args = '{}'): Promise<string> {
  const sandbox = await createSandbox(bundleOf(source));
  const ask = (): string => {
    const found = sandbox.run('a', inputOf(args));
    if (found.kind === 'passed') return 'passed';
    return found.kind === 'denied' ? `denied ${found.reason}` : `${found.fault} ${found.detail}`;
  };
  const first = ask();
  // How a bomb ends may differ; whether a check passes may not.
  if (!sandbox.isSpent)
    assert.equal(ask() === 'passed', first === 'passed', 'the second call found another state');
  return first;
}

describe('a check', () => {
  for (const [what, source, expected] of [
    ['true', 'export default () => true', /^passed$/],
    ['a denial', 'export default () => ({ deny: "too much" })', /^denied too much$/],
    [
      'a denial with control characters',
      'export default () => ({ deny: "a\\u001b[31m\\nb" })',
      /^denied a \[31m b$/,
    ],
    ['a denial that is very long', 'export default () => ({ deny: "x".repeat(9999) })', /^denied x{500}$/],
    ['nothing', 'export default () => {}', /^error it returned nothing/],
    ['false', 'export default () => false', /^error it returned a boolean/],
    ['null', 'export default () => null', /^error it returned null/],
    ['1', 'export default () => 1', /^error it returned a number/],
    ['a text', 'export default () => "true"', /^error it returned a string/],
    ['a function', 'export default () => () => true', /^error it returned a function/],
    ['a symbol', 'export default () => Symbol("x")', /^error it returned a symbol/],
    ['a list', 'export default () => [true]', /^error it returned an object that is not plain/],
    [
      'a Boolean object',
      'export default () => new Boolean(true)',
      /^error it returned an object that is not plain/,
    ],
    ['a promise', 'export default async () => true', /^error it returned an object that is not plain/],
    [
      'a generator',
      'export default function* () { return true }',
      /^error it returned an object that is not plain/,
    ],
    [
      'an object of a class',
      'class A { deny = "x" } export default () => new A()',
      /^error it returned an object that is not plain/,
    ],
    [
      'an object without a prototype',
      'export default () => Object.assign(Object.create(null), { deny: "x" })',
      /^error it returned an object/,
    ],
    [
      'an inherited denial',
      'export default () => Object.create({ deny: "x" })',
      /^error it returned an object/,
    ],
    ['an empty denial', 'export default () => ({ deny: "" })', /^error the reason/],
    ['a denial that is no text', 'export default () => ({ deny: 5 })', /^error the reason/],
    [
      'more than a denial',
      'export default () => ({ deny: "x", allow: true })',
      /^error it returned an object that is not \{ deny/,
    ],
    [
      'a symbol beside a denial',
      'export default () => ({ deny: "x", [Symbol("y")]: 1 })',
      /^error it returned an object that is not/,
    ],
    ['an empty object', 'export default () => ({})', /^error it returned an object that is not/],
    ['a cycle', 'export default () => { const a = {}; a.deny = a; return a }', /^error the reason/],
    ['a getter', 'export default () => ({ get deny() { return "x" } })', /^error the reason/],
    ['a getter that throws', 'export default () => ({ get deny() { throw 1 } })', /^error the reason/],
    [
      'toJSON and toString',
      'export default () => ({ deny: { toString() { return "x" }, toJSON() { return "x" } } })',
      /^error the reason/,
    ],
    ['an error', 'export default () => { throw new Error("secret") }', /^error it threw an error;/],
    ['a thrown text', 'export default () => { throw "secret" }', /^error it threw a string;/],
    [
      'an error of many faces',
      'export default () => { throw { get message() { for (;;); } } }',
      /^error it threw an error/,
    ],
    ['endless recursion', 'const f = () => 1 + f(); export default () => f()', /^error it recursed too deep/],
    ['an endless loop', 'export default () => { for (;;); }', /^timeout /],
    [
      'an endless loop that is caught',
      'export default () => { try { for (;;); } catch { return true } finally { return true } }',
      /^timeout /,
    ],
    ['a pattern without end', 'export default () => /(a+)+$/.test("a".repeat(40) + "!")', /^timeout /],
    [
      'a step of QuickJS’ own that takes too long',
      'export default () => new Uint8Array(9e6).sort().length > 0',
      /^(timeout|out_of_memory) /,
    ],
    [
      'more memory than there is',
      'export default () => { const a = []; for (;;) a.push(new ArrayBuffer(1 << 20)); }',
      /^out_of_memory /,
    ],
    [
      'one text of more memory than there is',
      'export default () => "x".repeat(5e6).split("").length > 0',
      /^(out_of_memory|timeout) /,
    ],
    [
      'lists nested too deep to be read',
      'export default () => JSON.parse("[".repeat(1e5) + "]".repeat(1e5)) !== null',
      /^error it broke the sandbox/,
    ],
    [
      'objects nested too deep to be written',
      'export default () => { const o = {}; let p = o; for (let i = 0; i < 3e4; i++) p = p.a = {}; return JSON.stringify(o) !== "" }',
      /^(error|timeout|out_of_memory) /,
    ],
  ] as const) {
    test(`that gives ${what}`, async () => assert.match(await outcome(source), expected));
  }

  test('sees the call, frozen, with all digits of its numbers', async () => {
    const source = `export default (call) => {
      const { args, tool, server, session, nowMs } = call;
      const seen = [args.n, args.big === 9007199254740993n, args.list[1] === 12345678901234567890n, args.f.decimal,
        args['__proto__'].x, args.constructor, Object.keys(args).length, tool.name, tool.annotations.readOnlyHint, server,
        session.id, session.client.name, session.client.version, session.startedMs, nowMs];
      'use strict';
      for (const [o, k] of [[call, 'args'], [args, 'n'], [args.list, 0], [tool, 'name'], [args.f, 'decimal']]) {
        try { Object.defineProperty(o, k, { value: 0 }); return { deny: 'changed ' + k } } catch {}
        if (!Object.isFrozen(o)) return { deny: 'not frozen ' + k };
      }
      return { deny: seen.join() };
    }`;
    const args =
      '{"n":5,"big":9007199254740993,"list":[1,12345678901234567890],"f":0.12345678901234567890123,"__proto__":{"x":1},"constructor":"c"}';
    assert.equal(
      await outcome(source, args),
      'denied 5,true,true,0.12345678901234567890123,1,c,6,pay,false,bank,s1,agent,,5,1000',
    );
  });

  test('has no clock, no chance, and nothing that leads out', async () => {
    const source = `export default () => {
      const there = ${JSON.stringify(ABSENT)}.filter((name) => name in globalThis);
      const more = ['process', 'require', 'fetch', 'WebAssembly', 'globalThis.constructor', 'XMLHttpRequest', 'Worker', 'std', 'os', 'scriptArgs', 'print'].filter((name) => name in globalThis);
      const makers = [function () {}, function* () {}, async () => {}].map((f) => typeof f.constructor === 'function' && f.constructor !== Object);
      return { deny: JSON.stringify([there, more, makers, typeof Math.random, this === undefined]) };
    }`;
    assert.equal(await outcome(source), 'denied [[],[],[false,false,false],"undefined",true]');
  });

  test('that makes code from text or imports while it runs gets nowhere', async () => {
    assert.match(await outcome('export default () => eval("true")'), /^error it threw/);
    assert.match(
      await outcome('export default () => (() => {}).constructor("return true")() === true'),
      /^error/,
    );
    assert.match(await outcome('export default () => import("./b.mjs")'), /^error/);
  });

  test('finds the state that the modules’ own code left, whatever calls do to it', async () => {
    const sandbox = await createSandbox(
      bundleOf(`let calls = 0; const seen = new Map(); Object.prototype.base = 1;
        export default (call) => {
          calls += 1;
          const clean = calls === 1 && seen.size === 0 && globalThis.left === undefined && [].poison === undefined
            && Object.prototype.base === 1 && JSON.stringify({ a: 1 }) === '{"a":1}';
          seen.set(call.args.n, call); globalThis.left = 1; Array.prototype.poison = 1; Object.prototype.base = 2;
          JSON.stringify = () => 'x'; JSON.parse = () => ({}); Object.freeze = (x) => x; Object.keys = () => [];
          Reflect.ownKeys = () => ['deny']; Object.getPrototypeOf = () => null;
          if (call.args.n === 'throw') throw new Error();
          if (call.args.n === 'loop') for (;;);
          if (call.args.n === 'memory') { const a = []; for (;;) a.push(new ArrayBuffer(1 << 20)); }
          return clean ? true : { deny: 'it found what another call left' };
        }`),
    );
    for (const n of ['1', '"throw"', '2', '"memory"', '3', '"loop"', '4', '5']) {
      const found = sandbox.run('a', inputOf(`{"n":${n}}`));
      if (!n.startsWith('"')) assert.deepEqual(found, { kind: 'passed' }, n);
      else assert.equal(found.kind, 'fault', n);
    }
  });

  test('gives the same answers in any order of calls as alone', async () => {
    const source = `const log = []; export default ({ args }) => { log.push(args.x); const m = new Map(Object.entries(args));
      return m.size > 2 ? { deny: String(log.length) + [...m.keys()].sort().join().slice(0, 100) } : true }`;
    const shared = await createSandbox(bundleOf(source));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 5 }),
        async (calls) => {
          const alone = await createSandbox(bundleOf(source));
          for (const call of calls) {
            const input = inputOf(JSON.stringify(call));
            const found = shared.run('a', input);
            assert.notEqual(found.kind, 'fault');
            assert.deepEqual(alone.run('a', input), found);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('checks that cannot be loaded', () => {
  for (const [what, source, message, name] of [
    ['do not parse', 'export default (', /unexpected token|unexpected end/, undefined],
    ['have no such export', 'export const x = () => true', /no export "default"/, undefined],
    ['export no function', 'export default 5', /no function/, undefined],
    ['throw', 'throw new Error("at once"); export default () => true', /at once/, undefined],
    ['run for ever', 'for (;;); export default () => true', /longer than/, undefined],
    ['wait', 'await 1; export default () => true', /top level/, undefined],
    ['import by a bare name', 'import "fs"; export default () => true', /same folder/, undefined],
    ['import from above', 'import "../x.mjs"; export default () => true', /same folder/, undefined],
    ['import by an address', 'import "https://x/y.mjs"; export default () => true', /same folder/, undefined],
    [
      'import what is not there',
      'import "./b.mjs"; export default () => true',
      /no module|could not load/i,
      undefined,
    ],
    ['lack a named export', 'export const other = () => true', /no export "named"/, 'named'],
  ] as const) {
    test(`because they ${what}`, async () => {
      await assert.rejects(createSandbox(bundleOf(source, name ?? 'default')), (error) => {
        assert.ok(error instanceof CheckLoadError);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});
