/**
 * Policy values against argument values: equal only in type and value, numbers by their exact decimal. A test on a
 * number costs a plain comparison where doubles are enough.
 */
import { Decimal } from '../decision/decimal.ts';
import { ExactNumber, type JsonValue, kindOf } from '../decision/value.ts';
import type { PolicyValue } from './program.ts';

export type Equal = (value: JsonValue) => boolean;
export type Order = (value: number | ExactNumber) => -1 | 0 | 1;

export function isNumber(value: JsonValue): value is number | ExactNumber {
  return typeof value === 'number' || value instanceof ExactNumber;
}

/** Exact. @throws RangeError for NaN and the infinities, which no JSON text yields. */
export function toDecimal(value: number | ExactNumber): Decimal {
  return typeof value === 'number' ? Decimal.fromNumber(value) : value.decimal;
}

/**
 * How an argument compares with a constant of the policy.
 *
 * A plain number stands for the decimal that its shortest spelling names. Distinct such decimals belong to distinct
 * doubles in the same order, so where the constant is one too, comparing doubles is exact.
 */
export function orderAgainst(text: string): Order {
  const constant = Decimal.parse(text);
  const double = Number(text);
  const isPlain = Number.isFinite(double) && Decimal.fromNumber(double).equals(constant);
  return (value) => {
    if (isPlain && typeof value === 'number' && Number.isFinite(value)) {
      if (value < double) return -1;
      if (value > double) return 1;
      if (value === double) return 0;
    }
    return toDecimal(value).compare(constant);
  };
}

export function equalTo(wanted: PolicyValue): Equal {
  switch (wanted.kind) {
    case 'null':
      return (value) => value === null;
    case 'boolean':
    case 'string': {
      const constant = wanted.value;
      return (value) => value === constant;
    }
    case 'number': {
      const order = orderAgainst(wanted.value);
      return (value) => isNumber(value) && order(value) === 0;
    }
    case 'list': {
      const items = wanted.items.map(equalTo);
      return (value) =>
        Array.isArray(value) &&
        value.length === items.length &&
        items.every((item, i) => item(value[i] as JsonValue));
    }
    case 'object': {
      const entries = wanted.entries.map(([key, item]) => [key, equalTo(item)] as const);
      return (value) => {
        if (kindOf(value) !== 'object') return false;
        const object = value as { readonly [key: string]: JsonValue };
        if (Object.keys(object).length !== entries.length) return false;
        return entries.every(([key, equal]) => Object.hasOwn(object, key) && equal(object[key] as JsonValue));
      };
    }
  }
}

const MAX_SHOWN = 120;

/** A constant of the policy as JSON, clipped: it goes into messages. */
export function show(value: PolicyValue): string {
  return clip(toJson(value), MAX_SHOWN);
}

export function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

function toJson(value: PolicyValue): string {
  switch (value.kind) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(value.value);
    case 'string':
      return JSON.stringify(value.value);
    case 'number':
      return value.value;
    case 'list':
      return `[${value.items.map(toJson).join(', ')}]`;
    case 'object':
      return `{${value.entries.map(([key, item]) => `${JSON.stringify(key)}: ${toJson(item)}`).join(', ')}}`;
  }
}
