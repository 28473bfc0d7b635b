/** What the README tells a newcomer is what the program does. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createProgram } from '../../src/cli/program.ts';
import { validate } from '../../src/cli/validate.ts';
import { EXIT, EXIT_CODES } from '../../src/config/exit-codes.ts';
import { loadPolicy } from '../../src/store/load-policy.ts';
import { cells, read, tableAfter } from './project.ts';

const program = createProgram({
  env: {},
  stdout: process.stdout,
  stderr: process.stderr,
  exit: () => assert.fail('no command is run here'),
});

function policyFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-readme-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, text);
  return file;
}

describe('README', () => {
  test('its exit codes are those of the program', () => {
    const documented = tableAfter('README.md', '### Exit codes').map(([code = '', meaning]) => [
      Number(cells(code)[0]),
      meaning,
    ]);
    assert.deepEqual(
      documented,
      EXIT_CODES.map(({ code, meaning }) => [code, meaning]),
    );
    const listed = EXIT_CODES.map(({ code }) => code);
    assert.deepEqual(
      Object.values(EXIT).filter((code) => !listed.includes(code)),
      [],
    );
  });

  test('its flags are those of run, with their defaults', () => {
    const run = program.commands.find((command) => command.name() === 'run');
    assert.ok(run);
    const rows = tableAfter('README.md', '### Flags of `run`');
    const flags = run.options.map(({ short, long }) => [short, long].filter(Boolean).join(' '));
    assert.deepEqual(
      rows.map(([flag = '']) => cells(flag).join(' ')),
      flags,
    );
    for (const option of run.options) {
      const documented = rows.find(([flag = '']) => cells(flag).includes(option.long ?? ''))?.[1] ?? '';
      if (typeof option.defaultValue === 'string' || typeof option.defaultValue === 'number')
        assert.deepEqual(cells(documented), [String(option.defaultValue)], option.long);
    }
  });

  test('its commands are those of the program', () => {
    const documented = tableAfter('README.md', '## Commands').map(([usage = '']) => usage.split(' ')[1]);
    assert.deepEqual(
      documented,
      program.commands.map((command) => command.name()),
    );
  });

  const policy = /```yaml\n(version:[\s\S]*?)```/.exec(read('README.md'))?.[1] ?? '';

  test('its policy is valid, and no warning is owed for it', async (t) => {
    const loaded = await loadPolicy(policyFile(t, policy));
    assert.deepEqual(loaded.ok ? loaded.warnings : loaded.diagnostics, []);
  });

  test('what it shows of validate is what validate says of that policy with that fault', async (t) => {
    const shown = /```console\n\$ portcullis validate policy\.yaml\n([\s\S]*?)```/.exec(
      read('README.md'),
    )?.[1];
    const file = policyFile(t, policy.replace('op: regex\n', 'op: regexp\n'));
    let said = '';
    const io = { out: assert.fail, err: (text: string) => (said += text), colour: false };
    assert.equal(await validate([file], { json: false }, io), EXIT.CONFIG);
    assert.equal(said.replaceAll(file, 'policy.yaml'), shown);
  });

  test('the files that the pages link to exist', () => {
    for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
      const links = [...read(page).matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '');
      for (const link of links) assert.ok(read(link).length > 0, `${page} links to ${link}`);
    }
  });
});
