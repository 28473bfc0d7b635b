/**
 * Where in a file a character of a YAML text stands, so that a fault inside an expression names its own line and
 * column. Exact for texts on one line and for literal blocks; anything else that YAML folds or escapes answers with
 * the text's beginning.
 */
import type { TreeNode } from './tree.ts';

type TextNode = TreeNode & { readonly kind: 'string' };

export function placeInText(source: string, node: TextNode, index: number): number {
  if (node.end === undefined) return node.at;
  const raw = source.slice(node.at, node.end);
  const lead = raw[0] === '"' || raw[0] === "'" ? 1 : 0;
  // INVARIANT: only where the spelling holds the very characters up to there is the place told.
  if (raw.startsWith(node.value.slice(0, index), lead)) return node.at + lead + index;
  return raw[0] === '|' ? (placeInBlock(raw, node, index) ?? node.at) : node.at;
}

function placeInBlock(raw: string, node: TextNode, index: number): number | null {
  const before = node.value.slice(0, index).split('\n');
  const row = before.length - 1;
  const column = before[row]?.length ?? 0;
  const lines = node.value.split('\n');
  let at = raw.indexOf('\n') + 1;
  if (at === 0) return null;
  const indent = /^(?:[ ]*\r?\n)*([ ]*)/.exec(raw.slice(at))?.[1]?.length ?? 0;
  for (let i = 0; i < row; i++) {
    const next = raw.indexOf('\n', at);
    if (next < 0) return null;
    at = next + 1;
  }
  const line = raw.slice(at).split(/\r?\n/, 1)[0] ?? '';
  return line.slice(indent) === lines[row] ? node.at + at + indent + column : null;
}
