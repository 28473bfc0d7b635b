import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freshDir, openLmdb, reserve, take, used } from './stores.ts';

const CHILD = fileURLToPath(new URL('./child-reserve.js', import.meta.url));

type Child = {
  readonly process: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly reader: Interface;
};

async function start(
  dir: string,
  server: string,
  count: number,
  limit: number,
  ...more: string[]
): Promise<Child> {
  const process_ = spawn(process.execPath, [CHILD, dir, server, String(count), String(limit), ...more], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started.push(process_);
  const reader = createInterface({ input: process_.stdout });
  const lines = reader[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'ready');
  return { process: process_, lines, reader };
}

/** All children are ready before any begins. */
async function race(children: readonly Child[]): Promise<number[]> {
  const ended = children.map((child) => once(child.process, 'close'));
  for (const child of children) child.process.stdin?.write('go\n');
  const counts = await Promise.all(children.map(async (child) => Number((await child.lines.next()).value)));
  await Promise.all(ended);
  return counts;
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

const started: ChildProcess[] = [];

const inDir = (title: string, body: (dir: string) => Promise<void>): void => {
  test(title, async () => {
    const dir = freshDir();
    try {
      await body(dir);
    } finally {
      for (const child of started.splice(0)) child.kill('SIGKILL');
      rmSync(dir, { recursive: true });
    }
  });
};

describe('counters shared by processes', () => {
  for (const [processes, each] of [
    [2, 400],
    [8, 250],
  ] as const) {
    inDir(
      `${processes} processes of ${each} calls each get exactly a limit of 500 between them`,
      async (dir) => {
        const children = await Promise.all(
          Array.from({ length: processes }, () => start(dir, 'github', each, 500)),
        );
        const counts = await race(children);
        assert.equal(sum(counts), 500);
        const store = openLmdb(dir);
        assert.equal(used(store), '500');
        await store.close();
      },
    );
  }

  inDir('servers of other names share the directory and not the counters', async (dir) => {
    const children = await Promise.all(['a', 'a', 'b'].map((server) => start(dir, server, 60, 50)));
    const [first, second, other] = await race(children);
    assert.deepEqual([(first ?? 0) + (second ?? 0), other], [50, 50]);
  });

  inDir('what a killed process had reserved stays reserved, and the others go on', async (dir) => {
    const child = await start(dir, 'github', 3, 10, 'hold');
    child.process.stdin?.write('go\n');
    assert.equal((await child.lines.next()).value, '3');
    child.process.kill('SIGKILL');
    await once(child.process, 'close');
    const store = openLmdb(dir);
    assert.equal(used(store), '3');
    for (let i = 0; i < 7; i++) assert.match(take(store, reserve({ lte: '10' })), /^call/);
    assert.match(take(store, reserve({ lte: '10' })), /^refused/);
    await store.close();
  });

  inDir(
    'processes killed in the midst of reserving leave a file that opens and never counts more than the limit',
    async (dir) => {
      for (let round = 0; round < 3; round++) {
        const children = await Promise.all([0, 1].map(() => start(dir, 'github', 1_000_000, 1_000_000)));
        const store = openLmdb(dir);
        const count = (): number => (used(store) === 'none' ? 0 : Number(used(store)));
        const before = count();
        for (const child of children) child.process.stdin?.write('go\n');
        // Killed only once both are seen to be counting.
        while (count() < before + 500) {
          assert.ok(
            children.every((child) => child.process.exitCode === null),
            'a child ended by itself',
          );
          await new Promise((resolve) => setImmediate(resolve));
        }
        for (const child of children) child.process.kill('SIGKILL');
        await Promise.all(children.map((child) => once(child.process, 'close')));
        // The last commit of a killed process may show only with the next one.
        assert.match(take(store, reserve({ amount: '0.5' })), /^call/);
        const after = Number(used(store));
        assert.ok(after >= before + 500);
        assert.match(take(store, reserve({ amount: '0.5' })), /^call/);
        assert.equal(Number(used(store)), after + 0.5);
        await store.close();
      }
    },
  );

  inDir(
    'what one process takes another sees at once, also within one turn of its event loop',
    async (dir) => {
      const store = openLmdb(dir);
      assert.equal(store.peek([reserve({ lte: '1' })]).kind, 'reserved');
      const said = execFileSync(process.execPath, [CHILD, dir, 'github', '1', '1'], {
        input: 'go\n',
        encoding: 'utf8',
      });
      assert.equal(said, 'ready\n1\n');
      assert.equal(store.peek([reserve({ lte: '1' })]).kind, 'refused');
      await store.close();
    },
  );
});
