import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type DecisionLogOptions, type OpenDecisionLog, openDecisionLog } from '../../src/audit/log.ts';
import { decisionRecord } from '../../src/audit/record.ts';
import { decision, freshDir } from './decisions.ts';

const CHILD = fileURLToPath(new URL('./child-append.js', import.meta.url));

const started: ChildProcess[] = [];

const inDir = (title: string, body: (dir: string, file: string) => void | Promise<void>): void => {
  test(title, async () => {
    const dir = freshDir();
    try {
      await body(dir, join(dir, 'decisions.jsonl'));
    } finally {
      for (const child of started.splice(0)) child.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    }
  });
};

function open(file: string, options: Omit<DecisionLogOptions, 'file'> = {}): OpenDecisionLog {
  const opened = openDecisionLog({ file, ...options });
  assert.ok(opened.ok, opened.ok ? '' : opened.detail);
  return opened.log;
}

function refusal(file: string): string {
  const opened = openDecisionLog({ file });
  assert.ok(!opened.ok);
  return opened.detail;
}

function put(log: OpenDecisionLog, ...ids: string[]): string {
  for (const id of ids) log.append(decision({ id }));
  const outcome = log.commit();
  return outcome.kind === 'recorded' ? 'recorded' : outcome.detail;
}

function ids(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  assert.ok(text === '' || text.endsWith('\n'));
  return text
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => (JSON.parse(l) as { id: string }).id);
}

describe('writing the decision log', () => {
  inDir('nothing is written by append, and all of it in order by commit', (_dir, file) => {
    const log = open(file);
    log.append(decision({ id: 'a' }));
    assert.equal(readFileSync(file, 'utf8'), '');
    assert.equal(put(log, 'b', 'c'), 'recorded');
    assert.deepEqual(ids(file), ['a', 'b', 'c']);
  });

  inDir('a commit with nothing appended writes nothing and is recorded', (_dir, file) => {
    const log = open(file);
    put(log, 'a');
    assert.deepEqual(log.commit(), { kind: 'recorded' });
    assert.deepEqual(ids(file), ['a']);
  });

  inDir(
    'the file is its owner’s alone, its missing directories too, and an existing file is continued',
    (dir) => {
      const file = join(dir, 'state', 'log', 'decisions.jsonl');
      put(open(file), 'a');
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.equal(statSync(join(dir, 'state')).mode & 0o777, 0o700);
      put(open(file), 'b');
      assert.deepEqual(ids(file), ['a', 'b']);
    },
  );

  inDir('close writes what is left; what comes after is unavailable', (_dir, file) => {
    const log = open(file);
    log.append(decision({ id: 'last' }));
    assert.deepEqual(log.close(), { kind: 'recorded' });
    assert.match(put(log, 'late'), /the log is closed/);
    assert.deepEqual(ids(file), ['last']);
  });

  inDir('a file that ends in half a line gets a newline first', (_dir, file) => {
    writeFileSync(file, '{"v":1,"id":"to');
    const log = open(file);
    put(log, 'a');
    put(log, 'b');
    const lines = readFileSync(file, 'utf8').split('\n');
    assert.equal(lines[0], '{"v":1,"id":"to');
    assert.deepEqual(
      lines.slice(1, 3).map((l) => (JSON.parse(l) as { id: string }).id),
      ['a', 'b'],
    );
  });

  inDir('a decision that cannot be written as a line takes its whole commit with it', (_dir, file) => {
    const log = open(file);
    log.append(decision({ id: 'a' }));
    log.append(decision({ message: undefined as unknown as string }));
    assert.match(put(log), /could not be written as a line/);
    assert.equal(put(log, 'b'), 'recorded');
    assert.deepEqual(ids(file), ['b']);
  });
});

describe('what is refused as a decision log', () => {
  inDir('a symbolic link, also one that leads to a good file', (dir, file) => {
    writeFileSync(join(dir, 'elsewhere'), '');
    symlinkSync(join(dir, 'elsewhere'), file);
    assert.match(refusal(file), /symbolic link/);
    assert.equal(readFileSync(join(dir, 'elsewhere'), 'utf8'), '');
  });

  inDir('a pipe, read by nobody or by somebody, without waiting for a reader', (_dir, file) => {
    execFileSync('mkfifo', [file]);
    assert.match(refusal(file), /not a regular file/);
    const reader = openSync(file, 'r+');
    assert.match(refusal(file), /not a regular file/);
    closeSync(reader);
  });

  inDir('a directory and a device', (dir) => {
    assert.match(refusal(dir), /EISDIR/);
    assert.match(refusal('/dev/null'), /not a regular file/);
    assert.equal(openDecisionLog({ file: '/dev/stderr' }).ok, false);
  });

  inDir('a path that leads through a file', (dir) => {
    writeFileSync(join(dir, 'f'), '');
    assert.match(refusal(join(dir, 'f', 'log')), /ENOTDIR|EEXIST/);
  });
});

describe('a decision log that fails', () => {
  inDir('a full device: unavailable, the records are dropped, and the next commit tries again', () => {
    const log = open('/dev/full', { allowDevice: true });
    assert.match(
      put(log, 'a'),
      /^the decision log \/dev\/full cannot be written: ENOSPC, .* free some space/,
    );
    assert.deepEqual(log.commit(), { kind: 'recorded' }, 'nothing is left of the failed commit');
    assert.match(put(log, 'b'), /ENOSPC/);
  });

  inDir(
    'a descriptor that somebody closed: unavailable once, then the file is opened again',
    (_dir, file) => {
      const next = openSync('/dev/null', 'r');
      closeSync(next);
      const log = open(file, { monotonicMs: () => 0 });
      put(log, 'a');
      closeSync(next);
      assert.match(put(log, 'b'), /EBADF/);
      assert.equal(put(log, 'c'), 'recorded');
      assert.deepEqual(ids(file), ['a', 'c']);
    },
  );

  inDir('a name that became something else: unavailable until it is a file again', (_dir, file) => {
    let ms = 0;
    const log = open(file, { monotonicMs: () => ms });
    put(log, 'a');
    unlinkSync(file);
    mkdirSync(file);
    ms += 1000;
    assert.match(put(log, 'b'), /EISDIR/);
    assert.match(put(log, 'c'), /EISDIR/);
    rmSync(file, { recursive: true });
    ms += 1000;
    assert.equal(put(log, 'd'), 'recorded');
    assert.deepEqual(ids(file), ['d']);
  });

  inDir(
    'a file-size limit in the middle of a line: whole lines before it, the call denied, and the cut line ended before the next',
    (_dir, file) => {
      // 16 blocks of 512 or 1024 bytes, as the shell counts.
      const run = (name: string): string =>
        execFileSync(
          'sh',
          ['-c', 'ulimit -f 16; exec "$@"', 'sh', process.execPath, CHILD, file, name, '1000', '3'],
          { encoding: 'utf8' },
        );
      const recorded = (run('p').match(/\./g) ?? []).length - 1;
      const size = statSync(file).size;
      assert.equal(size % 512, 0, 'the file is full to the limit');
      const lines = readFileSync(file, 'utf8').split('\n');
      const cut = lines.pop() ?? '';
      assert.notEqual(cut, '', 'the limit fell inside a line');
      const whole = lines.map((l) => (JSON.parse(l) as { id: string }).id);
      assert.deepEqual(
        whole.slice(0, 3 * recorded),
        Array.from({ length: 3 * recorded }, (_, i) => `p-${i}`),
      );
      assert.match(run('q'), /after 3: .*(EFBIG|only a part)/);

      truncateSync(file, size - 1000);
      const log = open(file);
      assert.equal(put(log, 'after'), 'recorded');
      const text = readFileSync(file, 'utf8').split('\n');
      assert.equal((JSON.parse(text.at(-2) ?? '') as { id: string }).id, 'after');
      assert.throws(() => JSON.parse(text.at(-3) ?? ''), SyntaxError, 'the line that was cut stands alone');
    },
  );

  inDir(
    'a commit that ran into the limit in mid-line goes on with a line of its own once there is room',
    async (_dir, file) => {
      const child = spawn(
        'sh',
        ['-c', 'ulimit -f 16; exec "$@"', 'sh', process.execPath, join(CHILD, '..', 'child-resume.js'), file],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      );
      started.push(child);
      const [full] = (await once(child.stdout, 'data')) as [Buffer];
      assert.match(String(full), /unavailable/);
      const before = readFileSync(file, 'utf8');
      assert.ok(!before.endsWith('\n'));
      // Half a line stays at the end, with room behind it: the child still remembers that it is torn.
      truncateSync(file, 4096);
      child.stdin.write('go\n');
      const [again] = (await once(child.stdout, 'data')) as [Buffer];
      assert.match(String(again), /recorded/);
      child.stdin.end();
      await once(child, 'close');
      const lines = readFileSync(file, 'utf8').split('\n');
      assert.equal((JSON.parse(lines.at(-2) ?? '') as { id: string }).id, 'resumed');
    },
  );
});

describe('a disk that takes only a part of a write', () => {
  test('whatever it takes, a commit is recorded only if each of its lines stands whole, and halves stand alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(900), { maxLength: 30 }),
        (bursts, takes) => {
          const dir = freshDir();
          const file = join(dir, 'log');
          try {
            let turn = 0;
            const log = open(file, {
              write: (fd, bytes) => {
                const most = takes[turn++] ?? bytes.length;
                // A quarter of the writes find no room at all.
                if (most < 225) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
                return writeSync(fd, bytes, 0, Math.min(most - 225, bytes.length));
              },
            });
            const sure: string[] = [];
            bursts.forEach((size, burst) => {
              const names = Array.from({ length: size }, (_, i) => `${burst}-${i}`);
              if (put(log, ...names) === 'recorded') sure.push(...names);
            });
            const whole: string[] = [];
            for (const line of readFileSync(file, 'utf8').split('\n')) {
              try {
                whole.push(decisionRecord.parse(JSON.parse(line)).id);
              } catch {
                assert.ok(line.lastIndexOf('{"v":') <= 0, `a half stands alone: ${line}`);
              }
            }
            assert.deepEqual(
              whole.filter((id) => sure.includes(id)),
              sure,
            );
            assert.equal(new Set(whole).size, whole.length, 'no decision stands twice');
          } finally {
            rmSync(dir, { recursive: true });
          }
        },
      ),
      // The first takes all of a line but its newline.
      { examples: [[[2], [814, 520]]] },
    );
  });
});

describe('a decision log that is moved', () => {
  inDir('renamed away: a new file of that name within a second, nothing lost', (dir, file) => {
    let ms = 0;
    const log = open(file, { monotonicMs: () => ms });
    put(log, 'a');
    renameSync(file, join(dir, 'rotated'));
    put(log, 'b');
    assert.equal(existsSync(file), false);
    ms += 1000;
    put(log, 'c');
    assert.deepEqual([ids(join(dir, 'rotated')), ids(file)], [['a', 'b'], ['c']]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  inDir('deleted, with its directory: begun anew', (dir) => {
    let ms = 0;
    const file = join(dir, 'state', 'decisions.jsonl');
    const log = open(file, { monotonicMs: () => ms });
    put(log, 'a');
    rmSync(join(dir, 'state'), { recursive: true });
    ms += 1000;
    assert.equal(put(log, 'b'), 'recorded');
    assert.deepEqual(ids(file), ['b']);
  });

  inDir('replaced by a link: unavailable, and what the link leads to is not written', (dir, file) => {
    let ms = 0;
    const log = open(file, { monotonicMs: () => ms });
    put(log, 'a');
    renameSync(file, join(dir, 'target'));
    symlinkSync(join(dir, 'target'), file);
    ms += 1000;
    assert.match(put(log, 'b'), /symbolic link/);
    assert.deepEqual(ids(join(dir, 'target')), ['a']);
  });

  inDir('cut to nothing in place (copytruncate): the next line is at its start', (_dir, file) => {
    const log = open(file);
    put(log, 'a');
    truncateSync(file, 0);
    put(log, 'b');
    assert.deepEqual(ids(file), ['b']);
  });

  inDir('opening it many times leaves no descriptor behind', (_dir, file) => {
    let ms = 0;
    const log = open(file, { monotonicMs: () => ms });
    const count = (): number => readdirSync('/proc/self/fd').length;
    put(log, 'a');
    const before = count();
    for (let i = 0; i < 50; i++) {
      unlinkSync(file);
      ms += 1000;
      assert.equal(put(log, `${i}`), 'recorded');
      chmodSync(file, 0o600);
      assert.equal(openDecisionLog({ file: '/dev/null' }).ok, false);
    }
    assert.equal(count(), before);
  });
});

describe('a decision log shared by processes', () => {
  inDir('four processes append at once and every line is whole', async (_dir, file) => {
    const children = ['a', 'b', 'c', 'd'].map((name) =>
      spawn(process.execPath, [CHILD, file, name, '600', '3'], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    started.push(...children);
    await Promise.all(children.map((child) => once(child, 'close')));
    const seen = ids(file);
    assert.equal(seen.length, 2400);
    for (const name of ['a', 'b', 'c', 'd']) {
      assert.deepEqual(
        seen.filter((id) => id.startsWith(`${name}-`)),
        Array.from({ length: 600 }, (_, i) => `${name}-${i}`),
      );
    }
  });

  inDir(
    'a process that is killed leaves whole lines, and every commit that it was told of',
    async (_dir, file) => {
      const child = spawn(process.execPath, [CHILD, file, 'k', '0', '2'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      started.push(child);
      let told = 0;
      child.stdout.on('data', (dots: Buffer) => {
        told += dots.length;
        if (told > 100) child.kill('SIGKILL');
      });
      await once(child, 'close');
      const seen = ids(file);
      assert.ok(seen.length >= 2 * told, `${seen.length} lines, ${told} commits`);
      assert.deepEqual(
        seen,
        Array.from({ length: seen.length }, (_, i) => `k-${i}`),
      );
    },
  );
});
