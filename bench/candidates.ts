/** The commands that the process rows start, and the scratch folder they write to. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { POLICY } from './fixtures/workload.ts';

const at = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export const UPSTREAM: readonly string[] = [process.execPath, at('./fixtures/fast-server.js')];
export const PASS_THROUGH: readonly string[] = [process.execPath, at('./pass-through.js'), ...UPSTREAM];
export const EMPTY_POOL = at('./fixtures/empty-pool.js');

export type Scratch = {
  readonly folder: string;
  readonly policy: string;
  readonly log: string;
  readonly remove: () => void;
};

export function scratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const policy = join(folder, 'policy.yaml');
  writeFileSync(policy, POLICY);
  return {
    folder,
    policy,
    log: join(folder, 'decisions.jsonl'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** `portcullis run` in front of the same upstream, with log and limits on. */
export function portcullis(place: Scratch, ...flags: readonly string[]): readonly string[] {
  const own = [
    'run',
    '-c',
    place.policy,
    '--state-dir',
    place.folder,
    '--log',
    place.log,
    '--log-level',
    'warn',
  ];
  return [process.execPath, at('../src/main.js'), ...own, ...flags, '--', ...UPSTREAM];
}
