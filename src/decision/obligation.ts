/**
 * Obligations: what must be done before an allow stands. The evaluator only names them; the counters discharge all
 * of a call's obligations in one atomic step, or none.
 */

export type Window = 'minute' | 'hour' | 'day';

/** Which counter: `scope` is a tool's name, or null for the counters that all tools of the server share (`_global`). */
export type CounterRef = {
  readonly scope: string | null;
  readonly name: string;
  readonly window: Window;
};

/** A decimal number in plain notation, as `Decimal.parse` reads it. Text, so that it crosses threads and stores unrounded. */
export type DecimalText = string;

export type RuleRef = {
  /** The key under `tools` in the policy: a name, a glob, or `*`. */
  readonly tool: string;
  readonly rule: string;
  /** Position of the rule under that key, from 0. */
  readonly index: number;
  /** Which of several policies, by the name of its file. */
  readonly policy?: string;
  /** What of the rule: `when`, `condition 2`, `require`, `check`. Told where an evaluation failed there. */
  readonly part?: string;
};

/** The rule that was being judged when an evaluation failed. */
export type Culprit = { readonly rule: RuleRef; readonly onDeny?: string };

/**
 * `reserve`: take `amount` (never negative) if `value + amount` stays within every bound.
 * `read`: the counter's value before this call's own reservations must satisfy `test`.
 */
export type Obligation =
  | {
      readonly kind: 'reserve';
      readonly counter: CounterRef;
      readonly amount: DecimalText;
      readonly bounds: readonly { readonly op: 'lt' | 'lte'; readonly value: DecimalText }[];
      readonly rule: RuleRef;
      readonly onDeny?: string;
    }
  | {
      readonly kind: 'read';
      readonly counter: CounterRef;
      readonly test: CounterTest;
      readonly rule: RuleRef;
      readonly onDeny?: string;
    };

export type CounterTest =
  | { readonly op: 'eq' | 'neq' | 'lt' | 'lte' | 'gt' | 'gte'; readonly value: DecimalText }
  | { readonly op: 'in' | 'not_in'; readonly values: readonly DecimalText[] };
