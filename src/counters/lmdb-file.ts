/**
 * The LMDB file behind the durable counters: opening, checking and refusing it. Promises: what cannot be read without
 * doubt is refused with what to do about it, and never emptied or replaced.
 *
 * INVARIANT: LMDB never meets a full disk. Its answer to a failed write is memory-unsafe (a message longer than its
 * buffer), so the file is made longer here, ahead of need, where a failure is an ordinary error.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RootDatabase } from 'lmdb';
import { StoreFault } from './backend.ts';
import { decodeRow } from './row.ts';

export type CountersDb = RootDatabase<string, Buffer>;

export type CountersFile = {
  readonly db: CountersDb;
  readonly path: string;
  /** For making the file longer and for flushing it. */
  readonly fd: number;
  readonly ino: number;
  readonly dev: number;
};

export type OpenedFile =
  | { readonly ok: true; readonly file: CountersFile }
  | { readonly ok: false; readonly detail: string };

export const FILE_NAME = 'counters.mdb';
const FORMAT_KEY = Buffer.from('0format');
const FORMAT_WORD = 'portcullis-counters';
const FORMAT = 1;
/** Rows of counters stand between these two keys; the file's own records before them. */
export const FIRST_ROW = Buffer.from('c');
export const AFTER_ROWS = Buffer.from('i');
/** Committed when this returns, without waiting for the disk. */
export const COMMIT_NOW = 2;
/** Pages kept free behind the last one used, and by how many more the file grows at a time. */
const SPARE_PAGES = 64;
const GROW_PAGES = 64;
const MAP_BYTES = 256 * 1024 * 1024;
const PROBE_MS = 10_000;
/** Of each of LMDB's two meta pages: where its header ends, and what stands at 24 and 28. */
const META_BYTES = 152;
const META_MAGIC = 0xbeefc0de;
const META_VERSION = 2;
const MAX_READERS = 512;
/** What LMDB makes of it, rounded up: a header and 64 bytes for each reader. */
const LOCK_BYTES = (MAX_READERS + 8) * 64;
const FIRST_BYTES = 64 * 1024;

export function openCountersFile(dir: string): OpenedFile {
  const path = join(dir, FILE_NAME);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isFile()) {
      return {
        ok: false,
        detail: `${path} is not a regular file: move it away, or name another state directory`,
      };
    }
    const mark = `${path}-opening`;
    if (stats === undefined || stats.size === 0) {
      makeRoom(path, mark);
    } else if (isShort(path, stats.size) || statSync(mark, { throwIfNoEntry: false }) !== undefined) {
      // A damaged file can end the process inside LMDB, so a doubtful one is first tried by a process of its own.
      const fault = probe(path);
      if (fault !== undefined) return { ok: false, detail: fault };
    }
    writeFileSync(mark, '', { mode: 0o600 });
    const file = openChecked(path);
    unlinkIfThere(mark);
    return { ok: true, file };
  } catch (error) {
    unlinkIfThere(`${path}-opening`);
    return { ok: false, detail: explain(error, path) };
  }
}

/** Opens and reads everything once. @throws for every doubt. */
export function openChecked(path: string): CountersFile {
  // Required when first needed: loading it costs more than a whole policy without limits does.
  const lmdb = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
  // noSync: a commit reaches the kernel, which keeps it though this process is killed; flushing follows (see lmdb.ts).
  const options = {
    path,
    noSubdir: true,
    encoding: 'string' as const,
    keyEncoding: 'binary' as const,
    noSync: true,
    overlappingSync: false,
    maxDbs: 1,
    maxReaders: MAX_READERS,
    mapSize: MAP_BYTES,
    permissionsMode: 0o600,
  };
  const db: CountersDb = lmdb.open<string, Buffer>(options);
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r+');
    const file = { db, path, fd, ino: fstatSync(fd).ino, dev: fstatSync(fd).dev };
    db.transactionSync(() => {
      checkFormat(db);
      ensureRoom(file, 0);
      db.put(FORMAT_KEY, `${FORMAT_WORD} ${FORMAT}`);
      for (const { key, value } of db.getRange({ start: FIRST_ROW, end: AFTER_ROWS }))
        decodeRow(keyText(key), value);
    }, COMMIT_NOW);
    return file;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    void db.close();
    throw error;
  }
}

function checkFormat(db: CountersDb): void {
  const found = db.get(FORMAT_KEY);
  if (found === undefined) {
    for (const _ of db.getKeys({ start: Buffer.from([0]), limit: 1 }))
      throw new StoreFault('it is an LMDB file of some other program');
    return;
  }
  if (found === `${FORMAT_WORD} ${FORMAT}`) return;
  const match = new RegExp(`^${FORMAT_WORD} (\\d{1,9})$`).exec(found);
  if (match === null) throw new StoreFault('it is an LMDB file of some other program');
  throw new StoreFault(
    `its format is ${match[1]}, this version of portcullis knows ${FORMAT}: upgrade portcullis`,
  );
}

/**
 * Makes the file long enough for the pages of a step that puts `bytes`, twice over, since pages may be half empty.
 * INVARIANT: called inside a write transaction, so no other process writes behind the last page.
 * @throws where the disk is full.
 */
export function ensureRoom(file: CountersFile, bytes: number): void {
  const stats = file.db.getStats() as { readonly lastPageNumber: number; readonly pageSize: number };
  const size = fstatSync(file.fd).size;
  const used = (stats.lastPageNumber + 1) * stats.pageSize;
  const wanted = used + SPARE_PAGES * stats.pageSize + 2 * bytes;
  if (size >= wanted) return;
  const zeros = Buffer.alloc(GROW_PAGES * stats.pageSize);
  const end = wanted + zeros.length;
  let at = Math.max(size, used);
  while (at < end) at += writeSync(file.fd, zeros, 0, Math.min(zeros.length, end - at), at);
}

export function keyText(key: Buffer): string {
  return key.toString('utf8');
}

/** Says what is wrong with the file and what to do about it. */
export function explain(error: unknown, path: string): string {
  const { code, message } =
    error instanceof Error ? (error as NodeJS.ErrnoException) : { code: undefined, message: String(error) };
  const said = message.split('\n')[0]?.slice(0, 300) ?? '';
  const what = `the counters in ${path} cannot be used: ${said}`;
  switch (code as string | number | undefined) {
    case 'EACCES':
    case 'EPERM':
    case 13:
    case 1:
      return `${what}; give the user that runs portcullis the right to read and write the directory and its files`;
    case 'EROFS':
    case 30:
      return `${what}; the file system is read-only: name another state directory`;
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
    case 28:
    case 27:
    case 122:
      return `${what}; the disk is full: free some space`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${what}; the state directory's path leads through a file`;
    default:
      return `${what}; to start the counters from zero, move the file away together with ${FILE_NAME}-lock`;
  }
}

/** For a file that LMDB is about to make: room on the disk for its first pages, and its lock file in full. */
function makeRoom(path: string, mark: string): void {
  writeFileSync(mark, Buffer.alloc(FIRST_BYTES), { mode: 0o600 });
  const lock = `${path}-lock`;
  // INVARIANT: a lock file that exists is never opened here: closing it would drop LMDB's own locks on it.
  if (statSync(lock, { throwIfNoEntry: false }) !== undefined) return;
  try {
    writeFileSync(lock, Buffer.alloc(LOCK_BYTES), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      unlinkIfThere(lock);
      throw error;
    }
  }
}

/**
 * Reads the header of an LMDB file without LMDB, which does not survive every header.
 * @returns whether the file ends before the last page that it counts.
 * @throws where it is not an LMDB file of the version in use.
 */
function isShort(path: string, size: number): boolean {
  const fd = openSync(path, 'r');
  try {
    const first = readMeta(fd, 0);
    if (first === undefined) throw new StoreFault('it is not an LMDB file');
    const second = readMeta(fd, first.pageSize);
    if (second === undefined) return true;
    const last = first.lastPage > second.lastPage ? first.lastPage : second.lastPage;
    return (last + 1n) * BigInt(first.pageSize) > BigInt(size);
  } finally {
    closeSync(fd);
  }
}

function readMeta(
  fd: number,
  at: number,
): { readonly pageSize: number; readonly lastPage: bigint } | undefined {
  const meta = Buffer.alloc(META_BYTES);
  if (readSync(fd, meta, 0, META_BYTES, at) < META_BYTES || meta.readUInt32LE(24) !== META_MAGIC)
    return undefined;
  if (meta.readUInt16LE(28) !== META_VERSION)
    throw new StoreFault('it was written by another version of LMDB, and perhaps of portcullis');
  const pageSize = meta.readUInt32LE(48);
  if (pageSize < 512 || pageSize > 65_536) return undefined;
  return { pageSize, lastPage: meta.readBigUInt64LE(144) };
}

function probe(path: string): string | undefined {
  const script = fileURLToPath(new URL('./probe.js', import.meta.url));
  const run = spawnSync(process.execPath, [script, path], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {},
    timeout: PROBE_MS,
    encoding: 'utf8',
  });
  if (run.status === 0) return undefined;
  const said = run.stdout?.trim();
  if (run.status === 1 && said) return said;
  return explain(
    new StoreFault(
      `reading it ended a trial process (${run.signal ?? run.error?.message ?? `exit ${run.status}`})`,
    ),
    path,
  );
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // A mark that stays only makes the next start look twice.
  }
}
