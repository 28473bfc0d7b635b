/** `portcullis validate`: what it prints, in words and as data, and its exit code. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatDiagnostic } from '../../src/cli/faults.ts';
import { validate } from '../../src/cli/validate.ts';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-validate-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

async function run(files: string[], json = false, colour = false) {
  let out = '';
  let err = '';
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    colour,
  };
  const code = await validate(files, { json }, io);
  return { code, out, err };
}

test('a valid file is ok, with its digest, and the exit code is 0', async () => {
  const path = file('good.yaml', 'version: "1"\n');
  const { code, out, err } = await run([path]);
  assert.equal(code, 0);
  assert.match(out, /^.*good\.yaml: ok \([0-9a-f]{12}\)\n$/);
  assert.equal(err, '');
});

test('every fault is shown with its line, a caret, what was expected and a hint, and the exit code is 78', async () => {
  const path = file('bad.yaml', 'version: "1"\ndefualt: deny\ntools:\n\tx: 1\n'.replace('\t', '  '));
  const { code, out, err } = await run([path]);
  assert.equal(code, 78);
  assert.equal(out, '');
  assert.equal(
    err,
    `${path}:2:1: error unknown_field at defualt: found the unknown field "defualt"
  2 | defualt: deny
    | ^
  expected only version, description, default, hide, tools
  hint: did you mean default?
${path}:4:6: error wrong_type at tools.x: found the number 1
  4 |   x: 1
    |      ^
  expected a map with rules
${path}: 2 errors
`,
  );
});

test('one bad file among good ones decides the exit code, and all are reported', async () => {
  const { code, out, err } = await run([
    file('a.yaml', 'version: "1"\n'),
    join(folder, 'none'),
    file('b.yaml', 'version: "1"\n'),
  ]);
  assert.equal(code, 78);
  assert.equal(out.split('\n').length, 3);
  assert.match(err, /none:1:1: error file_missing: found no file of this name/);
});

test('no file at all is not valid', async () => assert.equal((await run([])).code, 78));

test('--json prints one object with every diagnostic as data', async () => {
  const good = file('good.json.yaml', 'version: "1"\ndefault: deny\n');
  const bad = file('bad.json.yaml', 'version: "2"\n');
  const { code, out, err } = await run([good, bad], true);
  assert.equal(code, 78);
  assert.equal(err, '');
  const report = JSON.parse(out) as { valid: boolean; files: { digest: unknown }[] };
  const digest = report.files[0]?.digest;
  assert.deepEqual(report, {
    valid: false,
    files: [
      {
        file: good,
        valid: true,
        digest,
        errors: [],
        warnings: [
          {
            code: 'nothing_listed',
            file: good,
            line: 2,
            column: 1,
            path: 'default',
            found: 'deny, and no tool is listed: every call is denied',
            expected: 'at least one tool under tools, other than "*"',
          },
        ],
      },
      {
        file: bad,
        valid: false,
        digest: null,
        errors: [
          {
            code: 'unknown_word',
            file: bad,
            line: 1,
            column: 10,
            path: 'version',
            found: '"2"',
            expected: 'version "1"',
          },
        ],
        warnings: [],
      },
    ],
  });
});

test('a hostile file\u2019s control and direction characters do not reach the terminal; colours are our own', async () => {
  const { err } = await run([file('esc.yaml', 'version: "1"\nx\u202e: "\u001b[31mred"\n')], false, true);
  assert.ok(err.includes('\u001b[31merror\u001b[0m'));
  assert.equal(err.replaceAll('\u001b[31merror\u001b[0m', '').includes('\u001b'), false);
  assert.equal(err.includes('\u202e'), false);
});

test('the caret stands under its column in lines with tabs and in very long lines', () => {
  const diagnostic = { code: 'x', file: 'f', line: 1, column: 3, path: '', found: 'a', expected: 'b' };
  assert.deepEqual(formatDiagnostic(diagnostic, 'warning', '\tab', false).split('\n').slice(1, 3), [
    '  1 | \tab',
    '    | \t ^',
  ]);
  const far = formatDiagnostic(
    { ...diagnostic, column: 5_001 },
    'error',
    `${'a'.repeat(5_000)}b${'c'.repeat(5_000)}`,
    false,
  ).split('\n');
  assert.ok((far[1]?.length ?? 0) < 200);
  assert.equal(far[1]?.[far[2]?.indexOf('^') ?? 0], 'b');
});
