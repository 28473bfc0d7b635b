/**
 * The worker's side of a lane: takes requests from the ring one after another, has each judged, writes the answer.
 * The loop never returns to the event loop; it sleeps on a shared cell, so a policy or a suspect reaches it between
 * two requests. Whatever a judge throws is answered as a failed evaluation.
 */
import { readlinkSync } from 'node:fs';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { SessionDescription } from '../src/decision/session-facts.ts';
import type { Ruling, ServerReading, Verdict } from '../src/decision/verdict.ts';
import type { JobKind } from '../src/gate/ports.ts';
import { Trust } from '../src/pool/trust.ts';
import {
  CELL,
  type FromWorker,
  type Injections,
  type LaneTask,
  MAX_NUMBERED,
  PHASE,
  previousSeq,
  REVOKED,
  type Request,
  RequestReader,
  ResponseWriter,
  sharedClock,
  TAG,
  type ToWorker,
} from '../src/pool/wire.ts';

/** Whether a call of this tool must not be judged here. Asked before a call is judged, whatever its kind of job. */
export type IsSuspect = (tool: string) => boolean;

export type LaneJudge = {
  /** Throws, or rejects, where the program cannot be compiled. */
  load(handle: number, program: unknown, injections: Injections): void | Promise<void>;
  unload(handle: number): void;
  /** Repairs what an evaluation broke, if anything; asked after each, before the next begins. */
  mend?(): Promise<void> | undefined;
  /**
   * `bytes` belong to the caller again once this returns. `cursor` takes the rule and condition being judged. A call
   * whose tool is suspect is read, and answered with `suspect` set instead of a ruling.
   */
  judge(
    kind: JobKind,
    bytes: Uint8Array,
    handle: number,
    isSuspect: IsSuspect,
    cursor: Int32Array,
    /** What is known of the session; undefined where nothing is. */
    about?: SessionDescription,
  ): Verdict | ServerReading;
};

/** Answers the main thread is told of at once, or after this many, or after this long. */
const ANNOUNCE_EVERY = 16;
const ANNOUNCE_AFTER_US = 100;

export async function serveLane(task: LaneTask, judge: LaneJudge): Promise<void> {
  const cells = new Int32Array(task.cells);
  const bell = new Int32Array(task.bell);
  const trust = new Trust(task.trust);
  const cursor = cells.subarray(CELL.rule, CELL.condition + 1);
  const now = sharedClock(task.clockOriginUs);
  const requests = new RequestReader(task.requests, cells);
  const responses = new ResponseWriter(task.responses, cells);
  const large = new Map<number, Uint8Array>();
  /** Policies to load and to let go, in order: between two requests, since what they need may have to be imported. */
  let waiting: (ToWorker & { readonly type: 'load' | 'unload' })[] = [];
  const sessions = new Map<number, SessionDescription>();
  let suspects = new Map<number, ReadonlySet<string>>();
  /** Rulings told in full before. The judge gives the same ruling on many calls of a tool, and calls differ in their ids alone. */
  const numbered = new Map<Ruling, number>();
  let control = 0;
  let unannounced = 0;
  /** When the oldest answer not yet announced began. */
  let unannouncedUs = 0;

  const post = (message: FromWorker): void => task.port.postMessage(message);

  const announce = (): void => {
    if (unannounced === 0) return;
    unannounced = 0;
    Atomics.add(bell, 0, 1);
    Atomics.notify(bell, 0);
  };

  const load = async (message: ToWorker & { readonly type: 'load' }): Promise<void> => {
    const { handle } = message;
    Atomics.store(cells, CELL.loading, handle);
    Atomics.store(cells, CELL.phase, PHASE.loading);
    // Numbers begin anew: rulings of a policy that went are not kept for ever.
    numbered.clear();
    try {
      await judge.load(handle, message.program, message.injections);
      post({ type: 'loaded', handle });
    } catch (error) {
      // FAIL-CLOSED: a policy that one lane cannot compile is in force in none.
      const detail = error instanceof Error ? error.message : 'it threw no Error';
      post({ type: 'load_failed', handle, detail });
    }
    Atomics.store(cells, CELL.phase, PHASE.idle);
  };

  const change = async (): Promise<void> => {
    const changes = waiting;
    waiting = [];
    for (const message of changes) {
      if (message.type === 'load') await load(message);
      else judge.unload(message.handle);
    }
  };

  const obey = (message: ToWorker): void => {
    switch (message.type) {
      case 'load':
      case 'unload':
        waiting.push(message);
        return;
      case 'suspects':
        suspects = new Map(message.suspects.map(([session, tools]) => [session, new Set(tools)]));
        return;
      case 'session':
        if (message.description === null) sessions.delete(message.session);
        else sessions.set(message.session, message.description);
        return;
      case 'bytes':
        large.set(message.seq, new Uint8Array(message.bytes));
        return;
    }
  };

  const drainControl = (): void => {
    const posted = Atomics.load(cells, CELL.control);
    if (posted === control) return;
    control = posted;
    for (
      let entry = receiveMessageOnPort(task.port);
      entry !== undefined;
      entry = receiveMessageOnPort(task.port)
    ) {
      obey(entry.message as ToWorker);
    }
  };

  /** Until the main thread touches the wake cell; at once if it did since `wake` was read. */
  const sleep = (wake: number): void => {
    Atomics.store(cells, CELL.asleep, 1);
    Atomics.wait(cells, CELL.wake, wake);
    Atomics.store(cells, CELL.asleep, 0);
  };

  const answer = (seq: number, tag: number, startedUs: number, text: string, known: number): void => {
    const durationUs = now() - startedUs;
    let sentTag = tag;
    let sentText = text;
    if (!responses.fits(text.length)) {
      post({ type: 'answer', seq, text });
      sentTag = TAG.answerOnPort;
      sentText = '';
    }
    Atomics.store(cells, CELL.phase, PHASE.answering);
    for (;;) {
      const wake = Atomics.load(cells, CELL.wake);
      if (responses.write(seq, sentTag, startedUs, durationUs, sentText, known)) break;
      unannounced += 1;
      announce();
      sleep(wake);
    }
    Atomics.store(cells, CELL.phase, PHASE.idle);
    if (unannounced === 0) unannouncedUs = startedUs;
    unannounced += 1;
  };

  const run = (request: Request, startedUs: number): void => {
    let tag: number = TAG.answer;
    let text = '';
    let known = 0;
    try {
      let bytes = request.bytes;
      if (bytes === null) {
        drainControl();
        Atomics.store(cells, CELL.phase, PHASE.running);
        bytes = large.get(request.seq) ?? null;
        large.delete(request.seq);
        if (bytes === null) throw new Error('INVARIANT: a large message comes before its request');
      }
      Atomics.store(cells, CELL.trustBit, 0);
      const isSuspect = (tool: string): boolean => {
        const bit = Trust.bitOf(request.session, tool);
        Atomics.store(cells, CELL.trustBit, bit);
        if (request.forced) return false;
        if (trust.isCautious && !trust.isProven(bit)) return true;
        return suspects.size > 0 && suspects.get(request.session)?.has(tool) === true;
      };
      cursor.fill(0);
      const about = sessions.get(request.session);
      const verdict = judge.judge(request.kind, bytes, request.policy, isSuspect, cursor, about);
      const ruling = keptRuling(verdict);
      known = (ruling === undefined ? undefined : numbered.get(ruling)) ?? 0;
      if (known > 0) {
        tag = TAG.again;
        text = (verdict as CallVerdict).id as string;
      } else {
        text = JSON.stringify(verdict);
        if (ruling !== undefined && numbered.size < MAX_NUMBERED && responses.fits(text.length)) {
          known = numbered.size + 1;
          numbered.set(ruling, known);
        }
      }
    } catch {
      // FAIL-CLOSED: whatever was thrown, this evaluation failed; the main thread denies it.
      tag = TAG.threw;
      text = '';
      known = 0;
    }
    answer(request.seq, tag, startedUs, text, known);
  };

  const dropRevoked = (): void => {
    drainControl();
    const through = Atomics.load(cells, CELL.revokedThrough);
    for (let seq = requests.peek(); seq !== 0; seq = requests.peek()) {
      requests.skip();
      large.delete(seq);
      if (seq === through) break;
    }
    Atomics.store(cells, CELL.claim, through);
  };

  post({ type: 'up', ...ownThread() });
  for (;;) {
    const wake = Atomics.load(cells, CELL.wake);
    drainControl();
    if (waiting.length > 0) {
      await change();
      continue;
    }
    const seq = requests.peek();
    if (seq === 0) {
      announce();
      sleep(wake);
      continue;
    }
    const startedUs = now();
    if (unannounced >= ANNOUNCE_EVERY || startedUs - unannouncedUs > ANNOUNCE_AFTER_US) announce();
    Atomics.store(cells, CELL.startedUs, startedUs | 0);
    if (Atomics.compareExchange(cells, CELL.claim, previousSeq(seq), seq) === REVOKED) {
      dropRevoked();
      continue;
    }
    Atomics.store(cells, CELL.phase, PHASE.running);
    run(requests.take(), startedUs);
    const mending = judge.mend?.();
    if (mending !== undefined) await mending;
  }
}

type CallVerdict = Extract<Verdict, { kind: 'call' }>;

/**
 * The ruling of a verdict that says nothing about its call but id, tool and ruling, where it may be given again.
 * INVARIANT: a judge freezes the rulings it keeps, and gives each to calls of one tool only.
 */
function keptRuling(verdict: Verdict | ServerReading): Ruling | undefined {
  if (verdict.kind !== 'call' || verdict.id === null || verdict.suspect !== undefined) return undefined;
  if (verdict.task !== undefined || verdict.progressToken !== undefined) return undefined;
  const { ruling, unusualName } = verdict;
  return unusualName === undefined && Object.isFrozen(ruling) ? ruling : undefined;
}

/** Linux only: there the main thread can see how much of the processor this thread was given. */
function ownThread(): { thread?: string } {
  try {
    const thread = readlinkSync('/proc/thread-self').split('/').pop();
    return thread === undefined || !/^\d+$/.test(thread) ? {} : { thread };
  } catch {
    // No such list on this system: then run time is time on the clock.
    return {};
  }
}
