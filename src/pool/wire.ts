/**
 * The contract between the main thread and a lane's worker: shared cells, two rings of records, control messages.
 *
 * Each ring has one writer and one reader. Positions only grow (modulo 2^32); a record never wraps, and the bytes
 * are written before the position that publishes them is stored. The main thread does not trust what a worker wrote:
 * `ResponseReader` answers `'broken'` where it cannot be right.
 */
import type { MessagePort } from 'node:worker_threads';
import type { SessionDescription } from '../decision/session-facts.ts';
import type { JobKind } from '../gate/ports.ts';

/** Cells of a lane. The main thread writes the first sixteen, the worker the others: no cache line has two writers. */
export const CELL = {
  /** End of the requests written. */
  requestTail: 0,
  /** End of the responses read. */
  responseHead: 1,
  /** Grows with every control message. */
  control: 2,
  /** Grows with everything the worker might sleep through; it sleeps on this cell. */
  wake: 3,
  /** Where {@link CELL.claim} is `REVOKED`: the last request that is not to be run. */
  revokedThrough: 4,
  requestHead: 16,
  responseTail: 17,
  /** 1 while the worker may be asleep. */
  asleep: 18,
  /**
   * The request running, or the last one that ran. A worker begins the next by exchanging this number for its
   * successor; the main thread takes back what is not begun by exchanging the same number for `REVOKED`.
   * INVARIANT: so each request is begun or taken back, never both.
   */
  claim: 19,
  /** When the request in `claim` began. Stored before the claim, so a reader never takes an old start for a new one. */
  startedUs: 20,
  phase: 21,
  /** Rule and condition under evaluation: a judge's cursor. */
  rule: 22,
  condition: 23,
  /** The policy being compiled, while `phase` is `PHASE.loading`. */
  loading: 24,
  /** The trust bit of the call being judged (trust.ts); 0 before its tool is known. */
  trustBit: 25,
} as const;
const CELL_COUNT = 32;

export const REVOKED = -1;

/** Sequence numbers of a lane's requests run from 1 to this, then from 1 again. 0 is no request. */
const MAX_SEQ = 0x3fff_ffff;
/** Lanes begin shortly before the wrap, so that every longer test goes through it. */
export const FIRST_SEQ = MAX_SEQ - 299;
export const nextSeq = (seq: number): number => (seq === MAX_SEQ ? 1 : seq + 1);
export const previousSeq = (seq: number): number => (seq === 1 ? MAX_SEQ : seq - 1);

export const PHASE = {
  idle: 0,
  running: 1,
  /** An answer waits for room in the response ring: nothing runs, so no clock does. */
  answering: 2,
  loading: 3,
} as const;

const KINDS: readonly JobKind[] = ['judge', 'read', 'server'];

/**
 * In `CELL.rule`: an evaluation was told to exhaust its memory, which takes longer than an evaluation may run. It is
 * given the total timeout, so that what is rehearsed is what happens.
 */
export const REHEARSES_OUT_OF_MEMORY = -1;

/** How a response is to be read. */
export const TAG = {
  /** JSON of a Verdict or a ServerReading, as the job asked. */
  answer: 1,
  /** The evaluation threw; no payload. */
  threw: 2,
  /** As `answer`, but too large for the ring: sent over the port. */
  answerOnPort: 3,
  /** The verdict told before under the number in `known`, on another call: the payload is this call's id alone. */
  again: 4,
} as const;

/** So many verdicts a lane may number; later ones are told in full each time. */
export const MAX_NUMBERED = 512;

export type LaneTask = {
  /** URL of the module whose default export runs the lane. */
  readonly workerFile: string;
  readonly cells: SharedArrayBuffer;
  readonly requests: SharedArrayBuffer;
  readonly responses: SharedArrayBuffer;
  /** Shared by all lanes of a pool: one cell that grows with every answer, on which the main thread waits. */
  readonly bell: SharedArrayBuffer;
  /** Shared by all lanes of a pool, see trust.ts. */
  readonly trust: SharedArrayBuffer;
  readonly port: MessagePort;
  /** Zero of the shared clock, see {@link sharedClock}. */
  readonly clockOriginUs: number;
};

/** What a lane is told to do wrong when it judges a call of a tool: `--inject`. */
export type Injection = 'hang' | 'crash' | 'throw' | 'oom';
export type Injections = Readonly<Record<string, Injection>>;

/** A session's number and the tools of it whose calls are not to be judged unless the request says so. */
export type Suspects = readonly (readonly [session: number, tools: readonly string[]])[];

export type ToWorker =
  | {
      readonly type: 'load';
      readonly handle: number;
      readonly program: unknown;
      readonly injections: Injections;
    }
  | { readonly type: 'unload'; readonly handle: number }
  | { readonly type: 'suspects'; readonly suspects: Suspects }
  /** null: the session is over. */
  | {
      readonly type: 'session';
      readonly session: number;
      readonly description: SessionDescription | null;
    }
  /** A message too large for the ring. */
  | { readonly type: 'bytes'; readonly seq: number; readonly bytes: SharedArrayBuffer };

export type FromWorker =
  /** `thread`: the worker's own name for itself in the process's task list, where the system has one. */
  | { readonly type: 'up'; readonly thread?: string }
  | { readonly type: 'loaded'; readonly handle: number }
  | { readonly type: 'load_failed'; readonly handle: number; readonly detail: string }
  | { readonly type: 'answer'; readonly seq: number; readonly text: string };

export type Request = {
  readonly seq: number;
  readonly kind: JobKind;
  /** Judge it although its bulkhead is suspect. */
  readonly forced: boolean;
  readonly policy: number;
  readonly session: number;
  /** null: sent over the port. Private to the reader, and overwritten by the next request. */
  readonly bytes: Uint8Array | null;
};

export type Response = {
  readonly seq: number;
  readonly tag: number;
  readonly startedUs: number;
  readonly durationUs: number;
  /** With `TAG.answer`: the number this verdict may be told by from now on. With `TAG.again`: that number. Else 0. */
  readonly known: number;
  readonly text: string;
};

/** Microseconds since `originUs`, the same in every thread of the process (both clocks below count the same ticks). */
export function sharedClock(originUs: number): () => number {
  const offset = Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000 - originUs;
  return () => performance.now() * 1000 + offset;
}

/** Shared clock readings travel as 32-bit numbers that wrap; their differences are right up to half an hour. */
export function microsBetween(fromUs: number, toUs: number): number {
  return Math.max(0, ((toUs | 0) - (fromUs | 0)) | 0);
}

export function createCells(): Int32Array {
  const cells = new Int32Array(new SharedArrayBuffer(CELL_COUNT * Int32Array.BYTES_PER_ELEMENT));
  cells[CELL.claim] = previousSeq(FIRST_SEQ);
  return cells;
}

// Words of a record's header, in both rings. `size` counts the whole record, padding included.
const WORD = {
  size: 0,
  seq: 1,
  kind: 2,
  length: 3,
  policy: 4,
  session: 5,
  startedUs: 4,
  durationUs: 5,
  known: 6,
} as const;
const HEADER_BYTES = 32;
/** In place of a size: nothing more before the ring's end. */
const SKIP = -1;
const FORCED = 0x100;
const ON_PORT = 0x200;

const align = (bytes: number): number => (bytes + 7) & ~7;

/** The bytes of a ring and the two cells that say which of them are in use. */
class Ring {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  readonly size: number;
  readonly cells: Int32Array;

  constructor(buffer: SharedArrayBuffer, cells: Int32Array) {
    // INVARIANT: a power of two, so that positions may wrap at 2^32.
    if (buffer.byteLength < 1024 || (buffer.byteLength & (buffer.byteLength - 1)) !== 0) {
      throw new RangeError(`a ring holds a power of two of bytes, at least 1024, not ${buffer.byteLength}`);
    }
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
    this.size = buffer.byteLength;
    this.cells = cells;
  }

  /** Larger records would block the ring for others, so they go over the port. */
  get maxPayload(): number {
    return this.size / 4 - HEADER_BYTES;
  }

  at(position: number): number {
    return position & (this.size - 1);
  }

  /** Makes room for a record at `tail`; its position, or -1 where there is no room yet. */
  reserve(head: number, tail: number, size: number): number {
    const toEnd = this.size - this.at(tail);
    const skip = toEnd < size ? toEnd : 0;
    const used = (tail - head) >>> 0;
    if (used + skip + size > this.size) return -1;
    if (skip > 0) this.words[this.at(tail) >> 2] = SKIP;
    return (tail + skip) >>> 0;
  }
}

/** Main thread: requests to one lane. */
export class RequestWriter {
  readonly #ring: Ring;
  #tail = 0;

  constructor(buffer: SharedArrayBuffer, cells: Int32Array) {
    this.#ring = new Ring(buffer, cells);
  }

  fits(length: number): boolean {
    return length <= this.#ring.maxPayload;
  }

  /** False where there is no room now. Published by {@link publish}. `bytes` null: they went over the port. */
  write(
    seq: number,
    kind: JobKind,
    forced: boolean,
    policy: number,
    session: number,
    bytes: Uint8Array | null,
  ): boolean {
    const ring = this.#ring;
    const length = bytes === null ? 0 : bytes.length;
    const size = HEADER_BYTES + align(length);
    const head = Atomics.load(ring.cells, CELL.requestHead) >>> 0;
    // A head beyond the tail is a lie of the worker's; with it there is no room, and the deadlines do the rest.
    if ((this.#tail - head) >>> 0 > ring.size) return false;
    const position = ring.reserve(head, this.#tail, size);
    if (position < 0) return false;
    const at = ring.at(position);
    const word = at >> 2;
    const { words } = ring;
    words[word + WORD.size] = size;
    words[word + WORD.seq] = seq;
    words[word + WORD.kind] = KINDS.indexOf(kind) | (forced ? FORCED : 0) | (bytes === null ? ON_PORT : 0);
    words[word + WORD.length] = length;
    words[word + WORD.policy] = policy;
    words[word + WORD.session] = session;
    if (bytes !== null) ring.bytes.set(bytes, at + HEADER_BYTES);
    this.#tail = (position + size) >>> 0;
    return true;
  }

  publish(): void {
    Atomics.store(this.#ring.cells, CELL.requestTail, this.#tail | 0);
  }
}

/** Worker: the requests of its lane. */
export class RequestReader {
  readonly #ring: Ring;
  #head = 0;
  #scratch = new Uint8Array(8 * 1024);

  constructor(buffer: SharedArrayBuffer, cells: Int32Array) {
    this.#ring = new Ring(buffer, cells);
  }

  /** The sequence number of the next request; 0 where there is none. */
  peek(): number {
    const ring = this.#ring;
    const tail = Atomics.load(ring.cells, CELL.requestTail) >>> 0;
    if (tail === this.#head) return 0;
    if (ring.words[ring.at(this.#head) >> 2] === SKIP)
      this.#head = (this.#head + ring.size - ring.at(this.#head)) >>> 0;
    return ring.words[(ring.at(this.#head) >> 2) + WORD.seq] as number;
  }

  /** Takes the request that {@link peek} told of. */
  take(): Request {
    const ring = this.#ring;
    const at = ring.at(this.#head);
    const word = at >> 2;
    const kind = ring.words[word + WORD.kind] as number;
    const length = ring.words[word + WORD.length] as number;
    if (length > this.#scratch.length) this.#scratch = new Uint8Array(2 * length);
    const bytes = this.#scratch.subarray(0, length);
    ring.bytes.copy(this.#scratch, 0, at + HEADER_BYTES, at + HEADER_BYTES + length);
    const request: Request = {
      seq: ring.words[word + WORD.seq] as number,
      kind: KINDS[kind & 0xff] as JobKind,
      forced: (kind & FORCED) !== 0,
      policy: ring.words[word + WORD.policy] as number,
      session: ring.words[word + WORD.session] as number,
      bytes: (kind & ON_PORT) === 0 ? bytes : null,
    };
    this.skip();
    return request;
  }

  /** Passes over the request that {@link peek} told of. */
  skip(): void {
    const ring = this.#ring;
    this.#head = (this.#head + (ring.words[ring.at(this.#head) >> 2] as number)) >>> 0;
    Atomics.store(ring.cells, CELL.requestHead, this.#head | 0);
  }
}

/** Worker: its answers. */
export class ResponseWriter {
  readonly #ring: Ring;
  #tail = 0;

  constructor(buffer: SharedArrayBuffer, cells: Int32Array) {
    this.#ring = new Ring(buffer, cells);
  }

  /** Whether a text of so many UTF-16 units is sure to fit in the ring: each takes at most three bytes. */
  fits(units: number): boolean {
    return units * 3 <= this.#ring.maxPayload;
  }

  /** Writes and publishes; false where there is no room now. */
  write(
    seq: number,
    tag: number,
    startedUs: number,
    durationUs: number,
    text: string,
    known: number,
  ): boolean {
    const ring = this.#ring;
    const position = ring.reserve(
      Atomics.load(ring.cells, CELL.responseHead) >>> 0,
      this.#tail,
      HEADER_BYTES + align(text.length * 3),
    );
    if (position < 0) return false;
    const at = ring.at(position);
    const length = text === '' ? 0 : ring.bytes.write(text, at + HEADER_BYTES, 'utf8');
    const size = HEADER_BYTES + align(length);
    const word = at >> 2;
    const { words } = ring;
    words[word + WORD.size] = size;
    words[word + WORD.seq] = seq;
    words[word + WORD.kind] = tag;
    words[word + WORD.length] = length;
    words[word + WORD.startedUs] = startedUs | 0;
    words[word + WORD.durationUs] = durationUs | 0;
    words[word + WORD.known] = known;
    this.#tail = (position + size) >>> 0;
    Atomics.store(ring.cells, CELL.responseTail, this.#tail | 0);
    return true;
  }
}

/** Main thread: the answers of one lane. */
export class ResponseReader {
  readonly #ring: Ring;
  #head = 0;

  constructor(buffer: SharedArrayBuffer, cells: Int32Array) {
    this.#ring = new Ring(buffer, cells);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#ring.cells, CELL.responseTail) >>> 0 === this.#head;
  }

  /** The next answer, null where there is none, `'broken'` where the ring holds nonsense. */
  next(): Response | null | 'broken' {
    const ring = this.#ring;
    const tail = Atomics.load(ring.cells, CELL.responseTail) >>> 0;
    if (tail === this.#head) return null;
    if (ring.words[ring.at(this.#head) >> 2] === SKIP)
      this.#head = (this.#head + ring.size - ring.at(this.#head)) >>> 0;
    const at = ring.at(this.#head);
    const word = at >> 2;
    const size = ring.words[word + WORD.size] as number;
    const length = ring.words[word + WORD.length] as number;
    const available = (tail - this.#head) >>> 0;
    // FAIL-CLOSED: the worker wrote this; nothing is read outside the record, nor a record outside what was published.
    if (size < HEADER_BYTES || (size & 7) !== 0 || size > available || available > ring.size) return 'broken';
    if (at + size > ring.size || length < 0 || length > size - HEADER_BYTES) return 'broken';
    const response: Response = {
      seq: ring.words[word + WORD.seq] as number,
      tag: ring.words[word + WORD.kind] as number,
      startedUs: ring.words[word + WORD.startedUs] as number,
      durationUs: Math.max(0, ring.words[word + WORD.durationUs] as number),
      known: ring.words[word + WORD.known] as number,
      text: length === 0 ? '' : ring.bytes.toString('utf8', at + HEADER_BYTES, at + HEADER_BYTES + length),
    };
    this.#head = (this.#head + size) >>> 0;
    return response;
  }

  /** Gives the room of what was read back to the worker. */
  release(): void {
    Atomics.store(this.#ring.cells, CELL.responseHead, this.#head | 0);
  }
}
