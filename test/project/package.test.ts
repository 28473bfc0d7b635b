/** What npm would publish. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { ROOT, read } from './project.ts';

type Packed = { readonly files: readonly { readonly path: string }[] };

function packed(): string[] {
  // Without scripts: `prepare` would build anew while other tests run what was built.
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel', 'error'];
  const out = execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', shell: process.platform === 'win32' });
  // A list of packages, or since npm 12 one object with the package's name as key.
  const report = JSON.parse(out) as readonly Packed[] | Readonly<Record<string, Packed>>;
  return (Object.values(report)[0] as Packed).files.map(({ path }) => path);
}

describe('the package', () => {
  const files = packed();

  test('it holds the executable, the workers, the schemas, the policies and the documents', () => {
    const wanted = [
      'dist/src/main.js',
      'dist/src/index.js',
      'dist/src/index.d.ts',
      'dist/workers/lane.js',
      'dist/workers/judge.js',
      'dist/schemas/policy.schema.json',
      'dist/schemas/decision.schema.json',
      'policies/filesystem.yaml',
      'docs/reasons.md',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'SECURITY.md',
    ];
    assert.deepEqual(
      wanted.filter((file) => !files.includes(file)),
      [],
    );
  });

  test('it holds no tests, benches, examples or maps', () => {
    const unwanted = files.filter((file) =>
      /^(dist\/)?(test|bench|examples|scripts)\/|\.map$|\.test\./.test(file),
    );
    assert.deepEqual(unwanted, []);
  });

  test('its entry points are among its files', () => {
    type Manifest = {
      readonly bin: Record<string, string>;
      readonly main: string;
      readonly types: string;
      readonly imports: Record<string, string>;
    };
    const { bin, main, types, imports } = JSON.parse(read('package.json')) as Manifest;
    for (const entry of [...Object.values(bin), main, types])
      assert.ok(files.includes(entry.replace(/^\.\//, '')), entry);
    for (const pattern of Object.values(imports)) {
      const folder = pattern.replace(/^\.\//, '').replace(/\*$/, '');
      assert.ok(
        files.some((file) => file.startsWith(folder)),
        pattern,
      );
    }
  });
});
