/** Who may run whom: the table in ARCHITECTURE.md, held against the import statements of every source file. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { cells, filesUnder, ROOT, tableAfter } from './project.ts';

type Room = { readonly runs: ReadonlySet<string>; readonly packages: ReadonlySet<string> };
type Import = {
  readonly from: string;
  readonly room: string;
  readonly target: string;
  readonly local: boolean;
};

const ROOMS = new Map<string, Room>(
  tableAfter('ARCHITECTURE.md', '## The rooms').map(([room = '', , runs = '', packages = '']) => [
    cells(room)[0] ?? '',
    { runs: new Set(cells(runs)), packages: new Set(cells(packages)) },
  ]),
);

/** Rooms whose code is pure: not even a module of Node's own. */
const WITHOUT_NODE = new Set(['decision', 'gate']);

function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  return top === 'src' ? second : top;
}

/** What stays at run time: every form of import and export but `import type` and `export type`. */
function importsOf(text: string): string[] {
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\s)(?:[^'"`;]*?\sfrom\s+)?'([^']+)'/gm);
  const calls = text.matchAll(/\b(?:import|require)\(\s*'([^']+)'/g);
  return [...statements, ...calls].map((match) => match[1] ?? '');
}

const FILES = [...filesUnder('src'), ...filesUnder('workers')].filter((file) => file.endsWith('.ts'));

const IMPORTS: readonly Import[] = FILES.flatMap((from) =>
  importsOf(readFileSync(join(ROOT, from), 'utf8')).map((name) => ({
    from,
    room: roomOf(from),
    local: name.startsWith('.'),
    target: name.startsWith('.') ? normalize(join(dirname(from), name)).replaceAll('\\', '/') : name,
  })),
);

const packageOf = (name: string): string => name.split('/', name.startsWith('@') ? 2 : 1).join('/');

describe('imports', () => {
  test('each room stands in the table, and nothing else does', () => {
    assert.deepEqual([...new Set(FILES.map(roomOf))].sort(), [...ROOMS.keys()].sort());
    assert.ok(IMPORTS.length > 100, 'the imports were not found');
  });

  test('a room runs itself and what the table allows it, and no other room', () => {
    const wrong = IMPORTS.filter(({ room, target, local }) => {
      if (!local) return false;
      // Outside of src and workers there is nothing that they may run.
      if (!/^(src|workers)\//.test(target)) return true;
      const other = roomOf(target);
      return other !== room && ROOMS.get(room)?.runs.has(other) !== true;
    });
    assert.deepEqual(wrong, []);
  });

  test('a package is used only in the rooms that the table names for it', () => {
    const external = IMPORTS.filter(
      ({ target, local }) => !local && !isBuiltin(target) && !target.startsWith('#'),
    );
    const wrong = external.filter(
      ({ room, target }) => ROOMS.get(room)?.packages.has(packageOf(target)) !== true,
    );
    assert.deepEqual(wrong, []);
    assert.ok(external.length > 5, 'the packages were not found');
  });

  test('the shared words and the gate use no module of Node', () => {
    const wrong = IMPORTS.filter(({ room, target }) => WITHOUT_NODE.has(room) && isBuiltin(target));
    assert.deepEqual(wrong, []);
  });

  test('a worker runs nothing of the pool but the wire contract', () => {
    const contract = ['src/pool/wire.ts', 'src/pool/trust.ts'];
    const wrong = IMPORTS.filter(
      ({ room, target }) => room === 'workers' && roomOf(target) === 'pool' && !contract.includes(target),
    );
    assert.deepEqual(wrong, []);
  });
});

function isBuiltin(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name);
}
