import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { loadChecks } from '../../src/checks/load-checks.ts';
import { loadPolicy } from '../../src/store/load-policy.ts';

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'portcullis-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const policy = (...checks: string[]): string =>
  `version: "1"\ntools:\n  pay:\n    rules:\n${checks.map((check, i) => `      - {name: r${i}, check: "${check}"}\n`).join('')}`;

describe('a policy with checks', () => {
  test('holds their code and what it imports, and is another policy when either changes', async (t) => {
    const root = folder(t, {
      'p.yaml': policy('./checks/refund.mjs', './checks/refund.mjs#large', './top.mjs'),
      'checks/refund.mjs':
        'import { max } from "./limits.mjs"; export default () => max > 1; export const large = () => true;',
      'checks/limits.mjs': 'export const max = 5;',
      'top.mjs': 'export default () => true;',
      'checks/unused.mjs': 'not even JavaScript (',
    });
    const loaded = await loadPolicy(join(root, 'p.yaml'));
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.deepEqual(
      loaded.program.checks?.modules.map(({ name }) => name),
      ['checks/limits.mjs', 'checks/refund.mjs', 'top.mjs'],
    );
    assert.deepEqual(
      loaded.files.map((file) => file.slice(root.length + 1)),
      ['p.yaml', 'checks/limits.mjs', 'checks/refund.mjs', 'top.mjs'],
    );
    writeFileSync(join(root, 'checks/limits.mjs'), 'export const max = 6;');
    const changed = await loadPolicy(join(root, 'p.yaml'));
    assert.ok(changed.ok);
    assert.notEqual(changed.digest, loaded.digest);
  });

  test('is refused where any of them cannot be loaded, at the place that names it', async (t) => {
    const outside = folder(t, { 'evil.mjs': 'export default () => true;' });
    const root = folder(t, {
      'p.yaml': policy(
        './missing.mjs',
        './broken.mjs',
        './noexport.mjs#x',
        './linked.mjs',
        './dir.mjs',
        './imports.mjs',
        './good.mjs',
        './utf8.mjs',
        './huge.mjs',
      ),
      'broken.mjs': 'export const a = 1;\nexport default (',
      'noexport.mjs': 'export default () => true;',
      'imports.mjs': 'import "./missing.mjs"; export default () => true;',
      'good.mjs': 'export default () => true;',
      'dir.mjs/x': '',
      'huge.mjs': ' '.repeat(300_000),
    });
    writeFileSync(join(root, 'utf8.mjs'), Buffer.from([0x2f, 0x2f, 0xff]));
    symlinkSync(join(outside, 'evil.mjs'), join(root, 'linked.mjs'));
    const loaded = await loadPolicy(join(root, 'p.yaml'));
    assert.ok(!loaded.ok);
    const faults = loaded.diagnostics.map(
      ({ code, line, path, found }) => `${line} ${code} ${path} ${found}`,
    );
    const expected = [
      /^5 bad_check tools\.pay\.rules\[0\]\.check \.\/missing\.mjs: missing\.mjs: there is no file/,
      /^6 .*broken\.mjs:\d+: /,
      /^7 .*no export "x"/,
      /^8 .*link to another folder/,
      /^9 .*not a regular file/,
      /^10 .*missing\.mjs: there is no file/,
      /^12 .*not UTF-8/,
      /^13 .*larger than/,
    ];
    assert.equal(faults.length, expected.length, faults.join('\n'));
    for (const [i, pattern] of expected.entries()) assert.match(faults[i] ?? '', pattern);
  });
});

describe('checks', () => {
  test('named by a path that is not plain are refused, so that one file is one module', async (t) => {
    const root = folder(t, {
      'a.mjs': 'export default () => true;',
      'sub/b.mjs': 'export default () => true;',
    });
    for (const ref of ['./sub/../a.mjs', './/a.mjs', '././a.mjs', './../x/a.mjs', './sub//b.mjs']) {
      const loaded = await loadChecks([ref], root);
      assert.ok(!loaded.ok, ref);
      assert.match(loaded.faults[0]?.message ?? '', /empty parts/);
    }
    assert.ok((await loadChecks(['./a.mjs', './sub/b.mjs'], root)).ok);
  });

  test('import files of their own folder alone, whatever the files are called', async (t) => {
    const root = folder(t, {
      'shared.mjs': 'export const x = 1;',
      'entry:a.mjs': 'import "sub/b.mjs"; export default () => true;',
      'sub/b.mjs': 'export const x = 1;',
      'sub/up.mjs': 'import "../shared.mjs"; export default () => true;',
      'sub/side.mjs': 'import "./b.mjs"; export default () => true;',
    });
    for (const ref of ['./entry:a.mjs', './sub/up.mjs']) {
      const loaded = await loadChecks([ref], root);
      assert.ok(!loaded.ok, ref);
      assert.match(loaded.faults[0]?.message ?? '', /same folder/);
    }
    assert.ok((await loadChecks(['./sub/side.mjs'], root)).ok);
  });

  test('that load alone but not together are refused', async (t) => {
    const root = folder(t, {
      'a.mjs': 'delete globalThis.Map; export default () => true;',
      'b.mjs': 'const m = new Map(); export default () => m.size === 0;',
    });
    assert.ok((await loadChecks(['./b.mjs'], root)).ok);
    const loaded = await loadChecks(['./a.mjs', './b.mjs'], root);
    assert.ok(!loaded.ok);
    assert.match(loaded.faults[0]?.message ?? '', /together/);
    assert.equal(loaded.faults[0]?.ref, './b.mjs');
  });

  test('are refused where they are very many, and their faults are not all looked for', async (t) => {
    const root = folder(t, {});
    const refs = (count: number): string[] => Array.from({ length: count }, (_, i) => `./${i}.mjs`);
    const many = await loadChecks(refs(600), root);
    assert.ok(!many.ok);
    assert.deepEqual(
      many.faults.map(({ ref, message }) => `${ref} ${message}`),
      ['./512.mjs more than 512 checks in one policy'],
    );
    const missing = await loadChecks(refs(50), root);
    assert.ok(!missing.ok);
    assert.equal(missing.faults.length, 20);
  });
});
