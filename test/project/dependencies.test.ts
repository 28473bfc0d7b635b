/** docs/dependencies.md and package.json name the same packages, and the lock file names no place to get them from. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cells, read, tableAfter } from './project.ts';

type Manifest = {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const manifest = JSON.parse(read('package.json')) as Manifest;

const documented = (heading: string): string[] =>
  tableAfter('docs/dependencies.md', heading)
    .flatMap(([name = '']) => cells(name))
    .sort();

describe('dependencies', () => {
  test('each package that users install is explained, and no other', () => {
    assert.deepEqual(documented('## At run time'), Object.keys(manifest.dependencies).sort());
  });

  test('each package that the work on the project needs is explained, and no other', () => {
    assert.deepEqual(documented('## For development'), Object.keys(manifest.devDependencies).sort());
  });

  test('the lock file pins each package by its digest and names no address', () => {
    type Entry = {
      readonly resolved?: string;
      readonly integrity?: string;
      readonly optional?: true;
      readonly os?: readonly string[];
    };
    const lock = JSON.parse(read('package-lock.json')) as {
      readonly packages: Readonly<Record<string, Entry>>;
    };
    const entries = Object.entries(lock.packages).filter(([name]) => name !== '');
    assert.ok(entries.length > 50);
    const names = (wrong: (entry: Entry) => boolean): string[] =>
      entries.filter(([, entry]) => wrong(entry)).map(([name]) => name);
    assert.deepEqual(
      names((entry) => entry.resolved !== undefined),
      [],
    );
    // Prebuilt binaries for platforms that the lock file was not made on are pinned by their version.
    const unpinned = names(
      (entry) => entry.integrity === undefined && !(entry.optional === true && entry.os !== undefined),
    );
    assert.deepEqual(unpinned, []);
  });
});
