import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { lazyCounters } from '../../src/counters/lazy.ts';
import { openLmdbCounters } from '../../src/counters/lmdb.ts';
import { ask, freshDir, NOON, openLmdb, reserve, take, used } from './stores.ts';

const inDir = (title: string, body: (dir: string, file: string) => void | Promise<void>): void => {
  test(title, async () => {
    const dir = freshDir();
    try {
      await body(dir, join(dir, 'counters.mdb'));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
};

function refusal(dir: string): string {
  const opened = openLmdbCounters({ dir, server: 'github', now: () => NOON });
  assert.ok(!opened.ok, 'it was not to be opened');
  return opened.detail;
}

async function fill(dir: string, counters: number): Promise<void> {
  const store = openLmdb(dir);
  for (let i = 0; i < counters; i++) take(store, reserve({ name: `n${i}`, amount: '3' }));
  await store.close();
}

/** Changes the file as some other LMDB program would. */
async function meddle(
  file: string,
  change: (db: import('lmdb').RootDatabase<string, Buffer>) => void,
): Promise<void> {
  const lmdb = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
  const db = lmdb.open<string, Buffer>({
    path: file,
    noSubdir: true,
    encoding: 'string',
    keyEncoding: 'binary',
    noSync: true,
    overlappingSync: false,
  });
  change(db);
  await db.close();
}

describe('counters that outlive their process', () => {
  inDir('are there after closing and opening again, and what was left unsettled stays taken', async (dir) => {
    const first = openLmdb(dir);
    take(first, reserve({ amount: '2.5', lte: '4' }));
    first.settle(take(first, reserve({ lte: '4' })), 'commit');
    await first.close();
    const second = openLmdb(dir);
    assert.equal(used(second), '3.5');
    assert.match(take(second, reserve({ lte: '4' })), /^refused/);
    await second.close();
  });

  inDir('a missing directory is made, for its owner alone, and so are the files', async (dir) => {
    const state = join(dir, 'a', 'state');
    const store = openLmdb(state);
    take(store, reserve());
    assert.equal(statSync(state).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(state).sort(), ['counters.mdb', 'counters.mdb-lock']);
    for (const name of readdirSync(state))
      assert.equal(statSync(join(state, name)).mode & 0o777, 0o600, name);
    await store.close();
  });

  inDir(
    'two stores of one process share a directory, and closing one leaves the other working',
    async (dir) => {
      const a = openLmdb(dir);
      const b = openLmdb(dir);
      const other = openLmdb(dir, undefined, 'gitlab');
      take(a, reserve({ lte: '2' }));
      assert.match(take(b, reserve({ lte: '2' })), /^call/);
      assert.match(take(a, reserve({ lte: '2' })), /^refused/);
      assert.match(take(other, reserve({ lte: '2' })), /^call/);
      await a.close();
      assert.match(take(b, reserve({ lte: '2' })), /^refused/);
      assert.match(take(other, reserve({ lte: '2' })), /^call/);
      await b.close();
      await other.close();
    },
  );

  inDir('a thousand windows of one counter leave the file no longer than one', async (dir, file) => {
    const clock = { ms: NOON };
    const store = openLmdb(dir, clock);
    take(store, reserve({ window: 'minute' }));
    const size = statSync(file).size;
    for (let i = 0; i < 1000; i++) {
      clock.ms += 60_000;
      store.settle(take(store, reserve({ window: 'minute' })), i % 2 === 0 ? 'commit' : 'rollback');
      store.peek([reserve()]);
    }
    assert.equal(statSync(file).size, size);
    await store.close();
  });
});

describe('a counters file that is not what it should be', () => {
  inDir('text, or an empty header, is refused with what to do, and left as it is', (dir, file) => {
    for (const content of ['not a database\n', 'x'.repeat(100_000), '\0'.repeat(20_000)]) {
      writeFileSync(file, content);
      assert.match(
        refusal(dir),
        /cannot be used: it is not an LMDB file.* move the file away together with counters.mdb-lock/,
      );
      assert.equal(readFileSync(file, 'latin1'), content);
    }
  });

  inDir('a newer format is refused and says to upgrade', async (dir, file) => {
    await fill(dir, 1);
    await meddle(file, (db) => db.putSync(Buffer.from('0format'), 'portcullis-counters 2'));
    assert.match(refusal(dir), /its format is 2, this version of portcullis knows 1: upgrade portcullis/);
    await meddle(file, (db) => db.putSync(Buffer.from('0format'), 'portcullis-counters 1'));
    const store = openLmdb(dir);
    assert.equal(used(store, 'n0'), '3', 'nothing was lost by the refusal');
    await store.close();
  });

  inDir('a file of another version of LMDB is refused', async (dir, file) => {
    await fill(dir, 1);
    const bytes = readFileSync(file);
    bytes.writeUInt16LE(3, 28);
    writeFileSync(file, bytes);
    assert.match(refusal(dir), /written by another version of LMDB/);
  });

  inDir('an LMDB file of another program is refused', async (dir, file) => {
    await meddle(file, (db) => db.putSync(Buffer.from('users'), 'alice'));
    assert.match(refusal(dir), /of some other program/);
    await meddle(file, (db) => db.putSync(Buffer.from('0format'), 'other 7'));
    assert.match(refusal(dir), /of some other program/);
  });

  inDir('a counter that was changed behind its checksum is refused at opening', async (dir, file) => {
    await fill(dir, 1);
    await meddle(file, (db) => {
      const key = Buffer.from('c["github","charge","n0","day"]');
      const text = db.get(key);
      assert.match(text ?? '', / 3$/);
      db.putSync(key, (text ?? '').replace(/ 3$/, ' 1'));
    });
    assert.match(refusal(dir), /a counter in the state file is damaged/);
  });

  inDir('a counter that is damaged while in use is a denial of the calls that need it', async (dir, file) => {
    const store = openLmdb(dir);
    take(store, reserve({ name: 'n0' }), reserve({ name: 'n1' }));
    await meddle(file, (db) => db.putSync(Buffer.from('c["github","charge","n0","day"]'), 'nonsense'));
    assert.match(take(store, reserve({ name: 'n0' })), /^unavailable: .*damaged/);
    await store.close();
  });

  inDir('a file cut short is refused, however it is cut, without ending this process', async (dir, file) => {
    await fill(dir, 2000);
    const good = readFileSync(file);
    for (const part of [0.02, 0.1, 0.2]) {
      writeFileSync(file, good);
      truncateSync(file, Math.floor(good.length * part));
      rmSync(`${file}-lock`, { force: true });
      assert.match(refusal(dir), /cannot be used/, `${part}`);
    }
  });

  inDir(
    'a file that ended a process while it was opened is tried by another process first',
    async (dir, file) => {
      await fill(dir, 60);
      const good = readFileSync(file);
      let refused = 0;
      for (let page = 2; page < 12; page++) {
        const bytes = Buffer.from(good);
        bytes.fill(0, page * 4096, (page + 1) * 4096);
        writeFileSync(file, bytes);
        rmSync(`${file}-lock`, { force: true });
        writeFileSync(`${file}-opening`, '');
        const opened = openLmdbCounters({ dir, server: 'github', now: () => NOON });
        if (opened.ok) {
          assert.equal(used(opened.counters, 'n7'), '3', 'a page that nothing needed');
          await opened.counters.close();
          assert.equal(existsSync(`${file}-opening`), false);
        } else {
          assert.match(opened.detail, /cannot be used.*move the file away/);
          refused += 1;
        }
      }
      assert.ok(refused >= 2, `${refused}`);
      // A tree whose root is a header: LMDB aborts the process that reads it.
      const fatal = Buffer.from(good);
      for (const meta of [0, 4096]) fatal.writeBigUInt64LE(0n, meta + 136);
      writeFileSync(file, fatal);
      writeFileSync(`${file}-opening`, '');
      assert.match(refusal(dir), /reading it ended a trial process.*move the file away/);
    },
  );

  inDir('a link, a directory or a file in place of the directory is refused', (dir, file) => {
    symlinkSync(join(dir, 'elsewhere'), file);
    assert.match(refusal(dir), /not a regular file/);
    rmSync(file);
    mkdirSync(file);
    assert.match(refusal(dir), /not a regular file/);
    writeFileSync(join(dir, 'f'), '');
    assert.match(refusal(join(dir, 'f')), /path leads through a file/);
    assert.match(refusal(join(dir, 'f', 'state')), /path leads through a file/);
  });

  inDir('files that may not be written are refused, saying whose right is missing', (dir, file) => {
    // Rights do not bind the superuser, so the attempt runs as nobody where that is possible.
    mkdirSync(join(dir, 'state'));
    chmodSync(dir, 0o755);
    chmodSync(join(dir, 'state'), 0o555);
    const script = `process.setgid?.(65534); process.setuid?.(65534);`;
    const module = new URL('../../src/counters/lmdb.js', import.meta.url).href;
    const run = `import { openLmdbCounters } from ${JSON.stringify(module)};
      if (process.getuid() === 0) { ${script} }
      const opened = openLmdbCounters({ dir: process.argv[1], server: 's', now: () => ${NOON} });
      process.stdout.write(opened.ok ? 'opened' : opened.detail);`;
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', run, join(dir, 'state')], {
      encoding: 'utf8',
    });
    assert.match(said, /EACCES|[Pp]ermission denied/);
    assert.match(said, /give the user that runs portcullis the right/);
    assert.equal(existsSync(file), false);
  });
});

describe('a counters file that fails under a running process', () => {
  const full = (dir: string, blocks: number, burst: number): Record<string, unknown> => {
    const child = fileURLToPath(new URL('./child-full.js', import.meta.url));
    const said = execFileSync(
      'sh',
      ['-c', `ulimit -f ${blocks}; exec "$@"`, 'sh', process.execPath, child, dir, String(burst)],
      { encoding: 'utf8' },
    );
    return JSON.parse(said) as Record<string, unknown>;
  };

  inDir('no room for the file at all: not opened, and the disk is named as the reason', (dir) => {
    const said = full(dir, 8, 1);
    assert.equal(said.opened, false);
    assert.match(String(said.detail), /EFBIG.*the disk is full: free some space/);
  });

  for (const burst of [1, 20, 20_000]) {
    inDir(
      `no room for ${burst} more at a time: new counters are denied, those that exist go on counting and binding`,
      (dir) => {
        const said = full(dir, 4096, burst);
        assert.match(String(said.detail), /EFBIG.*the disk is full: free some space/);
        assert.ok(burst > 10_000 || Number(said.made) > 100, String(said.made));
        assert.deepEqual([said.atOnce, said.later, said.spent], ['unavailable', 'reserved', 'refused']);
      },
    );
  }

  inDir(
    'deleted or replaced: noticed within a second, said once, and old reservations give nothing back to the new file',
    async (dir, file) => {
      let ms = 0;
      const notes: string[] = [];
      const opened = openLmdbCounters({
        dir,
        server: 'github',
        now: () => NOON,
        monotonicMs: () => ms,
        note: (m) => notes.push(m),
      });
      assert.ok(opened.ok);
      const store = opened.counters;
      const old = take(store, reserve({ amount: '2' }));
      renameSync(file, join(dir, 'gone'));
      rmSync(`${file}-lock`);
      ms += 1000;
      take(store, reserve({ amount: '2' }));
      store.settle(old, 'rollback');
      assert.equal(used(store), '2');
      ms += 1000;
      take(store, reserve({ amount: '2' }));
      assert.equal(used(store), '4');
      assert.equal(notes.length, 1);
      assert.match(notes[0] ?? '', /deleted or replaced/);
      await store.close();
    },
  );

  inDir(
    'gone with no way to make it anew: unavailable, then recovered when there is; a rollback owed is paid then',
    async (dir) => {
      let ms = 0;
      const state = join(dir, 'state');
      const opened = openLmdbCounters({
        dir: state,
        server: 'github',
        now: () => NOON,
        monotonicMs: () => ms,
      });
      assert.ok(opened.ok);
      const store = opened.counters;
      take(store, reserve({ amount: '5' }));
      const owed = take(store, reserve({ amount: '2' }));
      renameSync(state, join(dir, 'away'));
      writeFileSync(state, '');
      ms += 1000;
      assert.match(take(store, reserve()), /^unavailable: .*path leads through a file/);
      store.settle(owed, 'rollback');
      assert.equal(store.peek([reserve()]).kind, 'unavailable');
      rmSync(state);
      renameSync(join(dir, 'away'), state);
      assert.match(take(store, reserve()), /^unavailable/, 'not tried again at once');
      ms += 1000;
      assert.match(take(store, reserve()), /^call/);
      assert.equal(used(store), '6');
      await store.close();
    },
  );
});

describe('counters that are opened when first needed', () => {
  inDir('a call without limits opens nothing; one with a limit does, once', async (dir, file) => {
    let opens = 0;
    const store = lazyCounters(() => {
      opens += 1;
      return openLmdbCounters({ dir, server: 'github', now: () => NOON });
    });
    assert.equal(ask(store, 'free', []).kind, 'reserved');
    assert.equal(store.peek([]).kind, 'reserved');
    store.settle('free', 'rollback');
    assert.deepEqual([opens, existsSync(file)], [0, false]);
    take(store, reserve());
    store.settle(take(store, reserve()), 'rollback');
    assert.deepEqual([opens, used(store)], [1, '1']);
    await store.close();
    assert.match(take(store, reserve()), /^unavailable: the counters are closed/);
  });

  inDir(
    'counters that cannot be opened deny what needs them and nothing else, and are tried again after a second',
    async (dir) => {
      let ms = 0;
      let opens = 0;
      writeFileSync(join(dir, 'f'), '');
      const store = lazyCounters(
        () => {
          opens += 1;
          return openLmdbCounters({ dir: join(dir, 'f'), server: 'github', now: () => NOON });
        },
        () => ms,
      );
      const both = store.reserve([
        { reservation: 'a', obligations: [] },
        { reservation: 'b', obligations: [reserve()] },
      ]);
      assert.deepEqual(
        both.map((o) => o.kind),
        ['reserved', 'unavailable'],
      );
      assert.equal(store.peek([reserve()]).kind, 'unavailable');
      assert.equal(store.list().ok, false);
      assert.equal(opens, 1);
      rmSync(join(dir, 'f'));
      ms += 1000;
      assert.match(take(store, reserve()), /^call/);
      assert.equal(opens, 2);
      await store.close();
    },
  );
});
