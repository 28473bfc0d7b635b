/**
 * JSON values as the strict reader yields them: nothing rounded, nothing inherited.
 *
 * Objects have no prototype, so `__proto__` and `constructor` are keys like any other. A number whose digits a
 * double would change is an {@link ExactNumber}; every other number is a plain `number`.
 */
import { Decimal } from './decimal.ts';

export type JsonObject = { readonly [key: string]: JsonValue };
export type JsonValue = null | boolean | string | number | ExactNumber | readonly JsonValue[] | JsonObject;

/** A JSON number that a double cannot hold without changing its value. */
export class ExactNumber {
  readonly decimal: Decimal;

  constructor(decimal: Decimal) {
    this.decimal = decimal;
  }
}

/**
 * Reads a JSON number literal without rounding.
 * INVARIANT: two literals of equal value become equal values here, however they are spelt.
 * @throws RangeError where the exponent is beyond what {@link Decimal} takes.
 */
export function numberFromLiteral(literal: string): number | ExactNumber {
  // A decimal of at most 15 significant digits and a modest exponent comes back from a double unchanged.
  if (literal.length <= 15 && !literal.includes('e') && !literal.includes('E')) {
    const value = Number(literal);
    return value === 0 ? 0 : value;
  }
  const decimal = Decimal.parse(literal);
  const value = Number(literal);
  if (Number.isFinite(value) && Decimal.fromNumber(value).equals(decimal)) return value === 0 ? 0 : value;
  return new ExactNumber(decimal);
}

export type ValueKind = 'null' | 'boolean' | 'string' | 'number' | 'list' | 'object';

/** The JSON name of a value's type, as denials and diagnostics use it. */
export function kindOf(value: JsonValue): ValueKind {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  if (value instanceof ExactNumber) return 'number';
  const kind = typeof value;
  return kind === 'object' ? 'object' : (kind as 'boolean' | 'string' | 'number');
}
