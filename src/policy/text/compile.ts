/**
 * A tree to a program: everything the shape alone cannot tell. Works on a tree with faults too, so that all faults
 * come out together; the program counts only where none was found.
 */
import type { ArgumentCondition, CounterCondition, Limit, Program, Rule, ToolRules } from '../program.ts';
import { compileCondition, compileOwnBound, compilePath, type Scope } from './conditions.ts';
import { type CounterDefinition, type Counters, findCounters } from './counters.ts';
import { compileExpression, compileRequirements } from './expressions.ts';
import { nearest } from './nearest.ts';
import { decimalAtMost, MAX_COUNT, parseRateLimit } from './rate-limit.ts';
import type { Report } from './report.ts';
import {
  describe,
  entryOf,
  fieldOf,
  itemsOf,
  type PathStep,
  quote,
  showPath,
  type TreeNode,
  textOf,
} from './tree.ts';

export const PROGRAM_FORMAT = 1;
const WILDCARD = '*';

export function compile(tree: TreeNode, report: Report): Program {
  checkVersion(tree, report);
  const counters = findCounters(tree, report);
  const tools: ToolRules[] = [];
  for (const { key, keyAt, value } of entriesOf(fieldOf(tree, 'tools'))) {
    if (key.trim() === '') {
      const found = quote(key);
      report.fault({
        code: 'blank_text',
        at: keyAt,
        path: showPath(['tools', key]),
        found,
        expected: 'a tool name that is not blank',
      });
    }
    const scope: Scope = { tool: key, name: key === WILDCARD ? null : key };
    const rules = itemsOf(fieldOf(value, 'rules')).map((rule, i) =>
      compileRule(rule, scope, ['tools', key, 'rules', i], counters, report),
    );
    tools.push({ key, rules: rules.filter((rule) => rule !== null) });
  }
  const defaultEffect = textOf(fieldOf(tree, 'default')) === 'deny' ? 'deny' : 'allow';
  const hide = compileHide(fieldOf(tree, 'hide'), report);
  if (defaultEffect === 'deny' && tools.every((tool) => tool.key === WILDCARD)) {
    const expected = 'at least one tool under tools, other than "*"';
    report.doubt({
      code: 'nothing_listed',
      at: entryOf(tree, 'default')?.keyAt ?? 0,
      path: 'default',
      found: 'deny, and no tool is listed: every call is denied',
      expected,
    });
  }
  return { format: PROGRAM_FORMAT, defaultEffect, hide, tools };
}

function entriesOf(node: TreeNode | undefined) {
  return node?.kind === 'map' ? node.entries : [];
}

function checkVersion(tree: TreeNode, report: Report): void {
  const version = fieldOf(tree, 'version');
  if (version?.kind !== 'number' || version.value !== '1' || version.source === '1') return;
  report.fault({
    code: 'unknown_word',
    at: version.at,
    path: 'version',
    found: describe(version),
    expected: 'version "1"',
  });
}

function compileHide(node: TreeNode | undefined, report: Report): string[] {
  const names: string[] = [];
  const seen = new Set<string>();
  itemsOf(node).forEach((item, i) => {
    const name = textOf(item);
    if (name === undefined) return;
    if (seen.has(name)) {
      const found = `${quote(name)} for a second time`;
      report.fault({
        code: 'duplicate_entry',
        at: item.at,
        path: showPath(['hide', i]),
        found,
        expected: 'each name once',
      });
    }
    seen.add(name);
    names.push(name);
  });
  return names;
}

function compileRule(
  node: TreeNode,
  scope: Scope,
  path: PathStep[],
  counters: Counters,
  report: Report,
): Rule | null {
  if (node.kind !== 'map') return null;
  const name = textOf(fieldOf(node, 'name')) ?? '';
  const message = textOf(fieldOf(node, 'on_deny')) ?? '';
  const when = compileExpression(fieldOf(node, 'when'), [...path, 'when'], report);
  const words = {
    name,
    ...(message === '' ? {} : { onDeny: message }),
    ...(when === null ? {} : { when }),
  };
  const action = textOf(entryOf(node, 'action')?.value) ?? 'evaluate';
  const at = entryOf(node, 'name')?.keyAt ?? node.at;
  const conflict = (field: string, withWhat: string, hint: string) => {
    const place = entryOf(node, field)?.keyAt ?? at;
    const found = `${field} together with ${withWhat}`;
    report.fault({
      code: 'conflicting_fields',
      at: place,
      path: showPath([...path, field]),
      found,
      expected: `${withWhat} without ${field}`,
      hint,
    });
  };
  const conditions = itemsOf(fieldOf(node, 'conditions'));
  const state = fieldOf(node, 'state');
  const rate = entryOf(node, 'rate_limit');
  const place = { scope, path, report, counters };

  if (action === 'deny') {
    if (conditions.length > 0)
      conflict(
        'conditions',
        'action: deny',
        'a deny rule always denies; to deny on a condition, write what must hold and leave the action out',
      );
    if (rate !== undefined) conflict('rate_limit', 'action: deny', 'a deny rule always denies');
    for (const field of ['require', 'check'])
      if (fieldOf(node, field) !== undefined)
        conflict(field, 'action: deny', 'to deny only some calls, say which in when');
    if (state !== undefined) {
      const expected = 'no state: a deny rule never counts';
      report.doubt({
        code: 'counter_never_raised',
        at: state.at,
        path: showPath([...path, 'state']),
        found: 'state on a deny rule',
        expected,
      });
    }
    for (const [i, condition] of conditions.entries()) {
      compileCondition(condition, [...path, 'conditions', i], place, null);
    }
    return { ...words, action: 'deny' };
  }
  const requirements = compileRequirements(node, path, report);
  const check = compileCheck(node, path, report);
  const more = {
    ...(requirements.length === 0 ? {} : { require: requirements }),
    ...(check === null ? {} : { check }),
  };
  if (rate !== undefined) {
    if (conditions.length > 0)
      conflict('conditions', 'rate_limit', 'write the conditions in a rule of their own');
    if (state !== undefined) conflict('state', 'rate_limit', 'write the counter in a rule of its own');
    const limit = compileRateLimit(rate.value, scope, [...path, 'rate_limit'], report);
    return { ...words, ...more, action: 'evaluate', conditions: [], ...(limit === null ? {} : { limit }) };
  }
  const judges = fieldOf(node, 'require') !== undefined || fieldOf(node, 'check') !== undefined;
  if (conditions.length === 0 && !judges && action === 'evaluate') {
    const conditionsNode = entryOf(node, 'conditions')?.value;
    if (conditionsNode === undefined || conditionsNode.kind === 'null' || conditionsNode.kind === 'list') {
      const hint = misspelt(node);
      const found = 'a rule that evaluates nothing';
      report.fault({
        code: 'rule_without_conditions',
        at,
        path: showPath(path),
        found,
        expected: 'conditions, require, check, a rate_limit, or action: deny',
        hint: hint ?? (when === null ? undefined : 'when only says to which calls the rule applies'),
      });
    }
  }
  const own = state === undefined ? null : (counters.definedBy(node) ?? null);
  const compiled: (ArgumentCondition | CounterCondition)[] = [];
  const bounds: Limit['bounds'][number][] = [];
  conditions.forEach((condition, i) => {
    const result = compileCondition(condition, [...path, 'conditions', i], place, own);
    if (result === null) return;
    const bound = compileOwnBound(result, own);
    if (bound === null) compiled.push(result);
    else bounds.push(bound);
  });
  if (state === undefined) return { ...words, ...more, action: 'evaluate', conditions: compiled };
  const limit = compileLimit(state, own, bounds, [...path, 'state'], report);
  return {
    ...words,
    ...more,
    action: 'evaluate',
    conditions: compiled,
    ...(limit === null ? {} : { limit }),
  };
}

function compileCheck(node: TreeNode, path: PathStep[], report: Report): string | null {
  const check = fieldOf(node, 'check');
  if (check?.kind !== 'string' || check.value.trim() === '') return null;
  const isPath = /^\.\/[^#\\\0]+\.mjs(?:#[A-Za-z_$][\w$]*)?$/.test(check.value);
  if (isPath && !check.value.includes('..')) {
    report.check(check.value, check.at, showPath([...path, 'check']));
    return check.value;
  }
  report.fault({
    code: 'bad_check',
    at: check.at,
    path: showPath([...path, 'check']),
    found: quote(check.value),
    expected:
      'a path below the policy file that ends in .mjs, such as ./checks/refund.mjs or ./checks/refund.mjs#name',
  });
  return null;
}

function misspelt(node: TreeNode): string | undefined {
  const like = entriesOf(node).find(
    (entry) => nearest(entry.key, ['conditions', 'rate_limit', 'action']) !== undefined,
  );
  return like === undefined ? undefined : `is ${quote(like.key)} misspelt?`;
}

function compileRateLimit(node: TreeNode, scope: Scope, path: PathStep[], report: Report): Limit | null {
  const text = textOf(node);
  if (text === undefined) return null;
  const parsed = parseRateLimit(text);
  if ('expected' in parsed) {
    report.fault({
      code: 'bad_rate_limit',
      at: node.at,
      path: showPath(path),
      found: quote(text),
      ...parsed,
    });
    return null;
  }
  return {
    counter: { scope: scope.name, name: `_rate_${parsed.window}`, window: parsed.window },
    bounds: [{ op: 'lte', value: parsed.count }],
    amount: { kind: 'fixed', value: '1' },
  };
}

function compileLimit(
  state: TreeNode,
  own: CounterDefinition | null,
  bounds: Limit['bounds'],
  path: PathStep[],
  report: Report,
): Limit | null {
  const amount = compileAmount(state, path, report);
  if (own === null || own.counter === null) return null;
  if (bounds.length === 0) {
    const expected = `a condition with lt or lte on ${own.path} in this rule: without one it counts nothing`;
    report.fault({
      code: 'counter_without_limit',
      at: state.at,
      path: showPath(path),
      found: 'a counter without a limit',
      expected,
    });
  }
  return amount === null ? null : { counter: own.counter, bounds, amount };
}

function compileAmount(state: TreeNode, path: PathStep[], report: Report): Limit['amount'] | null {
  const increment = fieldOf(state, 'increment');
  let fixed = '1';
  if (increment?.kind === 'number') {
    fixed = increment.value;
    if (!decimalAtMost(fixed, MAX_COUNT)) {
      const expected = `a number greater than 0 and at most ${MAX_COUNT}`;
      report.fault({
        code: 'bad_increment',
        at: increment.at,
        path: showPath([...path, 'increment']),
        found: describe(increment),
        expected,
      });
    }
  }
  const from = fieldOf(state, 'increment_from');
  if (from?.kind !== 'string') return { kind: 'fixed', value: fixed };
  const parsed = compilePath(from, [...path, 'increment_from'], report, ['args']);
  return parsed === null ? null : { kind: 'argument', path: parsed.parts };
}
