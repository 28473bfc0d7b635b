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
  FAILS,
  HOLDS,
  kindWithArticle,
  MISSING,
  type PreparedCondition,
  prepareCondition,
  valueAt,
  WRONG_TYPE,
} from './condition.ts';
import type { Engines, Evaluable } from './engines.ts';
import type { CallContext } from './facts.ts';
import type { CounterCondition, Expression, Limit, PolicyValue, Rule } from './program.ts';
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
  /** Whether it applies to the call; null: always. */
  readonly applies: Evaluable | null;
  /** Needs to know more of the call than its arguments. */
  readonly needsContext: boolean;
  /** Needs to know what the server says of the tool. */
  readonly needsAnnounced: boolean;
  /** Judges all parts but the amount. Writes each one's number, as `partsOf` counts them, into `cursor[1]` before it. */
  readonly judge: (
    args: JsonObject,
    context: CallContext | null,
    cursor: Int32Array | undefined,
  ) => Denial | null;
  /** Judges the amount, where an argument holds it. */
  readonly judgeAmount: ((args: JsonObject) => Denial | null) | null;
  /** The conditions on counters that other rules raise. */
  readonly reads: readonly Obligation[];
  /** The bounds on the counter this rule raises, as they stand before anything is added: a limit that is passed already. */
  readonly ownReads: readonly Obligation[];
  /** What to reserve; only for arguments that `judgeAmount` passed. */
  readonly reserve: (args: JsonObject) => Obligation | null;
};

type Step = (args: JsonObject, context: CallContext | null) => Denial | null;

export function prepareRule(rule: Rule, ref: RuleRef, number: number, engines: Engines): PreparedRule {
  const deny: MakeDenial = (reason, what) => denialOf(rule, ref, reason, what);
  const applies = rule.when === undefined ? null : evaluable(rule.when, engines);
  const shared = { number, ref, onDeny: rule.onDeny, applies, needsAnnounced: asksOfTool(rule) };
  const source = { rule: ref, ...(rule.onDeny === undefined ? {} : { onDeny: rule.onDeny }) };
  if (rule.action === 'deny') {
    const what =
      applies === null ? 'it denies every call of this tool' : `it denies calls for which ${code(rule.when)}`;
    const denial = deny('rule_denied', what);
    const paths = applies?.paths ?? [];
    const nothing = { paths, judgeAmount: null, reads: [], ownReads: [], reserve: () => null };
    return { ...shared, ...nothing, needsContext: applies !== null, judge: () => denial };
  }
  const steps: Step[] = [];
  const reads: Obligation[] = [];
  const paths: (readonly string[])[] = [...(applies?.paths ?? [])];
  for (const condition of rule.conditions) {
    if (condition.on === 'args') {
      paths.push(condition.path);
      steps.push(argumentStep(prepareCondition(condition, engines.compileRegex), deny));
      continue;
    }
    const test = counterTest(condition);
    if (typeof test === 'object') reads.push({ kind: 'read', counter: condition.counter, test, ...source });
    const name = `state.${condition.counter.scope ?? '_global'}.${condition.counter.name}`;
    const denial = deny('rule_denied', `"${clip(name, 100)}" can never satisfy the condition`);
    steps.push(test === 'never' ? () => denial : () => null);
  }
  for (const expression of rule.require ?? []) {
    const holds = evaluable(expression, engines);
    paths.push(...holds.paths);
    steps.push(requirementStep(expression, holds, deny));
  }
  if (rule.check !== undefined) steps.push(checkStep(rule.check, engines, deny));
  const before = applies === null ? 1 : 2;
  const { limit } = rule;
  if (limit?.amount.kind === 'argument') paths.push(limit.amount.path);
  return {
    ...shared,
    paths,
    needsContext: applies !== null || rule.require !== undefined || rule.check !== undefined,
    judge: (args, context, cursor) => {
      for (let i = 0; i < steps.length; i++) {
        if (cursor !== undefined) cursor[1] = before + i;
        const denial = (steps[i] as Step)(args, context);
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

/** Checks may ask anything; an expression that does not hold the word does not ask. */
function asksOfTool({ when, require = [], check }: Rule): boolean {
  return (
    check !== undefined ||
    [...require, ...(when === undefined ? [] : [when])].some((e) => e.includes('annotations'))
  );
}

/** FAIL-CLOSED: a policy whose expressions nobody can evaluate is not loaded. */
function evaluable(expression: Expression, { compileExpression }: Engines): Evaluable {
  if (compileExpression === undefined) throw new TypeError('nothing here evaluates expressions');
  return compileExpression(expression);
}

function requirementStep(expression: Expression, holds: Evaluable, deny: MakeDenial): Step {
  const denial = deny('rule_denied', `it must hold that ${code(expression)}`);
  // INVARIANT: whatever throws here is a failed evaluation of this rule (evaluate.ts), never a requirement that held.
  return (_args, context) => (holds(context as CallContext) === true ? null : denial);
}

const CHECK_FAULTS = {
  error: 'evaluation_error',
  timeout: 'evaluation_timeout',
  out_of_memory: 'evaluation_out_of_memory',
} as const satisfies Record<string, DenyReason>;

function checkStep(name: string, { runCheck }: Engines, deny: MakeDenial): Step {
  if (runCheck === undefined) throw new TypeError('nothing here runs checks');
  return (_args, context) => {
    const outcome = runCheck(name, context as CallContext);
    switch (outcome.kind) {
      case 'passed':
        return null;
      case 'denied':
        return deny('rule_denied', clip(outcome.reason, MAX_REASON));
      case 'fault':
        return deny(CHECK_FAULTS[outcome.fault], `its check ${code(name)} failed: ${outcome.detail}`);
    }
  };
}

const MAX_SHOWN_SOURCE = 200;
const MAX_REASON = 500;

/** The policy's own text, as a message shows it. */
function code(source: string | undefined): string {
  return `\`${clip((source ?? '').replace(/\s+/g, ' ').trim(), MAX_SHOWN_SOURCE)}\``;
}

type MakeDenial = (reason: DenyReason, what: string) => Denial;
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

function amountStep(path: readonly string[], deny: MakeDenial): (args: JsonObject) => Denial | null {
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
