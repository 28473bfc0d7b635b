import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { prepareExpression } from '../../src/policy/cel/expression.ts';
import { evaluateLayers, isVisibleIn, prepareLayers, standingIn } from '../../src/policy/layers.ts';
import { culpritOf, type PolicyProgram } from '../../src/policy/program.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { loadPolicies } from '../../src/store/load-policy.ts';
import { readArgs } from './strict-json.ts';

const ENGINES = { compileRegex, compileExpression: prepareExpression };

async function load(t: TestContext, files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'portcullis-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const paths = Object.entries(files).map(([name, text]) => {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
    return join(root, name);
  });
  return loadPolicies(paths);
}

async function programOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<PolicyProgram> {
  const loaded = await load(t, files);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.program;
}

const BASE = `version: "1"
hide: [secret_tool]
tools:
  pay:
    rules:
      - {name: at most 100, conditions: [{path: args.n, op: lte, value: 100}]}
      - {name: limited, rate_limit: 10/minute}
  drop: {rules: [{name: never, action: deny}]}
`;
const TEAM = `version: "1"
default: deny
hide: [odd_tool]
tools:
  pay:
    rules:
      - {name: at most 50, conditions: [{path: args.n, op: lte, value: 50}], on_deny: Ask the team.}
      - {name: limited, rate_limit: 5/minute}
  drop: {rules: []}
`;

describe('two policies for one server', () => {
  test('must both allow, and the first that denies says why', async (t) => {
    const layers = prepareLayers(await programOf(t, { 'base.yaml': BASE, 'team.yaml': TEAM }), () => ENGINES);
    const ask = (tool: string, args = '{}'): string => {
      const ruling = evaluateLayers(layers, { tool, args: readArgs(args) });
      if (ruling.effect === 'allow')
        return ruling.obligations.map(({ counter }) => `${counter.scope} ${counter.name}`).join();
      return `${ruling.denial.reason} ${ruling.denial.rule?.policy ?? '-'} ${ruling.denial.rule?.rule ?? '-'}`;
    };
    assert.equal(ask('pay', '{"n":40}'), 'pay _rate_minute,@team.yaml/pay _rate_minute');
    assert.equal(ask('pay', '{"n":60}'), 'rule_denied team.yaml at most 50');
    assert.equal(ask('pay', '{"n":200}'), 'rule_denied base.yaml at most 100');
    assert.equal(ask('drop'), 'rule_denied base.yaml never');
    assert.equal(ask('other'), 'tool_not_listed - -');
    assert.equal(ask('secret_tool'), 'tool_hidden - -');
    assert.equal(ask('odd_tool'), 'tool_hidden - -');
    for (const hidden of ['secret_tool', 'odd_tool']) assert.equal(isVisibleIn(layers, hidden), false);
    assert.equal(isVisibleIn(layers, 'pay'), true);
    assert.equal(standingIn(layers, 'PAY'), 'look_alike');
    assert.equal(standingIn(layers, 'ODD_TOOL'), 'look_alike');
    assert.equal(standingIn(layers, 'pay'), 'named');
  });

  test('a later one never allows what an earlier one denies, whatever the two say', async (t) => {
    const rule = fc.constantFrom(
      '{name: r, action: deny}',
      '{name: r, action: deny, when: args.n > 1}',
      '{name: r, require: args.n < 2}',
      '{name: r, conditions: [{path: args.n, op: lt, value: 3}]}',
      '{name: r, rate_limit: 1/day}',
    );
    const policy = fc
      .record({ rules: fc.array(rule, { maxLength: 2 }), deny: fc.boolean(), hide: fc.boolean() })
      .map(
        ({ rules, deny, hide }) =>
          `version: "1"\ndefault: ${deny ? 'deny' : 'allow'}\n${hide ? 'hide: [t]\n' : ''}tools:\n  ${deny ? 'u' : 't'}: {rules: [${rules.map((text, i) => text.replace('name: r', `name: r${i}`)).join(', ')}]}\n`,
      )
      .filter((text) => (text.match(/rate_limit/g) ?? []).length < 2);
    await fc.assert(
      fc.asyncProperty(
        policy,
        policy,
        fc.constantFrom('{"n":0}', '{"n":2}', '{"n":"x"}', '{}'),
        async (a, b, args) => {
          const effect = async (files: Record<string, string>): Promise<string> =>
            evaluateLayers(
              prepareLayers(await programOf(t, files), () => ENGINES),
              { tool: 't', args: readArgs(args) },
            ).effect;
          const [one, two, both] = [
            await effect({ 'a.yaml': a }),
            await effect({ 'b.yaml': b }),
            await effect({ 'a.yaml': a, 'b.yaml': b }),
          ];
          assert.equal(both, one === 'allow' && two === 'allow' ? 'allow' : 'deny');
        },
      ),
      { numRuns: 60 },
    );
  });

  test('number their rules one after the other, for the cursor', async (t) => {
    const program = await programOf(t, { 'base.yaml': BASE, 'team.yaml': TEAM });
    assert.deepEqual(culpritOf(program, 3, 0), {
      rule: { tool: 'drop', rule: 'never', index: 0, policy: 'base.yaml' },
    });
    assert.deepEqual(culpritOf(program, 4, 1), {
      rule: { tool: 'pay', rule: 'at most 50', index: 0, policy: 'team.yaml', part: 'condition 1' },
      onDeny: 'Ask the team.',
    });
    const cursor = new Int32Array(2);
    evaluateLayers(
      prepareLayers(program, () => ENGINES),
      { tool: 'pay', args: readArgs('{"n":60}') },
      cursor,
    );
    assert.deepEqual([...cursor], [4, 1]);
    assert.equal(culpritOf(program, 6, 0), undefined);
    assert.equal(culpritOf(program, 0, 0), undefined);
  });

  test('called alike are told apart by their paths; given twice or at fault they are refused together', async (t) => {
    const program = await programOf(t, { 'org/p.yaml': BASE, 'team/p.yaml': TEAM });
    assert.ok('layers' in program);
    assert.match(program.layers[0]?.policy ?? '', /org\/p\.yaml$/);
    const bad = await load(t, { 'a.yaml': 'version: "2"\n', 'b.yaml': 'versions: "1"\n' });
    assert.ok(!bad.ok);
    assert.equal(bad.failures.length, 2);
    const root = mkdtempSync(join(tmpdir(), 'portcullis-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    writeFileSync(join(root, 'a.yaml'), BASE);
    const twice = await loadPolicies([join(root, 'a.yaml'), join(root, '.', 'a.yaml')]);
    assert.ok(!twice.ok);
    assert.equal(twice.failures[0]?.diagnostics[0]?.code, 'duplicate_entry');
  });

  test('are another policy when either changes or their order does; one alone is what it was', async (t) => {
    const digestOf = async (files: Record<string, string>): Promise<string> => {
      const loaded = await load(t, files);
      assert.ok(loaded.ok);
      return loaded.digest;
    };
    const digests = [
      await digestOf({ 'a.yaml': BASE, 'b.yaml': TEAM }),
      await digestOf({ 'b.yaml': TEAM, 'a.yaml': BASE }),
      await digestOf({ 'a.yaml': BASE, 'b.yaml': TEAM.replace('50}', '51}') }),
      await digestOf({ 'a.yaml': BASE }),
    ];
    assert.equal(new Set(digests).size, 4);
    assert.equal(await digestOf({ 'c.yaml': BASE }), digests[3]);
  });
});
