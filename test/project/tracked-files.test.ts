/** What must not stand in any tracked file: doubts left behind, addresses of registries, places on somebody's machine. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ROOT } from './project.ts';

/** In pieces, so that this file does not hold what it looks for. */
const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  [
    'a doubt left behind',
    new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b`),
  ],
  ['the address of a registry', new RegExp(['registry', 'npmjs|"resolved": ', '"https?:'].join('\\.?'))],
  ['a place on a machine', new RegExp(['/', '(work|home/[a-z]+|Users/[A-Za-z]+)/'].join(''))],
];
/** Examples of a home folder, which no machine has. */
const EXAMPLES = /\/(home|Users)\/(me|you|user|alice|bob)\//g;

function trackedFiles(): string[] | undefined {
  try {
    const out = execFileSync('git', ['ls-files', '-z'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return out.split('\0').filter((file) => file !== '');
  } catch {
    return undefined;
  }
}

const files = trackedFiles();

describe('tracked files', { skip: files === undefined ? 'not a git checkout' : false }, () => {
  for (const [what, pattern] of FORBIDDEN) {
    test(`no file holds ${what}`, () => {
      const found: string[] = [];
      for (const file of files ?? []) {
        let text: string;
        try {
          text = readFileSync(join(ROOT, file), 'utf8').replace(EXAMPLES, '');
        } catch {
          // Deleted and not committed yet, or a link.
          continue;
        }
        text.split('\n').forEach((line, index) => {
          if (pattern.test(line)) found.push(`${file}:${index + 1}`);
        });
      }
      assert.deepEqual(found, []);
      assert.ok((files ?? []).length > 50, 'git listed too few files');
    });
  }

  test('nothing that is made by a build or an installation is tracked', () => {
    const made = (files ?? []).filter((file) => /(^|\/)(dist|node_modules|coverage)\/|\.tgz$/.test(file));
    assert.deepEqual(made, []);
  });
});
