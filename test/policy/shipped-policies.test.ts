/**
 * The policies that ship with the package are valid and free of warnings, rule as the cases beside them say, and name
 * only tools and arguments that their server really has.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../../src/decision/value.ts';
import { evaluate } from '../../src/policy/evaluate.ts';
import { NO_FACTS } from '../../src/policy/facts.ts';
import {
  CASE_FILES,
  type Case,
  covers,
  NAMES,
  type Outcome,
  outcomeOf,
  readShipped,
  readText,
  type Shipped,
  SNAPSHOTS,
  type SnapshotTool,
  weakened,
} from './shipped.ts';

const POSTURES = ['everything-off', 'no-destructive', 'read-only'];

test('each shipped policy has its cases, and each but the postures the tool list of its server', () => {
  assert.ok(NAMES.length >= 1);
  assert.deepEqual(CASE_FILES, NAMES);
  assert.deepEqual(
    NAMES.filter((name) => !SNAPSHOTS.has(name)),
    NAMES.filter((name) => POSTURES.includes(name)),
  );
});

for (const name of NAMES) {
  const shipped = readShipped(name);
  describe(`the shipped policy ${name}.yaml`, () => {
    test('rules as its cases say', () => {
      assert.ok(shipped.cases.length > 0);
      for (const one of shipped.cases) {
        const { reason, rule } = one;
        const wanted = {
          ...(reason === undefined ? {} : { reason }),
          ...(rule === undefined ? {} : { rule }),
        };
        const found = outcomeOf(shipped, one);
        assert.deepEqual({ ...found, ...wanted, effect: one.expect }, found, JSON.stringify(one));
        if (one.expect === 'deny') assert.ok(reason ?? rule, `${JSON.stringify(one)} says nothing of why`);
      }
    });

    test('has each of its rules tried with both outcomes', () => {
      assert.deepEqual(untried(shipped), []);
    });

    test('has a case that comes out otherwise without each condition, requirement and when', () => {
      const idle = new Set<string>();
      const needed = new Set<string>();
      for (const weak of weakened(shipped)) {
        const isIdle = weak.cases.every((one) => isAsSaid(outcomeOf(weak, one), one));
        (isIdle ? idle : needed).add(weak.part);
      }
      assert.deepEqual(
        [...idle].filter((part) => !needed.has(part)),
        [],
      );
    });

    const { snapshot } = shipped;
    if (snapshot === null) return;

    test('says which version of which server it is for', () => {
      const head = shipped.text.split('\nversion:')[0] ?? '';
      assert.ok(head.includes(`${snapshot.package.name} ${snapshot.package.version}`), head);
      assert.match(head, /# To adapt: /);
    });

    test('names only tools and arguments that the server has', () => {
      assert.deepEqual(unknownNames(shipped, snapshot.tools), []);
    });

    test('has a case for every tool of the server, and allows only calls that fit its schema', () => {
      const tried = new Set(shipped.cases.map(({ call }) => call.tool));
      assert.deepEqual(
        snapshot.tools.map((tool) => tool.name).filter((tool) => !tried.has(tool)),
        [],
      );
      const allowed = shipped.cases.filter(({ expect }) => expect === 'allow');
      assert.deepEqual(
        allowed.filter((one) => !fits(one, snapshot.tools)).map(({ call }) => JSON.stringify(call)),
        [],
      );
    });
  });
}

function isAsSaid(found: Outcome, { expect, reason, rule }: Case): boolean {
  return (
    found.effect === expect &&
    (reason === undefined || found.reason === reason) &&
    (rule === undefined || found.rule === rule)
  );
}

/** Rules that no case denies by, or that stand over no case that is allowed. */
function untried({ program, cases }: Shipped): string[] {
  const missing: string[] = [];
  for (const { key, rules } of program.tools) {
    const own = cases.filter(({ call }) => covers(key, call.tool));
    for (const rule of rules) {
      if (!own.some((one) => one.expect === 'deny' && one.rule === rule.name))
        missing.push(`${key}: no case is denied by "${rule.name}"`);
      const prohibits = rule.action === 'deny' && rule.when === undefined;
      if (!prohibits && !own.some((one) => one.expect === 'allow'))
        missing.push(`${key}: no case passes "${rule.name}"`);
    }
  }
  return missing;
}

function unknownNames({ program, name }: Shipped, tools: readonly SnapshotTool[]): string[] {
  const unknown: string[] = [];
  for (const key of [...program.hide, ...program.tools.map((tool) => tool.key)])
    if (!tools.some((tool) => covers(key, tool.name))) unknown.push(`tool ${key} in ${name}.yaml`);
  for (const { key, rules } of program.tools) {
    const known = new Set(
      tools
        .filter((tool) => covers(key, tool.name))
        .flatMap((tool) => Object.keys(tool.inputSchema.properties ?? {})),
    );
    for (const argument of rules.flatMap(argumentsRead))
      if (!known.has(argument)) unknown.push(`argument ${argument} of ${key} in ${name}.yaml`);
  }
  return unknown;
}

/** The arguments that a rule names: its conditions' paths, and in expressions what stands behind `args`. */
function argumentsRead(rule: Shipped['program']['tools'][number]['rules'][number]): string[] {
  const named: string[] = [];
  if (rule.action === 'evaluate') {
    for (const condition of rule.conditions)
      if (condition.on === 'args') named.push(condition.path[0] as string);
    if (rule.limit?.amount.kind === 'argument') named.push(rule.limit.amount.path[0] as string);
  }
  for (const expression of [rule.when ?? '', ...(rule.require ?? [])]) {
    for (const match of expression.matchAll(/\bargs\.([A-Za-z_]\w*)\b(?!\()/g))
      named.push(match[1] as string);
    const list = /^\s*args\.all\(k, k in (\[[^\]]*\])\)\s*$/.exec(expression)?.[1];
    if (list !== undefined) named.push(...(JSON.parse(list) as string[]));
  }
  return named;
}

function fits({ call }: Case, tools: readonly SnapshotTool[]): boolean {
  const schema = tools.find((tool) => tool.name === call.tool)?.inputSchema;
  if (schema === undefined) return false;
  const given = call.arguments ?? {};
  return (
    (schema.required ?? []).every((argument) => Object.hasOwn(given, argument)) &&
    Object.keys(given).every((argument) => Object.hasOwn(schema.properties ?? {}, argument))
  );
}

describe('a posture over the tools of real servers', () => {
  const tools = [...SNAPSHOTS.values()].flatMap((snapshot) => snapshot.tools);
  const allowedBy = (name: string): string[] => {
    const { prepared } = readShipped(name);
    return tools
      .filter(({ name: tool, annotations }) => {
        const announced = { annotations: annotations as JsonObject | null, inputSchema: null };
        return evaluate(prepared, { tool, args: {}, facts: { ...NO_FACTS, announced } }).effect === 'allow';
      })
      .map((tool) => tool.name);
  };

  test('read-only allows what is announced as read-only, but for what it hides', () => {
    const wanted = tools.filter(({ annotations }) => annotations?.['readOnlyHint'] === true);
    const names = wanted.map((tool) => tool.name).filter((name) => name !== 'get-env');
    assert.ok(names.length > 20 && names.length < wanted.length);
    assert.deepEqual(allowedBy('read-only'), names);
  });

  test('no-destructive allows what is announced as reading or adding only', () => {
    const wanted = tools.filter(
      ({ annotations }) =>
        annotations?.['readOnlyHint'] === true || annotations?.['destructiveHint'] === false,
    );
    assert.ok(wanted.length > 20 && wanted.length < tools.length);
    assert.deepEqual(
      allowedBy('no-destructive'),
      wanted.map((tool) => tool.name),
    );
  });

  test('everything-off allows nothing', () => {
    assert.deepEqual(allowedBy('everything-off'), []);
  });
});

test('the table of the shipped policies names each of them, with the version of its server', () => {
  const table = readText('README.md');
  for (const name of NAMES) {
    const row = table.split('\n').find((line) => line.startsWith(`| [${name}](${name}.yaml) |`));
    assert.ok(row !== undefined, `no row for ${name}`);
    const from = SNAPSHOTS.get(name)?.package;
    if (from !== undefined) assert.ok(row.includes(`${from.name} ${from.version}`), row);
  }
});
