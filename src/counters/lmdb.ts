/**
 * Durable counters in one LMDB file, shared exactly by all processes that name the same state directory: every reserve
 * is one write transaction. What was reserved survives a kill; after a power failure the last second's may be missing.
 *
 * A fault makes the answers `unavailable`, closes the file, and lets it be tried again after a while.
 */
import { closeSync, fdatasync, lstatSync } from 'node:fs';
import type { Backend, CounterUsage, Done, Held, Rows, Usage } from './backend.ts';
import { MAX_COUNTERS, StoreFault, SWEEP_ROWS, tooManyCounters } from './backend.ts';
import type { CounterKey } from './key.ts';
import { CounterLedger, type CounterStore } from './ledger.ts';
import {
  AFTER_ROWS,
  COMMIT_NOW,
  type CountersFile,
  ensureRoom,
  explain,
  FIRST_ROW,
  keyText,
  openCountersFile,
} from './lmdb-file.ts';
import { decodeRow, describeRow, encodeRow, rowEndMs } from './row.ts';

export type LmdbOptions = {
  readonly dir: string;
  readonly server: string;
  /** The wall clock, in milliseconds since the epoch. */
  readonly now: () => number;
  /** A monotonic clock in milliseconds; a test may hold it still. */
  readonly monotonicMs?: () => number;
  /** Told once when the file was deleted or replaced under a running process, so that counting began anew. */
  readonly note?: (message: string) => void;
};

export type OpenedCounters =
  | { readonly ok: true; readonly counters: CounterStore }
  | { readonly ok: false; readonly detail: string };

/** How often a file that failed is tried again, and how often a good one is checked to be still there. */
const LOOK_AGAIN_MS = 1000;
const FLUSH_AFTER_MS = 1000;
/** One step in this many also cleans up and looks at the room left. */
const TIDY_EVERY = 64;
const MUCH_BYTES = 32 * 1024;
const ROW_OVERHEAD = 32;
const FLOOR_KEY = Buffer.from('0floor');

export function openLmdbCounters(options: LmdbOptions): OpenedCounters {
  const opened = openCountersFile(options.dir);
  if (!opened.ok) return opened;
  return {
    ok: true,
    counters: new CounterLedger(options.server, options.now, new LmdbBackend(options, opened.file)),
  };
}

class LmdbBackend implements Backend, Rows {
  readonly #options: LmdbOptions;
  readonly #monotonicMs: () => number;
  #file: CountersFile | undefined;
  #identity: string;
  #generation = 1;
  #detail = '';
  #lookedAtMs: number;
  #steps = 0;
  /** Put in this step so far. */
  #stepBytes = 0;
  #sweepFrom: Buffer = FIRST_ROW;
  #closed = false;
  #flushTimer: NodeJS.Timeout | undefined;

  constructor(options: LmdbOptions, file: CountersFile) {
    this.#options = options;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#file = file;
    this.#identity = identityOf(file);
    this.#lookedAtMs = this.#monotonicMs();
  }

  get generation(): number {
    return this.#generation;
  }

  transact(nowMs: number, work: (rows: Rows) => void): Done {
    return this.#guarded((file) => {
      file.db.transactionSync(() => {
        this.#steps += 1;
        this.#stepBytes = 0;
        if (this.#steps % TIDY_EVERY === 0) this.#tidy(file, nowMs);
        work(this);
      }, COMMIT_NOW);
      this.#flushSoon(file);
    });
  }

  snapshot(work: (rows: Rows) => void): Done {
    return this.#guarded((file) => {
      try {
        work(this);
      } finally {
        // A snapshot that is kept would hide what other processes do next, and make the file grow.
        file.db.resetReadTxn();
      }
    });
  }

  get(key: CounterKey): Held | undefined {
    const text = this.#db().get(key.bytes);
    return text === undefined ? undefined : decodeRow(key.text, text);
  }

  put(key: CounterKey, held: Held, fresh: boolean): void {
    const file = this.#file;
    if (file === undefined) throw new StoreFault('the counters are closed');
    const text = encodeRow(key, held);
    this.#stepBytes += key.bytes.length + text.length + ROW_OVERHEAD;
    if (fresh) {
      const { entryCount } = file.db.getStats() as { readonly entryCount: number };
      if (entryCount >= MAX_COUNTERS) throw tooManyCounters();
    }
    if (fresh || this.#stepBytes > MUCH_BYTES) ensureRoom(file, this.#stepBytes);
    file.db.put(key.bytes, text);
  }

  floorMs(): number {
    const text = this.#db().get(FLOOR_KEY);
    if (text === undefined) return 0;
    if (!/^\d{1,16}$/.test(text)) throw new StoreFault('the record of cleaned windows is damaged');
    return Number(text);
  }

  usage(): Usage {
    const counters: CounterUsage[] = [];
    const done = this.snapshot(() => {
      for (const { key, value } of this.#db().getRange({ start: FIRST_ROW, end: AFTER_ROWS })) {
        counters.push(describeRow(keyText(key), value));
      }
    });
    return done.ok ? { ok: true, counters } : done;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#detail = 'the counters are closed';
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const dirty = this.#flushTimer !== undefined;
    clearTimeout(this.#flushTimer);
    if (dirty) await new Promise<void>((resolve) => fdatasync(file.fd, () => resolve()));
    closeSync(file.fd);
    await file.db.close();
  }

  #db(): CountersFile['db'] {
    if (this.#file === undefined) throw new StoreFault('the counters are closed');
    return this.#file.db;
  }

  #guarded(step: (file: CountersFile) => void): Done {
    const file = this.#ready();
    if (file === undefined) return { ok: false, detail: this.#detail };
    try {
      step(file);
      return { ok: true };
    } catch (error) {
      // FAIL-CLOSED: whatever went wrong, the transaction was undone and the calls of this step are denied.
      this.#fail(explain(error, file.path));
      return { ok: false, detail: this.#detail };
    }
  }

  #ready(): CountersFile | undefined {
    if (this.#closed) return undefined;
    const now = this.#monotonicMs();
    if (now - this.#lookedAtMs < LOOK_AGAIN_MS && now >= this.#lookedAtMs) return this.#file;
    this.#lookedAtMs = now;
    if (this.#file !== undefined && !isStillThere(this.#file)) {
      this.#fail(`${this.#file.path} was deleted or replaced`);
    }
    if (this.#file === undefined) this.#reopen();
    return this.#file;
  }

  #reopen(): void {
    const opened = openCountersFile(this.#options.dir);
    if (!opened.ok) {
      this.#detail = opened.detail;
      return;
    }
    this.#file = opened.file;
    this.#sweepFrom = FIRST_ROW;
    if (identityOf(opened.file) === this.#identity) return;
    this.#identity = identityOf(opened.file);
    this.#generation += 1;
    this.#options.note?.(
      `${opened.file.path} was deleted or replaced: the counters go on from what it holds now`,
    );
  }

  #fail(detail: string): void {
    this.#detail = detail;
    this.#lookedAtMs = this.#monotonicMs();
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    closeSync(file.fd);
    void file.db.close();
  }

  #flushSoon(file: CountersFile): void {
    if (this.#flushTimer !== undefined) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      if (this.#file === file) fdatasync(file.fd, () => {});
    }, FLUSH_AFTER_MS);
    this.#flushTimer.unref();
  }

  /** Removes a few rows whose windows are over, and remembers how late the latest of them ended. */
  #tidy(file: CountersFile, nowMs: number): void {
    ensureRoom(file, 0);
    let floor = this.floorMs();
    const before = floor;
    const spent: Buffer[] = [];
    let last: Buffer | undefined;
    let seen = 0;
    const limit = TIDY_EVERY * SWEEP_ROWS;
    for (const { key, value } of file.db.getRange({ start: this.#sweepFrom, end: AFTER_ROWS, limit })) {
      seen += 1;
      last = key;
      const endMs = rowEndMs(keyText(key), value);
      if (endMs > nowMs) continue;
      spent.push(key);
      floor = Math.max(floor, endMs);
    }
    for (const key of spent) file.db.remove(key);
    if (floor !== before) file.db.put(FLOOR_KEY, String(floor));
    this.#sweepFrom = seen < limit || last === undefined ? FIRST_ROW : Buffer.from(last);
  }
}

function identityOf(file: CountersFile): string {
  return `${file.dev}:${file.ino}`;
}

function isStillThere(file: CountersFile): boolean {
  try {
    const stats = lstatSync(file.path);
    return stats.ino === file.ino && stats.dev === file.dev;
  } catch {
    return false;
  }
}
