/**
 * Bytes to a tree, for files that may be hostile: strict UTF-8, one YAML 1.2 document, bounded in size, depth and
 * number of nodes, aliases expanded within a bound. Never throws, and takes time linear in the bytes.
 */
import { Composer, type Document, Lexer, LineCounter, Parser } from 'yaml';
import { TreeBuilder } from './build-tree.ts';
import { MAX_DEPTH } from './limits.ts';
import { type Place, Report } from './report.ts';
import type { TreeNode } from './tree.ts';

export const MAX_BYTES = 1024 * 1024;
/** Lexical tokens in a file. */
export const MAX_TOKENS = 500_000;

export type ReadDocument = { readonly tree: TreeNode | null; readonly report: Report };

export function readDocument(bytes: Uint8Array, file: string): ReadDocument {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const report = new Report(file, (offset) => placeOf(lines, offset));
  const text = decode(bytes, report);
  if (text === null) return { tree: null, report };
  report.source = text;
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
    report.fault({
      code: 'file_too_large',
      ...whole,
      found: `${bytes.length} bytes`,
      expected: `at most ${MAX_BYTES} bytes`,
    });
    return null;
  }
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    report.fault({
      code: 'not_utf8',
      ...whole,
      found: 'UTF-16',
      expected: 'UTF-8',
      hint: 'save the file as UTF-8',
    });
    return null;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    report.fault({
      code: 'not_utf8',
      ...whole,
      found: 'bytes that are not UTF-8',
      expected: 'UTF-8',
      hint: 'save the file as UTF-8',
    });
    return null;
  }
}

function countLines(text: string, lines: LineCounter): void {
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
}

// YAML's own set of characters, less those that readers disagree on: a bare carriage return, a late byte order mark.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]|\r(?!\n)/g;

function findControlCharacters(text: string, report: Report): void {
  let count = 0;
  for (const match of text.matchAll(FORBIDDEN)) {
    if (++count > 20) return;
    const found = `the control character U+${match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
    report.fault({
      code: 'control_character',
      at: match.index,
      path: '',
      found,
      expected: 'printable text, with lines ended by LF or CRLF',
    });
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
      report.fault({
        code: 'too_deep',
        at: parser.offset,
        path: '',
        found,
        expected: `at most ${MAX_DEPTH} levels of nesting`,
      });
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
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
  });
  const documents = [...composer.compose(tokens, true, text.length)];
  const [document, second] = documents;
  if (document === undefined) return null;
  for (const error of documents.flatMap((one) => one.errors)) {
    const expected = 'YAML 1.2';
    report.fault({ code: 'yaml_syntax', at: error.pos[0], path: '', found: clean(error.message), expected });
  }
  if (second !== undefined) {
    const at = second.range[0];
    report.fault({
      code: 'several_documents',
      at,
      path: '',
      found: 'a second YAML document',
      expected: 'one document a file',
    });
  }
  for (const warning of document.warnings.filter((one) => one.code === 'BAD_DIRECTIVE')) {
    report.fault({
      code: 'yaml_directive',
      at: warning.pos[0],
      path: '',
      found: clean(warning.message),
      expected: 'no directive, or %YAML 1.2',
    });
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
