/**
 * The memory of a WebAssembly instance at one moment, to be put back. Only pages in use are kept: the rest of what an
 * instance begins with is zero, and the allocator, whose books are put back too, hands it out as unused again.
 */
import type { Memory } from './wasm.ts';

const PAGE = 4_096;

type Run = { readonly at: number; readonly bytes: Uint8Array };

export class Snapshot {
  readonly #memory: Memory;
  readonly #runs: Run[] = [];
  /** End of the last page in use. */
  readonly #end: number;

  constructor(memory: Memory) {
    this.#memory = memory;
    const words = new Uint32Array(memory.buffer);
    const pages = words.length / (PAGE / 4);
    let end = 0;
    for (let page = 0; page < pages; page++) {
      if (!inUse(words, page)) continue;
      let last = page;
      while (last + 1 < pages && inUse(words, last + 1)) last += 1;
      // One page more: what ends exactly at a page's end has its successor's books on the next.
      end = Math.min(last + 2, pages) * PAGE;
      this.#runs.push({ at: page * PAGE, bytes: new Uint8Array(memory.buffer).slice(page * PAGE, end) });
      page = last + 1;
    }
    this.#end = end;
  }

  /** Bytes held. */
  get size(): number {
    return this.#runs.reduce((sum, run) => sum + run.bytes.length, 0);
  }

  restore(): void {
    const all = new Uint8Array(this.#memory.buffer);
    for (const { at, bytes } of this.#runs) all.set(bytes, at);
    all.fill(0, this.#end, Math.min(this.#end + CLEARED, all.length));
  }
}

/** Behind the part in use, where a call's own data lies: cleared as well, so that little of one call is there in the next. */
const CLEARED = 64 * 1024;

function inUse(words: Uint32Array, page: number): boolean {
  const from = page * (PAGE / 4);
  for (let i = from; i < from + PAGE / 4; i++) if (words[i] !== 0) return true;
  return false;
}
