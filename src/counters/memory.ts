/** Counters in this process's memory: for tests and for those who want no file. They start from zero with the process. */
import type { Backend, CounterUsage, Done, Held, Rows, Usage } from './backend.ts';
import { MAX_COUNTERS, StoreFault, SWEEP_ROWS, tooManyCounters } from './backend.ts';
import type { CounterKey } from './key.ts';
import { CounterLedger, type CounterStore } from './ledger.ts';
import { windowEndMs, windowStartMs } from './window.ts';

export function createMemoryCounters(options: {
  readonly server: string;
  readonly now: () => number;
}): CounterStore {
  return new CounterLedger(options.server, options.now, new MemoryBackend());
}

const CLOSED = 'the counters are closed';

type Row = { readonly key: CounterKey; readonly held: Held };

class MemoryBackend implements Backend, Rows {
  readonly generation = 1;
  readonly #rows = new Map<string, Row>();
  readonly #staged = new Map<string, Row>();
  #floorMs = 0;
  #sweep = this.#rows.values();
  #closed = false;

  transact(nowMs: number, work: (rows: Rows) => void): Done {
    this.#staged.clear();
    const done = this.snapshot(work);
    if (!done.ok) return done;
    for (const [text, row] of this.#staged) this.#rows.set(text, row);
    this.#clean(nowMs);
    return done;
  }

  snapshot(work: (rows: Rows) => void): Done {
    if (this.#closed) return { ok: false, detail: CLOSED };
    try {
      work(this);
      return { ok: true };
    } catch (error) {
      // FAIL-CLOSED: whatever went wrong, nothing was put, and the calls of this step are denied.
      return {
        ok: false,
        detail: error instanceof StoreFault ? error.message : `the counters failed: ${String(error)}`,
      };
    }
  }

  get(key: CounterKey): Held | undefined {
    return this.#rows.get(key.text)?.held;
  }

  put(key: CounterKey, held: Held, fresh: boolean): void {
    if (this.#rows.size + this.#staged.size >= MAX_COUNTERS && fresh) throw tooManyCounters();
    this.#staged.set(key.text, { key, held });
  }

  floorMs(): number {
    return this.#floorMs;
  }

  #clean(nowMs: number): void {
    for (let i = 0; i < SWEEP_ROWS; i++) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = this.#rows.values();
        return;
      }
      const { key, held } = next.value;
      const endMs = windowEndMs(key.ref.window, held.index);
      if (endMs > nowMs) continue;
      this.#rows.delete(key.text);
      this.#floorMs = Math.max(this.#floorMs, endMs);
    }
  }

  usage(): Usage {
    if (this.#closed) return { ok: false, detail: CLOSED };
    const counters: CounterUsage[] = [];
    for (const { key, held } of this.#rows.values()) {
      const { window } = key.ref;
      counters.push({
        ...key.ref,
        server: key.server,
        startsMs: windowStartMs(window, held.index),
        endsMs: windowEndMs(window, held.index),
        used: held.used.toString(),
      });
    }
    return { ok: true, counters };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}
