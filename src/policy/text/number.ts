/** Numbers as YAML 1.2's core schema spells them, read from their source text without rounding. */
import { Decimal } from '../../decision/decimal.ts';
import type { DecimalText } from '../../decision/obligation.ts';

const FLOAT = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/;
const RADIX = /^0(?:o[0-7]+|x[0-9a-fA-F]+)$/;
const MAX_SOURCE = 800;

/** null where the number is beyond what a double's range or {@link Decimal} takes. */
export function decimalOfSource(source: string): DecimalText | null {
  if (source.length > MAX_SOURCE) return null;
  if (RADIX.test(source)) return within(BigInt(source).toString());
  const match = FLOAT.exec(source);
  if (match === null) return null;
  const [, sign, whole = '', fraction = '', exponent] = match;
  const digits = `${sign === '-' ? '-' : ''}${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
  return within(exponent === undefined ? digits : `${digits}e${exponent}`);
}

function within(text: string): DecimalText | null {
  if (!Number.isFinite(Number(text))) return null;
  try {
    return Decimal.parse(text).toString();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
