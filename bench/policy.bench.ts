/**
 * What judging costs a lane, by the size of the policy and by how its rules are written; beside it the same policy in
 * Cedar. One thread, the processor's time, candidates taking turns; every answer is checked.
 */
import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import type { CheckInput } from '../src/checks/sandbox.ts';
import { createSandbox } from '../src/checks/sandbox.ts';
import type { JsonObject } from '../src/decision/value.ts';
import { prepareExpression } from '../src/policy/cel/expression.ts';
import { type Call, evaluate, prepare } from '../src/policy/evaluate.ts';
import { NO_FACTS } from '../src/policy/facts.ts';
import { compileRegex } from '../src/policy/regex.ts';
import { readPolicy } from '../src/policy/text/read-policy.ts';
import type { BenchOptions, Measurement, Row, Target } from './report.ts';
import { median } from './samples.ts';

type Candidate = {
  readonly name: string;
  /** Judges call `n`; true where it is allowed. */
  readonly judge: (n: number) => boolean;
  /** Of how many calls one is denied: the last of each such group. */
  readonly deniesEvery: number;
};

const CALLS = 1_000;
const DENIES_EVERY = 10;

/** Every tenth call is beyond the bound. */
const CALL_ARGUMENTS: readonly JsonObject[] = Array.from({ length: CALLS }, (_, n) => ({
  amount: n % DENIES_EVERY === DENIES_EVERY - 1 ? 5_000 : n % 1_000,
  currency: ['eur', 'usd', 'gbp'][n % 3] as string,
  memo: `invoice ${n}`,
}));

const CONDITIONS = `conditions: [{path: args.amount, op: lte, value: 1000}, {path: args.currency, op: in, value: [eur, usd, gbp]}]`;
const EXPRESSION = `require: 'args.amount <= 1000 && args.currency in ["eur", "usd", "gbp"]'`;
const CHECK = `export default ({ args }) =>
  args.amount <= 1000 && ['eur', 'usd', 'gbp'].includes(args.currency) ? true : { deny: 'too much' };`;

function policyText(tools: number, rulesEach: number, body: string): string {
  const rules = Array.from({ length: rulesEach }, (_, i) => `      - {name: r${i}, ${body}}`).join('\n');
  return `version: "1"\ntools:\n${Array.from({ length: tools }, (_, i) => `  tool_${i}:\n    rules:\n${rules}\n`).join('')}`;
}

function portcullis(name: string, tools: number, rulesEach: number, body: string): Candidate {
  const reading = readPolicy(Buffer.from(policyText(tools, rulesEach, body)), 'bench.yaml');
  if (!reading.ok)
    throw new Error(`the bench's own policy is refused: ${JSON.stringify(reading.diagnostics)}`);
  const policy = prepare(reading.program, { compileRegex, compileExpression: prepareExpression });
  const calls: Call[] = CALL_ARGUMENTS.map((args, n) => ({
    tool: `tool_${n % tools}`,
    args,
    facts: NO_FACTS,
  }));
  return {
    name,
    deniesEvery: DENIES_EVERY,
    judge: (n) => evaluate(policy, calls[n % CALLS] as Call).effect === 'allow',
  };
}

async function check(): Promise<Candidate> {
  const module = { name: 'checks/bench.mjs', source: CHECK };
  const sandbox = await createSandbox({
    modules: [module],
    entries: [{ ref: 'bench', module: module.name, export: 'default' }],
  });
  const inputs = CALL_ARGUMENTS.map(
    (args): CheckInput => ({
      args,
      tool: { name: 'tool_0', annotations: null },
      server: 'bench',
      session: NO_FACTS.session,
      nowMs: 0,
    }),
  );
  return {
    name: 'a check in JavaScript, fresh state each call',
    deniesEvery: DENIES_EVERY,
    judge: (n) => sandbox.run('bench', inputs[n % CALLS] as CheckInput).kind === 'passed',
  };
}

function cedar(rules: number): Candidate {
  const body = 'context.amount <= 1000 && ["eur", "usd", "gbp"].contains(context.currency)';
  const forbids = Array.from(
    { length: rules },
    (_, i) => `forbid(principal, action, resource == Tool::"tool_${i}") unless { ${body} };`,
  );
  const answer = preparsePolicySet(`bench-${rules}`, {
    staticPolicies: `permit(principal, action, resource);\n${forbids.join('\n')}`,
  });
  if (answer.type !== 'success')
    throw new Error(`Cedar refuses the bench's policy: ${JSON.stringify(answer)}`);
  return {
    name: `Cedar (WebAssembly), ${rules} ${rules === 1 ? 'policy' : 'policies'}`,
    deniesEvery: DENIES_EVERY,
    judge: (n) => {
      const result = statefulIsAuthorized({
        principal: { type: 'Agent', id: 'a' },
        action: { type: 'Action', id: 'call' },
        resource: { type: 'Tool', id: `tool_${n % rules}` },
        context: CALL_ARGUMENTS[n % CALLS] as never,
        preparsedPolicySetId: `bench-${rules}`,
        entities: [],
      });
      return result.type === 'success' && result.response.decision === 'allow';
    },
  };
}

/** Microseconds of the processor a call, in each round. */
function measure(candidates: readonly Candidate[], calls: number, rounds: number): Map<Candidate, number[]> {
  const found = new Map(candidates.map((candidate) => [candidate, [] as number[]]));
  for (let round = -2; round < rounds; round++) {
    for (const candidate of candidates) {
      let denied = 0;
      const before = process.cpuUsage();
      for (let n = 0; n < calls; n++) if (!candidate.judge(n)) denied += 1;
      const { user, system } = process.cpuUsage(before);
      if (denied !== calls / candidate.deniesEvery)
        throw new Error(`${candidate.name} denied ${denied} of ${calls} calls`);
      if (round >= 0) found.get(candidate)?.push((user + system) / calls);
    }
  }
  return found;
}

export const policy: Row = {
  name: 'policy',
  question: 'what does judging cost a lane, by size and kind of policy, and in Cedar?',
  run: async ({ quick }: BenchOptions) => {
    const one = portcullis('1 rule, 1 tool', 1, 1, CONDITIONS);
    const ten = portcullis('10 rules, 1 tool', 1, 10, CONDITIONS);
    const hundred = portcullis('100 rules over 10 tools', 10, 10, CONDITIONS);
    const thousand = portcullis('1,000 rules over 100 tools', 100, 10, CONDITIONS);
    const expression = portcullis('1 rule in CEL, saying the same', 1, 1, EXPRESSION);
    const light = [one, ten, hundred, thousand, expression];
    const script = await check();
    const heavy = [script, cedar(1), cedar(100)];
    const found = new Map([
      ...measure(light, quick ? 20_000 : 200_000, quick ? 3 : 9),
      ...measure(heavy, quick ? 1_000 : 10_000, quick ? 3 : 9),
    ]);
    const of = (candidate: Candidate): number[] => found.get(candidate) ?? [];
    const ratios = (a: Candidate, b: Candidate): number[] =>
      of(a).map((value, i) => value / (of(b)[i] ?? Number.NaN));
    const target = (what: string, values: readonly number[], bound: number): Target => ({
      what,
      found: median(values),
      range: [Math.min(...values), Math.max(...values)],
      bound: '<=',
      target: bound,
    });
    const measurements: Measurement[] = [...found].map(([candidate, values]) => ({
      label: candidate.name,
      perSecond: 1_000_000 / median(values),
      figure: `${median(values).toFixed(2)} µs CPU a call`,
    }));
    return {
      measurements,
      targets: [
        target('1,000 rules over 100 tools, times 10 rules over one', ratios(thousand, ten), 1.3),
        target('a rule in CEL, times the same as conditions', ratios(expression, one), 3),
        target('µs of CPU of a check with fresh state', of(script), 100),
      ],
      notes: ['evaluation alone: reading the message is measured in the row `pool`'],
    };
  },
};
