/**
 * Splits a byte stream into messages, one a line. Holds at most one message of the longest size; a longer one is
 * reported once and skipped. A message without its line end when the stream ends was never finished, and is dropped.
 */

export type LineSink = {
  /** One message without its LF; a slice of the chunk it came in where it lay in one. Blank lines are not messages. */
  line(bytes: Buffer): void;
  oversize(): void;
};

const LF = 0x0a;
const NOTHING = Buffer.alloc(0);

export class LineFramer {
  readonly #maxBytes: number;
  readonly #sink: LineSink;
  /** The beginning of a message whose end has not come: the first `#held` bytes. */
  #buffer: Buffer = NOTHING;
  #held = 0;
  #skipping = false;

  constructor(maxBytes: number, sink: LineSink) {
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      const end = chunk.indexOf(LF, at);
      if (end < 0) break;
      this.#line(chunk.subarray(at, end));
      at = end + 1;
    }
    if (at < chunk.length) this.#hold(chunk.subarray(at));
  }

  end(): void {
    this.#forget();
  }

  #forget(): void {
    this.#buffer = NOTHING;
    this.#held = 0;
  }

  #hold(part: Buffer): void {
    if (this.#skipping) return;
    if (this.#held + part.length > this.#maxBytes) {
      this.#skip();
      return;
    }
    this.#append(part);
  }

  /** Grows by doubling, so that a message that comes a byte at a time costs no more than one that comes whole. */
  #append(part: Buffer): void {
    const needed = this.#held + part.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(this.#maxBytes, Math.max(needed, 2 * this.#buffer.length, 256)),
      );
      this.#buffer.copy(grown, 0, 0, this.#held);
      this.#buffer = grown;
    }
    part.copy(this.#buffer, this.#held);
    this.#held = needed;
  }

  #skip(): void {
    this.#forget();
    this.#skipping = true;
    this.#sink.oversize();
  }

  #line(rest: Buffer): void {
    if (this.#skipping) {
      this.#skipping = false;
      return;
    }
    if (this.#held + rest.length > this.#maxBytes) {
      this.#skip();
      this.#skipping = false;
      return;
    }
    let line = rest;
    if (this.#held > 0) {
      this.#append(rest);
      line = this.#buffer.subarray(0, this.#held);
      this.#forget();
    }
    if (!isBlank(line)) this.#sink.line(line);
  }
}

function isBlank(line: Buffer): boolean {
  for (let i = 0; i < line.length; i++) {
    const byte = line[i];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}
