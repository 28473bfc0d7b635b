/**
 * Policy text to a program: read, hold against the schema, compile. All faults of a file come out together, sorted by
 * place; a program comes out only where there is none. Never throws, whatever the bytes.
 */
import type { Diagnostic } from '../diagnostic.ts';
import type { Program } from '../program.ts';
import { compile } from './compile.ts';
import { readDocument } from './document.ts';
import type { CheckUse } from './report.ts';
import { checkShape } from './shape.ts';

export type PolicyReading =
  | {
      readonly ok: true;
      readonly program: Program;
      readonly warnings: Diagnostic[];
      /** The checks that rules name, which are still to be loaded. */
      readonly checks: readonly CheckUse[];
    }
  | { readonly ok: false; readonly diagnostics: Diagnostic[] };

export function readPolicy(bytes: Uint8Array, file: string): PolicyReading {
  const { tree, report } = readDocument(bytes, file);
  // FAIL-CLOSED: without a tree there is no policy, whether or not a fault says why.
  if (tree === null) return { ok: false, diagnostics: report.faults() };
  checkShape(tree, report);
  const program = compile(tree, report);
  if (report.hasFaults) return { ok: false, diagnostics: report.faults() };
  return { ok: true, program, warnings: report.warnings(), checks: report.checks() };
}
