/** Completion scripts that shells can read and that name every command and flag. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { completionScript } from '../../src/cli/completion.ts';
import { createProgram } from '../../src/cli/program.ts';

const program = createProgram({
  env: {},
  stdout: process.stdout,
  stderr: process.stderr,
  exit: () => assert.fail('no command is run here'),
});
const flags = program.commands.flatMap((command) => command.options.map((option) => option.long ?? ''));

function completeInBash(...words: string[]): string[] {
  const line = ['portcullis', ...words].map((word) => `'${word}'`).join(' ');
  const script = `${completionScript('bash', program)}
    COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _portcullis; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
}

describe('completion', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    test(`the script for ${shell} names every command and flag`, () => {
      const script = completionScript(shell, program);
      for (const command of program.commands) assert.ok(script.includes(command.name()), command.name());
      for (const flag of flags)
        assert.ok(script.includes(shell === 'fish' ? `-l ${flag.slice(2)}` : flag), flag);
    });
  }

  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const absent = spawnSync(shell, ['--version']).error !== undefined;
    test(`${shell} finds no fault in its script`, { skip: absent && `${shell} is not installed` }, () => {
      const folder = mkdtempSync(join(tmpdir(), 'portcullis-completion-'));
      try {
        const file = join(folder, 'script');
        writeFileSync(file, completionScript(shell, program));
        const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
        assert.deepEqual([status, stderr], [0, '']);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }

  test('bash completes a command', () => {
    assert.deepEqual(completeInBash('va'), ['validate']);
  });

  test('bash completes a flag of the command that was named', () => {
    assert.deepEqual(completeInBash('run', '--dry'), ['--dry-run']);
    assert.deepEqual(completeInBash('validate', '--dry'), ['']);
  });

  test('bash completes the words that a flag takes', () => {
    assert.deepEqual(completeInBash('run', '--fail-mode', ''), ['closed', 'open']);
  });
});
