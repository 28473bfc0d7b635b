/**
 * The evaluator pool: judges messages in worker threads, and gives every job exactly one outcome within its
 * deadline, whatever its worker does. A job whose worker hangs, dies or lies is denied alone; the finished ones
 * beside it keep their verdicts, those not begun go to another lane.
 *
 * submit → queue → lane (ring) → answer → done. `watch` looks at deadlines while anything is under way; `#lose`
 * decides what becomes of a lost lane's jobs.
 */
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { Culprit } from '../decision/obligation.ts';
import type { EvaluationFailureReason } from '../decision/reason.ts';
import type { SessionDescription } from '../decision/session-facts.ts';
import type { Verdict } from '../decision/verdict.ts';
import type { Evaluator, Job, JobOutcome, PolicyInForce } from '../gate/ports.ts';
import { type BulkheadOptions, Bulkheads, type Suspect } from './bulkhead.ts';
import { Crew } from './crew.ts';
import { decodeReading, decodeVerdict, verdictAgain } from './decode-verdict.ts';
import type { Entry, Lane, LossReason } from './lane.ts';
import { Policies } from './policies.ts';
import { Trust } from './trust.ts';
import {
  type Injections,
  MAX_NUMBERED,
  microsBetween,
  type Response,
  type Suspects,
  sharedClock,
  TAG,
} from './wire.ts';

export type PoolOptions = {
  /** Workers that judge. Default: the processor's parallelism less one, at least 1, at most 4. */
  readonly lanes?: number;
  /** Started workers that stand ready for a lost lane. Default 1. */
  readonly spares?: number;
  /** How long an evaluation may run, in milliseconds of the processor where the system counts them (Linux), else of
   * the clock: this, and as much again for each 128 KiB of its message. Default 50. */
  readonly runTimeoutMs?: number;
  /** From submit to outcome. Default 1000. */
  readonly totalTimeoutMs?: number;
  /** Jobs and bytes under way, beyond which a job is answered `overload`; twice that for `read` jobs. Defaults 1024 and 64 MiB. */
  readonly queueLimit?: number;
  readonly queueBytes?: number;
  /** Calls of tools that failed of late which may wait to be judged apart. Default 4. */
  readonly probationLimit?: number;
  /** After such a call cost its worker, so many times as long as it took passes before the next. Default 4. */
  readonly restFactor?: number;
  /**
   * Of each worker, in MiB. Defaults 256, 8 and 4. What the largest message is read into must fit in the first: a
   * worker that goes beyond it by small steps is ended alone, but one large step beyond ends the whole process (Node
   * and V8 know no way back from it).
   */
  readonly maxOldGenerationSizeMb?: number;
  readonly maxYoungGenerationSizeMb?: number;
  readonly stackSizeMb?: number;
  /** Of each of a lane's two rings: a power of two. Default 256 KiB. */
  readonly ringBytes?: number;
  /** How long a worker may take to start, and a policy to be compiled everywhere. Defaults 10 s. */
  readonly startTimeoutMs?: number;
  readonly loadTimeoutMs?: number;
  /** Wait after a worker that could not be started, doubled up to the second. Defaults 50 and 5000. */
  readonly firstRestartMs?: number;
  readonly maxRestartMs?: number;
  readonly bulkheads?: BulkheadOptions;
  /** Path or file URL of the worker's module. */
  readonly workerFile?: string | URL;
  /** The rule of a program that a judge's cursor points at. */
  readonly locate?: (program: unknown, rule: number, part: number) => Culprit | undefined;
  /** Told what an operator may want to know. */
  readonly note?: (level: 'info' | 'warn', message: string) => void;
};

export type PoolStats = {
  /** `up`: all lanes and spares; `degraded`: at least one; `starting`; `down`: no worker can be started. */
  readonly state: 'starting' | 'up' | 'degraded' | 'down' | 'closed';
  readonly lanes: number;
  readonly ready: number;
  readonly starting: number;
  /** Jobs waiting for a lane, and handed to one. */
  readonly queued: number;
  readonly inFlight: number;
  readonly bytes: number;
  /** Workers started since the pool was made. */
  readonly started: number;
  readonly lost: Readonly<Record<Exclude<LossReason, 'closed'>, number>>;
  readonly policies: number;
  readonly suspects: readonly Suspect[];
};

export type Pool = Evaluator & {
  /**
   * Has every lane compile a policy. Bulkheads start anew.
   * @throws PolicyLoadError (rejects) where a lane cannot; the policies in force stay.
   */
  load(program: unknown, digest: string, injections?: Injections): Promise<PolicyInForce>;
  /** Lets a policy go once the evaluations under it have ended. */
  unload(handle: number): void;
  stats(): PoolStats;
  /** Resolves when all lanes and spares stand ready; rejects when the pool is closed. */
  ready(): Promise<void>;
  /** Gives every job under way an outcome and ends all workers. */
  close(): Promise<void>;
};

export function createPool(options: PoolOptions = {}): Pool {
  return new LanePool(options);
}

const MIB = 1024 * 1024;
/** Longer messages may take longer: as much again for each so many bytes. */
const SIZE_STEP = 128 * 1024;
const WATCH_MS = 2;
/** An evaluation that runs longer holds up those behind it: another lane takes them over. */
const STALL_US = 2_000;
/** An evaluation is first seen after a stall and a tick of the watch. */
const UNSEEN_US = STALL_US + 1000 * WATCH_MS;
/** Until a lane holds so many it is given more before another is woken. */
const BATCH = 4;
/** One that runs longer than this makes the pool cautious for so long; one that cost its worker, for so long. */
const CAUTION_US = 4_000;
const STALL_CAUTION_MS = 100;
const LOSS_CAUTION_MS = 60_000;
const MAX_SESSIONS = 10_000;
const MAX_PENDING = 256;
/** One call at a time: how long the main thread may stand still for an answer. */
const INLINE_WAIT_US = 200;
const INLINE_SPIN_US = 40;
const MAX_INLINE_PENALTY = 1024;
/** Ticks of the watch between two looks at the jobs that wait. */
const EXPIRE_EVERY = 5;
const FAILURES: Readonly<Record<Exclude<LossReason, 'closed'>, EvaluationFailureReason>> = {
  timeout: 'evaluation_timeout',
  crash: 'evaluation_crash',
  out_of_memory: 'evaluation_out_of_memory',
  distrusted: 'evaluation_crash',
  start_failed: 'evaluation_crash',
};

class LanePool implements Pool {
  readonly #options: Required<Omit<PoolOptions, 'bulkheads' | 'workerFile' | 'note' | 'locate'>>;
  readonly #note: (level: 'info' | 'warn', message: string) => void;
  readonly #locate: NonNullable<PoolOptions['locate']>;
  readonly #now: () => number;
  /** Grows with every answer; shared with all workers. */
  readonly #bell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #crew: Crew;
  readonly #policies = new Policies(() => this.#crew.lanes);
  readonly #bulkheads: Bulkheads;
  readonly #trust: Trust;
  #caution: NodeJS.Timeout | undefined;
  #cautiousUntilUs = 0;
  /** Some worker was lost of late. */
  #isAlarmed = false;
  /** Until then no call that is known to fail is judged. */
  #restUntilUs = 0;
  /** Sessions as the lanes know them. */
  readonly #sessions = new Map<string, number>();
  #nextSession = 1;
  /** What is known of sessions, the longest unchanged first. */
  readonly #descriptions = new Map<string, SessionDescription>();
  /** Messages whose evaluation failed: a `read` of the same bytes names the tool to charge. */
  readonly #blamed = new WeakSet<Uint8Array>();

  #queue: Entry[] = [];
  #probation: Entry[] = [];
  #onProbation: Entry | null = null;
  /** Refused by `submit`, to be told in `flush`. */
  #refused: Entry[] = [];
  #jobs = 0;
  #bytes = 0;

  #seenBell = 0;
  #armed = false;
  #delivering = false;
  #flushScheduled = false;
  #watch: NodeJS.Timeout | undefined;
  #ticks = 0;
  #inlineSkip = 0;
  #inlinePenalty = 1;
  #waitingForReady: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #closed: Promise<void> | null = null;

  constructor(options: PoolOptions) {
    this.#options = {
      lanes: options.lanes ?? Math.max(1, Math.min(4, availableParallelism() - 1)),
      spares: options.spares ?? 1,
      runTimeoutMs: options.runTimeoutMs ?? 50,
      totalTimeoutMs: options.totalTimeoutMs ?? 1_000,
      queueLimit: options.queueLimit ?? 1_024,
      queueBytes: options.queueBytes ?? 64 * MIB,
      probationLimit: options.probationLimit ?? 4,
      restFactor: options.restFactor ?? 4,
      maxOldGenerationSizeMb: options.maxOldGenerationSizeMb ?? 256,
      maxYoungGenerationSizeMb: options.maxYoungGenerationSizeMb ?? 8,
      stackSizeMb: options.stackSizeMb ?? 4,
      ringBytes: options.ringBytes ?? 256 * 1024,
      startTimeoutMs: options.startTimeoutMs ?? 10_000,
      loadTimeoutMs: options.loadTimeoutMs ?? 10_000,
      firstRestartMs: options.firstRestartMs ?? 50,
      maxRestartMs: options.maxRestartMs ?? 5_000,
    };
    this.#note = options.note ?? (() => {});
    this.#locate = options.locate ?? (() => undefined);
    this.#bulkheads = new Bulkheads(options.bulkheads);
    const clockOriginUs = Number(process.hrtime.bigint() / 1000n);
    this.#now = sharedClock(clockOriginUs);
    const trust = Trust.buffer();
    this.#trust = new Trust(trust);
    const lane = {
      trust,
      workerFile: workerUrl(options.workerFile),
      bell: this.#bell.buffer as SharedArrayBuffer,
      ringBytes: this.#options.ringBytes,
      clockOriginUs,
      resourceLimits: {
        maxOldGenerationSizeMb: this.#options.maxOldGenerationSizeMb,
        maxYoungGenerationSizeMb: this.#options.maxYoungGenerationSizeMb,
        stackSizeMb: this.#options.stackSizeMb,
      },
    };
    this.#crew = new Crew(
      { ...this.#options, lane },
      {
        started: (started) => {
          this.#policies.equip(started);
          started.tell({ type: 'suspects', suspects: this.#suspects() });
          this.#tellSessions([started]);
        },
        progress: (moved) => this.#progress(moved),
        loadFailed: (failed, handle, detail) => {
          if (this.#policies.refused(handle, detail)) this.#progress(failed);
          else this.#lose(failed, 'crash', `it cannot compile a policy that others could: ${detail}`);
        },
        failed: (failed, reason, detail) => this.#lose(failed, reason, detail),
      },
    );
    this.#policies.onStuck = (stuck) =>
      this.#lose(stuck, 'crash', 'it did not come back from compiling a policy');
    this.#setWanted();
  }

  submit(job: Job): void {
    const share = job.kind === 'read' ? 2 : 1;
    const known = this.#policies.has(job.policy);
    const entry: Entry = {
      job,
      submittedUs: this.#now(),
      policy: known ? job.policy : 0,
      session: this.#sessionNumber(job.session),
      lied: false,
      seq: 0,
      handedOverUs: 0,
      settled: false,
    };
    this.#scheduleFlush();
    const full =
      this.#jobs >= share * this.#options.queueLimit ||
      this.#bytes + job.bytes.length > share * this.#options.queueBytes;
    this.#jobs += 1;
    this.#bytes += job.bytes.length;
    this.#policies.use(entry.policy);
    // Told in flush and not here, so that no caller is called back while it submits.
    if (full || this.#closed !== null || (!known && job.kind !== 'read')) this.#refused.push(entry);
    // A reading answers a failed evaluation that has waited already, and cannot itself take long.
    else if (job.kind === 'read') this.#queue.unshift(entry);
    else this.#queue.push(entry);
  }

  describe(session: string, description: SessionDescription): void {
    this.#descriptions.delete(session);
    this.#descriptions.set(session, description);
    if (this.#descriptions.size > MAX_SESSIONS) {
      const [oldest] = this.#descriptions.keys();
      if (oldest !== undefined) this.forget(oldest);
    }
    const number = this.#sessionNumber(session);
    for (const lane of this.#crew.lanes) lane.tell({ type: 'session', session: number, description });
  }

  forget(session: string): void {
    if (!this.#descriptions.delete(session)) return;
    const number = this.#sessionNumber(session);
    for (const lane of this.#crew.lanes) lane.tell({ type: 'session', session: number, description: null });
  }

  #tellSessions(lanes: readonly Lane[]): void {
    for (const [session, description] of this.#descriptions) {
      const number = this.#sessionNumber(session);
      for (const lane of lanes) lane.tell({ type: 'session', session: number, description });
    }
  }

  flush(): void {
    if (this.#delivering) {
      this.#scheduleFlush();
      return;
    }
    this.#tellRefused();
    this.#dispatch();
    this.#waitInline();
    this.#arm();
  }

  load(program: unknown, digest: string, injections: Injections = {}): Promise<PolicyInForce> {
    if (this.#closed !== null) return Promise.reject(new Error('the evaluator pool is closed'));
    this.#bulkheads.clear();
    this.#trust.clear();
    this.#tellSuspects();
    return this.#policies.load(program, digest, injections, this.#options.loadTimeoutMs);
  }

  unload(handle: number): void {
    this.#policies.unload(handle);
  }

  stats(): PoolStats {
    const { lanes, ready, started, lost, isDown } = this.#crew;
    const inFlight = lanes.reduce((sum, lane) => sum + lane.pending.length, 0);
    const full = this.#options.lanes + this.#options.spares;
    const up = ready >= full ? 'up' : ready > 0 ? 'degraded' : isDown ? 'down' : 'starting';
    return {
      state: this.#closed === null ? up : 'closed',
      lanes: this.#options.lanes,
      ready,
      starting: lanes.length - ready,
      queued: this.#queue.length + this.#probation.length,
      inFlight,
      bytes: this.#bytes,
      started,
      lost: { ...lost },
      policies: this.#policies.size,
      suspects: this.#bulkheads.suspects(),
    };
  }

  ready(): Promise<void> {
    if (this.#closed !== null) return Promise.reject(new Error('the evaluator pool is closed'));
    if (this.stats().state === 'up') return Promise.resolve();
    return new Promise((resolve, reject) => this.#waitingForReady.push({ resolve, reject }));
  }

  close(): Promise<void> {
    if (this.#closed !== null) return this.#closed;
    // Set before any outcome is told, so that what callers submit in return is refused.
    let closed: () => void = () => {};
    this.#closed = new Promise((resolve) => {
      closed = resolve;
    });
    clearInterval(this.#watch);
    clearTimeout(this.#caution);
    this.#watch = undefined;
    const entries = [...this.#crew.lanes.flatMap((lane) => lane.pending), ...this.#queue, ...this.#probation];
    this.#queue = [];
    this.#probation = [];
    const ended = this.#crew.close();
    for (const entry of entries) this.#fail(entry, 'evaluation_crash', 'the evaluator pool was closed');
    this.#tellRefused();
    this.#policies.close();
    for (const { reject } of this.#waitingForReady.splice(0))
      reject(new Error('the evaluator pool was closed'));
    // Lets go of the wait on the bell.
    Atomics.add(this.#bell, 0, 1);
    Atomics.notify(this.#bell, 0);
    void ended.then(closed);
    return this.#closed;
  }

  // --- work on its way to the lanes

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  #tellRefused(): void {
    while (this.#refused.length > 0) {
      for (const entry of this.#refused.splice(0)) {
        if (this.#closed !== null) this.#fail(entry, 'evaluation_crash', 'the evaluator pool is closed');
        else if (entry.policy === 0 && entry.job.kind !== 'read')
          this.#fail(entry, 'evaluation_error', 'the policy is not loaded');
        else this.#fail(entry, 'overload', 'too many messages wait to be judged');
      }
    }
  }

  #dispatch(): void {
    if (this.#queue.length > 0) this.#dispatchQueue();
    if (this.#probation.length > 0) this.#dispatchProbation();
  }

  #dispatchQueue(): void {
    const nowUs = this.#now();
    const lanes = this.#eligible(nowUs).slice(0, this.#options.lanes);
    let taken = 0;
    while (taken < this.#queue.length) {
      const entry = this.#queue[taken] as Entry;
      const lane = pick(lanes, entry);
      if (lane === undefined) break;
      if (lane.write(entry, nowUs)) taken += 1;
      else lanes.splice(lanes.indexOf(lane), 1);
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken);
    for (const lane of this.#crew.lanes) lane.ring();
    if (this.#queue.length > 0 && this.#crew.isDown) {
      for (const entry of this.#queue.splice(0)) {
        this.#fail(entry, 'evaluation_crash', 'no evaluator worker can be started');
      }
    }
  }

  /** Calls kept apart run one at a time, on a lane that the others do not need; first those with the fewest failures. */
  #dispatchProbation(): void {
    if (this.#onProbation !== null) return;
    const nowUs = this.#now();
    const lanes = this.#eligible(nowUs).slice(this.#options.lanes);
    const lane = lanes.find((candidate) => candidate.pending.length === 0);
    if (lane === undefined) {
      this.#setWanted();
      return;
    }
    const [best] = this.#byFailures();
    if (best === undefined || (best.failures > 0 && nowUs < this.#restUntilUs)) return;
    if (!lane.write(best.entry, nowUs)) return;
    this.#probation.splice(this.#probation.indexOf(best.entry), 1);
    this.#onProbation = best.entry;
    lane.ring();
  }

  /** The calls kept apart: sessions and tools that failed least come first, and among equals who came first. */
  #byFailures(): { readonly entry: Entry; readonly failures: number; readonly ofSession: number }[] {
    return this.#probation
      .map((entry) => {
        const [failures, ofSession] = this.#bulkheads.failures(
          entry.job.session,
          entry.probation?.tool ?? '',
        );
        return { entry, failures, ofSession };
      })
      .sort((a, b) => a.failures - b.failures || a.ofSession - b.ofSession);
  }

  /** Lanes that can take work, those that judge at once before those that compile a policy. */
  #eligible(nowUs: number): Lane[] {
    const able = this.#crew.lanes.filter((lane) => {
      if (lane.state !== 'ready' || lane.isRevoked) return false;
      const runUs = lane.runningUs(nowUs);
      if (runUs > CAUTION_US) this.#beCautious(lane, STALL_CAUTION_MS);
      return runUs < STALL_US && (this.#onProbation === null || !lane.pending.includes(this.#onProbation));
    });
    if (!able.some((lane) => lane.loading.size > 0)) return able;
    return [
      ...able.filter((lane) => lane.loading.size === 0),
      ...able.filter((lane) => lane.loading.size > 0),
    ];
  }

  // --- answers

  /** Sleeping and being woken cost more than most evaluations take. */
  #spin(): boolean {
    const untilUs = this.#now() + INLINE_SPIN_US;
    do {
      for (let i = 0; i < 50; i++) if (Atomics.load(this.#bell, 0) !== this.#seenBell) return true;
    } while (this.#now() < untilUs);
    return false;
  }

  get #isIdle(): boolean {
    return this.#jobs === 0;
  }

  /** One call at a time: its answer mostly comes within the time that going to sleep and waking up would take. */
  #waitInline(): void {
    if (this.#jobs !== 1 || this.#queue.length > 0 || this.#probation.length > 0) return;
    if (!this.#crew.lanes.some((lane) => lane.pending.length === 1)) return;
    if (this.#inlineSkip > 0) {
      this.#inlineSkip -= 1;
      return;
    }
    const untilUs = this.#now() + INLINE_WAIT_US;
    for (let leftUs = INLINE_WAIT_US; leftUs > 0; leftUs = untilUs - this.#now()) {
      this.#collect();
      if (this.#isIdle) {
        this.#inlinePenalty = 1;
        return;
      }
      if (!this.#spin()) Atomics.wait(this.#bell, 0, this.#seenBell, leftUs / 1000);
    }
    this.#collect();
    // Slow evaluations: try more and more rarely.
    this.#inlineSkip = this.#inlinePenalty;
    this.#inlinePenalty = Math.min(2 * this.#inlinePenalty, MAX_INLINE_PENALTY);
  }

  /** Asks to be woken by the next answer. */
  #arm(): void {
    if (this.#closed !== null) return;
    if (this.#jobs > 0) this.#startWatch();
    if (this.#armed) return;
    for (let round = 0; ; round++) {
      if (!this.#crew.lanes.some((lane) => lane.pending.length > 0)) return;
      const waiting = Atomics.waitAsync(this.#bell, 0, this.#seenBell);
      if (waiting.async) {
        this.#armed = true;
        void waiting.value.then(() => {
          this.#armed = false;
          this.#goOn();
        });
        return;
      }
      if (round >= 4) {
        this.#armed = true;
        setImmediate(() => {
          this.#armed = false;
          this.#goOn();
        });
        return;
      }
      this.#collect();
      this.#dispatch();
    }
  }

  #goOn(): void {
    if (this.#closed !== null || this.#delivering) return;
    this.#collect();
    this.#tellRefused();
    this.#dispatch();
    this.#arm();
  }

  /** Delivers all answers there are. */
  #collect(): void {
    if (this.#delivering) return;
    // Read before the rings: an answer written after this makes the next wait return at once.
    this.#seenBell = Atomics.load(this.#bell, 0);
    for (const lane of [...this.#crew.lanes]) if (lane.hasAnswers) this.#collectFrom(lane);
  }

  #collectFrom(lane: Lane): void {
    while (lane.state !== 'lost') {
      const found = lane.next();
      if (found === null) {
        lane.release();
        return;
      }
      if (found === 'broken') {
        return this.#lose(lane, 'distrusted', 'it answered what it was not asked');
      }
      if (!this.#accept(lane, found.entry, found.response)) {
        const { entry, response } = found;
        this.#blame(
          entry,
          'evaluation_crash',
          'the answer was not a verdict',
          response.startedUs,
          response.durationUs,
        );
        return this.#lose(lane, 'distrusted', 'its answer was not a verdict');
      }
    }
  }

  #verdictFrom(lane: Lane, kind: 'judge' | 'read', response: Response, text: string): Verdict | null {
    const { tag, known } = response;
    if (tag === TAG.again) {
      const before = kind === 'judge' ? lane.numbered[known] : undefined;
      return before === undefined ? null : verdictAgain(before, text);
    }
    if (tag !== TAG.answer && tag !== TAG.answerOnPort) return null;
    const verdict = decodeVerdict(kind, text);
    // FAIL-CLOSED: what cannot be a number leaves nothing to refer to, so a later reference is no verdict.
    if (known > 0 && known <= MAX_NUMBERED && kind === 'judge' && verdict?.kind === 'call')
      lane.numbered[known] = verdict;
    return verdict;
  }

  /** False where the answer is not one to this job. */
  #accept(lane: Lane, entry: Entry, response: Response): boolean {
    const { job } = entry;
    const { startedUs, durationUs } = response;
    if (response.tag === TAG.threw) {
      this.#blame(entry, 'evaluation_error', 'the evaluation ended in an error', startedUs, durationUs);
      return true;
    }
    const text = response.tag === TAG.answerOnPort ? lane.textOnPort(response.seq) : response.text;
    if (text === undefined) return false;
    const queueUs = microsBetween(entry.submittedUs, startedUs);
    if (job.kind === 'server') {
      if (response.tag === TAG.again) return false;
      const reading = decodeReading(text, job.bytes.length);
      if (reading === null) return false;
      this.#deliver(entry, { kind: 'reading', reading, queueUs, evaluationUs: durationUs });
      return true;
    }
    const verdict = this.#verdictFrom(lane, job.kind, response, text);
    if (verdict === null) return false;
    const outcome: JobOutcome = { kind: 'verdict', verdict, queueUs, evaluationUs: durationUs };
    if (verdict.kind === 'call' && verdict.suspect !== undefined) {
      // FAIL-CLOSED: a lane told to judge a suspect's call may not decline.
      if (entry.probation !== undefined) return false;
      this.#keepApart(entry, verdict.tool, { ...outcome, verdict: { ...verdict, suspect: 'quarantined' } });
      return true;
    }
    if (verdict.kind === 'call' && job.kind === 'read' && this.#blamed.delete(job.bytes)) {
      this.#charge(job.session, verdict.tool);
    }
    if (verdict.kind === 'call' && job.kind === 'judge' && verdict.unannounced === undefined) {
      this.#trust.prove(Trust.bitOf(entry.session, verdict.tool));
    }
    if (entry.probation !== undefined) {
      if (this.#bulkheads.succeed(job.session, entry.probation.tool)) this.#tellSuspects();
      this.#rejoin(job.session, entry.probation.tool);
    }
    this.#deliver(entry, outcome);
    return true;
  }

  // --- bulkheads

  /** A lane declined to judge a call beside others: it is judged apart, or not at all. */
  #keepApart(entry: Entry, tool: string, quarantined: JobOutcome): void {
    const { session } = entry.job;
    if (!this.#bulkheads.admits(session, tool, this.#now() / 1000)) return this.#deliver(entry, quarantined);
    const isClear = this.#bulkheads.standing(session, tool) === 'clear';
    if (isClear && !(this.#trust.isCautious && !this.#trust.isProven(Trust.bitOf(entry.session, tool)))) {
      // Cleared since the lane declined.
      this.#queue.unshift(entry);
      return;
    }
    this.#probation.push({ ...entry, probation: { tool } });
    // Those that never failed wait like any other; only the others are few.
    const failed = this.#byFailures().filter(({ failures }) => failures > 0);
    const worst = failed.at(-1)?.entry;
    if (worst === undefined || failed.length <= this.#options.probationLimit) return;
    this.#probation.splice(this.#probation.indexOf(worst), 1);
    this.#fail(worst, 'overload', 'too many calls of tools that keep failing wait to be judged');
  }

  /** A call kept apart was judged: those of the same tool that wait are kept apart no longer, if nothing else speaks against it. */
  #rejoin(session: string, tool: string): void {
    if (this.#bulkheads.standing(session, tool) !== 'clear') return;
    const isFreed = (entry: Entry): boolean =>
      entry.job.session === session && entry.probation?.tool === tool;
    const freed = this.#probation.filter(isFreed).map((entry) => ({ ...entry, probation: undefined }));
    if (freed.length === 0) return;
    this.#probation = this.#probation.filter((entry) => !isFreed(entry));
    this.#queue = [...freed, ...this.#queue];
  }

  /**
   * A lane is held up or was lost. Until that is some time past, calls of tools that were never judged without harm
   * are judged apart, and so are those of the tool that the lane was at.
   */
  #beCautious(lane: Lane, forMs: number): void {
    this.#trust.doubt(lane.trustBit);
    this.#trust.isCautious = true;
    const untilUs = this.#now() + forMs * 1000;
    if (untilUs <= this.#cautiousUntilUs) return;
    this.#cautiousUntilUs = untilUs;
    if (this.#caution !== undefined || this.#closed !== null) return;
    const look = (): void => {
      const leftMs = (this.#cautiousUntilUs - this.#now()) / 1000;
      this.#caution = leftMs > 0 ? setTimeout(look, leftMs).unref() : undefined;
      if (leftMs > 0) return;
      this.#trust.isCautious = false;
      this.#isAlarmed = false;
      this.#setWanted();
      this.#crew.trim();
    };
    this.#caution = setTimeout(look, forMs).unref();
  }

  #charge(session: string, tool: string): void {
    if (!this.#bulkheads.fail(session, tool, this.#now() / 1000)) return;
    const standing = this.#bulkheads.standing(session, tool);
    this.#note('warn', `calls of ${JSON.stringify(tool)} keep failing: ${standing}`);
    this.#tellSuspects();
  }

  #sessionNumber(session: string): number {
    const known = this.#sessions.get(session);
    if (known !== undefined) return known;
    const number = this.#nextSession++;
    this.#sessions.set(session, number);
    if (this.#sessions.size > MAX_SESSIONS) {
      // Numbers change; what was known of the sessions by number is told anew or learnt anew.
      this.#sessions.clear();
      this.#sessions.set(session, number);
      this.#tellSuspects();
      this.#tellSessions(this.#crew.lanes);
    }
    return number;
  }

  #suspects(): Suspects {
    const tools = new Map<number, string[]>();
    for (const { session, tool } of this.#bulkheads.suspects()) {
      const number = this.#sessionNumber(session);
      const known = tools.get(number);
      if (known === undefined) tools.set(number, [tool]);
      else known.push(tool);
    }
    return [...tools];
  }

  #tellSuspects(): void {
    const suspects = this.#suspects();
    for (const lane of this.#crew.lanes) lane.tell({ type: 'suspects', suspects });
    this.#setWanted();
  }

  /** While calls are kept apart, one more lane, so that judging them does not take the spare. */
  #setWanted(): void {
    const apart = this.#isAlarmed || this.#bulkheads.hasSuspects || this.#probation.length > 0;
    this.#crew.wanted = this.#options.lanes + this.#options.spares + (apart ? 1 : 0);
    this.#crew.startMissing();
  }

  // --- deadlines

  #startWatch(): void {
    if (this.#watch !== undefined) return;
    this.#watch = setInterval(() => this.#tick(), WATCH_MS);
    this.#watch.unref();
  }

  #tick(): void {
    if (this.#jobs === 0) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      this.#crew.trim();
      return;
    }
    this.#collect();
    const nowUs = this.#now();
    let held = 0;
    for (const lane of this.#crew.lanes) {
      const running = lane.running;
      const runUs = lane.runningUs(nowUs);
      const limitUs = running === undefined ? 0 : this.#runLimitUs(running.job);
      // Seen twice, since after this process slept everything looks late once.
      const seen = running !== undefined && runUs > STALL_US ? lane.observe(running.seq) : 0;
      if (seen > 1 && this.#ranTooLong(lane, runUs, limitUs)) {
        this.#lose(lane, 'timeout', 'an evaluation ran too long');
      } else if (runUs > STALL_US || (running === undefined && waitsSince(lane, nowUs) > STALL_US)) {
        this.#requeue(lane.takeBack());
        if (runUs > limitUs / 2) held += 1;
      }
    }
    if (++this.#ticks % EXPIRE_EVERY === 0) {
      this.#expire(nowUs);
      this.#crew.startMissing(held);
    }
    this.#goOn();
  }

  #runLimitUs(job: Job): number {
    const { runTimeoutMs, totalTimeoutMs } = this.#options;
    return (
      1000 *
      Math.min(runTimeoutMs * (1 + job.bytes.length / SIZE_STEP), Math.max(runTimeoutMs, totalTimeoutMs))
    );
  }

  /** Run time is the processor's time where the system tells it, up to the total timeout on the clock. */
  #ranTooLong(lane: Lane, runUs: number, limitUs: number): boolean {
    if (runUs <= limitUs) return false;
    const totalUs = this.#options.totalTimeoutMs * 1000;
    // Filling a heap takes a while on a busy machine, and what is rehearsed is that it was filled.
    if (lane.rehearsesOutOfMemory) return runUs > 20 * totalUs;
    if (runUs > Math.max(limitUs, totalUs)) return true;
    const usedUs = lane.usedUs;
    // What it used before it was first seen is not counted; that is at most a few ticks.
    return usedUs === undefined || usedUs > limitUs - UNSEEN_US;
  }

  /** Denies what waited too long. */
  #expire(nowUs: number): void {
    const isLate = (entry: Entry): boolean => nowUs - entry.submittedUs > this.#options.totalTimeoutMs * 1000;
    const deny = (entry: Entry): void => {
      if (this.#crew.ready === 0) this.#fail(entry, 'evaluation_crash', 'no evaluator worker is running');
      else this.#fail(entry, 'evaluation_timeout', 'it waited too long to be judged');
    };
    const late = [...this.#queue.filter(isLate), ...this.#probation.filter(isLate)];
    if (late.length > 0) {
      this.#queue = this.#queue.filter((entry) => !isLate(entry));
      this.#probation = this.#probation.filter((entry) => !isLate(entry));
      late.forEach(deny);
    }
    for (const lane of this.#crew.lanes) {
      const { running } = lane;
      // These stay with the lane, which will answer them to nobody.
      const waiting = lane.pending.filter((entry) => entry !== running && !entry.settled && isLate(entry));
      waiting.forEach(deny);
      if (running === undefined && waiting.length > 0 && !lane.isCompiling && !lane.hasAnswers) {
        this.#lose(lane, 'crash', 'it stopped taking work');
      }
    }
  }

  // --- losses

  #progress(lane: Lane): void {
    if (lane.state === 'starting' && lane.up && lane.loading.size === 0) {
      this.#crew.markReady(lane);
      return;
    }
    this.#policies.advance();
    if (this.#crew.ready >= this.#options.lanes + this.#options.spares) {
      for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
    }
    this.#goOn();
  }

  /**
   * Gives a lane up. Its finished jobs stand; the one that ran is denied; those not begun go to another lane. Which
   * job made a lane lie is not known: each that it had begun is judged again alone, and denied if it does so again.
   */
  #lose(lane: Lane, reason: Exclude<LossReason, 'closed'>, detail: string): void {
    if (lane.state === 'lost') return;
    if (reason !== 'distrusted') this.#collectFrom(lane);
    if ((lane.state as Lane['state']) === 'lost') return;
    const { running, begun, compiling, startedUs, pending } = lane;
    const culprit = running === undefined ? undefined : this.#culprit(lane, running);
    lane.pending = [];
    this.#crew.lose(lane, reason);
    this.#note('warn', `an evaluator worker was lost (${reason}): ${detail}`);
    if (running !== undefined) {
      this.#isAlarmed = true;
      this.#beCautious(lane, LOSS_CAUTION_MS);
      if (running.probation !== undefined) {
        const nowUs = this.#now();
        this.#restUntilUs = nowUs + this.#options.restFactor * microsBetween(startedUs, nowUs);
      }
    }
    this.#setWanted();
    if (compiling !== 0) this.#policies.killedLane(compiling, detail);
    const again: Entry[] = [];
    for (const [n, entry] of pending.entries()) {
      if (reason === 'distrusted' ? entry.lied : entry === running) {
        const evaluationUs = microsBetween(startedUs, this.#now());
        this.#blame(entry, FAILURES[reason], detail, startedUs, evaluationUs, culprit);
        continue;
      }
      if (reason === 'distrusted' && n < begun) entry.lied = true;
      again.push(entry);
    }
    this.#requeue(again);
    this.#crew.startMissing();
    this.#policies.advance();
    this.#goOn();
  }

  /** Puts jobs that a lane gave back before all others. */
  #requeue(entries: readonly Entry[]): void {
    const waiting = entries.filter((entry) => !entry.settled);
    if (waiting.length === 0) return;
    if (this.#onProbation !== null && waiting.includes(this.#onProbation)) {
      this.#probation.unshift(this.#onProbation);
      this.#onProbation = null;
    }
    this.#queue = [...waiting.filter((entry) => entry.probation === undefined), ...this.#queue];
  }

  #blame(
    entry: Entry,
    reason: EvaluationFailureReason,
    detail: string,
    startedUs: number,
    evaluationUs: number,
    culprit?: Culprit,
  ): void {
    const { job, probation } = entry;
    if (probation !== undefined) this.#charge(job.session, probation.tool);
    else if (job.kind === 'judge') this.#blamed.add(job.bytes);
    const queueUs = microsBetween(entry.submittedUs, startedUs);
    const failure = { kind: 'failure', reason, detail, queueUs, evaluationUs } as const;
    this.#deliver(entry, culprit === undefined ? failure : { ...failure, culprit });
  }

  /** Read from the lane's cells, which outlive it. */
  #culprit(lane: Lane, { job, policy }: Entry): Culprit | undefined {
    const [rule, part] = lane.cursor;
    return job.kind === 'judge' && rule > 0
      ? this.#locate(this.#policies.programOf(policy), rule, part)
      : undefined;
  }

  #fail(entry: Entry, reason: EvaluationFailureReason | 'overload', detail: string): void {
    const queueUs = Math.round(this.#now() - entry.submittedUs);
    this.#deliver(entry, { kind: 'failure', reason, detail, queueUs, evaluationUs: 0 });
  }

  /** INVARIANT: the only caller of `done`, and never twice for one job. */
  #deliver(entry: Entry, outcome: JobOutcome): void {
    if (entry.settled) return;
    entry.settled = true;
    if (this.#onProbation === entry) this.#onProbation = null;
    if (entry.probation !== undefined) this.#bulkheads.release(entry.job.session, entry.probation.tool);
    this.#jobs -= 1;
    this.#bytes -= entry.job.bytes.length;
    const delivering = this.#delivering;
    this.#delivering = true;
    try {
      entry.job.done(outcome);
    } catch {
      // The caller has its outcome; what it makes of it must not take the other jobs along.
      this.#note('warn', 'a caller failed on the outcome of its job');
    }
    this.#delivering = delivering;
    this.#policies.release(entry.policy);
  }
}

/** How long the first of a lane's jobs has waited there without being begun. */
function waitsSince(lane: Lane, nowUs: number): number {
  return lane.pending[0] === undefined ? 0 : nowUs - lane.pending[0].handedOverUs;
}

/** The lane to give a job: one that is not busy, otherwise the least busy. A suspected liar gets one of its own. */
function pick(lanes: readonly Lane[], entry: Entry): Lane | undefined {
  let best: Lane | undefined;
  for (const lane of lanes) {
    const { pending } = lane;
    if (pending.length > 0 && (entry.lied || pending[0]?.lied === true)) continue;
    if (pending.length < BATCH) return lane;
    if (pending.length < (best?.pending.length ?? MAX_PENDING)) best = lane;
  }
  return best;
}

function workerUrl(file: string | URL | undefined): string {
  if (file === undefined) return import.meta.resolve('#workers/lane.js');
  return typeof file === 'string' && !file.startsWith('file:') ? pathToFileURL(file).href : String(file);
}
