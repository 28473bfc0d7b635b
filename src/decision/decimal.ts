/**
 * Exact decimal numbers: a whole number of units of a power of ten. Used where money or digits are at stake,
 * so that 0.1 + 0.2 is 0.3 and 2^53 + 1 is not 2^53.
 */

/** Exponents beyond this make values whose digits would fill memory; they are refused. */
export const MAX_EXPONENT = 400;
const LITERAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,9}))?$/;

export class Decimal {
  /** INVARIANT: `units` is not a multiple of ten unless `exponent` is 0 and never when `exponent` is negative; zero has exponent 0. */
  readonly units: bigint;
  readonly exponent: number;

  private constructor(units: bigint, exponent: number) {
    this.units = units;
    this.exponent = exponent;
  }

  static readonly ZERO = new Decimal(0n, 0);

  /** @throws RangeError where the text is no decimal number or its exponent is beyond {@link MAX_EXPONENT}. */
  static parse(text: string): Decimal {
    const match = LITERAL.exec(text);
    if (match === null) throw new RangeError('not a decimal number');
    const fraction = match[3] ?? '';
    const exponent = Number(match[4] ?? 0) - fraction.length;
    const digits = (match[2] ?? '') + fraction;
    if (digits.length > 2 * MAX_EXPONENT) throw new RangeError('too many digits');
    return Decimal.#normal(BigInt(`${match[1] ?? ''}${digits}`), exponent);
  }

  /**
   * The decimal that the number's shortest spelling names, which is what its author wrote.
   * @throws RangeError for NaN and the infinities.
   */
  static fromNumber(value: number): Decimal {
    if (Number.isSafeInteger(value)) return Decimal.#normal(BigInt(value), 0);
    return Decimal.parse(String(value));
  }

  static #normal(units: bigint, exponent: number): Decimal {
    if (units === 0n) return Decimal.ZERO;
    let u = units;
    let e = exponent;
    while (e < 0 && u % 10n === 0n) {
      u /= 10n;
      e += 1;
    }
    if (e > MAX_EXPONENT || e < -MAX_EXPONENT) throw new RangeError('exponent out of range');
    if (e > 0) {
      u *= 10n ** BigInt(e);
      e = 0;
    }
    return new Decimal(u, e);
  }

  get isNegative(): boolean {
    return this.units < 0n;
  }

  plus(other: Decimal): Decimal {
    if (this.exponent === 0 && other.exponent === 0) return new Decimal(this.units + other.units, 0);
    const [a, b, exponent] = aligned(this, other);
    return Decimal.#normal(a + b, exponent);
  }

  minus(other: Decimal): Decimal {
    const [a, b, exponent] = aligned(this, other);
    return Decimal.#normal(a - b, exponent);
  }

  compare(other: Decimal): -1 | 0 | 1 {
    if (this.exponent === other.exponent) return order(this.units, other.units);
    const [a, b] = aligned(this, other);
    return order(a, b);
  }

  equals(other: Decimal): boolean {
    return this.units === other.units && this.exponent === other.exponent;
  }

  /** Plain decimal notation, without an exponent; reads back to an equal value. */
  toString(): string {
    if (this.exponent === 0) return String(this.units);
    const digits = String(this.units < 0n ? -this.units : this.units).padStart(1 - this.exponent, '0');
    const cut = digits.length + this.exponent;
    return `${this.units < 0n ? '-' : ''}${digits.slice(0, cut)}.${digits.slice(cut)}`;
  }
}

function order(a: bigint, b: bigint): -1 | 0 | 1 {
  return a < b ? -1 : a > b ? 1 : 0;
}

function aligned(x: Decimal, y: Decimal): [bigint, bigint, number] {
  if (x.exponent === y.exponent) return [x.units, y.units, x.exponent];
  const exponent = Math.min(x.exponent, y.exponent);
  return [
    x.units * 10n ** BigInt(x.exponent - exponent),
    y.units * 10n ** BigInt(y.exponent - exponent),
    exponent,
  ];
}
