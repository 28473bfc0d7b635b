/**
 * One condition on an argument, made ready: a check that costs a few comparisons, and the words that tell a model
 * what would satisfy it. A check never allocates and says of an argument that is missing or of the wrong type just that.
 */
import { type JsonObject, type JsonValue, kindOf } from '../decision/value.ts';
import type { ArgumentCondition, Operator, PolicyValue } from './program.ts';
import { equalTo, isNumber, orderAgainst, show } from './values.ts';

export const HOLDS = 0;
export const FAILS = 1;
export const MISSING = 2;
export const WRONG_TYPE = 3;
export type Outcome = typeof HOLDS | typeof FAILS | typeof MISSING | typeof WRONG_TYPE;

export type PreparedCondition = {
  readonly check: (args: JsonObject) => Outcome;
  readonly path: readonly string[];
  /** For example `must be at most 500`. */
  readonly requirement: string;
  /** For example `a number`. */
  readonly needed: string;
};

export type CompileRegex = (pattern: string) => (text: string) => boolean;

/** The value at a path of object keys; undefined where there is none. Lists are not entered, nothing is inherited. */
export function valueAt(args: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue = args;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || kindOf(value) !== 'object') return undefined;
    if (!Object.hasOwn(value, key)) return undefined;
    value = (value as JsonObject)[key] as JsonValue;
  }
  return value;
}

export function prepareCondition(
  condition: ArgumentCondition,
  compileRegex: CompileRegex,
): PreparedCondition {
  const { path, op, value: wanted } = condition;
  const requirement = requirementOf(op, wanted);
  if (op === 'exists') {
    const present = wanted.kind === 'boolean' && wanted.value;
    // As the dialect has it, an argument given as null counts as not given.
    const check = (args: JsonObject): Outcome => {
      const value = valueAt(args, path);
      return (value !== undefined && value !== null) === present ? HOLDS : FAILS;
    };
    return { check, path, requirement, needed: 'a value' };
  }
  const { test, needed } = testOf(op, wanted, compileRegex);
  const check = (args: JsonObject): Outcome => {
    const value = valueAt(args, path);
    // FAIL-CLOSED: no argument satisfies no operator, not even a negated one.
    return value === undefined ? MISSING : test(value);
  };
  return { check, path, requirement, needed };
}

type Test = { readonly test: (value: JsonValue) => Outcome; readonly needed: string };

function testOf(op: Exclude<Operator, 'exists'>, wanted: PolicyValue, compileRegex: CompileRegex): Test {
  switch (op) {
    case 'eq':
    case 'neq':
      return membership([wanted], op === 'eq');
    case 'in':
    case 'not_in':
      return membership(listOf(wanted), op === 'in');
    case 'lt':
      return comparison(wanted, (order) => order < 0);
    case 'lte':
      return comparison(wanted, (order) => order <= 0);
    case 'gt':
      return comparison(wanted, (order) => order > 0);
    case 'gte':
      return comparison(wanted, (order) => order >= 0);
    case 'regex': {
      const matches = compileRegex(wanted.kind === 'string' ? wanted.value : neverValid());
      const test = (value: JsonValue) =>
        typeof value !== 'string' ? WRONG_TYPE : matches(value) ? HOLDS : FAILS;
      return { test, needed: 'a string' };
    }
    case 'contains':
      return containment(wanted);
  }
}

function membership(members: readonly PolicyValue[], inside: boolean): Test {
  const kinds = new Set(members.map((member) => member.kind));
  const texts = new Set(members.flatMap((member) => (member.kind === 'string' ? [member.value] : [])));
  const others = members.filter((member) => member.kind !== 'string').map(equalTo);
  const test = (value: JsonValue): Outcome => {
    // FAIL-CLOSED: a value of a type that no member has is a fault, so that ["root"] does not pass for `neq root`.
    if (kinds.size > 0 && !kinds.has(kindOf(value))) return WRONG_TYPE;
    const found = typeof value === 'string' ? texts.has(value) : others.some((equal) => equal(value));
    return found === inside ? HOLDS : FAILS;
  };
  return { test, needed: [...kinds].map(kindWithArticle).join(' or ') };
}

function comparison(wanted: PolicyValue, holds: (order: number) => boolean): Test {
  const order = orderAgainst(wanted.kind === 'number' ? wanted.value : neverValid());
  const test = (value: JsonValue) => (!isNumber(value) ? WRONG_TYPE : holds(order(value)) ? HOLDS : FAILS);
  return { test, needed: 'a number' };
}

/** Of a string: part of it. Of a list: one of its items, compared as by `eq`. */
function containment(wanted: PolicyValue): Test {
  const equal = equalTo(wanted);
  const part = wanted.kind === 'string' ? wanted.value : null;
  const test = (value: JsonValue): Outcome => {
    if (Array.isArray(value)) return value.some(equal) ? HOLDS : FAILS;
    if (part === null || typeof value !== 'string') return WRONG_TYPE;
    return value.includes(part) ? HOLDS : FAILS;
  };
  return { test, needed: part === null ? 'a list' : 'a string or a list' };
}

function listOf(value: PolicyValue): readonly PolicyValue[] {
  return value.kind === 'list' ? value.items : neverValid();
}

function neverValid(): never {
  throw new TypeError('a program holds a value that its operator does not take');
}

export function kindWithArticle(kind: string): string {
  if (kind === 'null') return 'null';
  return kind === 'object' ? 'an object' : `a ${kind}`;
}

function requirementOf(op: Operator, wanted: PolicyValue): string {
  const shown = show(wanted);
  switch (op) {
    case 'eq':
      return `must be ${shown}`;
    case 'neq':
      return `must not be ${shown}`;
    case 'in':
      return `must be one of ${shown}`;
    case 'not_in':
      return `must be none of ${shown}`;
    case 'lt':
      return `must be less than ${shown}`;
    case 'lte':
      return `must be at most ${shown}`;
    case 'gt':
      return `must be greater than ${shown}`;
    case 'gte':
      return `must be at least ${shown}`;
    case 'regex':
      return `must match the pattern ${shown}`;
    case 'contains':
      return `must contain ${shown}`;
    case 'exists':
      return wanted.kind === 'boolean' && wanted.value ? 'must be given, and not null' : 'must not be given';
  }
}
