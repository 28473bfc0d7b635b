/**
 * Which tools of which sessions have been judged without harm, as bits that all threads share. While a lane is held
 * up, and for a while after one was lost, the lanes judge at once only what has a bit here; the rest is judged apart,
 * one call at a time. So what makes lanes hang costs one lane, however many calls of it arrive.
 *
 * Bits are shared by all that hash alike: a stranger may pass for proven, never a proven one for a stranger.
 */

const CAUTIOUS = 0;
const WORDS = 1024;
const BITS = WORDS * 32;
/** Of a tool's name: its rest tells little, and names are the agent's choice. */
const HASHED_LENGTH = 64;

export class Trust {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  static buffer(): SharedArrayBuffer {
    return new SharedArrayBuffer((1 + WORDS) * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The bit of a session's tool, from 1. */
  static bitOf(session: number, tool: string): number {
    let hash = (0x811c9dc5 ^ session) | 0;
    hash = Math.imul(hash ^ tool.length, 0x01000193);
    const length = Math.min(tool.length, HASHED_LENGTH);
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ tool.charCodeAt(i), 0x01000193);
    return 1 + ((hash ^ (hash >>> 15)) & (BITS - 1));
  }

  get isCautious(): boolean {
    return Atomics.load(this.#words, CAUTIOUS) !== 0;
  }

  set isCautious(cautious: boolean) {
    Atomics.store(this.#words, CAUTIOUS, cautious ? 1 : 0);
  }

  isProven(bit: number): boolean {
    return (Atomics.load(this.#words, 1 + ((bit - 1) >> 5)) & (1 << ((bit - 1) & 31))) !== 0;
  }

  prove(bit: number): void {
    if (!this.isProven(bit)) Atomics.or(this.#words, 1 + ((bit - 1) >> 5), 1 << ((bit - 1) & 31));
  }

  /** `bit` 0 is nobody's. */
  doubt(bit: number): void {
    if (bit > 0 && bit <= BITS) Atomics.and(this.#words, 1 + ((bit - 1) >> 5), ~(1 << ((bit - 1) & 31)));
  }

  clear(): void {
    for (let word = 1; word <= WORDS; word++) Atomics.store(this.#words, word, 0);
  }
}
