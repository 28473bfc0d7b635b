/**
 * One rule, made ready: its conditions in order, and the obligations that an allow under it takes on. Judging a rule
 * answers null where it passes, else the denial.
 */
import { Decimal } from '../decision/decimal.ts';
import type { CounterTest, DecimalText, Obligation, RuleRef } from '../decision/obligation.ts';
import type { DenyReason } from '../decision/reason.ts';
import { type JsonObject, kindOf } from '../decision/value.ts';
import type { Denial } from '../decision/verdict.ts';
import {
  type CompileRegex,
  FAILS,
  HOLDS,
  kindWithArticle,
  MISSING,
  type PreparedCondition,
  prepareCondition,
  valueAt,
  WRONG_TYPE,
} from './condition.ts';
import type { CounterCondition, Limit, PolicyValue, Rule } from './program.ts';
import { clip, isNumber, toDecimal } from './values.ts';

/** An amount beyond this is taken for a mistake or an attack. */
export const MAX_AMOUNT = Decimal.parse('1000000000000000000');

export type PreparedRule = {
  /** The rule's number in the whole program, from 1. */
  readonly number: number;
  readonly ref: RuleRef;
  readonly onDeny: string | undefined;
  /** The arguments that it reads. */
  readonly paths: readonly (readonly string[])[];
  /** Judges all conditions. Writes each one's number, from 1, into `cursor[1]` before it. */
  readonly judge: (args: JsonObject, cursor: Int32Array | undefined) => Denial | null;
  /** Judges the amount, where an argument holds it. */
  readonly judgeAmount: Step | null;
  /** The conditions on counters that other rules raise. */
  readonly reads: readonly Obligation[];
  /** The bounds on the counter this rule raises, as they stand before anything is added: a limit that is passed already. */
  readonly ownReads: readonly Obligation[];
  /** What to reserve; only for arguments that `judgeAmount` passed. */
  readonly reserve: (args: JsonObject) => Obligation | null;
};

type Step = (args: JsonObject) => Denial | null;

export function prepareRule(
  rule: Rule,
  ref: RuleRef,
  number: number,
  compileRegex: CompileRegex,
): PreparedRule {
  const deny = (reason: DenyReason, what: string): Denial => denialOf(rule, ref, reason, what);
  const shared = { number, ref, onDeny: rule.onDeny };
  const source = { rule: ref, ...(rule.onDeny === undefined ? {} : { onDeny: rule.onDeny }) };
  if (rule.action === 'deny') {
    const denial = deny('rule_denied', 'it denies every call of this tool');
    const nothing = { paths: [], judgeAmount: null, reads: [], ownReads: [], reserve: () => null };
    return { ...shared, ...nothing, judge: () => denial };
  }
  const steps: Step[] = [];
  const reads: Obligation[] = [];
  const paths: (readonly string[])[] = [];
  for (const condition of rule.conditions) {
    if (condition.on === 'args') {
      paths.push(condition.path);
      steps.push(argumentStep(prepareCondition(condition, compileRegex), deny));
      continue;
    }
    const test = counterTest(condition);
    if (typeof test === 'object') reads.push({ kind: 'read', counter: condition.counter, test, ...source });
    const name = `state.${condition.counter.scope ?? '_global'}.${condition.counter.name}`;
    const denial = deny('rule_denied', `"${clip(name, 100)}" can never satisfy the condition`);
    steps.push(test === 'never' ? () => denial : () => null);
  }
  const { limit } = rule;
  if (limit?.amount.kind === 'argument') paths.push(limit.amount.path);
  return {
    ...shared,
    paths,
    judge: (args, cursor) => {
      for (let i = 0; i < steps.length; i++) {
        if (cursor !== undefined) cursor[1] = i + 1;
        const denial = (steps[i] as Step)(args);
        if (denial !== null) return denial;
      }
      return null;
    },
    judgeAmount: limit?.amount.kind === 'argument' ? amountStep(limit.amount.path, deny) : null,
    reads,
    ownReads: (limit?.bounds ?? []).map((test) => ({
      kind: 'read',
      counter: (limit as Limit).counter,
      test,
      ...source,
    })),
    reserve: reserveOf(limit, source),
  };
}

type Source = { readonly rule: RuleRef; readonly onDeny?: string };

function reserveOf(limit: Limit | undefined, source: Source): PreparedRule['reserve'] {
  if (limit === undefined) return () => null;
  const { counter, bounds, amount } = limit;
  if (amount.kind === 'fixed') {
    const obligation: Obligation = { kind: 'reserve', counter, amount: amount.value, bounds, ...source };
    return () => obligation;
  }
  return (args) => ({ kind: 'reserve', counter, amount: amountFrom(args, amount.path), bounds, ...source });
}

/** The text holds the rule's own words first, then what was wrong with the call; never an argument's value. */
export function denialOf(
  rule: { name: string; onDeny?: string },
  ref: RuleRef,
  reason: DenyReason,
  what: string,
): Denial {
  const detail = `rule ${JSON.stringify(clip(rule.name, 100))}: ${what}`;
  const message = rule.onDeny === undefined ? detail : `${rule.onDeny} (${detail})`;
  return { reason, message, rule: ref, ...(rule.onDeny === undefined ? {} : { onDeny: rule.onDeny }) };
}

type MakeDenial = (reason: DenyReason, what: string) => Denial;

function argumentStep(condition: PreparedCondition, deny: MakeDenial): Step {
  const { check, path, requirement, needed } = condition;
  const name = argumentName(path);
  // Made beforehand, since most denials are of these two kinds and hold nothing of the call.
  const failed = deny('rule_denied', `${name} ${requirement}`);
  const missing = deny('invalid_argument', `${name} is missing; it ${requirement}`);
  return (args) => {
    switch (check(args)) {
      case HOLDS:
        return null;
      case FAILS:
        return failed;
      case MISSING:
        return missing;
      case WRONG_TYPE: {
        const value = valueAt(args, path);
        const found = value === undefined ? 'missing' : kindWithArticle(kindOf(value));
        return deny('invalid_argument', `${name} is ${found}, but has to be ${needed}: it ${requirement}`);
      }
    }
  };
}

function amountStep(path: readonly string[], deny: MakeDenial): Step {
  const name = argumentName(path);
  const missing = deny(
    'invalid_argument',
    `${name} is missing; it must be a number, for it counts towards a limit`,
  );
  const negative = deny('invalid_argument', `${name} must not be negative, for it counts towards a limit`);
  const tooLarge = deny(
    'invalid_argument',
    `${name} must be at most ${MAX_AMOUNT.toString()}, for it counts towards a limit`,
  );
  return (args) => {
    const value = valueAt(args, path);
    if (value === undefined) return missing;
    if (!isNumber(value)) {
      const found = kindWithArticle(kindOf(value));
      return deny(
        'invalid_argument',
        `${name} is ${found}, but has to be a number, for it counts towards a limit`,
      );
    }
    if (typeof value === 'number' && value >= 0 && value < 1e18) return null;
    const amount = toDecimal(value);
    if (amount.isNegative) return negative;
    return amount.compare(MAX_AMOUNT) > 0 ? tooLarge : null;
  };
}

function amountFrom(args: JsonObject, path: readonly string[]): DecimalText {
  const value = valueAt(args, path);
  if (value === undefined || !isNumber(value))
    throw new TypeError('an amount was not judged before it was taken');
  return toDecimal(value).toString();
}

/** What stands against a call that spells the argument at `path` otherwise than the rules that read it. */
export function misspeltDenial(path: readonly string[]): Denial {
  const message = `an argument is spelt almost like ${argumentName(path)}, which a rule reads: some servers take the one for the other, so spell it exactly like that, and give it once`;
  return { reason: 'invalid_argument', message };
}

function argumentName(path: readonly string[]): string {
  return JSON.stringify(clip(path.join('.'), 100));
}

/** A counter is a number that is always there; what asks for anything else is settled here. */
export function counterTest(condition: {
  op: CounterCondition['op'];
  value: PolicyValue;
}): CounterTest | 'always' | 'never' {
  const { op, value } = condition;
  switch (op) {
    case 'eq':
    case 'neq':
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      // FAIL-CLOSED: a number is never compared with another type, not even by `neq`.
      return value.kind === 'number' ? { op, value: value.value } : 'never';
    case 'in':
    case 'not_in': {
      if (value.kind !== 'list') return 'never';
      const values = value.items.flatMap((item) => (item.kind === 'number' ? [item.value] : []));
      if (values.length > 0) return { op, values };
      return op === 'not_in' && value.items.length === 0 ? 'always' : 'never';
    }
    case 'exists':
      return value.kind === 'boolean' && value.value ? 'always' : 'never';
    case 'regex':
    case 'contains':
      return 'never';
  }
}
