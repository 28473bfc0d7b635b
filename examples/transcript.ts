/** Prints the demonstration step by step, in colour on a terminal only, and keeps count of what did not hold. */

const CODES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33' } as const;

export class Transcript {
  readonly #out: NodeJS.WriteStream;
  readonly #coloured: boolean;
  #steps = 0;
  #failed = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#coloured = out.isTTY === true && process.env.NO_COLOR === undefined;
  }

  title(text: string): void {
    this.#line(`\n${this.#paint('bold', text)}`);
  }

  /** `held`: whether what was expected came about; `expected`: what that was, in a word. */
  step(
    held: boolean,
    expected: 'listed' | 'allowed' | 'denied' | 'went on',
    what: string,
    answer: string,
    ms?: number,
  ): void {
    this.#steps += 1;
    if (!held) this.#failed += 1;
    const colour = held ? (expected === 'denied' ? 'yellow' : 'green') : 'red';
    const mark = this.#paint(colour, held ? expected.padEnd(8) : `NOT ${expected}`);
    const time = ms === undefined ? '' : this.#paint('dim', `  ${ms.toFixed(1)} ms`);
    this.#line(`  ${mark} ${what}${time}`);
    this.#line(this.#paint('dim', `           ${answer.replaceAll('\n', ' ').slice(0, 300)}`));
  }

  /** Prints the last line and tells whether everything held. */
  summary(ms: number): boolean {
    const held = this.#failed === 0;
    const text = held
      ? `All ${this.#steps} expectations held, in ${(ms / 1000).toFixed(1)} s.`
      : `${this.#failed} of ${this.#steps} expectations did not hold.`;
    this.#line(`\n${this.#paint(held ? 'green' : 'red', text)}`);
    return held;
  }

  #paint(name: keyof typeof CODES, text: string): string {
    return this.#coloured ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text;
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`);
  }
}
