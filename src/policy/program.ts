/**
 * A program: a policy file compiled to plain data. It can be cloned to a thread, hashed and printed; it holds no
 * function, class or position. `prepare` (evaluate.ts) turns it into what a lane runs.
 */
import type { CheckBundle } from '../checks/bundle.ts';
import type { CounterRef, Culprit, DecimalText } from '../decision/obligation.ts';

/** A policy value: JSON, with every number as exact decimal text so that nothing is rounded on the way to a lane. */
export type PolicyValue =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: DecimalText }
  | { readonly kind: 'list'; readonly items: readonly PolicyValue[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, PolicyValue])[] };

export const OPERATORS = [
  'eq',
  'neq',
  'in',
  'not_in',
  'lt',
  'lte',
  'gt',
  'gte',
  'regex',
  'contains',
  'exists',
] as const;
export type Operator = (typeof OPERATORS)[number];

/** A condition on an argument: `path` without its `args.` prefix, split at the dots. */
export type ArgumentCondition = {
  readonly on: 'args';
  readonly path: readonly string[];
  readonly op: Operator;
  readonly value: PolicyValue;
};

/** A condition on a counter that this rule does not itself raise: read before the call's own reservations. */
export type CounterCondition = {
  readonly on: 'state';
  readonly counter: CounterRef;
  readonly op: Operator;
  readonly value: PolicyValue;
};

export type Limit = {
  readonly counter: CounterRef;
  readonly bounds: readonly { readonly op: 'lt' | 'lte'; readonly value: DecimalText }[];
  /** A fixed amount, or the argument that holds it. */
  readonly amount:
    | { readonly kind: 'fixed'; readonly value: DecimalText }
    | { readonly kind: 'argument'; readonly path: readonly string[] };
};

/** CEL, parsed and checked when the file was read; each lane parses it again. */
export type Expression = string;

export type Rule = {
  readonly name: string;
  readonly onDeny?: string;
  /** The rule applies only to calls for which this is true. */
  readonly when?: Expression;
  /** Each must hold. */
  readonly require?: readonly Expression[];
  /** A check in JavaScript that must pass: its name in the program's bundle of checks. */
  readonly check?: string;
} & (
  | { readonly action: 'deny' }
  | {
      readonly action: 'evaluate';
      readonly conditions: readonly (ArgumentCondition | CounterCondition)[];
      readonly limit?: Limit;
    }
);

/** What a rule is judged by, in that order: what `cursor[1]` counts, from 1. */
export function partsOf(rule: Rule): string[] {
  const conditions = rule.action === 'deny' ? [] : rule.conditions.map((_, i) => `condition ${i + 1}`);
  const requirements = (rule.require ?? []).map((_, i, all) =>
    all.length === 1 ? 'require' : `require ${i + 1}`,
  );
  return [
    ...(rule.when === undefined ? [] : ['when']),
    ...conditions,
    ...requirements,
    ...(rule.check === undefined ? [] : ['check']),
  ];
}

export type ToolRules = {
  /** The key under `tools`: an exact name, a glob, or `*`. */
  readonly key: string;
  readonly rules: readonly Rule[];
};

export type Program = {
  readonly format: 1;
  readonly defaultEffect: 'allow' | 'deny';
  /** Exact names and globs. */
  readonly hide: readonly string[];
  readonly tools: readonly ToolRules[];
  /** The code of the checks that rules name. */
  readonly checks?: CheckBundle;
};

export function holdsExpressions(program: Program): boolean {
  return program.tools.some((tool) =>
    tool.rules.some((rule) => rule.when !== undefined || rule.require !== undefined),
  );
}

/** One of several policies: `policy` names it in denials and records. */
export type Layer = { readonly policy: string; readonly program: Program };

/** What is put in force: one policy, or several that must all allow. */
export type PolicyProgram = Program | { readonly format: 1; readonly layers: readonly Layer[] };

export function layersOf(program: PolicyProgram): readonly Layer[] {
  return 'layers' in program ? program.layers : [{ policy: '', program }];
}

/**
 * The program with counters of its own, for a policy beside others: what two files call alike is two counters.
 * The first keeps the names it has alone.
 */
export function withOwnCounters(program: Program, owner: string): Program {
  const own = (counter: CounterRef): CounterRef => ({
    ...counter,
    scope: `@${owner}/${counter.scope ?? '_global'}`,
  });
  const ruleOf = (rule: Rule): Rule => {
    if (rule.action === 'deny') return rule;
    const conditions = rule.conditions.map((condition) =>
      condition.on === 'state' ? { ...condition, counter: own(condition.counter) } : condition,
    );
    const { limit } = rule;
    return {
      ...rule,
      conditions,
      ...(limit === undefined ? {} : { limit: { ...limit, counter: own(limit.counter) } }),
    };
  };
  return { ...program, tools: program.tools.map((tool) => ({ ...tool, rules: tool.rules.map(ruleOf) })) };
}

/** The rule and the part of it that a judge's cursor means: its number over all rules, and the part's, both from 1. */
export function culpritOf(program: PolicyProgram, number: number, part: number): Culprit | undefined {
  let before = 0;
  const layers = layersOf(program);
  for (const { policy, program: own } of layers) {
    for (const { key, rules } of own.tools) {
      const index = number - before - 1;
      const rule = rules[index];
      before += rules.length;
      if (rule === undefined) continue;
      const name = partsOf(rule)[part - 1];
      const { onDeny } = rule;
      return {
        rule: {
          tool: key,
          rule: rule.name,
          index,
          ...(layers.length === 1 ? {} : { policy }),
          ...(name === undefined ? {} : { part: name }),
        },
        ...(onDeny === undefined ? {} : { onDeny }),
      };
    }
  }
  return undefined;
}
