/** Short ways to make a policy and ask it. For tests only. */
import type { Denial, Ruling } from '../../src/decision/verdict.ts';
import type { Diagnostic } from '../../src/policy/diagnostic.ts';
import { evaluate, type PreparedPolicy, prepare } from '../../src/policy/evaluate.ts';
import type { Program } from '../../src/policy/program.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { readArgs } from './strict-json.ts';

export function programOf(text: string): Program {
  const reading = readPolicy(new TextEncoder().encode(text), 'policy.yaml');
  if (!reading.ok) throw new Error(JSON.stringify(reading.diagnostics));
  return reading.program;
}

export function policyOf(text: string): PreparedPolicy {
  return prepare(programOf(text), { compileRegex });
}

/** A policy whose tool `t` has one rule, `r`, with one condition on `args.x`. */
export function conditionPolicy(op: string, value: string, path = 'args.x'): string {
  return rulePolicy(`conditions: [{path: ${JSON.stringify(path)}, op: ${op}, value: ${value}}]`);
}

/** A policy whose tool `t` has one rule, `r`, with this body in flow style. */
export function rulePolicy(body: string): string {
  return `version: "1"\ntools:\n  t:\n    rules:\n      - {name: r, ${body}}\n`;
}

export function statePolicy(state: string, bound = 'lte, value: 5'): string {
  return rulePolicy(
    `conditions: [{path: state.t.c, op: ${bound}}], state: {counter: c, window: hour${state}}`,
  );
}

export function ask(policy: PreparedPolicy | string, argsText = '{}', tool = 't'): Ruling {
  const prepared = typeof policy === 'string' ? policyOf(policy) : policy;
  return evaluate(prepared, { tool, args: readArgs(argsText) });
}

export function reasonOf(ruling: Ruling): string {
  return ruling.effect === 'allow' ? 'allowed' : ruling.denial.reason;
}

export function denialOf(ruling: Ruling): Denial {
  if (ruling.effect !== 'deny') throw new Error('allowed, where a denial was expected');
  return ruling.denial;
}

export function faultsOf(text: string | Uint8Array): readonly Diagnostic[] {
  const reading = readPolicy(typeof text === 'string' ? new TextEncoder().encode(text) : text, 'policy.yaml');
  return reading.ok ? [] : reading.diagnostics;
}

export function codesOf(text: string | Uint8Array): string[] {
  return faultsOf(text).map((fault) => fault.code);
}
