/**
 * Reads policy files in a thread of its own that ends with the reading. A file that takes too long, or more memory than
 * a policy may, is a fault of that file and harms nothing else; and what reading needs (the YAML reader, the schema) is
 * gone from memory afterwards.
 */
import { Worker } from 'node:worker_threads';
import type { LoadedPolicies } from './load-policy.ts';

/** Far more than the largest policy takes on a slow machine. */
const TIMEOUT_MS = 30_000;
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

export type ApartOptions = {
  readonly timeoutMs?: number;
  /** The thread's module. For tests of readers that fail. */
  readonly module?: URL;
};

/** As `loadPolicies`: never rejects. */
export function loadPoliciesApart(
  paths: readonly string[],
  options: ApartOptions = {},
): Promise<LoadedPolicies> {
  const { timeoutMs = TIMEOUT_MS, module = new URL('./load-thread.js', import.meta.url) } = options;
  return new Promise((resolve) => {
    const worker = new Worker(module, {
      workerData: paths,
      env: {},
      argv: [],
      execArgv: [],
      stdin: true,
      stdout: true,
      stderr: true,
      resourceLimits: LIMITS,
    });
    worker.stdout.resume();
    worker.stderr.resume();
    const settle = (loaded: LoadedPolicies): void => {
      clearTimeout(timer);
      void worker.terminate();
      resolve(loaded);
    };
    const fail = (found: string): void =>
      settle({ ok: false, failures: [{ ok: false, diagnostics: [unread(paths.join(', '), found)] }] });
    const timer = setTimeout(() => fail(`a file that was not read within ${timeoutMs} ms`), timeoutMs);
    worker.once('message', (loaded: LoadedPolicies) => settle(loaded));
    worker.once('error', (error: NodeJS.ErrnoException) =>
      fail(
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? 'a file that takes more memory to read than a policy may'
          : 'a file that ended its reader',
      ),
    );
    // FAIL-CLOSED: a reader that goes without a word has not read a policy.
    worker.once('exit', () => fail('a file that ended its reader'));
  });
}

function unread(file: string, found: string) {
  return {
    code: 'reader_failed',
    file,
    line: 1,
    column: 1,
    path: '',
    found,
    expected: 'a policy file that can be read',
    hint: 'shorten it, or split it into several files',
  };
}
