/**
 * A policy document as plain nodes with positions: no tags, no aliases, no duplicate keys, no rounded numbers. What
 * the YAML layer could not accept stands as `broken`, so that a fault is reported once.
 */
import { clip } from '../values.ts';

export type TreeNode = { readonly at: number } & (
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** `end`: where its spelling ends in the file. */
  | { readonly kind: 'string'; readonly value: string; readonly end?: number }
  /** `value` is exact decimal text, `source` the spelling in the file. */
  | { readonly kind: 'number'; readonly value: string; readonly source: string }
  | { readonly kind: 'list'; readonly items: readonly TreeNode[] }
  | { readonly kind: 'map'; readonly entries: readonly Entry[] }
  | { readonly kind: 'broken' }
);
export type Entry = { readonly key: string; readonly keyAt: number; readonly value: TreeNode };

export type MapNode = TreeNode & { readonly kind: 'map' };
export type PathStep = string | number;

export function entryOf(node: TreeNode | undefined, key: string): Entry | undefined {
  return node?.kind === 'map' ? node.entries.find((entry) => entry.key === key) : undefined;
}

/** The value under a key; undefined where there is none, and where it is null. */
export function fieldOf(node: TreeNode | undefined, key: string): TreeNode | undefined {
  const value = entryOf(node, key)?.value;
  return value?.kind === 'null' ? undefined : value;
}

export function itemsOf(node: TreeNode | undefined): readonly TreeNode[] {
  return node?.kind === 'list' ? node.items : [];
}

export function textOf(node: TreeNode | undefined): string | undefined {
  return node?.kind === 'string' ? node.value : undefined;
}

export function describe(node: TreeNode): string {
  switch (node.kind) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(node.value);
    case 'string':
      return quote(node.value);
    case 'number':
      return `the number ${clip(node.source, 40)}`;
    case 'list':
      return node.items.length === 0 ? 'an empty list' : `a list of ${node.items.length}`;
    case 'map':
      return node.entries.length === 0 ? 'an empty map' : 'a map';
    case 'broken':
      return 'something unreadable';
  }
}

export function quote(text: string): string {
  return JSON.stringify(clip(text, 60));
}

/** `tools.create_charge.rules[0].op`; keys that would read wrongly are quoted. */
export function showPath(path: readonly PathStep[]): string {
  let shown = '';
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`;
    else if (/^[A-Za-z0-9_*?/-]+$/.test(step)) shown += shown === '' ? step : `.${step}`;
    else shown += `[${quote(step)}]`;
  }
  return shown;
}
