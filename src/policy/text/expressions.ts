/** The expressions of a rule: parsed and held against their variables' types here, evaluated in the lanes. */
import { checkExpression } from '../cel/expression.ts';
import type { Expression } from '../program.ts';
import type { Report } from './report.ts';
import { placeInText } from './scalar-place.ts';
import { fieldOf, itemsOf, type PathStep, quote, showPath, type TreeNode } from './tree.ts';

/** null where the field is not there, or has a fault. */
export function compileExpression(
  node: TreeNode | undefined,
  path: PathStep[],
  report: Report,
): Expression | null {
  if (node?.kind !== 'string' || node.value.trim() === '') return null;
  const fault = checkExpression(node.value);
  if (fault === null) return node.value;
  const part = node.value.slice(fault.from, fault.to).trim();
  report.fault({
    code: 'bad_expression',
    at: placeInText(report.source, node, fault.from),
    path: showPath(path),
    found: part === '' ? quote(node.value) : quote(part),
    expected: 'a CEL expression that is true or false',
    hint: fault.message,
  });
  return null;
}

/** `require` is one expression or a list of them. */
export function compileRequirements(rule: TreeNode, path: PathStep[], report: Report): Expression[] {
  const node = fieldOf(rule, 'require');
  if (node === undefined) return [];
  const one = compileExpression(node, [...path, 'require'], report);
  if (one !== null) return [one];
  return itemsOf(node)
    .map((item, i) => compileExpression(item, [...path, 'require', i], report))
    .filter((expression) => expression !== null);
}
