/**
 * `portcullis validate FILE…`: every fault of every file, with the line it stands in. Exit code 0 where all are
 * valid, else 78 (EX_CONFIG). `--json` prints one object: `{ "valid": boolean, "files": [{ "file", "valid", "digest",
 * "errors": [...], "warnings": [...] }] }`, each error and warning a diagnostic with `code`, `file`, `line`, `column`,
 * `path`, `found`, `expected` and, where there is one, `hint`; `digest` is null for an invalid file.
 */
import type { Diagnostic } from '../policy/diagnostic.ts';
import { clip } from '../policy/values.ts';
import { type LoadedPolicy, loadPolicy } from '../store/load-policy.ts';

export const EXIT_VALID = 0;
export const EXIT_INVALID = 78;

export type ValidateIo = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly colour: boolean;
};

export type FileReport = {
  readonly file: string;
  readonly valid: boolean;
  readonly digest: string | null;
  readonly errors: readonly Diagnostic[];
  readonly warnings: readonly Diagnostic[];
};

export async function validate(files: string[], options: { json: boolean }, io: ValidateIo): Promise<number> {
  const reports: FileReport[] = [];
  for (const file of files) {
    const loaded = await loadPolicy(file);
    const lines = linesOf(loaded.bytes);
    const report: FileReport = loaded.ok
      ? { file, valid: true, digest: loaded.digest, errors: [], warnings: loaded.warnings }
      : { file, valid: false, digest: null, errors: loaded.diagnostics, warnings: [] };
    reports.push(report);
    if (!options.json) print(report, lines, io);
  }
  const valid = reports.length > 0 && reports.every((report) => report.valid);
  if (options.json) io.out(`${JSON.stringify({ valid, files: reports }, null, 2)}\n`);
  return valid ? EXIT_VALID : EXIT_INVALID;
}

function print(report: FileReport, lines: readonly string[], io: ValidateIo): void {
  for (const warning of report.warnings)
    io.err(formatDiagnostic(warning, 'warning', lines[warning.line - 1], io.colour));
  for (const error of report.errors)
    io.err(formatDiagnostic(error, 'error', lines[error.line - 1], io.colour));
  if (report.valid) {
    io.out(`${printable(report.file)}: ok (${report.digest?.slice(0, 12)})\n`);
    return;
  }
  const count = report.errors.length;
  io.err(`${printable(report.file)}: ${count} ${count === 1 ? 'error' : 'errors'}\n`);
}

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

function linesOf(bytes: Uint8Array | undefined): readonly string[] {
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
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\0-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}
