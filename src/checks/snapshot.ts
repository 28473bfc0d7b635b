/**
 * The memory of a WebAssembly instance at one moment, to be put back. Only pages in use are kept: the rest of what an
 * instance begins with is zero, and the allocator, whose books are put back too, hands it out as unused again.
 */
import type { Memory } from './quickjs.ts';

const PAGE = 4_096;

type Run = { readonly at: number; readonly bytes: Uint8Array };

export class Snapshot {
  readonly #memory: Memory;
  readonly #runs: Run[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
    const all = Buffer.from(memory.buffer);
    const pages = all.length / PAGE;
    for (let page = 0; page < pages; page++) {
      if (!inUse(all, page)) continue;
      let last = page;
      while (last + 1 < pages && inUse(all, last + 1)) last += 1;
      // One page more: what ends exactly at a page's end has its successor's books on the next.
      const end = Math.min(last + 2, pages) * PAGE;
      this.#runs.push({ at: page * PAGE, bytes: new Uint8Array(memory.buffer).slice(page * PAGE, end) });
      page = last + 1;
    }
  }

  /** Bytes held. */
  get size(): number {
    return this.#runs.reduce((sum, run) => sum + run.bytes.length, 0);
  }

  restore(): void {
    const all = new Uint8Array(this.#memory.buffer);
    for (const [i, { at, bytes }] of this.#runs.entries()) {
      all.set(bytes, at);
      const end = at + bytes.length;
      const next = this.#runs[i + 1]?.at ?? all.length;
      if (end < next) all.fill(0, end, Math.min(end + CLEARED, next));
    }
  }
}

/** Behind each part in use, where a call's own data lies: cleared as well, so that little of one call is there in the next. */
const CLEARED = 64 * 1024;

const ZEROS = Buffer.alloc(PAGE);

function inUse(all: Buffer, page: number): boolean {
  return ZEROS.compare(all, page * PAGE, (page + 1) * PAGE) !== 0;
}
