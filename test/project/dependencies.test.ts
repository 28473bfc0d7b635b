/** docs/dependencies.md and package.json name the same packages, and the lock file names no place to get them from. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cells, read, tableAfter } from './project.ts';

type Manifest = {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
};
const manifest = JSON.parse(read('package.json')) as Manifest;

const documented = (heading: string): string[] =>
  tableAfter('docs/dependencies.md', heading)
    .flatMap(([name = '']) => cells(name))
    .sort();

type Entry = {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly optional?: true;
  readonly os?: readonly string[];
  readonly hasInstallScript?: true;
};
const lock = JSON.parse(read('package-lock.json')) as { readonly packages: Readonly<Record<string, Entry>> };
const locked = Object.entries(lock.packages).filter(([name]) => name !== '');
const names = (wanted: (entry: Entry) => boolean): string[] =>
  locked.filter(([, entry]) => wanted(entry)).map(([name]) => name);

describe('dependencies', () => {
  test('each package that users install is explained, and no other', () => {
    assert.deepEqual(documented('## At run time'), Object.keys(manifest.dependencies).sort());
  });

  test('each package that the work on the project needs is explained, and no other', () => {
    assert.deepEqual(documented('## For development'), Object.keys(manifest.devDependencies).sort());
  });

  test('the lock file pins each package by its digest and names no address', () => {
    assert.ok(locked.length > 50);
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

  test('no install script of a dependency may run, and each that has one is named', () => {
    const scripted = names((entry) => entry.hasInstallScript === true).map((path) =>
      path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
    );
    assert.deepEqual(
      manifest.allowScripts,
      Object.fromEntries([...new Set(scripted)].sort().map((name) => [name, false])),
    );
  });
});
