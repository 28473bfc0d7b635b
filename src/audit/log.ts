/**
 * The decision log: lines appended to one file. Promises: `commit` says `recorded` only when every line appended since
 * the last commit stands whole in the file; processes that share a file never mix their lines; a failed commit is
 * answered, never thrown, and the next one tries again.
 *
 * One `write` on an O_APPEND descriptor holds all lines of a commit. Should only a part fit, the cut line is ended and
 * written anew in full: a reader meets half a line only as a line of its own that is not JSON.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Decision } from '../decision/decision.ts';
import type { DecisionLog, LogOutcome } from '../gate/ports.ts';
import { decisionLine } from './line.ts';

export type DecisionLogOptions = {
  readonly file: string;
  /** Also writes to what is not a regular file. For tests of failing devices. */
  readonly allowDevice?: boolean;
  /** A monotonic clock in milliseconds; a test may hold it still. */
  readonly monotonicMs?: () => number;
  /** Writes, and answers how many bytes were taken. For tests of disks that take only a part. */
  readonly write?: (fd: number, bytes: Buffer) => number;
};

export type OpenDecisionLog = Omit<DecisionLog, 'commit'> & {
  commit(): LogOutcome;
  /** Writes what is left and closes the file; later commits of records are `unavailable`. */
  close(): LogOutcome;
};

export type OpenedLog =
  | { readonly ok: true; readonly log: OpenDecisionLog }
  | { readonly ok: false; readonly detail: string };

/** How often the file is looked for under its name: a log that was rotated or deleted is begun anew. */
const LOOK_EVERY_MS = 1000;
/** Far more than one burst of decisions. */
const MAX_BUFFERED_CHARS = 64 * 1024 * 1024;
/** Of UTF-8, for a UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3;
const KEPT_BYTES = 192 * 1024;
const RECORDED: LogOutcome = { kind: 'recorded' };
const NEWLINE = 0x0a;

export function openDecisionLog(options: DecisionLogOptions): OpenedLog {
  const log = new FileLog(options);
  const fault = log.open();
  return fault === undefined ? { ok: true, log } : { ok: false, detail: fault };
}

class FileLog implements OpenDecisionLog, DecisionLog {
  readonly #file: string;
  readonly #allowDevice: boolean;
  readonly #monotonicMs: () => number;
  readonly #writeSome: (fd: number, bytes: Buffer) => number;
  #fd: number | undefined;
  #ino = 0;
  #dev = 0;
  /** The file may end in half a line, so the next write ends it first. */
  #torn = false;
  #lookedAtMs = 0;
  #buffer = '';
  #bytes: Buffer | undefined;
  #lost: string | undefined;
  #closed = false;

  constructor(options: DecisionLogOptions) {
    this.#file = options.file;
    this.#allowDevice = options.allowDevice ?? false;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#writeSome = options.write ?? writeSync;
  }

  append(decision: Decision): void {
    if (this.#buffer.length > MAX_BUFFERED_CHARS) {
      this.#lost = 'more was appended in one go than the log holds back';
      return;
    }
    try {
      this.#buffer += decisionLine(decision);
    } catch {
      // FAIL-CLOSED: a decision without a line takes the whole commit with it.
      this.#lost = 'a decision could not be written as a line';
    }
  }

  commit(): LogOutcome {
    const lost = this.#lost;
    if (this.#buffer === '' && lost === undefined) return RECORDED;
    const lines = this.#buffer;
    this.#buffer = '';
    this.#lost = undefined;
    if (lost !== undefined) return this.#unavailable(lost);
    if (this.#closed) return this.#unavailable('the log is closed');
    const fault = this.#ready();
    if (fault !== undefined) return { kind: 'unavailable', detail: fault };
    try {
      this.#write(this.#encode(lines));
      return RECORDED;
    } catch (error) {
      // FAIL-CLOSED: whatever went wrong, these decisions are not on record; their calls are denied.
      this.#lookedAtMs = Number.NEGATIVE_INFINITY;
      if (!isFull(error)) this.#shut();
      return this.#unavailable(reasonOf(error));
    }
  }

  /** Into the same memory each time, unless they are uncommonly many. */
  #encode(lines: string): Buffer {
    if (lines.length * MAX_BYTES_PER_UNIT > KEPT_BYTES) return Buffer.from(lines);
    this.#bytes ??= Buffer.allocUnsafeSlow(KEPT_BYTES);
    return this.#bytes.subarray(0, this.#bytes.write(lines, 0, 'utf8'));
  }

  close(): LogOutcome {
    const outcome = this.commit();
    this.#closed = true;
    this.#shut();
    return outcome;
  }

  /** Opens the file under its name. Answers what is wrong. */
  open(): string | undefined {
    const fault = this.#tryOpen();
    // FAIL-CLOSED: where the name leads to nothing fit, the file it led to before is no longer the log either.
    if (fault !== undefined) this.#shut();
    return fault;
  }

  #tryOpen(): string | undefined {
    this.#lookedAtMs = this.#monotonicMs();
    let fd: number | undefined;
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      // O_NONBLOCK: opening a pipe nobody reads must fail, not wait. O_NOFOLLOW: a link could lead a log anywhere.
      const flags =
        constants.O_WRONLY |
        constants.O_APPEND |
        constants.O_CREAT |
        constants.O_NOFOLLOW |
        constants.O_NONBLOCK;
      fd = openSync(this.#file, flags, 0o600);
      const stats = fstatSync(fd);
      if (!stats.isFile() && !this.#allowDevice) {
        closeSync(fd);
        return this.#said('it is not a regular file: name a file of its own');
      }
      this.#adopt(fd, stats);
      return undefined;
    } catch (error) {
      if (fd !== undefined) closeQuietly(fd);
      return this.#said(reasonOf(error));
    }
  }

  #adopt(fd: number, stats: Stats): void {
    this.#shut();
    this.#fd = fd;
    this.#ino = stats.ino;
    this.#dev = stats.dev;
    this.#torn = stats.isFile() && stats.size > 0 && !endsLine(this.#file, stats.size);
  }

  /** At most once a second: is the open file still the one of this name, and the descriptor still ours? */
  #ready(): string | undefined {
    const now = this.#monotonicMs();
    if (this.#fd !== undefined && now - this.#lookedAtMs < LOOK_EVERY_MS && now >= this.#lookedAtMs)
      return undefined;
    this.#lookedAtMs = now;
    if (
      this.#fd !== undefined &&
      this.#isOurs(fstatQuietly(this.#fd)) &&
      this.#isOurs(lstatQuietly(this.#file))
    )
      return undefined;
    return this.open();
  }

  #isOurs(stats: Stats | undefined): boolean {
    return stats !== undefined && stats.ino === this.#ino && stats.dev === this.#dev;
  }

  /** @throws where not every line could be written whole. */
  #write(lines: Buffer): void {
    let rest = lines;
    for (;;) {
      const lead = this.#torn ? 1 : 0;
      const out = this.#torn ? Buffer.concat([Buffer.of(NEWLINE), rest]) : rest;
      const written = this.#writeSome(this.#fd as number, out);
      if (written === out.length) {
        this.#torn = false;
        return;
      }
      // INVARIANT: a line that was cut is begun again, and one that lacks nothing but its newline is given that.
      const taken = Math.max(written - lead, 0);
      const lacksNewline = taken > 0 && rest[taken] === NEWLINE;
      const whole = lacksNewline ? taken + 1 : taken === 0 ? 0 : rest.lastIndexOf(NEWLINE, taken - 1) + 1;
      if (written > 0) this.#torn = lacksNewline || taken > whole;
      if (whole === 0) throw new ShortWrite();
      rest = rest.subarray(whole);
    }
  }

  #shut(): void {
    if (this.#fd !== undefined) closeQuietly(this.#fd);
    this.#fd = undefined;
  }

  #said(what: string): string {
    return `the decision log ${this.#file} cannot be written: ${what}`;
  }

  #unavailable(what: string): LogOutcome {
    return { kind: 'unavailable', detail: this.#said(what) };
  }
}

class ShortWrite extends Error {}

/** Errors that another descriptor would not mend. */
function isFull(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return error instanceof ShortWrite || code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

function reasonOf(error: unknown): string {
  if (error instanceof ShortWrite) return 'only a part of it was taken; free some space';
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return `${code}, the disk or the quota is full: free some space`;
    case 'ELOOP':
      return 'ELOOP, it is a symbolic link: name the file itself';
    case 'ENXIO':
      return 'ENXIO, it is not a regular file: name a file of its own';
    case 'EACCES':
    case 'EPERM':
      return `${code}, the user that runs portcullis may not write it`;
    case 'EROFS':
      return 'EROFS, the file system is read-only: name another file';
    default:
      return code ?? message;
  }
}

/** A file that cannot be read is taken to end in half a line: the cost is an empty line. */
function endsLine(file: string, size: number): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const last = Buffer.alloc(1);
    return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] === NEWLINE;
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeQuietly(fd);
  }
}

function fstatQuietly(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    return undefined;
  }
}

function lstatQuietly(file: string): Stats | undefined {
  try {
    return lstatSync(file);
  } catch {
    return undefined;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Closed already, by whoever broke it.
  }
}
