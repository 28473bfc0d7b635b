/**
 * Bytes to a tree, for files that may be hostile: strict UTF-8, one YAML 1.2 document, bounded in size, depth and
 * number of nodes, aliases expanded within a bound. Never throws, and takes time linear in the bytes.
 */
import { Composer, type Document, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Pair, Parser } from 'yaml';
import { decimalOfSource } from './number.ts';
import { type Fault, type Place, Report } from './report.ts';
import { type Entry, type PathStep, quote, showPath, type TreeNode } from './tree.ts';

export const MAX_BYTES = 1024 * 1024;
export const MAX_DEPTH = 100;
/** Lexical tokens in a file, and nodes in its tree once aliases are expanded. */
export const MAX_TOKENS = 500_000;
export const MAX_NODES = 200_000;
/** Nodes that exist only because an alias repeats them. */
export const MAX_ALIAS_NODES = 10_000;

export type ReadDocument = { readonly tree: TreeNode | null; readonly report: Report };

export function readDocument(bytes: Uint8Array, file: string): ReadDocument {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const report = new Report(file, (offset) => placeOf(lines, offset));
  const text = decode(bytes, report);
  if (text === null) return { tree: null, report };
  countLines(text, lines);
  findControlCharacters(text, report);
  if (report.hasFaults) return { tree: null, report };
  try {
    const document = parse(text, report);
    if (document === null || report.hasFaults) return { tree: null, report };
    return { tree: new TreeBuilder(report).build(document), report };
  } catch (error) {
    // FAIL-CLOSED: a fault inside the YAML library refuses the file like any other.
    const found = `a document the YAML reader fails on (${error instanceof Error ? error.name : 'unknown'})`;
    report.fault({ code: 'yaml_syntax', at: 0, path: '', found, expected: 'YAML 1.2' });
    return { tree: null, report };
  }
}

function placeOf(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

function decode(bytes: Uint8Array, report: Report): string | null {
  const whole = { at: 0, path: '' };
  if (bytes.length > MAX_BYTES) {
    report.fault({ code: 'file_too_large', ...whole, found: `${bytes.length} bytes`, expected: `at most ${MAX_BYTES} bytes` });
    return null;
  }
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    report.fault({ code: 'not_utf8', ...whole, found: 'UTF-16', expected: 'UTF-8', hint: 'save the file as UTF-8' });
    return null;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    report.fault({ code: 'not_utf8', ...whole, found: 'bytes that are not UTF-8', expected: 'UTF-8', hint: 'save the file as UTF-8' });
    return null;
  }
}

function countLines(text: string, lines: LineCounter): void {
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
}

// YAML's own set of characters, less those that readers disagree on: a bare carriage return, a late byte order mark.
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]|\r(?!\n)/g;

function findControlCharacters(text: string, report: Report): void {
  let count = 0;
  for (const match of text.matchAll(FORBIDDEN)) {
    if (++count > 20) return;
    const found = `the control character U+${match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
    report.fault({ code: 'control_character', at: match.index, path: '', found, expected: 'printable text, with lines ended by LF or CRLF' });
  }
}

function parse(text: string, report: Report): Document.Parsed | null {
  const parser = new Parser();
  const tokens = [];
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // Checked here, because the library's composer recurses, and runs out of memory where it fails at great depth.
    if (parser.stack.length > MAX_DEPTH) {
      const found = `more than ${MAX_DEPTH} levels`;
      report.fault({ code: 'too_deep', at: parser.offset, path: '', found, expected: `at most ${MAX_DEPTH} levels of nesting` });
      return null;
    }
    if (++count > MAX_TOKENS) {
      const found = `more than ${MAX_TOKENS} tokens`;
      report.fault({ code: 'too_complex', at: parser.offset, path: '', found, expected: 'a smaller file' });
      return null;
    }
  }
  tokens.push(...parser.end());
  // Keys are compared in the tree builder: the library's own check takes time quadratic in a map's size.
  const composer = new Composer({ version: '1.2', schema: 'core', uniqueKeys: false, merge: false, prettyErrors: false });
  const documents = [...composer.compose(tokens, true, text.length)];
  const [document, second] = documents;
  if (document === undefined) return null;
  for (const error of documents.flatMap((one) => one.errors)) {
    const expected = 'YAML 1.2';
    report.fault({ code: 'yaml_syntax', at: error.pos[0], path: '', found: clean(error.message), expected });
  }
  if (second !== undefined) {
    const at = second.range[0];
    report.fault({ code: 'several_documents', at, path: '', found: 'a second YAML document', expected: 'one document a file' });
  }
  for (const warning of document.warnings.filter((one) => one.code === 'BAD_DIRECTIVE')) {
    report.fault({ code: 'yaml_directive', at: warning.pos[0], path: '', found: clean(warning.message), expected: 'no directive, or %YAML 1.2' });
  }
  if (document.directives.yaml.explicit && document.directives.yaml.version !== '1.2') {
    const found = `%YAML ${document.directives.yaml.version}`;
    report.fault({ code: 'yaml_directive', at: 0, path: '', found, expected: 'no directive, or %YAML 1.2' });
  }
  return document;
}

function clean(message: string): string {
  return message.replace(/\s+/g, ' ').slice(0, 200);
}

type Anchored = { readonly node: unknown; open: boolean };

class TreeBuilder {
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
      this.#report.fault({ code: 'empty_document', at, path: '', found: 'an empty document', expected: 'a policy', hint: 'begin with version: "1"' });
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
      return this.#broken({ code: 'too_deep', at, path, found: `more than ${MAX_DEPTH} levels`, expected: `at most ${MAX_DEPTH} levels of nesting` });
    }
    if (this.#nodes > MAX_NODES) {
      this.#full = true;
      return this.#broken({ code: 'too_complex', at, path, found: `more than ${MAX_NODES} values`, expected: 'a smaller file' });
    }
    if (this.#aliasNodes > MAX_ALIAS_NODES) {
      this.#full = true;
      const expected = `aliases that repeat at most ${MAX_ALIAS_NODES} values in all`;
      return this.#broken({ code: 'alias_expansion', at, path, found: 'aliases that expand to a huge document', expected });
    }
    if (isAlias(node)) return this.#alias(node.source, at, path, depth);
    const tag = tagOf(node);
    if (tag !== undefined) {
      const found = `the tag ${quote(tag)}`;
      return this.#broken({ code: 'tag', at, path, found, expected: 'a value without a tag', hint: 'take the tag away; quote the value to make it text' });
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
      return { kind: 'list', at, items: node.items.map((item, i) => this.#node(item, [...path, i], depth + 1, at)) };
    }
    const value = isScalar(node) ? node.value : null;
    if (value === null) return { kind: 'null', at };
    if (typeof value === 'boolean') return { kind: 'boolean', at, value };
    if (typeof value === 'number') return this.#number(isScalar(node) ? (node.source ?? '') : '', value, at, path);
    if (typeof value === 'string') return this.#text(value, at, path);
    return this.#broken({ code: 'yaml_syntax', at, path, found: 'an unknown kind of value', expected: 'YAML 1.2 core values' });
  }

  #number(source: string, value: number, at: number, path: PathStep[]): TreeNode {
    if (/^[-+]?\.(inf|nan)$/i.test(source)) {
      return this.#broken({ code: 'number_not_finite', at, path, found: source, expected: 'a finite number' });
    }
    const decimal = decimalOfSource(source);
    if (decimal === null || !Number.isFinite(value)) {
      return this.#broken({ code: 'number_out_of_range', at, path, found: quote(source), expected: 'a number within ±1.7e308' });
    }
    return { kind: 'number', at, value: decimal, source };
  }

  #text(value: string, at: number, path: PathStep[]): TreeNode {
    if (!/\p{Surrogate}/u.test(value)) return { kind: 'string', at, value };
    return this.#broken({ code: 'malformed_text', at, path, found: 'half of a surrogate pair', expected: 'whole Unicode characters' });
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
        const found = keyNode.kind === 'number' ? `the number ${keyNode.source}` : `a key that is ${keyNode.kind}`;
        this.#broken({ code: 'key_not_text', at: keyAt, path, found, expected: 'text as key', hint: 'quote the key' });
        continue;
      }
      if (key === '<<' && isScalar(pair.key) && pair.key.type === 'PLAIN') {
        this.#broken({ code: 'merge_key', at: keyAt, path, found: 'a merge key', expected: 'the fields themselves: YAML 1.2 has no merge keys' });
        continue;
      }
      if (places.has(key)) {
        this.#broken({ code: 'duplicate_key', at: keyAt, path: [...path, key], found: `${quote(key)} for a second time`, expected: 'each key once' });
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
      return this.#broken({ code: 'unknown_alias', at, path, found: `*${name}`, expected: 'an anchor set before it', hint: known });
    }
    if (anchored.open) {
      return this.#broken({ code: 'recursive_alias', at, path, found: `*${name} inside &${name}`, expected: 'a value that does not hold itself' });
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

function anchorOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
}

function tagOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.tag : undefined;
}
