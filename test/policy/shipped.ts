/** The policies that ship with the package, the cases beside them and the tool lists they were written against. For tests only. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import type { JsonObject } from '../../src/decision/value.ts';
import { prepareExpression } from '../../src/policy/cel/expression.ts';
import { evaluate, type PreparedPolicy, prepare } from '../../src/policy/evaluate.ts';
import { NO_FACTS } from '../../src/policy/facts.ts';
import { compileGlob } from '../../src/policy/glob.ts';
import type { Program, Rule } from '../../src/policy/program.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { CounterModel } from './counter-model.ts';
import { readArgs } from './strict-json.ts';

const folder = new URL('../../../policies/', import.meta.url);

const argumentsSchema = z.record(z.string(), z.unknown());

const casesSchema = z.array(
  z.strictObject({
    call: z.strictObject({
      tool: z.string(),
      arguments: argumentsSchema.optional(),
      /** What the server says of the tool; the snapshot's word where it is not given, null where it says nothing. */
      annotations: z.record(z.string(), z.boolean()).nullable().optional(),
    }),
    expect: z.enum(['allow', 'deny']),
    reason: z.string().optional(),
    rule: z.string().optional(),
    /** How often the call is made, within one window: all but the last have to be allowed. */
    repeat: z.int().min(1).max(1_000).optional(),
  }),
);

const snapshotSchema = z.strictObject({
  package: z.strictObject({ name: z.string(), version: z.string() }),
  server: z.strictObject({ name: z.string(), version: z.string() }),
  tools: z.array(
    z.strictObject({
      name: z.string(),
      annotations: z.record(z.string(), z.unknown()).nullable(),
      inputSchema: z.looseObject({
        properties: argumentsSchema.optional(),
        required: z.array(z.string()).optional(),
      }),
    }),
  ),
});

export type Case = z.infer<typeof casesSchema>[number];
export type Snapshot = z.infer<typeof snapshotSchema>;
export type SnapshotTool = Snapshot['tools'][number];

export type Shipped = {
  readonly name: string;
  readonly text: string;
  readonly program: Program;
  readonly prepared: PreparedPolicy;
  readonly cases: readonly Case[];
  /** null: a posture, for any server. */
  readonly snapshot: Snapshot | null;
};

/** Warnings of what a policy is for. */
const MEANT: { readonly [policy: string]: readonly string[] } = { 'everything-off': ['nothing_listed'] };

export type Outcome = { readonly effect: 'allow' | 'deny'; readonly reason?: string; readonly rule?: string };

function filesIn(place: URL, ending: string): string[] {
  return readdirSync(place)
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
}

export const SNAPSHOTS: ReadonlyMap<string, Snapshot> = new Map(
  filesIn(new URL('snapshots/', folder), '.json').map((name) => [
    name,
    snapshotSchema.parse(JSON.parse(readText(`snapshots/${name}.json`))),
  ]),
);

export const NAMES = filesIn(folder, '.yaml').filter((name) => !name.endsWith('.cases'));
export const CASE_FILES = filesIn(folder, '.cases.yaml');

export function readText(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8');
}

export function readShipped(name: string): Shipped {
  const text = readText(`${name}.yaml`);
  const reading = readPolicy(Buffer.from(text), `${name}.yaml`);
  assert.ok(reading.ok, JSON.stringify(reading));
  assert.deepEqual(
    reading.warnings.map(({ code }) => code),
    MEANT[name] ?? [],
  );
  return {
    name,
    text,
    program: reading.program,
    prepared: preparedOf(reading.program),
    cases: casesSchema.parse(parse(readText(`${name}.cases.yaml`))),
    snapshot: SNAPSHOTS.get(name) ?? null,
  };
}

/** The policy with one part of one rule taken out, each time another; `part` says which. */
export function* weakened(shipped: Shipped): Generator<Shipped & { readonly part: string }> {
  const { program } = shipped;
  for (const [t, tool] of program.tools.entries()) {
    for (const [r, rule] of tool.rules.entries()) {
      for (const [name, rest] of withoutOnePart(rule)) {
        const rules = tool.rules.with(r, rest);
        const weak = { ...program, tools: program.tools.with(t, { ...tool, rules }) };
        yield {
          ...shipped,
          program: weak,
          prepared: preparedOf(weak),
          // The same rule under several tools is one text in the file, by an anchor.
          part: `"${rule.name}": ${name}`,
        };
      }
    }
  }
}

function* withoutOnePart(rule: Rule): Generator<readonly [name: string, rest: Rule]> {
  if (rule.when !== undefined) yield ['when', { ...rule, when: 'true' }];
  for (const [i, expression] of (rule.require ?? []).entries())
    yield [expression, { ...rule, require: rule.require?.with(i, 'true') ?? [] }];
  if (rule.action === 'deny') return;
  for (const [i, condition] of rule.conditions.entries())
    yield [
      `${condition.op} ${JSON.stringify(condition.value)}`,
      { ...rule, conditions: rule.conditions.toSpliced(i, 1) },
    ];
}

function preparedOf(program: Program): PreparedPolicy {
  return prepare(program, { compileRegex, compileExpression: prepareExpression });
}

/** What becomes of the call, its limits included, where nothing was called before. */
export function outcomeOf({ prepared, snapshot }: Shipped, one: Case): Outcome {
  const { tool, arguments: given = {}, annotations: said } = one.call;
  const args = readArgs(JSON.stringify(given));
  const announced =
    said === undefined ? snapshot?.tools.find(({ name }) => name === tool)?.annotations : said;
  const annotations = (announced ?? null) as JsonObject | null;
  const facts = { ...NO_FACTS, announced: { annotations, inputSchema: null } };
  const counters = new CounterModel();
  const times = one.repeat ?? 1;
  for (let time = 1; ; time++) {
    const outcome = once(prepared, { tool, args, facts }, counters);
    if (time === times) return outcome;
    if (outcome.effect === 'deny')
      return { ...outcome, reason: `${outcome.reason} at time ${time} of ${times}` };
  }
}

function once(
  prepared: PreparedPolicy,
  call: Parameters<typeof evaluate>[1],
  counters: CounterModel,
): Outcome {
  const ruling = evaluate(prepared, call);
  if (ruling.effect === 'deny') {
    const { reason, rule } = ruling.denial;
    return { effect: 'deny', reason, ...(rule === undefined ? {} : { rule: rule.rule }) };
  }
  const refused = counters.discharge(ruling.obligations);
  if (refused === null) return { effect: 'allow' };
  return {
    effect: 'deny',
    reason: refused.kind === 'reserve' ? 'limit_reached' : 'rule_denied',
    rule: refused.rule.rule,
  };
}

/** Whether rules under this key stand over the tool. */
export function covers(key: string, tool: string): boolean {
  return compileGlob(key)(tool);
}
