/**
 * One lane, seen from the main thread: a worker, its two rings, and the jobs it holds. A lane starts, becomes ready,
 * and is lost once, for good; the pool starts another. What a lane tells is checked; what it does is judged by the
 * pool.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Job } from '../gate/ports.ts';
import type { CallVerdict } from './decode-verdict.ts';
import {
  CELL,
  createCells,
  FIRST_SEQ,
  type FromWorker,
  type LaneTask,
  microsBetween,
  nextSeq,
  PHASE,
  previousSeq,
  REHEARSES_OUT_OF_MEMORY,
  REVOKED,
  RequestWriter,
  type Response,
  ResponseReader,
  type ToWorker,
} from './wire.ts';

/** A job on its way through the pool. */
export type Entry = {
  readonly job: Job;
  readonly submittedUs: number;
  /** The handle told to the lane; 0: none. */
  readonly policy: number;
  readonly session: number;
  /** Set for a suspect's call that is judged all the same, on probation. */
  readonly probation?: { readonly tool: string } | undefined;
  /** Begun by a lane that lied: its next lane holds nothing else, so that a second lie is its own. */
  lied: boolean;
  seq: number;
  handedOverUs: number;
  /** INVARIANT: true once the outcome is delivered; later ones are dropped. */
  settled: boolean;
};

export type LossReason = 'timeout' | 'crash' | 'out_of_memory' | 'distrusted' | 'start_failed' | 'closed';

export type LaneOptions = {
  readonly workerFile: string;
  readonly bell: SharedArrayBuffer;
  readonly trust: SharedArrayBuffer;
  readonly ringBytes: number;
  readonly clockOriginUs: number;
  readonly resourceLimits: {
    readonly maxOldGenerationSizeMb: number;
    readonly maxYoungGenerationSizeMb: number;
    readonly stackSizeMb: number;
  };
};

export type LaneEvents = {
  /** The worker runs its loop, or has compiled one policy more. */
  progress(lane: Lane): void;
  loadFailed(lane: Lane, handle: number, detail: string): void;
  /** The worker is gone by itself. */
  died(lane: Lane, reason: 'crash' | 'out_of_memory', detail: string): void;
};

const ENTRY = createRequire(import.meta.url).resolve('#workers/enter.cjs');

export class Lane {
  readonly #cells = createCells();
  readonly #requests: RequestWriter;
  readonly #responses: ResponseReader;
  readonly #piscina: Piscina;
  readonly #port: MessagePort;
  readonly #events: LaneEvents;
  readonly #onPort = new Map<number, string>();
  #nextSeq = FIRST_SEQ;
  #observedSeq = 0;
  #observations = 0;
  #thread: string | undefined;
  /** What the thread had used when it was first seen at the job. */
  #usedBeforeUs = 0;
  #dirty = false;

  state: 'starting' | 'ready' | 'lost' = 'starting';
  /** Handed over, unanswered, in the order of their numbers. */
  pending: Entry[] = [];
  /** Policies sent and not yet acknowledged. */
  readonly loading = new Set<number>();
  /** Policies it holds. */
  readonly policies = new Set<number>();
  /** Verdicts by the numbers it gave them, checked already. */
  readonly numbered: CallVerdict[] = [];
  up = false;
  answered = 0;
  readyAtMs = 0;
  /** Resolves when the thread has ended. */
  gone: Promise<void> = Promise.resolve();

  constructor(options: LaneOptions, events: LaneEvents) {
    this.#events = events;
    const requests = new SharedArrayBuffer(options.ringBytes);
    const responses = new SharedArrayBuffer(options.ringBytes);
    this.#requests = new RequestWriter(requests, this.#cells);
    this.#responses = new ResponseReader(responses, this.#cells);
    // A pool of one thread for each lane: ending it ends the thread at once, and a death is nobody else's.
    this.#piscina = new Piscina({
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      env: {},
      argv: [],
      execArgv: [],
      trackUnmanagedFds: false,
      recordTiming: false,
      resourceLimits: options.resourceLimits,
    });
    this.#piscina.on('error', (error: unknown) => this.#died(error));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', (message: FromWorker) => this.#heard(message));
    port1.unref();
    const task: LaneTask = {
      workerFile: options.workerFile,
      cells: this.#cells.buffer as SharedArrayBuffer,
      requests,
      responses,
      bell: options.bell,
      trust: options.trust,
      port: port2,
      clockOriginUs: options.clockOriginUs,
    };
    // The file is named here and not above: then a fault while it loads rejects this task instead of vanishing.
    const run = this.#piscina.run(task, { filename: ENTRY, transferList: [port2] });
    run.then(
      () => this.#died(new Error('it returned')),
      (error: unknown) => this.#died(error),
    );
    this.#piscina.threads.forEach(silence);
  }

  /** Sends what travels beside the requests. */
  tell(message: ToWorker): void {
    if (this.state === 'lost') return;
    if (message.type === 'load') this.loading.add(message.handle);
    if (message.type === 'unload') this.policies.delete(message.handle);
    this.#port.postMessage(message);
    Atomics.add(this.#cells, CELL.control, 1);
    this.#wake();
  }

  /** False where the ring is full. Handed over by {@link ring}. */
  write(entry: Entry, nowUs: number): boolean {
    const { job } = entry;
    const seq = this.#nextSeq;
    const inRing = this.#requests.fits(job.bytes.length);
    if (!inRing) {
      const bytes = new SharedArrayBuffer(job.bytes.length);
      new Uint8Array(bytes).set(job.bytes);
      this.tell({ type: 'bytes', seq, bytes });
    }
    const bytes = inRing ? job.bytes : null;
    const forced = entry.probation !== undefined;
    if (!this.#requests.write(seq, job.kind, forced, entry.policy, entry.session, bytes)) return false;
    entry.seq = seq;
    entry.handedOverUs = nowUs;
    this.#nextSeq = nextSeq(seq);
    this.pending.push(entry);
    this.#dirty = true;
    return true;
  }

  /** Makes the requests written since the last time visible, and wakes the worker if it sleeps. */
  ring(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#requests.publish();
    this.#wake();
  }

  /** The next answer with its entry, in order; `'broken'` where the lane is not to be trusted any more. */
  next(): { readonly entry: Entry; readonly response: Response } | null | 'broken' {
    const response = this.#responses.next();
    if (response === null || response === 'broken') return response;
    const entry = this.pending[0];
    // FAIL-CLOSED: one answer each, in order, and only for what was asked.
    if (entry === undefined || entry.seq !== response.seq) return 'broken';
    this.pending.shift();
    this.answered += 1;
    return { entry, response };
  }

  get hasAnswers(): boolean {
    return !this.#responses.isEmpty;
  }

  /** Gives back the room of the answers taken. */
  release(): void {
    this.#responses.release();
    if (Atomics.load(this.#cells, CELL.phase) === PHASE.answering) this.#wake();
  }

  /** The payload that was sent beside the ring, undefined where there is none. */
  textOnPort(seq: number): string | undefined {
    if (!this.#onPort.has(seq)) {
      for (let e = receiveMessageOnPort(this.#port); e !== undefined; e = receiveMessageOnPort(this.#port)) {
        this.#heard(e.message as FromWorker);
      }
    }
    const text = this.#onPort.get(seq);
    this.#onPort.delete(seq);
    return text;
  }

  /** What was taken back is not dropped yet: the lane takes no work meanwhile. */
  get isRevoked(): boolean {
    return Atomics.load(this.#cells, CELL.claim) === REVOKED;
  }

  /** The job that was begun and not answered. */
  get running(): Entry | undefined {
    const first = this.pending[0];
    if (first === undefined) return undefined;
    const claim = Atomics.load(this.#cells, CELL.claim);
    return claim === previousSeq(first.seq) ? undefined : first;
  }

  /** How many of the pending jobs it has begun, as far as it says. */
  get begun(): number {
    const claim = Atomics.load(this.#cells, CELL.claim);
    if (claim === REVOKED) return this.pending.length;
    return this.pending.findIndex((entry) => entry.seq === claim) + 1;
  }

  /** How long the running job has run; 0 where none runs. */
  runningUs(nowUs: number): number {
    const first = this.pending[0];
    if (first === undefined || this.running === undefined) return 0;
    if (Atomics.load(this.#cells, CELL.phase) !== PHASE.running) return 0;
    return microsBetween(Atomics.load(this.#cells, CELL.startedUs), nowUs);
  }

  get startedUs(): number {
    return Atomics.load(this.#cells, CELL.startedUs);
  }

  /** How often in a row the pool has found the same job running: a process that slept saw it once. */
  observe(seq: number): number {
    if (this.#observedSeq !== seq) {
      this.#observedSeq = seq;
      this.#observations = 0;
      this.#usedBeforeUs = this.#threadUs() ?? 0;
    }
    this.#observations += 1;
    return this.#observations;
  }

  /**
   * How much of the processor the job was given since it was first observed, in microseconds; undefined where the
   * system does not say. On a busy machine a thread may wait for a processor longer than an evaluation may run.
   */
  get usedUs(): number | undefined {
    const used = this.#threadUs();
    return used === undefined ? undefined : used - this.#usedBeforeUs;
  }

  #threadUs(): number | undefined {
    if (this.#thread === undefined) return undefined;
    try {
      return Number(readFileSync(`/proc/self/task/${this.#thread}/schedstat`, 'utf8').split(' ')[0]) / 1000;
    } catch {
      // The thread is gone, or the system does not keep count: then run time is time on the clock.
      return undefined;
    }
  }

  /** The trust bit of the call it judges, 0 where that is not known. */
  get trustBit(): number {
    return Atomics.load(this.#cells, CELL.trustBit);
  }

  /** Rule and part that were judged last, as far as it says. */
  get cursor(): readonly [rule: number, part: number] {
    return [Atomics.load(this.#cells, CELL.rule), Atomics.load(this.#cells, CELL.condition)];
  }

  get rehearsesOutOfMemory(): boolean {
    return Atomics.load(this.#cells, CELL.rule) === REHEARSES_OUT_OF_MEMORY;
  }

  get isCompiling(): boolean {
    return Atomics.load(this.#cells, CELL.phase) === PHASE.loading;
  }

  get compiling(): number {
    return this.isCompiling ? Atomics.load(this.#cells, CELL.loading) : 0;
  }

  /** Takes back the jobs not begun; empty where the worker was faster. */
  takeBack(): Entry[] {
    const first = this.pending[0];
    if (first === undefined || this.isRevoked || this.#dirty) return [];
    const running = this.running !== undefined;
    if (running && this.pending.length === 1) return [];
    const last = this.pending[this.pending.length - 1] as Entry;
    const expected = running ? first.seq : previousSeq(first.seq);
    Atomics.store(this.#cells, CELL.revokedThrough, last.seq);
    if (Atomics.compareExchange(this.#cells, CELL.claim, expected, REVOKED) !== expected) return [];
    const taken = running ? this.pending.slice(1) : this.pending;
    this.pending = running ? [first] : [];
    this.#wake();
    return taken;
  }

  /** Ends the worker at once. */
  end(): void {
    if (this.state === 'lost') return;
    this.state = 'lost';
    this.#port.close();
    this.gone = this.#piscina.destroy();
  }

  #wake(): void {
    Atomics.add(this.#cells, CELL.wake, 1);
    if (Atomics.load(this.#cells, CELL.asleep) === 1) Atomics.notify(this.#cells, CELL.wake);
  }

  #heard(message: FromWorker): void {
    if (this.state === 'lost') return;
    switch (message.type) {
      case 'up':
        this.up = true;
        this.#thread = message.thread;
        return this.#events.progress(this);
      case 'loaded':
        this.loading.delete(message.handle);
        this.policies.add(message.handle);
        return this.#events.progress(this);
      case 'load_failed':
        this.loading.delete(message.handle);
        return this.#events.loadFailed(this, message.handle, message.detail);
      case 'answer':
        this.#onPort.set(message.seq, message.text);
        return;
    }
  }

  #died(error: unknown): void {
    if (this.state === 'lost') return;
    const { code, message } = Object(error) as { code?: unknown; message?: unknown };
    if (code === 'ERR_WORKER_OUT_OF_MEMORY')
      return this.#events.died(this, 'out_of_memory', 'it ran out of memory');
    // Of an error's own words only those on the exit code are kept: others may hold what the worker was reading.
    const exit =
      typeof message === 'string' ? /^worker (exited with code: \d+)$/.exec(message)?.[1] : undefined;
    this.#events.died(this, 'crash', exit === undefined ? 'it ended in an error' : `it ${exit}`);
  }
}

/** stdout is the agent's: what a worker prints goes nowhere. (Node joins a worker's streams to the process's own.) */
function silence(worker: Worker): void {
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.unpipe();
    stream.resume();
  }
}
