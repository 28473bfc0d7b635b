/**
 * The policy's answer to one call: a pure function of program, tool and arguments. No clock, no I/O, and no
 * exception whatever the arguments are: what cannot be judged is denied under a code of its own.
 *
 * Which rules apply to a tool, in this order: those under its exact name, those under each glob that matches it (in
 * the order of the file), those under `*`. The first rule that does not pass denies. Counters come after: first what
 * rules read of them, then the amounts they add, so a call that its arguments deny is never said to have hit a limit
 * which it only would have hit.
 */
import type { Obligation, RuleRef } from '../decision/obligation.ts';
import type { JsonObject } from '../decision/value.ts';
import type { Ruling } from '../decision/verdict.ts';
import type { Engines } from './engines.ts';
import { type CallContext, contextOf, type Facts, NO_FACTS } from './facts.ts';
import { compileGlob, type Glob, isGlob } from './glob.ts';
import type { Program } from './program.ts';
import { denialOf, misspeltDenial, type PreparedRule, prepareRule } from './rule.ts';
import { misspelt, type RuledKeys, ruledKeys } from './spelling.ts';
import { foldName, isToolName, MAX_NAME_LENGTH } from './tool-name.ts';

export type Call = {
  readonly tool: string;
  readonly args: JsonObject;
  /** Without them expressions see {@link NO_FACTS}. */
  readonly facts?: Facts;
};

/**
 * `named`: exactly a name that the policy rules or hides. `look_alike`: not one, but folding makes it one, or makes a
 * glob match. Globs name nobody, so a name that only a glob matches is `other`.
 */
export type NameStanding = 'named' | 'look_alike' | 'other';

/** All that the policy says about one tool name. */
/** What judging a call takes besides the call itself. */
export type Needs = { readonly facts: boolean; readonly announced: boolean };

type Plan = {
  readonly refusal: Ruling | null;
  readonly rules: readonly PreparedRule[];
  /** The arguments that any of its rules reads. */
  readonly keys: RuledKeys | null;
  /** The rules whose amounts depend on the arguments. */
  readonly amounts: readonly PreparedRule[];
  /** Some rule may not apply: what an allowed call takes on depends on which do. */
  readonly conditional: boolean;
  readonly needs: Needs;
  /** Conditional plans: rulings that were given before, by the rules that applied (a bit each). */
  readonly allowedBy: Map<number, Ruling>;
  /** The reads of every allowed call. */
  readonly reads: readonly Obligation[];
  /** The ruling of every allowed call, where no amount depends on the arguments. Frozen: a lane tells it in full only once. */
  readonly allowed: Ruling | null;
  readonly visible: boolean;
  readonly standing: NameStanding;
};

type KeyedGlob = { readonly matches: Glob; readonly folded: Glob };
type RuleGlob = KeyedGlob & { readonly rules: readonly PreparedRule[] };

export type PreparedPolicy = {
  readonly defaultEffect: 'allow' | 'deny';
  readonly rulesByName: ReadonlyMap<string, readonly PreparedRule[]>;
  readonly globs: readonly RuleGlob[];
  readonly wildcard: readonly PreparedRule[];
  readonly hidden: ReadonlySet<string>;
  readonly hiddenGlobs: readonly KeyedGlob[];
  readonly foldedNames: ReadonlySet<string>;
  readonly foldedHidden: ReadonlySet<string>;
  /** Plans already made. Bounded, since agents choose names. */
  readonly plans: Map<string, Plan>;
};

const MAX_PLANS = 2_000;
const WILDCARD = '*';
const NO_ARGUMENTS: JsonObject = {};

/** Among several policies: this one's name, and how many rules stand before its own. */
export type Among = { readonly policy?: string; readonly before: number };
const ALONE: Among = { before: 0 };

/** @throws where something does not compile or the program is not one that the reader made. */
export function prepare(program: Program, engines: Engines, among: Among = ALONE): PreparedPolicy {
  const rulesByName = new Map<string, readonly PreparedRule[]>();
  const globs: RuleGlob[] = [];
  let wildcard: readonly PreparedRule[] = [];
  let number = among.before;
  const policy = among.policy === undefined ? {} : { policy: among.policy };
  for (const tool of program.tools) {
    const rules = tool.rules.map((rule, index) =>
      prepareRule(rule, { tool: tool.key, rule: rule.name, index, ...policy }, ++number, engines),
    );
    if (tool.key === WILDCARD) wildcard = rules;
    else if (isGlob(tool.key)) globs.push({ ...keyedGlob(tool.key), rules });
    else rulesByName.set(tool.key, rules);
  }
  const hidden = new Set(program.hide.filter((name) => !isGlob(name)));
  return {
    defaultEffect: program.defaultEffect,
    rulesByName,
    globs,
    wildcard,
    hidden,
    hiddenGlobs: program.hide.filter(isGlob).map(keyedGlob),
    foldedNames: new Set([...rulesByName.keys(), ...hidden].map(foldName)),
    foldedHidden: new Set([...hidden].map(foldName)),
    plans: new Map(),
  };
}

function keyedGlob(pattern: string): KeyedGlob {
  return { matches: compileGlob(pattern), folded: compileGlob(pattern, foldName) };
}

/** Before each rule its number goes into `cursor[0]`, before each of its parts the part's into `cursor[1]`, both from 1. */
export function evaluate(prepared: PreparedPolicy, call: Call, cursor?: Int32Array): Ruling {
  const plan = planFor(prepared, call.tool);
  if (plan.refusal !== null) return plan.refusal;
  const { rules } = plan;
  const context = plan.needs.facts ? contextOf(call.tool, call.args, call.facts ?? NO_FACTS) : null;
  const applied: PreparedRule[] | null = plan.conditional ? [] : null;
  let judging: PreparedRule | undefined;
  try {
    for (let i = 0; i < rules.length; i++) {
      judging = rules[i] as PreparedRule;
      mark(cursor, judging);
      if (judging.applies !== null && !appliesTo(judging, context as CallContext, cursor)) continue;
      const denial = judging.judge(call.args, context, cursor);
      if (denial !== null) return { effect: 'deny', denial, earlier: readsOf(applied ?? rules.slice(0, i)) };
      applied?.push(judging);
    }
    const doubt = plan.keys === null ? null : misspelt(call.args, plan.keys);
    if (doubt !== null)
      return { effect: 'deny', denial: misspeltDenial(doubt), earlier: readsOf(applied ?? rules) };
    if (plan.allowed !== null) return plan.allowed;
    const amounts = applied === null ? plan.amounts : applied.filter((rule) => rule.judgeAmount !== null);
    for (let i = 0; i < amounts.length; i++) {
      judging = amounts[i] as PreparedRule;
      mark(cursor, judging);
      const denial = judging.judgeAmount?.(call.args) ?? null;
      if (denial !== null) return { effect: 'deny', denial, earlier: readsOf(applied ?? rules) };
    }
    if (applied !== null) return allowedUnder(plan, applied, amounts.length === 0, call.args);
    return { effect: 'allow', obligations: [...plan.reads, ...reservesOf(rules, call.args)] };
  } catch {
    // FAIL-CLOSED: whatever went wrong while judging a rule denies, under a code apart from the rules' own.
    return failedAt(judging);
  }
}

function appliesTo(rule: PreparedRule, context: CallContext, cursor: Int32Array | undefined): boolean {
  if (cursor !== undefined) cursor[1] = 1;
  return rule.applies === null || rule.applies(context);
}

/** Where no amount depends on the arguments, the same rules give the same ruling, which is kept. */
function allowedUnder(
  plan: Plan,
  applied: readonly PreparedRule[],
  isFixed: boolean,
  args: JsonObject,
): Ruling {
  const make = (): Ruling => ({
    effect: 'allow',
    obligations: [...sharedReads(applied), ...reservesOf(applied, args)],
  });
  if (!isFixed || plan.rules.length > MAX_MASKED_RULES) return make();
  let mask = 0;
  for (let i = 0, next = 0; i < plan.rules.length && next < applied.length; i++) {
    if (plan.rules[i] !== applied[next]) continue;
    mask |= 1 << i;
    next += 1;
  }
  const known = plan.allowedBy.get(mask);
  if (known !== undefined) return known;
  const ruling = Object.freeze(make());
  if (plan.allowedBy.size < MAX_KEPT_RULINGS) plan.allowedBy.set(mask, ruling);
  return ruling;
}

const MAX_MASKED_RULES = 30;
const MAX_KEPT_RULINGS = 64;

function mark(cursor: Int32Array | undefined, rule: PreparedRule): void {
  if (cursor === undefined) return;
  cursor[0] = rule.number;
  cursor[1] = 0;
}

/**
 * Whether the tool may appear in lists: not hidden, nor a look-alike of a hidden name. As the dialect has it, a tool
 * that `default: deny` leaves unlisted is shown all the same, and every call of it denied.
 */
export function isVisible(prepared: PreparedPolicy, toolName: string): boolean {
  return planFor(prepared, toolName).visible;
}

export function nameStanding(prepared: PreparedPolicy, name: string): NameStanding {
  return planFor(prepared, name).standing;
}

export function needs(prepared: PreparedPolicy, tool: string): Needs {
  return planFor(prepared, tool).needs;
}

/** The rule that a number in `cursor[0]` means. */
export function ruleByNumber(program: Program, number: number): RuleRef | undefined {
  let before = 0;
  for (const tool of program.tools) {
    const index = number - before - 1;
    const rule = tool.rules[index];
    if (rule !== undefined) return { tool: tool.key, rule: rule.name, index };
    before += tool.rules.length;
  }
  return undefined;
}

function planFor(prepared: PreparedPolicy, tool: string): Plan {
  const known = prepared.plans.get(tool);
  if (known !== undefined) return known;
  const plan = makePlan(prepared, tool);
  if (tool.length <= MAX_NAME_LENGTH) {
    if (prepared.plans.size >= MAX_PLANS) prepared.plans.clear();
    prepared.plans.set(tool, plan);
  }
  return plan;
}

function makePlan(prepared: PreparedPolicy, tool: string): Plan {
  const own = prepared.rulesByName.get(tool);
  const named = own !== undefined || prepared.hidden.has(tool);
  // FAIL-CLOSED: a name too long to be compared with the policy's globs is nobody's.
  if (!isToolName(tool) || (!named && tool.length > MAX_NAME_LENGTH)) {
    const refusal = refuse('malformed_message', 'this is not a tool name');
    return {
      refusal,
      rules: [],
      keys: null,
      amounts: [],
      conditional: false,
      needs: { facts: false, announced: false },
      allowedBy: new Map(),
      reads: [],
      allowed: null,
      visible: false,
      standing: 'look_alike',
    };
  }
  const globs = prepared.globs.filter((glob) => glob.matches(tool));
  const rules = [...(own ?? []), ...globs.flatMap((glob) => glob.rules), ...prepared.wildcard];
  const hidden = prepared.hidden.has(tool) || prepared.hiddenGlobs.some((glob) => glob.matches(tool));
  const listed = prepared.defaultEffect === 'allow' || own !== undefined || globs.length > 0;
  const folded = foldName(tool);
  const standing: NameStanding = named ? 'named' : resembles(prepared, tool, folded) ? 'look_alike' : 'other';
  const likeHidden =
    !named && (prepared.foldedHidden.has(folded) || matchesOnlyFolded(prepared.hiddenGlobs, tool, folded));
  let refusal: Ruling | null = null;
  if (hidden) refusal = refuse('tool_hidden', 'the policy hides this tool: it cannot be called');
  else if (!listed)
    refusal = refuse(
      'tool_not_listed',
      'the policy allows only the tools it lists, and this is not one of them',
    );
  const keys = ruledKeys(rules.flatMap((rule) => rule.paths));
  const amounts = rules.filter((rule) => rule.judgeAmount !== null);
  const conditional = rules.some((rule) => rule.applies !== null);
  const needs: Needs = {
    facts: rules.some((rule) => rule.needsContext),
    announced: rules.some((rule) => rule.needsAnnounced),
  };
  const reads = sharedReads(rules);
  const fixed = !conditional && amounts.length === 0 ? [...reads, ...reservesOf(rules, NO_ARGUMENTS)] : null;
  const allowed: Ruling | null =
    fixed === null ? null : Object.freeze<Ruling>({ effect: 'allow', obligations: fixed });
  return {
    refusal,
    rules,
    keys,
    amounts,
    conditional,
    needs,
    allowedBy: new Map(),
    reads,
    allowed,
    visible: !hidden && !likeHidden,
    standing,
  };
}

function resembles(prepared: PreparedPolicy, tool: string, folded: string): boolean {
  if (prepared.foldedNames.has(folded)) return true;
  return (
    matchesOnlyFolded(prepared.globs, tool, folded) || matchesOnlyFolded(prepared.hiddenGlobs, tool, folded)
  );
}

function matchesOnlyFolded(globs: readonly KeyedGlob[], tool: string, folded: string): boolean {
  return globs.some((glob) => glob.folded(folded) && !glob.matches(tool));
}

function refuse(reason: 'tool_hidden' | 'tool_not_listed' | 'malformed_message', message: string): Ruling {
  return { effect: 'deny', denial: { reason, message }, earlier: [] };
}

/** Without reads of other rules the reserves say all that own bounds can say. */
function sharedReads(rules: readonly PreparedRule[]): readonly Obligation[] {
  return rules.some((rule) => rule.reads.length > 0) ? readsOf(rules) : [];
}

function readsOf(rules: readonly PreparedRule[]): readonly Obligation[] {
  return rules.flatMap((rule) => [...rule.ownReads, ...rule.reads]);
}

function reservesOf(rules: readonly PreparedRule[], args: JsonObject): readonly Obligation[] {
  return rules.map((rule) => rule.reserve(args)).filter((obligation) => obligation !== null);
}

function failedAt(rule: PreparedRule | undefined): Ruling {
  const message = 'the call could not be judged';
  if (rule === undefined)
    return { effect: 'deny', denial: { reason: 'evaluation_error', message }, earlier: [] };
  const words = { name: rule.ref.rule, ...(rule.onDeny === undefined ? {} : { onDeny: rule.onDeny }) };
  const denial = denialOf(words, rule.ref, 'evaluation_error', 'it could not be evaluated for this call');
  return { effect: 'deny', denial, earlier: [] };
}
