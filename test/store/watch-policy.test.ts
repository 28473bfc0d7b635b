/** The watch says that a policy file may have changed, however it was changed. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { watchPolicy } from '../../src/store/watch-policy.ts';

const root = mkdtempSync(join(tmpdir(), 'portcullis-watch-'));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function freshFile(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return join(folder, 'policy.yaml');
}

/** A watch whose announcements can be waited for. */
function watched(path: string, options = { pollMs: 20, settleMs: 5 }) {
  let wake = () => {};
  const watch = watchPolicy(path, () => wake(), options);
  // The watch's own timers keep no process alive; a test that waits for them has to.
  const alive = setInterval(() => {}, 1_000);
  const change = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return {
    change,
    check: watch.check,
    close: () => {
      watch.close();
      clearInterval(alive);
    },
  };
}

describe('a change is announced', () => {
  const changes: [string, (path: string) => void, (path: string) => void][] = [
    [
      'when the file is written in place',
      (path) => writeFileSync(path, 'a'),
      (path) => writeFileSync(path, 'bb'),
    ],
    [
      'when an editor replaces the file',
      (path) => writeFileSync(path, 'a'),
      (path) => {
        writeFileSync(`${path}.tmp`, 'b');
        renameSync(`${path}.tmp`, path);
      },
    ],
    ['when the file goes away', (path) => writeFileSync(path, 'a'), (path) => rmSync(path)],
    ['when the file comes to be', () => {}, (path) => writeFileSync(path, 'a')],
    [
      'when its folder comes to be',
      (path) => rmSync(join(path, '..'), { recursive: true }),
      (path) => {
        mkdirSync(join(path, '..'));
        writeFileSync(path, 'a');
      },
    ],
  ];
  for (const [what, before, during] of changes) {
    test(what, async () => {
      const path = freshFile();
      before(path);
      const watch = watched(path);
      const announced = watch.change();
      during(path);
      await announced;
      watch.close();
    });
  }

  test('when a cluster swaps the folder that the file is linked through', async () => {
    const path = freshFile();
    const folder = join(path, '..');
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'policy.yaml'), 'same size');
    }
    symlinkSync('v1', join(folder, '..data'));
    symlinkSync('..data/policy.yaml', path);
    const watch = watched(path);
    const announced = watch.change();
    symlinkSync('v2', join(folder, '..new'));
    renameSync(join(folder, '..new'), join(folder, '..data'));
    await announced;
    watch.close();
  });

  test('again after the file went away and came back', async () => {
    const path = freshFile();
    writeFileSync(path, 'a');
    const watch = watched(path);
    for (const change of [
      () => rmSync(path),
      () => writeFileSync(path, 'b'),
      () => writeFileSync(path, 'cc'),
    ]) {
      const announced = watch.change();
      change();
      await announced;
    }
    watch.close();
  });
});

test('a change between the start of the watch and its first look is not missed', async () => {
  const path = freshFile();
  writeFileSync(path, 'a');
  const watch = watched(path, { pollMs: 1_000_000, settleMs: 1 });
  const announced = watch.change();
  writeFileSync(path, 'bb');
  await watch.check();
  await announced;
  watch.close();
});

test('a file that stays as it is, is not announced, and neither is anything after close', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const path = freshFile();
  writeFileSync(path, 'a');
  let count = 0;
  const watch = watchPolicy(path, () => {
    count += 1;
  });
  await watch.check();
  context.mock.timers.tick(10_000);
  assert.equal(count, 0);
  writeFileSync(path, 'bb');
  await watch.check();
  context.mock.timers.tick(10_000);
  assert.equal(count, 1);
  writeFileSync(path, 'ccc');
  await watch.check();
  watch.close();
  writeFileSync(path, 'dddd');
  await watch.check();
  context.mock.timers.tick(10_000);
  assert.equal(count, 1);
});

test('a burst of changes is announced once, after it settled', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const path = freshFile();
  let count = 0;
  const watch = watchPolicy(path, () => {
    count += 1;
  });
  for (const text of ['a', 'bb', 'ccc']) {
    writeFileSync(path, text);
    await watch.check();
    context.mock.timers.tick(99);
    assert.equal(count, 0);
  }
  context.mock.timers.tick(1);
  assert.equal(count, 1);
  watch.close();
});
