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

export class LineFramer {
  readonly #maxBytes: number;
  readonly #sink: LineSink;
  /** The beginning of a message whose end has not come. */
  #parts: Buffer[] = [];
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
    this.#parts = [];
    this.#held = 0;
  }

  #hold(part: Buffer): void {
    if (this.#skipping) return;
    if (this.#held + part.length > this.#maxBytes) {
      this.#skip();
      return;
    }
    // One byte at a time must not cost a buffer each, nor pin the chunk each came in.
    const last = this.#parts.at(-1);
    if (part.length < 1024 && last !== undefined && last.length < 65_536)
      this.#parts[this.#parts.length - 1] = Buffer.concat([last, part]);
    else this.#parts.push(part);
    this.#held += part.length;
  }

  #skip(): void {
    this.#parts = [];
    this.#held = 0;
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
      line = Buffer.concat([...this.#parts, rest], this.#held + rest.length);
      this.#parts = [];
      this.#held = 0;
    }
    if (!isBlank(line)) this.#sink.line(line);
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}
