/**
 * The workers of a pool: starts as many as are wanted, counts those lost, and waits longer and longer between starts
 * that fail. Knows nothing of jobs.
 */
import { Lane, type LaneOptions, type LossReason } from './lane.ts';

export type CrewOptions = {
  readonly lane: LaneOptions;
  readonly startTimeoutMs: number;
  readonly firstRestartMs: number;
  readonly maxRestartMs: number;
};

export type CrewEvents = {
  /** A worker was started: tell it what it must know before it takes work. */
  started(lane: Lane): void;
  /** It took a step: runs, or compiled a policy. */
  progress(lane: Lane): void;
  loadFailed(lane: Lane, handle: number, detail: string): void;
  /** It must be given up, for this reason. */
  failed(lane: Lane, reason: Exclude<LossReason, 'closed'>, detail: string): void;
};

/** Failed starts in a row after which nobody is kept waiting. */
const DOWN_AFTER = 3;

export class Crew {
  readonly #options: CrewOptions;
  readonly #events: CrewEvents;
  readonly #startTimers = new Map<Lane, NodeJS.Timeout>();
  readonly #ending = new Set<Promise<void>>();
  #backoff: NodeJS.Timeout | undefined;
  #failedStarts = 0;
  #closed = false;

  /** In order of their start. */
  lanes: readonly Lane[] = [];
  wanted = 0;
  started = 0;
  readonly lost = { timeout: 0, crash: 0, out_of_memory: 0, distrusted: 0, start_failed: 0 };

  constructor(options: CrewOptions, events: CrewEvents) {
    this.#options = options;
    this.#events = events;
  }

  get ready(): number {
    let count = 0;
    for (const lane of this.lanes) if (lane.state === 'ready') count += 1;
    return count;
  }

  /** No worker is up, and starting them keeps failing. */
  get isDown(): boolean {
    return this.#failedStarts >= DOWN_AFTER && this.ready === 0;
  }

  /** `held`: how many lanes are held up, so that others are to stand in for them. */
  startMissing(held = 0): void {
    if (this.#closed || this.#backoff !== undefined) return;
    // However many are held up, at most as many again are started.
    const wanted = this.wanted + Math.min(held, this.wanted);
    while (this.lanes.length < wanted) this.#start();
  }

  /** Ends idle lanes that are not wanted any more, the youngest first. */
  trim(): void {
    for (let surplus = this.ready - this.wanted; surplus > 0; surplus--) {
      const idle = this.lanes.findLast(
        (lane) => lane.state === 'ready' && lane.pending.length === 0 && lane.loading.size === 0,
      );
      // One that compiles a policy is waited for: it goes another time.
      if (idle === undefined) return;
      this.#end(idle);
    }
  }

  markReady(lane: Lane): void {
    lane.state = 'ready';
    lane.readyAtMs = performance.now();
    clearTimeout(this.#startTimers.get(lane));
    this.#startTimers.delete(lane);
    this.#events.progress(lane);
  }

  /** Ends a lane that must be given up. */
  lose(lane: Lane, reason: Exclude<LossReason, 'closed'>): void {
    const starting = lane.state === 'starting';
    // One that dies as soon as it stands has not really started.
    const young = lane.answered === 0 && performance.now() - lane.readyAtMs < this.#options.firstRestartMs;
    this.lost[starting ? 'start_failed' : reason] += 1;
    this.#end(lane);
    if (starting || (young && reason !== 'timeout')) this.#startFailed();
    else this.#failedStarts = 0;
  }

  close(): Promise<unknown> {
    this.#closed = true;
    clearTimeout(this.#backoff);
    for (const lane of [...this.lanes]) this.#end(lane);
    return Promise.allSettled(this.#ending);
  }

  #start(): void {
    this.started += 1;
    const lane: Lane = new Lane(this.#options.lane, {
      progress: () => this.#events.progress(lane),
      loadFailed: (_, handle, detail) => this.#events.loadFailed(lane, handle, detail),
      died: (_, reason, detail) => this.#events.failed(lane, reason, detail),
    });
    this.lanes = [...this.lanes, lane];
    const { startTimeoutMs } = this.#options;
    const late = (): void =>
      this.#events.failed(lane, 'start_failed', `it did not start within ${startTimeoutMs} ms`);
    this.#startTimers.set(lane, setTimeout(late, startTimeoutMs));
    this.#events.started(lane);
  }

  #end(lane: Lane): void {
    clearTimeout(this.#startTimers.get(lane));
    this.#startTimers.delete(lane);
    this.lanes = this.lanes.filter((other) => other !== lane);
    lane.end();
    const { gone } = lane;
    this.#ending.add(gone);
    void gone.finally(() => this.#ending.delete(gone));
  }

  #startFailed(): void {
    this.#failedStarts += 1;
    if (this.#closed || this.#backoff !== undefined) return;
    const { firstRestartMs, maxRestartMs } = this.#options;
    const waitMs = Math.min(firstRestartMs * 2 ** (this.#failedStarts - 1), maxRestartMs);
    this.#backoff = setTimeout(() => {
      this.#backoff = undefined;
      this.startMissing();
    }, waitMs);
  }
}
