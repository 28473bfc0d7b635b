/**
 * Bulkheads: which calls have failed so often that they are kept apart. Pure; the clock comes with each question.
 *
 * One per session and tool. After a few failures in a window it is on *probation*: its calls are judged one at a
 * time, away from the others. After more in a row it is *quarantined*: denied unjudged, but for one call (a *probe*)
 * each back-off. Enough successes in a row clear it. The number of bulkheads is bounded; the longest untouched go.
 */

export type BulkheadOptions = {
  /** Failures within `windowMs` that put a bulkhead on probation. Default 3. */
  readonly probationAfter?: number;
  /** Failures in a row, none older than `windowMs`, that quarantine it. Default 10. */
  readonly quarantineAfter?: number;
  /** Default 60 s. */
  readonly windowMs?: number;
  /** Successes in a row that clear it. Default 5. */
  readonly clearAfter?: number;
  /** Between probes: the first wait, doubled by each probe that fails, up to the second. Defaults 1 s and 60 s. */
  readonly firstProbeMs?: number;
  readonly maxProbeMs?: number;
  /** Default 1000. */
  readonly maxBulkheads?: number;
};

export type Standing = 'clear' | 'probation' | 'quarantined';

export type Suspect = {
  readonly session: string;
  readonly tool: string;
  readonly standing: Exclude<Standing, 'clear'>;
  readonly failuresInARow: number;
};

type Bulkhead = {
  readonly session: string;
  readonly tool: string;
  standing: Standing;
  /** Instants of the failures in a row, oldest first, as many as count. */
  failures: number[];
  successes: number;
  backoffMs: number;
  nextProbeMs: number;
  probing: boolean;
};

export class Bulkheads {
  readonly #options: Required<BulkheadOptions>;
  /** In order of their last touch. */
  readonly #bulkheads = new Map<string, Bulkhead>();
  #suspects = 0;

  constructor(options: BulkheadOptions = {}) {
    this.#options = {
      probationAfter: options.probationAfter ?? 3,
      quarantineAfter: options.quarantineAfter ?? 10,
      windowMs: options.windowMs ?? 60_000,
      clearAfter: options.clearAfter ?? 5,
      firstProbeMs: options.firstProbeMs ?? 1_000,
      maxProbeMs: options.maxProbeMs ?? 60_000,
      maxBulkheads: options.maxBulkheads ?? 1_000,
    };
  }

  get hasSuspects(): boolean {
    return this.#suspects > 0;
  }

  standing(session: string, tool: string): Standing {
    return this.#bulkheads.get(key(session, tool))?.standing ?? 'clear';
  }

  /** Failures in a row of this tool, and of all tools of the session. */
  failures(session: string, tool: string): readonly [own: number, session: number] {
    let all = 0;
    for (const bulkhead of this.#bulkheads.values()) {
      if (bulkhead.session === session) all += bulkhead.failures.length;
    }
    return [this.#bulkheads.get(key(session, tool))?.failures.length ?? 0, all];
  }

  /** Whether a call of a suspect may be judged now, on probation; for a quarantined one that takes the probe. */
  admits(session: string, tool: string, nowMs: number): boolean {
    const bulkhead = this.#bulkheads.get(key(session, tool));
    if (bulkhead === undefined || bulkhead.standing !== 'quarantined') return true;
    if (bulkhead.probing || nowMs < bulkhead.nextProbeMs) return false;
    bulkhead.probing = true;
    return true;
  }

  /** True where the standing changed. */
  fail(session: string, tool: string, nowMs: number): boolean {
    const { probationAfter, quarantineAfter, windowMs } = this.#options;
    const bulkhead = this.#touch(session, tool);
    bulkhead.successes = 0;
    bulkhead.failures = bulkhead.failures.filter((at) => nowMs - at < windowMs).slice(1 - quarantineAfter);
    bulkhead.failures.push(nowMs);
    const count = bulkhead.failures.length;
    if (bulkhead.standing === 'quarantined') {
      if (bulkhead.probing) bulkhead.backoffMs = Math.min(2 * bulkhead.backoffMs, this.#options.maxProbeMs);
      this.#awaitProbe(bulkhead, nowMs);
      return false;
    }
    if (count >= quarantineAfter) {
      this.#move(bulkhead, 'quarantined');
      bulkhead.backoffMs = this.#options.firstProbeMs;
      this.#awaitProbe(bulkhead, nowMs);
      return true;
    }
    return bulkhead.standing === 'clear' && count >= probationAfter && this.#move(bulkhead, 'probation');
  }

  /** A suspect's call was judged. True where the standing changed. */
  succeed(session: string, tool: string): boolean {
    const bulkhead = this.#bulkheads.get(key(session, tool));
    if (bulkhead === undefined || bulkhead.standing === 'clear') return false;
    bulkhead.failures = [];
    bulkhead.probing = false;
    bulkhead.successes += 1;
    if (bulkhead.successes >= this.#options.clearAfter) {
      this.#move(bulkhead, 'clear');
      this.#bulkheads.delete(key(session, tool));
      return true;
    }
    return bulkhead.standing === 'quarantined' && this.#move(bulkhead, 'probation');
  }

  /** The call that was let through ended without telling anything (it waited too long, say): the probe is free again. */
  release(session: string, tool: string): void {
    const bulkhead = this.#bulkheads.get(key(session, tool));
    if (bulkhead !== undefined) bulkhead.probing = false;
  }

  /** A new policy: what failed under the old one says nothing of it. */
  clear(): void {
    this.#bulkheads.clear();
    this.#suspects = 0;
  }

  suspects(): readonly Suspect[] {
    const found: Suspect[] = [];
    for (const { session, tool, standing, failures } of this.#bulkheads.values()) {
      if (standing !== 'clear') found.push({ session, tool, standing, failuresInARow: failures.length });
    }
    return found;
  }

  #touch(session: string, tool: string): Bulkhead {
    const name = key(session, tool);
    const known = this.#bulkheads.get(name);
    const bulkhead: Bulkhead = known ?? {
      session,
      tool,
      standing: 'clear',
      failures: [],
      successes: 0,
      backoffMs: 0,
      nextProbeMs: 0,
      probing: false,
    };
    this.#bulkheads.delete(name);
    if (this.#bulkheads.size >= this.#options.maxBulkheads) {
      const [[oldest, gone]] = this.#bulkheads as unknown as [[string, Bulkhead]];
      this.#move(gone, 'clear');
      this.#bulkheads.delete(oldest);
    }
    this.#bulkheads.set(name, bulkhead);
    return bulkhead;
  }

  #move(bulkhead: Bulkhead, standing: Standing): true {
    this.#suspects += Number(standing !== 'clear') - Number(bulkhead.standing !== 'clear');
    bulkhead.standing = standing;
    bulkhead.successes = standing === 'clear' ? 0 : bulkhead.successes;
    return true;
  }

  #awaitProbe(bulkhead: Bulkhead, nowMs: number): void {
    bulkhead.probing = false;
    bulkhead.nextProbeMs = nowMs + bulkhead.backoffMs;
  }
}

function key(session: string, tool: string): string {
  return `${session.length}:${session}${tool}`;
}
