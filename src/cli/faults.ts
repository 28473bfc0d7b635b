/** How faults of policy files look on a terminal: the place, the line with a caret, what was found and what was expected. */
import type { Diagnostic } from '../policy/diagnostic.ts';
import { clip } from '../policy/values.ts';
import type { LoadedPolicy } from '../store/load-policy.ts';

/** The faults of a policy that was to be put in force, as `validate` shows them. */
export function printFaults(
  policy: Extract<LoadedPolicy, { ok: false }>,
  err: (text: string) => void,
  colour: boolean,
): void {
  const lines = linesOf(policy.bytes);
  for (const error of policy.diagnostics)
    err(formatDiagnostic(error, 'error', lines[error.line - 1], colour));
}

export function linesOf(bytes: Uint8Array | undefined): readonly string[] {
  return new TextDecoder().decode(bytes ?? new Uint8Array()).split('\n');
}

const RED = '\u001b[31m';
const YELLOW = '\u001b[33m';
const RESET = '\u001b[0m';
const MAX_LINE = 160;

/** Several lines: place, code and what is wrong; the source line with a caret; what was expected. */
export function formatDiagnostic(
  diagnostic: Diagnostic,
  severity: 'error' | 'warning',
  sourceLine: string | undefined,
  colour: boolean,
): string {
  const { file, line, column, code, path, found, expected, hint } = diagnostic;
  const tone = severity === 'error' ? RED : YELLOW;
  const word = colour ? `${tone}${severity}${RESET}` : severity;
  const where = path === '' ? '' : ` at ${path}`;
  const head = `${printable(`${file}:${line}:${column}`)}: ${word} ${printable(`${code}${where}: found ${found}`)}`;
  const text = [`expected ${expected}`, ...(hint === undefined ? [] : [`hint: ${hint}`])].map(
    (one) => `  ${printable(one)}`,
  );
  const shown =
    sourceLine === undefined || sourceLine.trim() === ''
      ? []
      : excerpt(sourceLine, line, column).map(printable);
  return `${[head, ...shown, ...text].join('\n')}\n`;
}

/** A window of the line that holds the column, and a caret under it. */
function excerpt(sourceLine: string, line: number, column: number): string[] {
  const from = Math.max(0, column - 1 - MAX_LINE / 2);
  const shown = clip(sourceLine.replace(/\r$/, '').slice(from), MAX_LINE);
  const gutter = `  ${line} | `;
  const before = shown.slice(0, column - 1 - from).replace(/[^\t]/g, ' ');
  return [`${gutter}${shown}`, `${' '.repeat(gutter.length - 2)}| ${before}^`];
}

/** Control and direction characters of a hostile file must not reach the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\0-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}
