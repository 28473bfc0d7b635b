/** `rate_limit: N/window`, and the bounds of what may be counted. */
import { Decimal } from '../../decision/decimal.ts';
import type { DecimalText, Window } from '../../decision/obligation.ts';
import { nearest } from './nearest.ts';
import { WINDOWS } from './schema.ts';

/** The largest count and increment: 2^63 - 1. */
export const MAX_COUNT = '9223372036854775807';

export type ParsedRate =
  | { readonly count: DecimalText; readonly window: Window }
  | { readonly expected: string; readonly hint?: string };

export function parseRateLimit(text: string): ParsedRate {
  const expected = 'N/minute, N/hour or N/day, with a whole N greater than 0';
  const [count = '', word, ...more] = text.split('/');
  const window = WINDOWS.find((known) => known === word);
  if (more.length === 0 && word !== undefined && window === undefined) {
    const near = nearest(word.trim(), WINDOWS);
    if (near !== undefined && /^\d+$/.test(count.trim()))
      return { expected, hint: `did you mean ${count.trim()}/${near}?` };
  }
  if (window === undefined || more.length > 0 || !/^\d{1,40}$/.test(count)) return { expected };
  const decimal = Decimal.parse(count).toString();
  return decimalAtMost(decimal, MAX_COUNT)
    ? { count: decimal, window }
    : { expected: `${expected} and at most ${MAX_COUNT}` };
}

/** Greater than 0 and at most `most`. */
export function decimalAtMost(text: DecimalText, most: DecimalText): boolean {
  const value = Decimal.parse(text);
  return !value.isNegative && !value.equals(Decimal.ZERO) && value.compare(Decimal.parse(most)) <= 0;
}
