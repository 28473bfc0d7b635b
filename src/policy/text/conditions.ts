/** One condition: its path, its operator, and a value that fits the operator. */
import {
  type ArgumentCondition,
  type CounterCondition,
  type Limit,
  OPERATORS,
  type Operator,
  type PolicyValue,
} from '../program.ts';
import { compileRegex } from '../regex.ts';
import { counterTest } from '../rule.ts';
import { type CounterDefinition, type Counters, resolveCounter } from './counters.ts';
import { nearest } from './nearest.ts';
import type { Report } from './report.ts';
import { describe, entryOf, fieldOf, type PathStep, quote, showPath, type TreeNode, textOf } from './tree.ts';

/** `tool` is the key under `tools`, `name` the counters' scope that belongs to it. */
export type Scope = { readonly tool: string; readonly name: string | null };

type Surroundings = { readonly scope: Scope; readonly counters: Counters; readonly report: Report };

/** null where the condition has a fault; it is reported here or was by the shape. */
export function compileCondition(
  node: TreeNode,
  path: PathStep[],
  { scope, counters, report }: Surroundings,
  own: CounterDefinition | null,
): ArgumentCondition | CounterCondition | null {
  if (node.kind !== 'map') return null;
  const op = OPERATORS.find((known) => known === textOf(fieldOf(node, 'op')));
  const value = compileValue(node, op, path, report);
  const pathNode = fieldOf(node, 'path');
  if (pathNode?.kind !== 'string') return null;
  const parsed = compilePath(pathNode, [...path, 'path'], report, ['args', 'state']);
  if (parsed === null) return null;
  if (parsed.root === 'args') {
    return op === undefined || value === null ? null : { on: 'args', path: parsed.parts, op, value };
  }
  const place = { at: pathNode.at, path: [...path, 'path'], scope: scope.name, counters, report };
  const counter = resolveCounter(pathNode.value, own, place)?.counter ?? null;
  if (counter === null || op === undefined || value === null) return null;
  if (counterTest({ op, value }) === 'never') {
    const found = `${op} on a counter, which is a number`;
    const expected =
      'an operator and value for numbers: this condition never holds, so the rule denies every call';
    report.doubt({ code: 'never_holds', at: node.at, path: showPath(path), found, expected });
  }
  return { on: 'state', counter, op, value };
}

/** The bound that a condition sets on the counter its own rule raises; null for every other condition. */
export function compileOwnBound(
  condition: ArgumentCondition | CounterCondition,
  own: CounterDefinition | null,
): Limit['bounds'][number] | null {
  if (condition.on !== 'state' || own === null || condition.counter !== own.counter) return null;
  if ((condition.op !== 'lt' && condition.op !== 'lte') || condition.value.kind !== 'number') return null;
  return { op: condition.op, value: condition.value.value };
}

type ParsedPath = { readonly root: string; readonly parts: string[] };

export function compilePath(
  node: TreeNode & { readonly kind: 'string' },
  path: PathStep[],
  report: Report,
  roots: readonly string[],
): ParsedPath | null {
  const [root = '', ...parts] = node.value.split('.');
  const fault = { code: 'bad_path' as const, at: node.at, path: showPath(path), found: quote(node.value) };
  const expected =
    roots.length === 1
      ? 'args. and the keys to follow'
      : 'args. and the keys to follow, or state.SCOPE.COUNTER';
  if (!roots.includes(root) || parts.length === 0) {
    const near = nearest(root.trim(), roots) ?? (root.trim() === 'arguments' ? 'args' : undefined);
    const word = roots.includes(root.trim()) ? root.trim() : near;
    const hint = word === undefined ? `write args.${node.value.slice(0, 60)}` : `begin with ${word}.`;
    report.fault({ ...fault, expected, hint });
    return null;
  }
  if (parts.some((part) => part.trim() === '')) {
    report.fault({ ...fault, expected: 'a path without empty parts' });
    return null;
  }
  return { root, parts };
}

function compileValue(
  node: TreeNode,
  op: Operator | undefined,
  path: PathStep[],
  report: Report,
): PolicyValue | null {
  const valueNode = entryOf(node, 'value')?.value;
  if (valueNode === undefined) {
    const like =
      node.kind === 'map'
        ? node.entries.find((entry) => nearest(entry.key, ['value']) !== undefined)
        : undefined;
    const hint = like === undefined ? undefined : `is ${quote(like.key)} misspelt?`;
    const expected = op === undefined ? 'a value to compare with' : `value: ${fitting(op)}`;
    report.fault({
      code: 'missing_field',
      at: node.at,
      path: showPath([...path, 'value']),
      found: 'no "value"',
      expected,
      hint,
    });
    return null;
  }
  const value = policyValue(valueNode);
  if (value === null || op === undefined) return value;
  const place = { at: valueNode.at, path: showPath([...path, 'value']), found: describe(valueNode) };
  if (!fits(op, value)) {
    report.fault({
      code: 'wrong_type',
      ...place,
      expected: `${fitting(op)}, for ${op}`,
      hint: numberInText(op, value),
    });
    return null;
  }
  if (op === 'regex' && value.kind === 'string') {
    try {
      compileRegex(value.value);
    } catch (error) {
      const hint = error instanceof Error ? error.message : undefined;
      report.fault({ code: 'bad_regex', ...place, expected: 'a regular expression in RE2 syntax', hint });
      return null;
    }
  }
  if (
    (op === 'neq' && value.kind === 'null') ||
    (op === 'in' && value.kind === 'list' && value.items.length === 0)
  ) {
    const found = op === 'neq' ? 'neq null' : 'an empty list for in';
    const hint = op === 'neq' ? 'use op: exists with value: true' : undefined;
    const expected = 'a condition that some argument satisfies: this one never holds';
    report.doubt({ code: 'never_holds', at: place.at, path: place.path, found, expected, hint });
  }
  return value;
}

function fits(op: Operator, value: PolicyValue): boolean {
  switch (op) {
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      return value.kind === 'number';
    case 'in':
    case 'not_in':
      return value.kind === 'list';
    case 'regex':
      return value.kind === 'string';
    case 'exists':
      return value.kind === 'boolean';
    case 'eq':
    case 'neq':
    case 'contains':
      return true;
  }
}

function fitting(op: Operator): string {
  switch (op) {
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      return 'a number';
    case 'in':
    case 'not_in':
      return 'a list';
    case 'regex':
      return 'a pattern, as text';
    case 'exists':
      return 'true or false';
    case 'eq':
    case 'neq':
    case 'contains':
      return 'any value';
  }
}

function numberInText(op: Operator, value: PolicyValue): string | undefined {
  if (value.kind !== 'string') return undefined;
  if (fitting(op) === 'a number' && /^[-+]?[\d.]+$/.test(value.value))
    return 'take the quotes away to make it a number';
  if (op === 'exists' && /^(true|false)$/i.test(value.value)) return 'take the quotes away';
  if (op === 'exists' && /^(yes|no|on|off)$/i.test(value.value))
    return 'YAML 1.2 reads this word as text: write true or false';
  return undefined;
}

/** null where something in it is broken, which has been reported. */
function policyValue(node: TreeNode): PolicyValue | null {
  switch (node.kind) {
    case 'null':
      return { kind: 'null' };
    case 'boolean':
      return { kind: 'boolean', value: node.value };
    case 'string':
      return { kind: 'string', value: node.value };
    case 'number':
      return { kind: 'number', value: node.value };
    case 'list': {
      const items = node.items.map(policyValue);
      return items.includes(null) ? null : { kind: 'list', items: items.filter((item) => item !== null) };
    }
    case 'map': {
      const entries = node.entries.map((entry) => [entry.key, policyValue(entry.value)] as const);
      const whole = entries.flatMap(([key, value]) => (value === null ? [] : [[key, value] as const]));
      return whole.length === entries.length ? { kind: 'object', entries: whole } : null;
    }
    case 'broken':
      return null;
  }
}
