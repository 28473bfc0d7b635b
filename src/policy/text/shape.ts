/** Holds a tree against the schema, and turns what zod finds into faults with places and nearest words. */
import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { MAX_FAULTS, type Report } from './report.ts';
import { FIELDS, policySchema } from './schema.ts';
import { describe, entryOf, type PathStep, quote, showPath, type TreeNode } from './tree.ts';

// zod passes over a record's key of this name, and with it over that tool's rules, so it is shown another.
const PROTO = '__proto__';
const PROTO_SHOWN = '\0__proto__';

export function checkShape(tree: TreeNode, report: Report): void {
  const result = policySchema.safeParse(plain(tree));
  if (result.success) return;
  // Each takes time linear in the maps on its path; beyond so many the report takes no more anyway.
  for (const issue of result.error.issues.slice(0, MAX_FAULTS + 1)) reportIssue(issue, tree, report);
}

/** Numbers stand as doubles here: only their type matters to the shape. */
function plain(node: TreeNode): unknown {
  switch (node.kind) {
    case 'null':
      return null;
    case 'boolean':
    case 'string':
      return node.value;
    case 'number':
      return Number(node.value);
    case 'list':
      return node.items.map(plain);
    case 'map': {
      const object = Object.create(null) as { [key: string]: unknown };
      for (const entry of node.entries)
        object[entry.key === PROTO ? PROTO_SHOWN : entry.key] = plain(entry.value);
      return object;
    }
    case 'broken':
      return undefined;
  }
}

function reportIssue(issue: z.core.$ZodIssue, tree: TreeNode, report: Report): void {
  const path = issue.path.filter((step) => typeof step !== 'symbol').map(unescaped);
  const { node, parent } = follow(tree, path);
  if (node?.kind === 'broken' || parent?.kind === 'broken') return;
  const expected = issue.message;
  const shown = showPath(path);
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys.slice(0, MAX_FAULTS + 1).map(unescaped)) {
      const entry = entryOf(node, key);
      const hint = nearest(key, fieldsAt(path));
      const found = `the unknown field ${quote(key)}`;
      report.fault({
        code: 'unknown_field',
        at: entry?.keyAt ?? node?.at ?? 0,
        path: showPath([...path, key]),
        found,
        expected: `only ${fieldsAt(path).join(', ')}`,
        hint: hint === undefined ? undefined : `did you mean ${hint}?`,
      });
    }
    return;
  }
  if (node === undefined) {
    // A condition's value is asked for by compile.ts, which knows the operator.
    if (path.length === 7 && path.at(-1) === 'value') return;
    const name = String(path.at(-1) ?? '');
    report.fault({
      code: 'missing_field',
      at: parent?.at ?? 0,
      path: shown,
      found: `no ${quote(name)}`,
      expected,
    });
    return;
  }
  const known =
    issue.code === 'invalid_value' ? issue.values.filter((value) => typeof value === 'string') : [];
  if (issue.code === 'invalid_value' && (node.kind === 'string' || path.at(-1) === 'version')) {
    reportWord(node, known, path, expected, report);
    return;
  }
  const code = issue.code === 'invalid_format' ? 'blank_text' : 'wrong_type';
  const hint = wantsQuotes(issue, node) ? 'put quotes around it to make it text' : undefined;
  report.fault({ code, at: node.at, path: shown, found: describe(node), expected, hint });
}

function unescaped<Step extends PathStep>(step: Step): Step {
  return (step === PROTO_SHOWN ? PROTO : step) as Step;
}

function reportWord(
  node: TreeNode,
  known: string[],
  path: PathStep[],
  expected: string,
  report: Report,
): void {
  const place = { at: node.at, path: showPath(path), found: describe(node), expected };
  const word = node.kind === 'string' ? node.value : '';
  if (
    path.at(-1) === 'action' &&
    nearest(word, ['require_approval']) !== undefined &&
    known.every((one) => nearest(word, [one]) === undefined)
  ) {
    report.fault({
      code: 'unknown_word',
      ...place,
      hint: 'did you mean require_approval? this version does not take it yet',
    });
  } else if (path.at(-1) === 'action' && word === 'require_approval') {
    report.fault({
      code: 'unsupported_action',
      ...place,
      hint: 'approvals are not built yet: use deny, or conditions that must hold',
    });
  } else {
    const near =
      path.at(-1) === 'version' ? undefined : (nearest(word, known) ?? ELSEWHERE.get(word.toLowerCase()));
    report.fault({
      code: 'unknown_word',
      ...place,
      hint: near === undefined ? undefined : `did you mean ${near}?`,
    });
  }
}

/** What other languages call the operators. */
const ELSEWHERE = new Map([
  ['=', 'eq'],
  ['==', 'eq'],
  ['is', 'eq'],
  ['equals', 'eq'],
  ['!=', 'neq'],
  ['not_equals', 'neq'],
  ['<', 'lt'],
  ['lessthan', 'lt'],
  ['less_than', 'lt'],
  ['<=', 'lte'],
  ['>', 'gt'],
  ['greaterthan', 'gt'],
  ['greater_than', 'gt'],
  ['>=', 'gte'],
  ['nin', 'not_in'],
  ['matches', 'regex'],
  ['pattern', 'regex'],
  ['includes', 'contains'],
  ['not_exists', 'exists with value: false'],
]);

function wantsQuotes(issue: z.core.$ZodIssue, node: TreeNode): boolean {
  return (
    issue.code === 'invalid_type' &&
    issue.expected === 'string' &&
    (node.kind === 'number' || node.kind === 'boolean')
  );
}

function follow(
  tree: TreeNode,
  path: readonly PathStep[],
): { node: TreeNode | undefined; parent: TreeNode | undefined } {
  let node: TreeNode | undefined = tree;
  let parent: TreeNode | undefined;
  for (const step of path) {
    if (node === undefined || node.kind === 'broken') return { node, parent: node ?? parent };
    parent = node;
    if (typeof step === 'number') node = node.kind === 'list' ? node.items[step] : undefined;
    else node = entryOf(node, step)?.value;
  }
  return { node, parent };
}

/** Which kind of map stands at a path: `tools.T.rules[0].conditions[1]` is a condition. */
function fieldsAt(path: readonly PathStep[]): readonly string[] {
  if (path.length === 0) return FIELDS.policy;
  if (path.length === 2) return FIELDS.tool;
  if (path.length === 4) return FIELDS.rule;
  return path[4] === 'state' ? FIELDS.state : FIELDS.condition;
}
