/**
 * Reads the checks that a policy names: their files, and what they import of their own folders. All of it is loaded
 * into a sandbox once, so that what does not compile, or has no such export, is a fault of the policy.
 */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { CheckBundle, CheckModule } from './bundle.ts';
import { CheckLoadError, createSandbox, DEFAULT_LIMITS } from './sandbox.ts';

export type CheckFault = {
  readonly ref: string;
  readonly message: string;
  /** The file at fault, relative to the policy's folder, and the line, where they are known. */
  readonly file?: string;
  readonly line?: number;
};

export type LoadedChecks =
  | { readonly ok: true; readonly bundle: CheckBundle }
  | { readonly ok: false; readonly faults: readonly CheckFault[] };

const MAX_MODULES = 64;
const MAX_FILE_BYTES = 256 * 1024;
const MAX_BYTES = 1024 * 1024;

/** Distinct names of checks in one policy. */
const MAX_ENTRIES = 512;
/** More are not looked for: each costs a sandbox. */
const MAX_FAULTS = 20;

type Entry = CheckBundle['entries'][number];

/** @param refs as `./checks/refund.mjs` or `./checks/refund.mjs#large`, below `folder`, which is the policy file's. */
export async function loadChecks(refs: readonly string[], folder: string): Promise<LoadedChecks> {
  const entries = [...new Set(refs)].map((ref): Entry => {
    const [path = '', name = 'default'] = ref.replace(/^\.\//, '').split('#');
    return { ref, module: path, export: name };
  });
  const extra = entries[MAX_ENTRIES];
  if (extra !== undefined)
    return {
      ok: false,
      faults: [{ ref: extra.ref, message: `more than ${MAX_ENTRIES} checks in one policy` }],
    };
  const files = new ModuleFiles(folder);
  // INVARIANT: a bundle that is handed out was loaded once just as a lane will load it: all of it, in one sandbox.
  const together = await tryEntries(entries, files);
  if (together === null) return { ok: true, bundle: { modules: files.modules(), entries } };
  const faults: CheckFault[] = [];
  for (const entry of entries) {
    const fault = await tryEntries([entry], new ModuleFiles(folder));
    if (fault !== null) faults.push(fault);
    if (faults.length === MAX_FAULTS) break;
  }
  if (faults.length > 0) return { ok: false, faults };
  // Each alone is well: what one of them does to the world of all is too much for another, or they are too many.
  return {
    ok: false,
    faults: [{ ...together, message: `${together.message} (together with the policy's other checks)` }],
  };
}

/** Null, or what is wrong with them; `ref` is that of the first at fault. */
async function tryEntries(entries: readonly Entry[], files: ModuleFiles): Promise<CheckFault | null> {
  const unplain = entries.find(({ module }) => !isPlain(module));
  if (unplain !== undefined)
    return {
      ref: unplain.ref,
      message: 'its path has empty parts, "." or "..": name it from the policy file downwards',
    };
  const first = entries[0]?.ref ?? '';
  try {
    await createSandbox({ modules: [], entries }, DEFAULT_LIMITS, (name) => files.read(name));
    return null;
  } catch (error) {
    if (files.fault !== undefined) return { ref: first, ...files.fault };
    if (!(error instanceof CheckLoadError))
      return { ref: first, message: 'it cannot be loaded into the sandbox' };
    const { message, module, line } = error;
    return {
      ref: entries.find((entry) => entry.module === module)?.ref ?? first,
      message,
      ...(module === undefined ? {} : { file: module }),
      ...(line === undefined ? {} : { line }),
    };
  }
}

/** One file has one name, so it is one module. */
function isPlain(module: string): boolean {
  return module.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

class ModuleFiles {
  readonly #folder: string;
  readonly #sources = new Map<string, string>();
  #bytes = 0;
  fault: { message: string; file: string } | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Called by the module loader, which takes no promise. */
  read(name: string): string | undefined {
    // What is left of an import that was refused: its fault is known already.
    if (name === '') return undefined;
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    try {
      const source = this.#readFile(name);
      this.#sources.set(name, source);
      return source;
    } catch (error) {
      this.fault ??= { message: reasonOf(error), file: name };
      return undefined;
    }
  }

  modules(): CheckModule[] {
    return [...this.#sources]
      .map(([name, source]) => ({ name, source }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #readFile(name: string): string {
    if (this.#sources.size >= MAX_MODULES) throw new Fault(`more than ${MAX_MODULES} files of checks`);
    const path = join(this.#folder, name);
    const home = realpathSync(dirname(path));
    const real = realpathSync(path);
    const base = realpathSync(this.#folder);
    // INVARIANT: what is read lies in the policy's own folder or below, wherever links point.
    if (home !== base && !home.startsWith(base.endsWith(sep) ? base : base + sep))
      throw new Fault("it lies outside the policy's folder");
    if (dirname(real) !== home) throw new Fault('it is a link to another folder');
    // Non-blocking, so that opening a FIFO nobody writes to does not wait for ever.
    const fd = openSync(real, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Fault('it is not a regular file');
      if (stats.size > MAX_FILE_BYTES) throw new Fault(`it is larger than ${MAX_FILE_BYTES} bytes`);
      this.#bytes += stats.size;
      if (this.#bytes > MAX_BYTES) throw new Fault(`the checks are larger than ${MAX_BYTES} bytes in all`);
      const bytes = Buffer.alloc(stats.size);
      const length = readSync(fd, bytes, 0, stats.size, 0);
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
    } finally {
      closeSync(fd);
    }
  }
}

class Fault extends Error {}

function reasonOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no file of this name';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'it is not UTF-8';
  return `it cannot be read (${code ?? 'unknown'})`;
}
