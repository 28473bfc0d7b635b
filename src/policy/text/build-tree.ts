/**
 * A YAML document to a tree: aliases expanded within a bound, keys compared, numbers read exactly, and every part of
 * YAML that a policy does not take reported with its place.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, type Pair } from 'yaml';
import { MAX_ALIAS_NODES, MAX_DEPTH, MAX_NODES } from './limits.ts';
import { decimalOfSource } from './number.ts';
import type { Fault, Report } from './report.ts';
import { type Entry, type PathStep, quote, showPath, type TreeNode } from './tree.ts';

type Anchored = { readonly node: unknown; open: boolean };

export class TreeBuilder {
  readonly #report: Report;
  readonly #anchors = new Map<string, Anchored>();
  #nodes = 0;
  #aliasNodes = 0;
  #aliasDepth = 0;
  #full = false;

  constructor(report: Report) {
    this.#report = report;
  }

  build(document: Document.Parsed): TreeNode | null {
    const contents = document.contents;
    const at = contents === null ? 0 : contents.range[0];
    if (contents === null || (isScalar(contents) && contents.value === null && contents.tag === undefined)) {
      this.#report.fault({
        code: 'empty_document',
        at,
        path: '',
        found: 'an empty document',
        expected: 'a policy',
        hint: 'begin with version: "1"',
      });
      return null;
    }
    return this.#node(contents, [], 0);
  }

  #node(node: unknown, path: PathStep[], depth: number, fallbackAt = 0): TreeNode {
    const at = startOf(node) ?? fallbackAt;
    if (this.#full) return { kind: 'broken', at };
    this.#nodes += 1;
    if (this.#aliasDepth > 0) this.#aliasNodes += 1;
    if (depth > MAX_DEPTH) {
      return this.#broken({
        code: 'too_deep',
        at,
        path,
        found: `more than ${MAX_DEPTH} levels`,
        expected: `at most ${MAX_DEPTH} levels of nesting`,
      });
    }
    if (this.#nodes > MAX_NODES) {
      this.#full = true;
      return this.#broken({
        code: 'too_complex',
        at,
        path,
        found: `more than ${MAX_NODES} values`,
        expected: 'a smaller file',
      });
    }
    if (this.#aliasNodes > MAX_ALIAS_NODES) {
      this.#full = true;
      const expected = `aliases that repeat at most ${MAX_ALIAS_NODES} values in all`;
      return this.#broken({
        code: 'alias_expansion',
        at,
        path,
        found: 'aliases that expand to a huge document',
        expected,
      });
    }
    if (isAlias(node)) return this.#alias(node.source, at, path, depth);
    const tag = tagOf(node);
    if (tag !== undefined) {
      const found = `the tag ${quote(tag)}`;
      return this.#broken({
        code: 'tag',
        at,
        path,
        found,
        expected: 'a value without a tag',
        hint: 'take the tag away; quote the value to make it text',
      });
    }
    const anchor = anchorOf(node);
    const anchored: Anchored = { node, open: true };
    if (anchor !== undefined) this.#anchors.set(anchor, anchored);
    const built = this.#value(node, at, path, depth);
    anchored.open = false;
    return built;
  }

  #value(node: unknown, at: number, path: PathStep[], depth: number): TreeNode {
    if (isMap(node)) return { kind: 'map', at, entries: this.#entries(node.items, at, path, depth) };
    if (isSeq(node)) {
      return {
        kind: 'list',
        at,
        items: node.items.map((item, i) => this.#node(item, [...path, i], depth + 1, at)),
      };
    }
    const value = isScalar(node) ? node.value : null;
    if (value === null) return { kind: 'null', at };
    if (typeof value === 'boolean') return { kind: 'boolean', at, value };
    if (typeof value === 'number')
      return this.#number(isScalar(node) ? (node.source ?? '') : '', value, at, path);
    if (typeof value === 'string') return this.#text(value, at, endOf(node), path);
    return this.#broken({
      code: 'yaml_syntax',
      at,
      path,
      found: 'an unknown kind of value',
      expected: 'YAML 1.2 core values',
    });
  }

  #number(source: string, value: number, at: number, path: PathStep[]): TreeNode {
    if (/^[-+]?\.(inf|nan)$/i.test(source)) {
      return this.#broken({
        code: 'number_not_finite',
        at,
        path,
        found: source,
        expected: 'a finite number',
      });
    }
    const decimal = decimalOfSource(source);
    if (decimal === null || !Number.isFinite(value)) {
      return this.#broken({
        code: 'number_out_of_range',
        at,
        path,
        found: quote(source),
        expected: 'a number within ±1.7e308',
      });
    }
    return { kind: 'number', at, value: decimal, source };
  }

  #text(value: string, at: number, end: number | undefined, path: PathStep[]): TreeNode {
    if (!/\p{Surrogate}/u.test(value))
      return { kind: 'string', at, value, ...(end === undefined ? {} : { end }) };
    return this.#broken({
      code: 'malformed_text',
      at,
      path,
      found: 'half of a surrogate pair',
      expected: 'whole Unicode characters',
    });
  }

  #entries(pairs: readonly Pair[], mapAt: number, path: PathStep[], depth: number): Entry[] {
    const entries: Entry[] = [];
    const places = new Set<string>();
    for (const pair of pairs) {
      const keyAt = startOf(pair.key) ?? mapAt;
      // A key may be an alias too, or carry an anchor.
      const keyNode = this.#node(pair.key, path, depth + 1, keyAt);
      const key = keyNode.kind === 'string' ? keyNode.value : undefined;
      const value = this.#node(pair.value, key === undefined ? path : [...path, key], depth + 1, keyAt);
      if (keyNode.kind === 'broken') continue;
      if (key === undefined) {
        const found =
          keyNode.kind === 'number' ? `the number ${keyNode.source}` : `a key that is ${keyNode.kind}`;
        this.#broken({
          code: 'key_not_text',
          at: keyAt,
          path,
          found,
          expected: 'text as key',
          hint: 'quote the key',
        });
        continue;
      }
      if (key === '<<' && isScalar(pair.key) && pair.key.type === 'PLAIN') {
        this.#broken({
          code: 'merge_key',
          at: keyAt,
          path,
          found: 'a merge key',
          expected: 'the fields themselves: YAML 1.2 has no merge keys',
        });
        continue;
      }
      if (places.has(key)) {
        this.#broken({
          code: 'duplicate_key',
          at: keyAt,
          path: [...path, key],
          found: `${quote(key)} for a second time`,
          expected: 'each key once',
        });
        continue;
      }
      places.add(key);
      entries.push({ key, keyAt, value });
    }
    return entries;
  }

  #alias(name: string, at: number, path: PathStep[], depth: number): TreeNode {
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) {
      const hint = [...this.#anchors.keys()].slice(0, 5).join(', ');
      const known = hint === '' ? undefined : `anchors before it: ${hint}`;
      return this.#broken({
        code: 'unknown_alias',
        at,
        path,
        found: `*${name}`,
        expected: 'an anchor set before it',
        hint: known,
      });
    }
    if (anchored.open) {
      return this.#broken({
        code: 'recursive_alias',
        at,
        path,
        found: `*${name} inside &${name}`,
        expected: 'a value that does not hold itself',
      });
    }
    this.#aliasDepth += 1;
    const built = this.#node(anchored.node, path, depth, at);
    this.#aliasDepth -= 1;
    return built;
  }

  #broken(fault: Omit<Fault, 'path'> & { path: PathStep[] }): TreeNode {
    this.#report.fault({ ...fault, path: showPath(fault.path) });
    return { kind: 'broken', at: fault.at };
  }
}

function startOf(node: unknown): number | undefined {
  const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined;
  return range?.[0];
}

function endOf(node: unknown): number | undefined {
  return isScalar(node) ? node.range?.[1] : undefined;
}

function anchorOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
}

function tagOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.tag : undefined;
}
