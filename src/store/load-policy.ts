/** A policy file on disk: read within its bounds, compiled, and named by a digest of what it means. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Diagnostic } from '../policy/diagnostic.ts';
import { type Layer, type PolicyProgram, type Program, withOwnCounters } from '../policy/program.ts';
import type { PolicyErrorCode } from '../policy/text/codes.ts';
import { MAX_BYTES } from '../policy/text/document.ts';
import { readPolicy } from '../policy/text/read-policy.ts';
import type { CheckUse } from '../policy/text/report.ts';
import { canonicalJson } from './canonical-json.ts';

export type LoadedPolicy =
  | {
      readonly ok: true;
      readonly program: Program;
      /** SHA-256, in hex, over the program's canonical JSON: files that mean the same have the same digest. */
      readonly digest: string;
      readonly file: string;
      /** All files that it was made of: a change of any may change it. */
      readonly files: readonly string[];
      readonly warnings: readonly Diagnostic[];
      /** The file's text, for showing the lines that diagnostics name. */
      readonly bytes: Uint8Array;
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[]; readonly bytes?: Uint8Array };

/** Never rejects: what is wrong with the file comes out as diagnostics. */
export async function loadPolicy(path: string): Promise<LoadedPolicy> {
  const file = await readBounded(path);
  if ('fault' in file) return { ok: false, diagnostics: [file.fault] };
  const reading = readPolicy(file.bytes, path);
  if (!reading.ok) return { ok: false, diagnostics: reading.diagnostics, bytes: file.bytes };
  const { warnings } = reading;
  const made = { file: path, warnings, bytes: file.bytes };
  if (reading.checks.length === 0) {
    const { program } = reading;
    return { ok: true, program, digest: digestOf(program), files: [path], ...made };
  }
  const loaded = await withChecks(reading.program, reading.checks, path);
  if ('diagnostics' in loaded) return { ok: false, diagnostics: loaded.diagnostics, bytes: file.bytes };
  const { program, files } = loaded;
  return { ok: true, program, digest: digestOf(program), files, ...made };
}

type WithChecks =
  | { readonly program: Program; readonly files: readonly string[] }
  | { readonly diagnostics: Diagnostic[] };

async function withChecks(program: Program, uses: readonly CheckUse[], path: string): Promise<WithChecks> {
  // Loaded here and not above: a policy without checks needs no sandbox.
  const { loadChecks } = await import('../checks/load-checks.ts');
  const folder = dirname(path);
  const checks = await loadChecks(
    uses.map(({ ref }) => ref),
    folder,
  );
  if (checks.ok) {
    const files = checks.bundle.modules.map(({ name }) => join(folder, name));
    return { program: { ...program, checks: checks.bundle }, files: [path, ...files] };
  }
  const diagnostics = uses.flatMap((use) => {
    const fault = checks.faults.find(({ ref }) => ref === use.ref);
    if (fault === undefined) return [];
    const place = fault.line === undefined ? (fault.file ?? '') : `${fault.file}:${fault.line}`;
    return [
      {
        code: 'bad_check',
        file: path,
        line: use.line,
        column: use.column,
        path: use.path,
        found: `${use.ref}: ${place === '' ? '' : `${place}: `}${fault.message}`,
        expected: 'a check that can be loaded: docs/checks.md says what it may hold',
      },
    ];
  });
  return { diagnostics };
}

export type LoadedPolicies =
  | {
      readonly ok: true;
      readonly program: PolicyProgram;
      readonly digest: string;
      readonly files: readonly string[];
      readonly warnings: readonly Diagnostic[];
    }
  /** What is wrong, file by file. */
  | { readonly ok: false; readonly failures: readonly Extract<LoadedPolicy, { ok: false }>[] };

/** One policy, or several that must all allow, the first standing above the others. Never rejects. */
export async function loadPolicies(paths: readonly string[]): Promise<LoadedPolicies> {
  const loaded = await Promise.all(paths.map((path) => loadPolicy(path)));
  const twice = paths.filter((path, i) => paths.findIndex((other) => resolve(other) === resolve(path)) < i);
  const failures = [
    ...loaded.filter((policy) => !policy.ok),
    ...twice.map((path) => ({ ok: false as const, diagnostics: [givenTwice(path)] })),
  ];
  const policies = loaded.filter((policy) => policy.ok);
  const [first, ...others] = policies;
  if (failures.length > 0 || first === undefined) return { ok: false, failures };
  const files = policies.flatMap((policy) => policy.files);
  const warnings = policies.flatMap((policy) => policy.warnings);
  if (others.length === 0) {
    const { program, digest } = first;
    return { ok: true, program, digest, files, warnings };
  }
  const names = namesOf(paths);
  const layers: Layer[] = policies.map(({ program }, i) => {
    const policy = names[i] ?? '';
    return { policy, program: i === 0 ? program : withOwnCounters(program, policy) };
  });
  const program: PolicyProgram = { format: 1, layers };
  return { ok: true, program, digest: digestOf(program), files, warnings };
}

/** The files' own names, and their whole paths where two are called alike. */
function namesOf(paths: readonly string[]): string[] {
  const short = paths.map((path) => basename(path));
  return short.map((name, i) =>
    short.indexOf(name) === short.lastIndexOf(name) ? name : (paths[i] ?? name),
  );
}

function givenTwice(file: string): Diagnostic {
  const found = 'a policy that is given twice';
  return { code: 'duplicate_entry', file, line: 1, column: 1, path: '', found, expected: 'each policy once' };
}

export function digestOf(program: PolicyProgram): string {
  return createHash('sha256').update(canonicalJson(program)).digest('hex');
}

type ReadFile = { readonly bytes: Uint8Array } | { readonly fault: Diagnostic };

async function readBounded(path: string): Promise<ReadFile> {
  let handle: FileHandle | undefined;
  try {
    // Non-blocking, so that opening a FIFO nobody writes to does not wait for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (stat.isDirectory()) return fault(path, 'not_a_file', 'a directory');
    if (!stat.isFile()) return fault(path, 'not_a_file', 'a device, pipe or socket');
    // One byte more than allowed, so that a file that grew meanwhile is seen to be too large.
    const buffer = new Uint8Array(MAX_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > MAX_BYTES) {
      return fault(
        path,
        'file_too_large',
        `${Math.max(stat.size, length)} bytes`,
        `at most ${MAX_BYTES} bytes`,
      );
    }
    return { bytes: buffer.slice(0, length) };
  } catch (error) {
    return unreadable(path, error);
  } finally {
    await handle?.close().catch(() => undefined);
  }
}

function unreadable(path: string, error: unknown): ReadFile {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  if (code === 'ENOENT' || code === 'ENOTDIR') return fault(path, 'file_missing', 'no file of this name');
  if (code === 'ENXIO') return fault(path, 'not_a_file', 'a device, pipe or socket');
  // FAIL-CLOSED: any other reason not to have the bytes is a reason not to have a policy.
  return fault(path, 'file_unreadable', `a file that cannot be read (${code})`);
}

function fault(
  file: string,
  code: PolicyErrorCode,
  found: string,
  expected = 'a readable policy file',
): ReadFile {
  return { fault: { code, file, line: 1, column: 1, path: '', found, expected } };
}
