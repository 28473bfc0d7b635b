/**
 * The LMDB file behind the durable counters: opening, checking and refusing it. Promises: what cannot be read without
 * doubt is refused with what to do about it, and never emptied or replaced.
 *
 * INVARIANT: LMDB never meets a full disk. Its answer to a failed write is memory-unsafe (a message longer than its
 * buffer), so the file is made longer here, ahead of need, where a failure is an ordinary error.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, lstatSync, mkdirSync, openSync, readSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
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

export type OpenedFile = { readonly ok: true; readonly file: CountersFile } | { readonly ok: false; readonly detail: string };

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
const GROW_PAGES = 128;
const MAP_BYTES = 256 * 1024 * 1024;
const PROBE_MS = 10_000;

export function openCountersFile(dir: string): OpenedFile {
  const path = join(dir, FILE_NAME);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isFile()) {
      return { ok: false, detail: `${path} is not a regular file: move it away, or name another state directory` };
    }
    const mark = `${path}-opening`;
    // A truncated or damaged file can end the process inside LMDB, so a doubtful one is first tried by a process of its own.
    if (stats !== undefined && (isShort(path, stats.size) || statSync(mark, { throwIfNoEntry: false }) !== undefined)) {
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
    maxReaders: 512,
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
      ensureRoom(file);
      db.put(FORMAT_KEY, `${FORMAT_WORD} ${FORMAT}`);
      for (const { key, value } of db.getRange({ start: FIRST_ROW, end: AFTER_ROWS })) decodeRow(keyText(key), value);
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
    for (const _ of db.getKeys({ start: Buffer.from([0]), limit: 1 })) throw new StoreFault('it is an LMDB file of some other program');
    return;
  }
  if (found === `${FORMAT_WORD} ${FORMAT}`) return;
  const match = new RegExp(`^${FORMAT_WORD} (\\d{1,9})$`).exec(found);
  if (match === null) throw new StoreFault('it is an LMDB file of some other program');
  throw new StoreFault(`its format is ${match[1]}, this version of portcullis knows ${FORMAT}: upgrade portcullis`);
}

/** INVARIANT: called inside a write transaction, so no other process writes behind the last page. @throws where the disk is full. */
export function ensureRoom(file: CountersFile): void {
  const stats = file.db.getStats() as { readonly lastPageNumber: number; readonly pageSize: number };
  const size = fstatSync(file.fd).size;
  const used = (stats.lastPageNumber + 1) * stats.pageSize;
  if (size >= used + SPARE_PAGES * stats.pageSize) return;
  const zeros = Buffer.alloc(GROW_PAGES * stats.pageSize);
  let at = Math.max(size, used);
  const end = used + zeros.length;
  while (at < end) at += writeSync(file.fd, zeros, 0, end - at, at);
}

export function keyText(key: Buffer): string {
  return key.toString('utf8');
}

/** Says what is wrong with the file and what to do about it. */
export function explain(error: unknown, path: string): string {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: undefined, message: String(error) };
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
    case -30794:
      return `${what}; it was written by another version of LMDB: use the version of portcullis that wrote it`;
    default:
      return `${what}; to start the counters from zero, move the file away together with ${FILE_NAME}-lock`;
  }
}

/** True where the file ends before the last page that its own header counts. */
function isShort(path: string, size: number): boolean {
  const head = Buffer.alloc(8192);
  const fd = openSync(path, 'r');
  try {
    if (readSync(fd, head, 0, head.length, 0) < head.length) return size > 0;
  } finally {
    closeSync(fd);
  }
  let last = 0n;
  // The header of each of the two meta pages: magic at 24, page size at 48, last page at 144.
  for (const at of [0, 4096]) {
    if (head.readUInt32LE(at + 24) !== 0xbeefc0de) continue;
    const end = (head.readBigUInt64LE(at + 144) + 1n) * BigInt(head.readUInt32LE(at + 48));
    if (end > last) last = end;
  }
  return last > BigInt(size);
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
  return explain(new StoreFault(`reading it ended a trial process (${run.signal ?? run.error?.message ?? `exit ${run.status}`})`), path);
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // A mark that stays only makes the next start look twice.
  }
}
