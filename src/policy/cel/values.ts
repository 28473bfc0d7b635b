/**
 * JSON values as CEL sees them: objects are maps, whole numbers within 64 bits are int, other numbers double. A number
 * that neither holds exactly stays what it is, which no operator takes: an error, never a rounded answer.
 */
import { ExactNumber, type JsonValue } from '../../decision/value.ts';

export type CelValue = null | boolean | string | number | bigint | ExactNumber | CelValue[] | CelMap;
export type CelMap = Map<string, CelValue>;

const MAX_INT = 9_223_372_036_854_775_807n;
const MIN_INT = -9_223_372_036_854_775_808n;

export function toCel(value: JsonValue): CelValue {
  switch (typeof value) {
    case 'number':
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'object':
      if (value === null) return null;
      if (value instanceof ExactNumber) return exact(value);
      if (Array.isArray(value)) return (value as readonly JsonValue[]).map(toCel);
      return toMap(value as { readonly [key: string]: JsonValue });
    default:
      return value;
  }
}

/** A Map: what its keys are called never matters to the engine. */
export function toMap(object: { readonly [key: string]: JsonValue }): CelMap {
  const map: CelMap = new Map();
  for (const key in object) map.set(key, toCel(object[key] as JsonValue));
  return map;
}

function exact(number: ExactNumber): CelValue {
  const { units, exponent } = number.decimal;
  return exponent === 0 && units >= MIN_INT && units <= MAX_INT ? units : number;
}
