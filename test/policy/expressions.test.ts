import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkExpression, ExpressionError, prepareExpression } from '../../src/policy/cel/expression.ts';
import type { CallContext } from '../../src/policy/facts.ts';
import { readArgs as strictJson } from './strict-json.ts';

function contextOf(args: string, more: Partial<CallContext> = {}): CallContext {
  return {
    args: strictJson(args) as CallContext['args'],
    tool: { name: 'pay', annotations: strictJson('{"readOnlyHint":false,"title":"Pay"}') as never },
    server: 'bank',
    session: { id: 's1', clientName: 'agent', clientVersion: '2.1', startedMs: Date.UTC(2026, 0, 1) },
    nowMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    ...more,
  };
}

type Answer = boolean | 'error';

function ask(source: string, args = '{}', more: Partial<CallContext> = {}): Answer {
  const evaluate = prepareExpression(source);
  try {
    return evaluate(contextOf(args, more));
  } catch (error) {
    assert.ok(error instanceof ExpressionError, String(error));
    return 'error';
  }
}

const ARGS =
  '{"n":5,"d":0.5,"s":"héllo","b":true,"nul":null,"l":[1,2.5,"x"],"o":{"a":{"b":[{"c":7}]}},"big":9007199254740993,"huge":12345678901234567890123,"constructor":{"x":1},"__proto__":{"y":2}}';

const ANSWERS: readonly (readonly [string, Answer])[] = [
  ['args.n == 5', true],
  ['args.n == 5.0', true],
  ['args.n < 5.5 && args.n >= 5', true],
  ['args.n % 2 == 1', true],
  ['args.d < 1', true],
  ['args.d + 0.25 == 0.75', true],
  ['args.n + 1 > args.n', true],
  ['args.n / 0 == 1', 'error'],
  ['args.n + 9223372036854775807 > 0', 'error'],
  ['args.big == 9007199254740993', true],
  ['args.big == 9007199254740992', false],
  ['args.huge > 1', 'error'],
  ['args.missing == 1', 'error'],
  ['has(args.missing)', false],
  ['has(args.nul)', true],
  ['args.nul == null', true],
  ['has(args.missing) && args.missing == 1', false],
  ['args.missing == 1 || true', true],
  ['args.missing == 1 && false', false],
  ['args.missing == 1 || false', 'error'],
  ['!args.b', false],
  ['args.n', 'error'],
  ['args.s == "héllo" && size(args.s) == 5', true],
  ['args.s.startsWith("h") && args.s.endsWith("o") && args.s.contains("éll")', true],
  ['args.s.matches("^h.llo$")', true],
  ['args.s.matches("ell")', false],
  ['args.n.matches("5")', 'error'],
  ['"a,b".split(",") == ["a","b"] && ["a","b"].join("-") == "a-b"', true],
  ['" x ".trim() == "x" && "abc".substring(1) == "bc" && "abcb".indexOf("b") == 1', true],
  ['"A".lowerAscii() == "a"', true],
  ['size(args.l) == 3 && args.l[0] == 1 && args.l[1] == 2.5 && args.l[2] == "x"', true],
  ['args.l[3] == 1', 'error'],
  ['args.l.exists(x, x == "x")', true],
  ['args.l.all(x, x != 9)', true],
  ['args.l.filter(x, x == 1) == [1]', true],
  ['[1,2].map(x, x * 2) == [2,4]', true],
  ['[1,2,2].exists_one(x, x == 2)', false],
  ['args.o.a.b[0].c == 7', true],
  ['args.o["a"]["b"][0]["c"] == 7', true],
  ['"a" in args.o && !("z" in args.o)', true],
  ['args.constructor.x == 1', true],
  ['args["__proto__"].y == 2', true],
  ['args.toString == 1', 'error'],
  ['has(args.o.toString)', false],
  ['args.s.length == 5', 'error'],
  ['tool.name == "pay" && server == "bank" && session.id == "s1"', true],
  ['session.client.name == "agent" && session.client.version == "2.1"', true],
  ['tool.annotations.readOnlyHint == false && tool.annotations["title"] == "Pay"', true],
  ['tool.annotations.destructiveHint == true', 'error'],
  ['now > session.started && now - session.started == duration("27h4m5s")', true],
  ['now.getHours() == 3 && now.getHours("Europe/Zurich") == 4', true],
  ['timestamp("2026-01-02T03:04:05Z") == now', true],
  ['int("7") == 7 && double("0.5") == 0.5 && string(7) == "7"', true],
  ['int("x") == 7', 'error'],
  ['pointer(args, "/o/a/b/0/c") == 7 && pointer(args, "/l/2") == "x"', true],
  ['pointer(args, "/o/z") == 1', 'error'],
  ['hasPointer(args, "/o/a") && !hasPointer(args, "/o/a/b/1") && !hasPointer(args, "/l/01")', true],
  ['glob(args.s, "h*o") && globAny(args.s, ["x", "h?llo"]) && !glob(args.s, "h")', true],
  ['cidr.contains("10.0.0.0/8", "10.1.2.3") && !cidr.contains("10.0.0.0/8", "11.1.2.3")', true],
  ['cidr.contains("10.0.0.0/8", "::ffff:10.1.2.3")', true],
  ['cidr.containsAny(["fd00::/8", "192.168.0.0/16"], "fd00::1")', true],
  ['cidr.contains("10.0.0.0/8", "010.1.2.3")', 'error'],
  ['cidr.contains("10.0.0.0/8", "example.com")', 'error'],
];

describe('an expression', () => {
  for (const [source, answer] of ANSWERS) {
    test(`answers ${source} with ${answer}`, () => assert.equal(ask(source, ARGS), answer));
  }

  test('on a tool or client that is not known is an error where it asks, and only there', () => {
    const unknown: Partial<CallContext> = {
      tool: { name: 'x', annotations: null },
      session: { id: 's', clientName: null, clientVersion: null, startedMs: 0 },
    };
    assert.equal(ask('tool.annotations.readOnlyHint', '{}', unknown), 'error');
    assert.equal(ask('has(tool.annotations.readOnlyHint)', '{}', unknown), 'error');
    assert.equal(ask('session.client.name == "agent"', '{}', unknown), 'error');
    assert.equal(ask('tool.name == "x"', '{}', unknown), true);
  });
});

describe('a URL that programs read differently is an error', () => {
  for (const u of [
    'http://a.example#@10.0.0.1/',
    'http://a.example?@10.0.0.1/',
    'http://user@a.example/',
    'http://a.example\\\\@10.0.0.1/',
    'http://0177.0.0.1/',
    'http://0x7f.1/',
    'http://2130706433/',
    'http://127.1/',
    'http://%31%32%37.0.0.1/',
    'http://ⓔxample.com/',
    'http:a.example',
    '//a.example/',
    'http://a\\texample/',
    'http://[fe80::1%25eth0]/',
  ]) {
    test(u, () => assert.equal(ask('url.isPrivate(args.u)', `{"u":"${u}"}`), 'error'));
  }
  test('and one whose query holds an address is none', () => {
    assert.equal(ask('url.host(args.u) == "a.example"', '{"u":"https://a.example/?mail=b@c.example"}'), true);
  });
});

describe('a path that programs read differently is an error', () => {
  for (const p of [
    '/data/../etc',
    '/data//x',
    '//data/x',
    '/data/x.',
    '/data/x ',
    '/data/...',
    '/data/C:',
    '/data/nul',
    '/data/\\u2025/x',
    '/data/\\uff0e\\uff0e/x',
    '/data/x\\u0000',
    '/data/%2e%2e/x',
    '/data/%252e/x',
    '/data/%c0%af',
    '/data/\\u202ex',
    '/DATA/x',
    '/data\\\\x',
    'data/x',
    '~/x',
    '',
  ]) {
    test(JSON.stringify(p), () => {
      assert.equal(ask('path.within(args.p, "/data")', `{"p":"${p}"}`), 'error');
      assert.equal(ask('!path.within(args.p, "/data")', `{"p":"${p}"}`), 'error');
    });
  }
});

describe('an expression is refused when the file is read', () => {
  for (const [source, message, part] of [
    ['1 +', /EOF/, ''],
    ['args.n == ', /EOF/, ''],
    ['foo == 1', /Unknown variable: foo/, 'foo'],
    ['tool.nam == "x"', /nam/, 'nam'],
    ['session.client.nme == "x"', /nme/, 'nme'],
    ['1 + 1', /of type int/, '1 + 1'],
    ['"a" + 1 == "b"', /no such overload/i, '"a" + 1'],
    ['server == 1', /no such overload/i, 'server == 1'],
    ['args.s.matches("(")', /missing/, '"("'],
    ['args.s.matches("(?=a)")', /./, '"(?=a)"'],
    ['[args.s].exists(x, x.matches("["))', /./, '"["'],
    ['cidr.contains("10.0.0.0/33", args.s)', /not a network/, '"10.0.0.0/33"'],
    ['cidr.containsAny(["10.0.0.0/8", "x"], args.s)', /not a network/, '"x"'],
    ['path.within(args.s, "data")', /begin with/, '"data"'],
    ['path.within(args.s, ["/ok", "/a/../b"])', /\.\./, '"/a/../b"'],
    ['pointer(args, "a")', /JSON Pointer/, '"a"'],
    ['path.unknown(args.s)', /unknown/, undefined],
    ['args.s.toUpperCase() == "A"', /./, undefined],
    [`${'('.repeat(300)}true${')'.repeat(300)}`, /./, undefined],
    [`true${' || true'.repeat(2000)}`, /longer than/, undefined],
  ] as const) {
    test(source.slice(0, 60), () => {
      const fault = checkExpression(source);
      assert.ok(fault !== null);
      assert.match(fault.message, message);
      if (part !== undefined && part !== '') assert.equal(source.slice(fault.from, fault.to), part);
      assert.ok(fault.from >= 0 && fault.to <= source.length && fault.from <= fault.to);
      assert.throws(() => prepareExpression(source), ExpressionError);
    });
  }
});

test('a pattern takes linear time wherever an expression holds it', () => {
  const args = `{"s":"${'a'.repeat(5_000)}!","p":"(a+)+$","l":["(a*)*b"]}`;
  for (const source of [
    'args.s.matches("(a+)+$")',
    'args.s.matches(args.p)',
    '[args.s].exists(x, x.matches("(a+)+$"))',
    '[args.s].all(x, !x.matches("(a+)+$")) && false',
    '[args.s].map(x, x.matches("(a+)+$"))[0]',
    '[args.s].filter(x, x.matches("(a+)+$")) != []',
    '[args.s].exists_one(x, ["q"].exists(y, x.matches("(a+)+$")))',
    '{"k": args.s.matches("(a+)+$")}["k"]',
    'cel.bind(v, args.s, v.matches("(a+)+$"))',
    'args.l.exists(p, dyn(args.s).matches(p))',
    'true ? args.s.matches(args.l[0]) : true',
  ])
    assert.equal(ask(source, args), false, source);
});

test('whatever the arguments are, an expression answers true or false or is an error, and changes nothing', () => {
  const sources = ANSWERS.map(([source]) => source);
  fc.assert(
    fc.property(fc.constantFrom(...sources), fc.dictionary(fc.string(), fc.jsonValue()), (source, given) => {
      const args = JSON.stringify(given);
      assert.ok([true, false, 'error'].includes(ask(source, args)));
      const context = contextOf(args);
      const before = JSON.stringify(context);
      try {
        prepareExpression(source)(context);
      } catch (error) {
        assert.ok(error instanceof ExpressionError);
      }
      assert.equal(JSON.stringify(context), before);
    }),
    { numRuns: 400 },
  );
});
