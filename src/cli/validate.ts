/**
 * `portcullis validate FILE…`: every fault of every file, with the line it stands in. Exit code 0 where all are
 * valid, else 78 (EX_CONFIG). `--json` prints one object: `{ "valid": boolean, "files": [{ "file", "valid", "digest",
 * "errors": [...], "warnings": [...] }] }`, each error and warning a diagnostic with `code`, `file`, `line`, `column`,
 * `path`, `found`, `expected` and, where there is one, `hint`; `digest` is null for an invalid file.
 */
import type { Diagnostic } from '../policy/diagnostic.ts';
import { loadPolicy } from '../store/load-policy.ts';
import { formatDiagnostic, linesOf, printable } from './faults.ts';

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
