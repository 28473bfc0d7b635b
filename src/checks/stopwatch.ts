/**
 * How long a check has run: time of the processor where the system tells it (Linux), since on a busy machine a thread
 * may wait longer for a processor than a check may run; else time on the clock. Asked for in a tight loop.
 */
import { openSync, readSync } from 'node:fs';

/** However little of the processor it was given. */
const MAX_CLOCK_MS = 1_000;

export class Stopwatch {
  readonly #limitMs: number;
  readonly #usedMs: () => number | undefined;
  #startedMs: number | undefined;
  #usedBeforeMs: number | undefined;
  #nextLookMs = 0;

  constructor(limitMs: number, usedMs: () => number | undefined = threadUsedMs) {
    this.#limitMs = limitMs;
    this.#usedMs = usedMs;
  }

  start(): void {
    this.#usedBeforeMs = this.#usedMs();
    this.#startedMs = performance.now();
    this.#nextLookMs = this.#startedMs + this.#limitMs;
  }

  stop(): void {
    this.#startedMs = undefined;
  }

  get isOver(): boolean {
    const now = performance.now();
    // INVARIANT: a thread is given no more of a processor than time passes.
    if (this.#startedMs === undefined || now < this.#nextLookMs) return false;
    const elapsed = now - this.#startedMs;
    const used = this.#usedMs();
    if (used === undefined || this.#usedBeforeMs === undefined || elapsed >= MAX_CLOCK_MS) return true;
    const left = this.#limitMs - (used - this.#usedBeforeMs);
    this.#nextLookMs = now + Math.max(left, 0.1);
    return left <= 0;
  }
}

const text = Buffer.alloc(64);
/** Of the thread that this module runs in; null where the system has no such count. */
let file: number | null | undefined;

/** undefined where the system does not say. */
function threadUsedMs(): number | undefined {
  if (file === undefined) file = openQuietly();
  if (file === null) return undefined;
  try {
    // Nanoseconds, then other figures.
    const length = readSync(file, text, 0, text.length, 0);
    return Number.parseInt(text.toString('latin1', 0, length), 10) / 1_000_000;
  } catch {
    file = null;
    return undefined;
  }
}

function openQuietly(): number | null {
  try {
    return openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return null;
  }
}
